//go:build scale

package torture

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// storeRun is births and ends of grants at several nodes' stores on one PostgreSQL, as fast as
// it goes: enough at once that a crash of the server meets commits whose answers are
// on their way.
type storeRun struct {
	nodes        []*sqlstore.Store
	acknowledged atomic.Int64
	unknown      atomic.Int64 // errors: nobody was told that it happened

	mu    sync.Mutex
	ended map[store.GrantID]bool // those that were acknowledged, and whether their end was
	wrong []error
}

// write lives at one node until stop is closed: it redeems an anonymous code, and ends
// every other grant that came of it.
func (r *storeRun) write(t *testing.T, s *sqlstore.Store, stop <-chan struct{}) {
	const now = int64(1_790_000_000_000)
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		var id store.GrantID
		_, _ = rand.Read(id[:]) // never fails
		out, err := s.RedeemAnonymous(t.Context(), store.RedeemAnonymous{Grant: store.Grant{
			Birthright: store.Birthright{ID: id, ClientID: "c", Subject: fmt.Sprintf("%x", id), CreatedAt: now, CodeExpiresAt: now + 60_000},
			GrantState: store.GrantState{MACKey: 1, RedeemedAt: now, RotatedAt: now},
		}, Now: now})
		if !r.take(id, false, out.Outcome, err) || i%2 == 0 {
			continue
		}
		end, err := s.EndGrant(t.Context(), store.End{Grant: id, Why: store.WhyRevoked, Now: now})
		r.take(id, true, end, err)
	}
}

// take notes what was answered, and reports whether it happened for all that is known.
func (r *storeRun) take(id store.GrantID, end bool, out store.Outcome, err error) bool {
	if err != nil {
		r.unknown.Add(1)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if out != store.Done {
		r.wrong = append(r.wrong, fmt.Errorf("%x: %v", id, out))
		return false
	}
	r.acknowledged.Add(1)
	r.ended[id] = end
	return true
}

// lost counts what was acknowledged and is not there.
func (r *storeRun) lost(t *testing.T) (n int) {
	t.Helper()
	for id, ended := range r.ended {
		g, found, err := r.nodes[0].Grant(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !found || ended && g.RevokedAt == 0 {
			t.Errorf("%x: acknowledged (its end: %v), and in the database: %v, revoked at %d", id, ended, found, g.RevokedAt)
			n++
		}
	}
	return n
}

// Three nodes with all their connections in use, and a server that crashes: it loses
// commits that were on their way and gives their ids to others. What was acknowledged
// is there.
func TestCrashesOfABusyPostgres(t *testing.T) {
	crashes := size(3, 20)
	server, err := postgres.Start(true)
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
	r := &storeRun{ended: make(map[store.GrantID]bool)}
	for range 3 {
		db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: address})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s, _, err := db.Issuer(t.Context(), issuer, store.IssuerID{1}, [32]byte{1}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r.nodes = append(r.nodes, s)
	}
	total, lost := 0, 0
	for range crashes {
		stop := make(chan struct{})
		var all sync.WaitGroup
		for _, s := range r.nodes {
			for range 16 {
				all.Go(func() { r.write(t, s, stop) })
			}
		}
		more := func(n int64) {
			t.Helper()
			want := r.acknowledged.Load() + n
			if _, err := until(time.Now(), patience, func() bool { return r.acknowledged.Load() >= want }); err != nil {
				t.Errorf("%d writes: %v", n, err)
			}
		}
		more(500)
		if err := errors.Join(server.Crash(), server.Boot()); err != nil {
			t.Fatal(err)
		}
		more(500)
		close(stop)
		all.Wait()
		total, lost = total+len(r.ended), lost+r.lost(t)
		r.ended = make(map[store.GrantID]bool)
	}
	for _, err := range r.wrong {
		t.Error(err)
	}
	summary.add(t, fmt.Sprintf("%d × immediate restart of PostgreSQL under 48 writers at three nodes' stores, %d rows acknowledged", crashes, total),
		fmt.Sprintf("%d acknowledged rows lost or not as acknowledged, %d other outcomes; of errors %d", lost, len(r.wrong), r.unknown.Load()), "not measured")
}
