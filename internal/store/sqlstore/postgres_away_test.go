package sqlstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// The server goes away, comes back, and comes back as one that only follows another:
// the store says what it cannot, loses nothing, and recovers by itself.
func TestServerAway(t *testing.T) {
	t.Parallel()
	server, err := postgres.Start(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	address, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := furnished(t, Config{URL: address})
	data := s.shown(t, "current_setting('data_directory')")
	id := born(t, s, "a")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	red := func(why string) {
		t.Helper()
		begin := time.Now()
		if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Ready: %v, want %q", err, why)
		}
		if out, err := s.EndGrant(t.Context(), store.End{Grant: id, Why: store.WhyRevoked, Now: t0}); err == nil || errors.Is(err, store.ErrUnknownFate) {
			t.Errorf("EndGrant = %v, %v; want an error, and that nothing has happened", out, err)
		}
		if _, _, err := s.User(t.Context(), ann.ID); err == nil {
			t.Error("User: no error")
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("to know took %v", took)
		}
	}
	green := func(generation uint32) {
		t.Helper()
		begin := time.Now()
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		if out, err := s.RotateRefresh(t.Context(), refresh(id, generation)); err != nil || out.Outcome != store.Done {
			t.Errorf("RotateRefresh = %v, %v; want done", out.Outcome, err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("to be ready again took %v", took)
		}
	}

	green(0)
	must(server.Crash())
	red("connect")
	must(server.Boot())
	green(1)

	standby := filepath.Join(data, "standby.signal")
	must(server.Crash())
	must(os.WriteFile(standby, nil, 0o644))
	must(server.Boot())
	red("in recovery")
	if db, err := Open(t.Context(), Config{URL: address}); err == nil || !strings.Contains(err.Error(), "in recovery") {
		t.Errorf("Open: %v, want that it is in recovery", err)
		if err == nil {
			_ = db.Close()
		}
	}
	must(server.Crash())
	must(os.Remove(standby))
	must(server.Boot())
	green(2)
}
