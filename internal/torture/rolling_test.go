//go:build scale

package torture

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// Two nodes are stopped by SIGTERM and started again in turn, and nobody notices.
func TestRollingRestart(t *testing.T) {
	rounds, requests := size(1, 10), size(400, 100_000)
	db := postgres.Database(t)
	boot := func() *node { return start(t, t.TempDir(), "--database", db, "--shutdown-notice", "500ms") }
	nodes := []*node{boot(), boot()}
	net := newNetwork(nodes...)
	clients, s := newClients(t, 8, net, nodes[0])

	known := make([]atomic.Pointer[string], len(nodes))
	for i, n := range nodes {
		known[i].Store(&n.host)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range nodes {
		go watch(ctx, &known[i], &net.hosts[i])
	}

	end := load(t, clients)
	share := int64(requests / (rounds * len(nodes)))
	for range rounds {
		for i, n := range nodes {
			before := net.answers.Load()
			if code := n.End(syscall.SIGTERM); code != 0 {
				t.Errorf("node %d exits with %d, want 0", i, code)
			}
			known[i].Store(nil)
			nodes[i] = boot()
			known[i].Store(&nodes[i].host)
			_, err := until(time.Now(), 5*time.Minute, func() bool {
				return net.hosts[i].Load() != nil && net.answers.Load() >= before+share
			})
			if err != nil {
				t.Fatalf("%d requests between restarts: %v", share, err)
			}
		}
	}
	end()
	failed := s.unavailable.Load() + s.unanswered.Load() + s.odd.Load() + s.refused.Load()
	if failed != 0 {
		t.Errorf("%d requests failed", failed)
	}
	audit(clients)
	s.judge(t)
	summary.add(t, fmt.Sprintf("%d × SIGTERM and start of each of two nodes under %d clients, %d requests", rounds, len(clients), net.answers.Load()),
		fmt.Sprintf("%d requests failed; %s", failed, s.counts()), "never away")
}

// watch is the health check of a proxy: who is not ready is not asked.
func watch(ctx context.Context, known, up *atomic.Pointer[string]) {
	for {
		host := known.Load()
		if host != nil && probe(*host, "/readyz") != http.StatusOK {
			host = nil
		}
		up.Store(host)
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
