//go:build scale

package torture

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// PostgreSQL ends at once, with everything in flight, and comes back: a node says 503
// meanwhile, loses nothing, and goes on by itself.
func TestPostgresRestarts(t *testing.T) {
	restarts := size(2, 20)
	server, err := postgres.Start(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	db, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, t.TempDir(), "--database", db)
	clients, s := newClients(t, 8, newNetwork(n), n)
	var slowest time.Duration
	for restart := range restarts {
		end := load(t, clients)
		acknowledge(t, s, 50)
		if err := server.Crash(); err != nil {
			t.Fatal(err)
		}
		if _, err := until(time.Now(), patience, func() bool { return probe(n.host, "/readyz") == http.StatusServiceUnavailable }); err != nil {
			t.Errorf("restart %d: readyz red: %v", restart, err)
		}
		for path, want := range map[string]int{"/livez": 200, "/.well-known/openid-configuration": 200, "/oauth2/jwks": 200} {
			if got := probe(n.host, path); got != want {
				t.Errorf("restart %d: without a database, %s answers %d, want %d", restart, path, got, want)
			}
		}
		if err := server.Boot(); err != nil {
			t.Fatal(err)
		}
		back := recovered(t, n, s)
		slowest = max(slowest, back)
		within(t, fmt.Sprintf("restart %d: back", restart), back, 5*time.Second)
		end()
		audit(clients)
	}
	if s.unanswered.Load() != 0 {
		t.Errorf("%d requests were not answered", s.unanswered.Load())
	}
	s.judge(t)
	summary.add(t, fmt.Sprintf("%d × immediate restart of PostgreSQL under %d clients, %d exchanges acknowledged", restarts, len(clients), s.acknowledged.Load()),
		s.counts(), ms(slowest)+" from its start to ready and serving")
}

// acknowledge waits until the clients have been told more.
func acknowledge(t *testing.T, s *seen, more int64) {
	t.Helper()
	want := s.acknowledged.Load() + more
	if _, err := until(time.Now(), time.Minute, func() bool { return s.acknowledged.Load() >= want }); err != nil {
		t.Fatalf("%d exchanges of the load: %v", more, err)
	}
}

// recovered waits until a node is ready again and its clients are served, and returns
// how long that took.
func recovered(t *testing.T, n *node, s *seen) time.Duration {
	t.Helper()
	before := s.acknowledged.Load()
	back, err := until(time.Now(), time.Minute, func() bool {
		return s.acknowledged.Load() > before && probe(n.host, "/readyz") == http.StatusOK
	})
	if err != nil {
		t.Errorf("back: %v", err)
	}
	return back
}
