package sqlstore

import (
	"crypto/sha256"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

const t0 store.Time = 1_800_000_000_000

func open(t testing.TB, path string, wrap ...func(driver.Connector) driver.Connector) *DB {
	t.Helper()
	cfg := Config{Path: path}
	if len(wrap) > 0 {
		cfg.WrapConnector = wrap[0]
	}
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func issuer(t testing.TB, db *DB, name string) *Store {
	t.Helper()
	s, _, err := db.Issuer(t.Context(), name, id16("issuer %s", name), [32]byte{1}, t0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh is a new database with one issuer and one user.
func fresh(t testing.TB, wrap ...func(driver.Connector) driver.Connector) *Store {
	t.Helper()
	s := issuer(t, open(t, filepath.Join(t.TempDir(), "t.db"), wrap...), "https://issuer.example")
	if out, err := s.PutUser(t.Context(), ann); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	return s
}

func (db *DB) sqlite() *sqliteBackend { return db.backend.(*sqliteBackend) }

func id16(format string, args ...any) [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return [16]byte(sum[:16])
}

var ann = store.User{
	ID:          id16("ann"),
	Identifiers: []store.Identifier{{Kind: "email", Value: "ann@example.com"}, {Kind: "username", Value: "ann"}},
	Claims:      []byte(`{"name":"Ann"}`), Email: "Ann@example.com", CredentialVersion: 1,
	CreatedAt: t0, UpdatedAt: t0,
}

func birth(name string) store.Birth {
	return store.Birth{
		Grant: store.Grant{Birthright: store.Birthright{
			ID: id16("grant %s", name), ClientID: "9f1c6a52-7d1e-4a55-9b0c-3f6f6f0f8a11",
			Subject: "1c2f0f5e-6d7c-4a55-9b0c-3f6f6f0f8a11", User: ann.ID, Scope: "email openid profile",
			Nonce: "n-0S6_WzA2Mj", AuthTime: t0, RedirectURI: "https://app.example.com/callback",
			CodeChallenge: sha256.Sum256([]byte(name)), HasChallenge: true, CreatedAt: t0, CodeExpiresAt: t0 + 60_000,
		}},
		CredentialVersion: 1, Now: t0, Trace: store.Trace{RequestID: "01JC0000000000000000000000", IP: "2001:db8::1"},
	}
}

func redeem(id store.GrantID) store.Redeem {
	return store.Redeem{Grant: id, Now: t0, MACKey: 1, IdleExpiresAt: t0 + 14*86_400_000, Proven: true, EndOnReplay: true}
}

func refresh(id store.GrantID, generation uint32) store.Rotate {
	return store.Rotate{
		Grant: id, Presented: generation, PresentedKey: 1, ActiveKey: 1, Now: t0 + int64(generation),
		IdleLife: 14 * 86_400_000, Rotating: true, RetryWindow: 30_000, EndOnReplay: true,
	}
}

// born makes a redeemed grant.
func born(t testing.TB, s *Store, name string) store.GrantID {
	t.Helper()
	b := birth(name)
	if out, err := s.Birth(t.Context(), b); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	if out, err := s.RedeemCode(t.Context(), redeem(b.Grant.ID)); err != nil || out.Outcome != store.Done {
		t.Fatal(out, err)
	}
	return b.Grant.ID
}
