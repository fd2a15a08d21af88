package sqlstore

import (
	"fmt"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

func assertion(name string) store.Spend {
	id := id16("assertion %s", name)
	return store.Spend{ID: store.Hash{0: id[0], 1: id[1], 31: id[15]}, ExpiresAt: t0 + 60_000, Now: t0}
}

// A use that has an assertion to spend writes, also where it changes no grant:
// the short cut of those that read would let the assertion be used again.
func TestAssertionNeedsTheWriter(t *testing.T) {
	s := fresh(t)
	in := refresh(born(t, s, "a"), 0)
	in.Rotating, in.Assertion = false, assertion("a")
	for i, want := range []store.Outcome{store.Done, store.Reused, store.Reused} {
		out, err := s.RotateRefresh(t.Context(), in)
		if err != nil || out.Outcome != want || out.ConfigVersion != 1 {
			t.Errorf("use %d: %v of config %d, %v; want %v of config 1", i, out.Outcome, out.ConfigVersion, err, want)
		}
	}
}

// An assertion that nobody says the end of could be used again at once.
func TestSpendingHasAnEnd(t *testing.T) {
	s := fresh(t)
	for _, in := range []store.Spend{{ID: store.Hash{1}, Now: t0}, {ID: store.Hash{1}, ExpiresAt: t0 + 1}} {
		if out, err := s.Spend(t.Context(), in); err == nil {
			t.Errorf("Spend(%+v) = %v, want an error", in, out)
		}
	}
}

// What the previous program writes beside this one is read, with nothing in the
// columns that it does not know.
func TestPreviousProgram(t *testing.T) {
	s := fresh(t)
	g := birth("a").Grant
	err := s.db.write(t.Context(), func(t tx) error {
		if _, err := t.exec(`INSERT INTO client (issuer, id, face, source, metadata, disabled_at, created_at, updated_at)
			VALUES ($1, $2, 'oidc', 'api', '{"client_id":"app"}', 0, 1, 1)`, s.key, "app"); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO "grant" (issuer, id, client_id, subject, "user", scope, nonce, auth_time, redirect_uri,
				code_challenge, created_at, code_expires_at, absolute_expires_at, session, state_hash,
				redeemed_at, generation, mac_key, rotated_at, idle_expires_at, revoked_at, revoked_why)
			VALUES ($1, $2, 'app', $3, $4, '', '', 1, 'https://app.example.com/cb', x'', 1, 2, 0, NULL, NULL, 0, 0, 1, 0, 0, 0, '')`,
			s.key, g.ID[:], g.Subject, g.User[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	row, found, err := s.Grant(t.Context(), g.ID)
	if err != nil || !found || row.Resources != "" || row.Claims != "" || row.Browser != (store.SessionID{}) {
		t.Errorf("Grant = %+v, %v, %v", row, found, err)
	}
	c, found, err := s.Client(t.Context(), "app")
	if err != nil || !found || c.ID != "app" || c.BackchannelLogout != "" || c.Secrets != nil {
		t.Errorf("Client = %+v, %v, %v", c, found, err)
	}
}

// Secrets of several clients and several secrets of one are neither mixed up nor
// doubled, and PutClient leaves them alone.
func TestSecretsOfManyClients(t *testing.T) {
	s := fresh(t)
	want := map[string]int{"a": 2, "b": 0, "c": 3}
	for range 2 {
		for id, n := range want {
			if err := s.PutClient(t.Context(), store.Client{Client: oauth.Client{ID: id}, Face: "oidc", Source: "api"}); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				x := store.ClientSecret{ClientID: id, Hash: store.Hash{byte(9 - i), id[0]}, CreatedAt: t0 + int64(i)}
				if err := s.PutClientSecret(t.Context(), x); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	clients, err := s.ClientsOf(t.Context(), "oidc")
	if err != nil || len(clients) != len(want) {
		t.Fatalf("%d clients, %v; want %d", len(clients), err, len(want))
	}
	for _, c := range clients {
		if len(c.Secrets) != want[c.ID] {
			t.Errorf("%s has %d secrets, want %d", c.ID, len(c.Secrets), want[c.ID])
		}
		for i, x := range c.Secrets {
			if x.ClientID != c.ID || x.Hash != (store.Hash{byte(9 - i), c.ID[0]}) || x.CreatedAt != t0+int64(i) {
				t.Errorf("%s: secret %d is %+v", c.ID, i, x)
			}
		}
	}
}

// However sessions end, the clients that want to know are told: once for each
// browser, also of grants that outlive it.
func TestEveryEndOfSessionsIsToldOf(t *testing.T) {
	disabled, changed := ann, ann
	disabled.DisabledAt, disabled.UpdatedAt = t0+5, t0+5
	changed.CredentialVersion, changed.UpdatedAt = 2, t0+5
	bob := store.User{ID: id16("bob"), CredentialVersion: 1, CreatedAt: t0, UpdatedAt: t0}
	first := store.SessionID(id16("session 1"))
	put := func(u store.User) func(*Store) (store.Outcome, error) {
		return func(s *Store) (store.Outcome, error) { return s.PutUser(t.Context(), u) }
	}
	for _, tt := range []struct {
		name string
		end  func(*Store) (store.Outcome, error)
		want int // browsers
	}{
		{"a session ends", func(s *Store) (store.Outcome, error) {
			return s.EndSession(t.Context(), store.EndSession{Session: first, Now: t0 + 5})
		}, 1},
		{"another user signs in in the browser", func(s *Store) (store.Outcome, error) {
			return s.OpenSession(t.Context(), store.OpenSession{
				Session: store.Session{ID: id16("session of bob"), User: bob.ID, AuthTime: t0, CreatedAt: t0, ExpiresAt: t0 + 9},
				Former:  first, CredentialVersion: 1, Now: t0 + 5,
			})
		}, 1},
		{"the user signs in again in the browser", func(s *Store) (store.Outcome, error) {
			return s.OpenSession(t.Context(), store.OpenSession{
				Session: store.Session{ID: id16("session 3"), User: ann.ID, AuthTime: t0, CreatedAt: t0, ExpiresAt: t0 + 9},
				Former:  first, CredentialVersion: 1, Now: t0 + 5,
			})
		}, 0},
		{"a user is disabled", put(disabled), 2},
		{"a credential changes", put(changed), 2},
		{"a user is deleted", func(s *Store) (store.Outcome, error) {
			return s.DeleteUser(t.Context(), store.DeleteUser{User: ann.ID, Now: t0 + 5})
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t)
			if out, err := s.PutUser(t.Context(), bob); err != nil || out != store.Done {
				t.Fatal(out, err)
			}
			for id, uri := range map[string]string{"told": "https://told.example.com/logout", "also": "https://also.example.com/logout", "silent": ""} {
				c := store.Client{Client: oauth.Client{ID: id, BackchannelLogout: uri}, Face: "oidc", Source: "api"}
				if err := s.PutClient(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 2 {
				id := id16("session %d", n+1)
				if out, err := s.OpenSession(t.Context(), store.OpenSession{
					Session:           store.Session{ID: id, User: ann.ID, AuthTime: t0, CreatedAt: t0, ExpiresAt: t0 + 9_999},
					CredentialVersion: 1, Now: t0,
				}); err != nil || out != store.Done {
					t.Fatal(out, err)
				}
				for i, client := range []string{"told", "told", "also", "silent"} {
					b := birth(fmt.Sprint(n, i))
					b.Session, b.Grant.Browser, b.Grant.ClientID = id, id, client
					if i == 0 {
						b.Grant.Session = id
					}
					if out, err := s.Birth(t.Context(), b); err != nil || out != store.Done {
						t.Fatal(out, err)
					}
				}
			}
			if out, err := tt.end(s); err != nil || out != store.Done {
				t.Fatal(out, err)
			}
			due, err := s.DueNotices(t.Context(), t0+5, 100)
			if err != nil || len(due) != 2*tt.want {
				t.Errorf("%d notices, %v; want two clients × %d browsers: %+v", len(due), err, tt.want, due)
			}
			if early, err := s.DueNotices(t.Context(), t0+4, 100); err != nil || len(early) != 0 {
				t.Errorf("%d notices before, %v", len(early), err)
			}
			seen := map[string]bool{}
			for _, n := range due {
				if n.Subject != birth("").Grant.Subject || n.CreatedAt != t0+5 || n.Attempts != 0 || n.SentAt != 0 || n.LastError != "" {
					t.Errorf("notice %+v", n)
				}
				seen[fmt.Sprint(n.Browser, n.ClientID)] = true
			}
			if len(seen) != len(due) {
				t.Errorf("somebody is told twice: %+v", due)
			}
		})
	}
}
