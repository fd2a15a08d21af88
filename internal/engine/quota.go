package engine

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// birthsWindow is the time that Config.BirthsPerNetwork is for.
const birthsWindow = 10 * time.Minute

// quota is how much each network may do in one window, by this node's own count.
type quota struct {
	most   int // 0 = as much as it likes
	window time.Duration

	mu     sync.Mutex
	shares *cache[store.Hash, share]
}

// share is what one network has done in the window that began then.
type share struct {
	since time.Time
	n     int
}

func newQuota(most int, window time.Duration) *quota {
	return &quota{most: most, window: window, shares: newCache[store.Hash, share](4096)}
}

// wait is how long the network must wait; 0 if it may go on.
func (q *quota) wait(from store.Hash, now time.Time) time.Duration {
	s := q.share(from, now)
	if q.most == 0 || s.n < q.most {
		return 0
	}
	return q.window - now.Sub(s.since)
}

// take counts one more; if the network must wait, it says how long and counts nothing.
func (q *quota) take(from store.Hash, now time.Time) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if wait = q.wait(from, now); wait == 0 && q.most > 0 {
		q.add(from, now, 1)
	}
	return wait
}

// count adds n to what the network has done, whether it may or not; below 0 it takes
// away what has come to nothing.
func (q *quota) count(from store.Hash, now time.Time, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(from, now, n)
}

func (q *quota) add(from store.Hash, now time.Time, n int) {
	s := q.share(from, now)
	s.n = max(0, s.n+n)
	q.shares.put(from, s)
}

func (q *quota) share(from store.Hash, now time.Time) share {
	s, ok := q.shares.get(from)
	if age := now.Sub(s.since); !ok || age < 0 || age >= q.window {
		s = share{since: now}
	}
	return s
}

// takeBirth counts a row that anybody may have made, before it is made.
func (e *Engine) takeBirth(ip string) error {
	wait := e.strangers.take(Network(ip), e.now())
	if wait == 0 {
		return nil
	}
	return &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Reason: "too many births from this network", RetryAfter: max(wait, time.Second),
		Description: "There were too many requests of this kind from your network. Please try again later.",
	}
}

// returnBirth takes back one that a fault has prevented, or an outage would use up what
// a network has. Where the client did not wait, nobody can tell.
func (e *Engine) returnBirth(ctx context.Context, ip string) {
	if ctx.Err() == nil {
		e.strangers.count(Network(ip), e.now(), -1)
	}
}

// takeAnonymous is takeBirth for a code that carries what its row will hold. One that
// was redeemed makes none, so that is told in any case.
func (e *Engine) takeAnonymous(ctx context.Context, client *store.Client, id store.GrantID, ip string) error {
	if !client.Public() {
		return nil // its back end asks for many people
	}
	limit := e.takeBirth(ip)
	if limit == nil {
		return nil
	}
	if redeemed, err := e.birthright(ctx, id); err != nil || redeemed == nil {
		return cmp.Or(err, limit)
	}
	return nil
}
