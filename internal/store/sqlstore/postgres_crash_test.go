package sqlstore

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// A server that crashes may lose a commit that nobody was told of, and give its
// transaction id to another. That the other was committed says nothing of the first.
func TestCrashGivesTheIDToAnother(t *testing.T) {
	t.Parallel()
	server, err := postgres.Start(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name    string
		arrives bool // the commit does, before the crash
		event   bool // the intent writes one, by which it is known
		runs    int
		unknown bool
	}{
		{"lost with an event: done again", false, true, 2, false},
		{"arrived with an event: done", true, true, 1, false},
		{"lost without an event: nobody can tell", false, false, 1, true},
		{"arrived without an event: nobody can tell", true, false, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, err := server.NewDatabase(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tap := new(storetest.Tap)
			s := furnished(t, Config{URL: address, WrapConnector: tap.Connector})
			aside := furnished(t, Config{URL: address})
			id := born(t, s, "a")
			runs, crashed := 0, false
			tap.Hook(func(kind storetest.Kind, sql string, perform func() error) error {
				if strings.HasPrefix(sql, `UPDATE "grant"`) || strings.HasPrefix(sql, "INSERT INTO tenant") {
					if kind != storetest.Prepare {
						runs++
					}
				}
				if kind != storetest.Commit || crashed {
					return perform()
				}
				crashed = true
				if tt.arrives {
					if err := perform(); err != nil {
						t.Error(err)
					}
				}
				if err := errors.Join(server.Crash(), server.Boot()); err != nil {
					t.Error(err)
				}
				for _, name := range []string{"b", "c", "d"} { // one of them gets the id
					if err := aside.db.write(t.Context(), aside.tenant(name)); err != nil {
						t.Error(err)
					}
				}
				return io.ErrUnexpectedEOF
			})
			if tt.event {
				var out store.Outcome
				if out, err = s.EndGrant(t.Context(), store.End{Grant: id, Why: store.WhyRevoked, Now: t0}); err == nil && out != store.Done {
					t.Errorf("EndGrant = %v", out)
				}
			} else {
				err = s.db.write(t.Context(), s.tenant("a"))
			}
			tap.Hook(nil)
			if errors.Is(err, store.ErrUnknownFate) != tt.unknown || err != nil && !tt.unknown {
				t.Errorf("error %v", err)
			}
			if runs != tt.runs {
				t.Errorf("the intent ran %d times, want %d", runs, tt.runs)
			}
			if g, _, gerr := s.Grant(t.Context(), id); err == nil && (gerr != nil || g.RevokedAt == 0) {
				t.Errorf("acknowledged, and not there: %v", gerr)
			}
		})
	}
}
