//go:build scale

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// Promises 1, 2 and 4 against kill -9 at any moment: what was acknowledged before is
// true after it, and the node is back at once.
func TestKills(t *testing.T) {
	for _, db := range []struct {
		name  string
		args  func(*testing.T) []string
		limit time.Duration
	}{
		{"SQLite", func(*testing.T) []string { return nil }, time.Second},
		{"PostgreSQL", func(t *testing.T) []string { return []string{"--database", postgres.Database(t)} }, 5 * time.Second},
	} {
		t.Run(db.name, func(t *testing.T) {
			kills := size(3, 100)
			dir, args := t.TempDir(), db.args(t)
			n := start(t, dir, args...)
			net := newNetwork(n)
			clients, s := newClients(t, 8, net, n)
			var slowest time.Duration
			for kill := range kills {
				end := load(t, clients)
				after := 50*time.Millisecond + rand.N(450*time.Millisecond)
				<-time.After(after)
				n.End(os.Kill)
				end()
				n = start(t, dir, args...)
				net.hosts[0].Store(&n.host)
				slowest = max(slowest, n.ready)
				within(t, fmt.Sprintf("kill %d, after %v: ready", kill, after), n.ready, db.limit)
				audit(clients)
			}
			if code := n.End(os.Interrupt); code != 0 {
				t.Errorf("an interrupted node exits with %d, want 0", code)
			}
			s.judge(t)
			summary.add(t, fmt.Sprintf("%d × kill -9 under %d clients, %d exchanges acknowledged", kills, len(clients), s.acknowledged.Load()),
				s.counts(), ms(slowest)+" from start to ready")
		})
	}
}
