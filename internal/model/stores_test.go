//go:build scale

package model_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// database is one database and the processes that use it.
type database interface {
	// node opens an issuer's part at a node.
	node(n int, issuer string) store.Store
	// crash is the end of a node without a goodbye, and its new start.
	crash(n int)
	tap() *storetest.Tap
}

// copier is a database that can be copied and put back.
type copier interface {
	copy()
	restore()
}

// sqliteFile is used by one process: its nodes share it, and crash together.
type sqliteFile struct {
	t     testing.TB
	dir   string
	boots int
	db    *sqlstore.DB
	wrap  storetest.Tap
}

func newSQLite(t testing.TB) *sqliteFile {
	dir, err := os.MkdirTemp("/dev/shm", "model")
	if err != nil {
		dir = t.TempDir()
	}
	d := &sqliteFile{t: t, dir: dir}
	t.Cleanup(func() { _ = d.db.Close(); _ = os.RemoveAll(dir) })
	d.open()
	return d
}

func (d *sqliteFile) path() string { return filepath.Join(d.dir, fmt.Sprint(d.boots, ".db")) }

func (d *sqliteFile) open() {
	d.t.Helper()
	db, err := sqlstore.Open(d.t.Context(), sqlstore.Config{Path: d.path(), WrapConnector: d.wrap.Connector})
	if err != nil {
		d.t.Fatal(err)
	}
	d.db = db
}

func (d *sqliteFile) tap() *storetest.Tap { return &d.wrap }

func (d *sqliteFile) node(_ int, issuer string) store.Store { return part(d.t, d.db, issuer) }

func (d *sqliteFile) crash(int) { d.bootFrom(d.path()) }

func (d *sqliteFile) copy() { d.copyFile(d.path(), filepath.Join(d.dir, "copy")) }

func (d *sqliteFile) restore() { d.bootFrom(filepath.Join(d.dir, "copy")) }

// bootFrom leaves the process as it is and starts another on a copy of a file.
func (d *sqliteFile) bootFrom(from string) {
	dead, old := d.db, d.path()
	d.boots++
	d.copyFile(from, d.path())
	d.open()
	_ = dead.Close()
	_ = os.Remove(old)
}

func (d *sqliteFile) copyFile(from, to string) {
	d.t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		_ = os.Remove(to + suffix)
		data, err := os.ReadFile(from + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

// postgresDatabase is used by two processes.
type postgresDatabase struct {
	t     testing.TB
	url   string
	nodes [2]*sqlstore.DB
	wrap  storetest.Tap
}

func newPostgreSQL(t testing.TB) *postgresDatabase {
	server, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	url, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := &postgresDatabase{t: t, url: url}
	for n := range d.nodes {
		d.open(n)
		t.Cleanup(func() { _ = d.nodes[n].Close() })
	}
	return d
}

func (d *postgresDatabase) open(n int) {
	d.t.Helper()
	db, err := sqlstore.Open(d.t.Context(), sqlstore.Config{URL: d.url, WrapConnector: d.wrap.Connector})
	if err != nil {
		d.t.Fatal(err)
	}
	d.nodes[n] = db
}

func (d *postgresDatabase) tap() *storetest.Tap { return &d.wrap }

func (d *postgresDatabase) node(n int, issuer string) store.Store {
	return part(d.t, d.nodes[n], issuer)
}

func (d *postgresDatabase) crash(n int) {
	dead := d.nodes[n]
	d.open(n)
	_ = dead.Close()
}

func part(t testing.TB, db *sqlstore.DB, issuer string) store.Store {
	t.Helper()
	hash := sha256.Sum256([]byte(issuer))
	s, _, err := db.Issuer(t.Context(), issuer, store.IssuerID(hash[:16]), [32]byte{1}, t0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func id(format string, args ...any) [16]byte {
	h := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return [16]byte(h[:16])
}

var user = store.User{ID: id("user"), CredentialVersion: 1, Claims: []byte(`{}`), CreatedAt: t0, UpdatedAt: t0}

// grantOf is a grant as it is born, or redeemed if it is anonymous.
func grantOf(i int, g grant) store.Grant {
	b := store.Birthright{
		ID: id("grant %d", i), ClientID: g.id, Subject: fmt.Sprint("subject ", i), AuthTime: t0,
		CreatedAt: t0, CodeExpiresAt: at(g.terms.CodeEnd), AbsoluteExpiresAt: at(g.terms.AbsoluteEnd),
	}
	if g.terms.Anonymous {
		b.RedirectURI, b.CodeChallenge, b.HasChallenge = oauth.URNAuto, sha256.Sum256([]byte("v")), true
	} else {
		b.User = user.ID
	}
	return store.Grant{Birthright: b}
}

// ask performs a deed on a store.
func ask(t testing.TB, s store.Store, d deed, g grant) (result, error) {
	t.Helper()
	ctx, row := t.Context(), grantOf(d.grant, g)
	var assertion store.Spend
	if d.assertion != 0 {
		assertion = store.Spend{ID: sha256.Sum256(fmt.Append(nil, "assertion", d.assertion)), ExpiresAt: at(d.now) + 1e9, Now: at(d.now)}
	}
	switch d.what {
	case "birth":
		row.MACKey = d.active
		out, err := s.Birth(ctx, store.Birth{Grant: row, CredentialVersion: user.CredentialVersion, Now: at(d.now)})
		return result{Outcome: out.String()}, err
	case "revoke":
		out, err := s.EndGrant(ctx, store.End{Grant: row.ID, Why: store.WhyRevoked, Now: at(d.now)})
		return result{Outcome: out.String()}, err
	case "refresh":
		out, err := s.RotateRefresh(ctx, store.Rotate{
			Grant: row.ID, Presented: d.Generation, PresentedKey: d.Key, ActiveKey: d.active, Now: at(d.now),
			IdleLife: int64(g.terms.IdleLife), Rotating: g.terms.Rotating, RetryWindow: int64(g.terms.Window),
			UntilUsed: g.terms.UntilUsed, EndOnReplay: g.terms.EndOnReplay, Report: d.report, Assertion: assertion,
		})
		return result{out.Outcome.String(), out.Ended, out.State}, err
	}
	var out store.Redeemed
	var err error
	idleEnd := store.IdleEnd(at(d.now), int64(g.terms.IdleLife))
	if g.terms.Anonymous {
		row.RedeemedAt, row.RotatedAt, row.MACKey, row.IdleExpiresAt = at(d.now), at(d.now), d.active, idleEnd
		out, err = s.RedeemAnonymous(ctx, store.RedeemAnonymous{
			Grant: row, Now: at(d.now), Proven: !d.unproven, EndOnReplay: g.terms.EndOnReplay, Report: d.report,
		})
	} else {
		out, err = s.RedeemCode(ctx, store.Redeem{
			Grant: row.ID, Now: at(d.now), MACKey: d.active, IdleExpiresAt: idleEnd,
			Proven: !d.unproven, EndOnReplay: g.terms.EndOnReplay, Report: d.report, Assertion: assertion,
		})
	}
	return result{out.Outcome.String(), out.Ended, out.State}, err
}

// see reads what a ledger tells of.
func see(t testing.TB, s store.Store, l ledger) []seen {
	t.Helper()
	all := make([]seen, len(l.grants))
	for i := range all {
		g, found, err := s.Grant(t.Context(), id("grant %d", i))
		if err != nil {
			t.Fatal(err)
		}
		events, err := s.AuditOf(t.Context(), id("grant %d", i))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = seen{Found: found, State: g.GrantState}
		for _, e := range events {
			all[i].Audit = append(all[i].Audit, event{e.At, e.Kind})
		}
		inOrder(all[i].Audit)
	}
	return all
}
