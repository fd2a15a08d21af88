package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
)

// shelf is a store of keys and clients alone, which may be altered behind its back.
type shelf struct {
	store.Store
	mac     []store.MACKey
	signing []store.SigningKey
	clients int // that were asked for
}

func (*shelf) Issuer() (id store.IssuerID) { return id }

func (s *shelf) MACKeys(context.Context) ([]store.MACKey, error) { return slices.Clone(s.mac), nil }

func (s *shelf) SigningKeys(context.Context) ([]store.SigningKey, error) {
	return slices.Clone(s.signing), nil
}

func (s *shelf) AddMACKey(_ context.Context, k store.MACKey) (store.Outcome, error) {
	s.mac = append(s.mac, k)
	return store.Done, nil
}

func (s *shelf) AddSigningKey(_ context.Context, k store.SigningKey) (store.Outcome, error) {
	s.signing = append(s.signing, k)
	return store.Done, nil
}

func (*shelf) ConfigVersion(context.Context) (int64, error) { return 1, nil }

func (s *shelf) Client(_ context.Context, id string) (store.Client, bool, error) {
	s.clients++
	return store.Client{Client: oauth.Client{ID: id}, Face: "a"}, true, nil
}

// A look at the keys unseals what is new, and only that: nodes look often. What was
// altered, or was moved to another purpose, is not taken for what it was.
func TestKeysAreUnsealedOnce(t *testing.T) {
	master, err := seal.ReadOrCreate(filepath.Join(t.TempDir(), "key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spec := KeySpec{Purpose: Standard, Alg: jose.ES256}
	for _, tt := range []struct {
		name  string
		alter func(*shelf)
		want  string // in the error
		same  bool   // the first key of each kind is the one that was unsealed before
		keys  int    // signing keys
	}{
		{"nothing new", func(*shelf) {}, "", true, 1},
		{"retired", func(s *shelf) { s.signing[0].RetiredAt = 1 }, "", true, 1},
		{"gone", func(s *shelf) { s.signing = nil }, "", true, 0},
		{"a signing key that was altered", func(s *shelf) { s.signing[0].Sealed = s.signing[0].Sealed[1:] }, "cannot be unsealed", false, 0},
		{"of another purpose", func(s *shelf) { s.signing[0].Purpose = "other" }, "cannot be unsealed", false, 0},
		{"a MAC key that was altered", func(s *shelf) { s.mac[0].Sealed = s.mac[0].Sealed[1:] }, "cannot be unsealed", false, 0},
		{"of another number", func(s *shelf) { s.mac[0].Number = 2 }, "cannot be unsealed", false, 0},
	} {
		s := new(shelf)
		k, err := openKeyring(t.Context(), s, master, time.Now, rand.Reader, []KeySpec{spec})
		if err != nil {
			t.Fatal(err)
		}
		before := k.current.Load()
		tt.alter(s)
		err = k.replace(t.Context(), time.Now())
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		after := k.current.Load()
		switch {
		case !tt.same:
			if after != before {
				t.Errorf("%s: the keys are others", tt.name)
			}
		case len(after.signing) != tt.keys:
			t.Errorf("%s: %d signing keys", tt.name, len(after.signing))
		case tt.keys > 0 && (after.signing[0].key != before.signing[0].key || after.signing[0].RetiredAt != s.signing[0].RetiredAt):
			t.Errorf("%s: unsealed again, or not up to date", tt.name)
		}
	}
}

// However many clients are asked for, so many are kept; those that are in use stay.
func TestClientsAreBounded(t *testing.T) {
	s := new(shelf)
	now := time.Now()
	c := &clientCache{store: s, now: func() time.Time { return now }, nobody: newCache[string, int64](1)}
	get := func(id string) {
		t.Helper()
		if client, _, err := c.get(t.Context(), "a", id); err != nil || client == nil || client.ID != id {
			t.Fatalf("%s: %v %v", id, client, err)
		}
	}
	const strangers = 5 * mostClients
	for i := range strangers {
		get(fmt.Sprint("stranger-", i))
		get("busy")
	}
	if s.clients != strangers+1 {
		t.Errorf("%d looks into the store, want %d", s.clients, strangers+1)
	}
	if n := len(c.byID.young) + len(c.byID.old); n > 2*mostClients {
		t.Errorf("%d clients are kept", n)
	}
}
