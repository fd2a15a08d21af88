//go:build scale

package torture

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

// client is an app that refreshes and redeems all the time, and remembers what it was
// told: that it must be able to rely on.
type client struct {
	net     *network
	shop    string // whose codes are redeemed
	spa     string // whose token is refreshed; "" = the shop's
	seen    *seen
	token   string   // the newest refresh token that was acknowledged
	unused  []string // acknowledged, of other grants of the shop
	spent   []string // codes whose redemption was acknowledged
	pending string   // a code whose redemption was sent and not answered
}

// seen is what all clients of an experiment have met.
type seen struct {
	acknowledged atomic.Int64 // refreshes and redemptions
	unavailable  atomic.Int64 // 503 with Retry-After
	unanswered   atomic.Int64
	refused      atomic.Int64 // acknowledged refresh tokens
	twice        atomic.Int64 // codes redeemed once more
	stuck        atomic.Int64 // clients that get no answer that helps once all is well again
	odd          atomic.Int64 // any other answer

	mu    sync.Mutex
	first []string // of what went wrong
}

func (s *seen) wrong(n *atomic.Int64, what string, a testkit.Answer) {
	n.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.first) < 10 {
		s.first = append(s.first, fmt.Sprintf("%s: %d %s", what, a.Status, a.Body))
	}
}

// judge fails the test for what must never be.
func (s *seen) judge(t *testing.T) {
	t.Helper()
	for _, what := range s.first {
		t.Error(what)
	}
	if s.acknowledged.Load() == 0 {
		t.Error("nothing was acknowledged: there was no load")
	}
}

// counts is for the table.
func (s *seen) counts() string {
	return fmt.Sprintf("%d acknowledged tokens refused, %d codes redeemed twice, %d stuck, %d other answers; of 503 with Retry-After %d, unanswered %d",
		s.refused.Load(), s.twice.Load(), s.stuck.Load(), s.odd.Load(), s.unavailable.Load(), s.unanswered.Load())
}

// newClients are apps with a grant each. Every other one is of the shop, whose replays
// are refused; those between are of people in a browser app, whose replays end the grant.
func newClients(t *testing.T, n int, net *network, at *node, people ...testkit.Person) ([]*client, *seen) {
	t.Helper()
	people = append(people, testkit.Person{Username: at.World.User.Email, Password: at.World.User.Password})
	spa := relyingParty(t, net, at.World.Clients.SPA.ClientID, "")
	browsers := make([]*testkit.Browser, len(people))
	for i := range browsers {
		browsers[i] = testkit.NewBrowser(t, spa.HTTP, issuer)
	}
	all, s := make([]*client, n), new(seen)
	for i := range all {
		c := &client{net: net, shop: at.World.Dressipi.ClientID, seen: s}
		if who := i / 2 % len(people); i%2 == 1 {
			c.spa, c.token = spa.ID, spa.SignIn(t, browsers[who], people[who], nil).RefreshToken
		} else if a := c.redeem(c.authorize().Code); a.Status == http.StatusOK {
			c.token = a.RefreshToken
		} else {
			t.Fatalf("redeem: %d %s", a.Status, a.Body)
		}
		all[i] = c
	}
	return all, s
}

// callback is a redirect URI of the standard face's clients on every node.
const callback = "https://rp.example.org/cb"

// relyingParty is a client of the standard face; without a secret it is public.
func relyingParty(t *testing.T, net *network, id, secret string) *testkit.RP {
	t.Helper()
	rp := testkit.NewRP(t, &http.Client{Transport: net}, issuer, time.Now)
	rp.ID, rp.Secret, rp.RedirectURI, rp.AuthMethod = id, secret, callback, "client_secret_basic"
	if secret == "" {
		rp.AuthMethod = "none"
	}
	return rp
}

func (c *client) authorize() testkit.Answer { return c.net.ask(testkit.DressipiAuthorize(c.shop)) }

func (c *client) redeem(code string) testkit.Answer {
	return c.net.ask(testkit.DressipiRedeem(c.shop, code))
}

// refresh refreshes the client's own token.
func (c *client) refresh(token string) testkit.Answer {
	if c.spa != "" {
		return c.net.ask(testkit.PublicRefresh(c.spa, token))
	}
	return c.refreshOther(token)
}

// refreshOther refreshes one of the shop's.
func (c *client) refreshOther(token string) testkit.Answer {
	return c.net.ask(testkit.DressipiRefresh(c.shop, token))
}

// load lets all work until the returned function is called, which waits for them.
func load(t *testing.T, all []*client) (end func()) {
	stop := make(chan struct{})
	var working sync.WaitGroup
	for _, c := range all {
		working.Go(func() { c.work(stop) })
	}
	end = sync.OnceFunc(func() {
		close(stop)
		working.Wait()
	})
	t.Cleanup(end)
	return end
}

func (c *client) work(stop <-chan struct{}) {
	for {
		pause := time.Duration(0)
		if !c.once() {
			pause = 5 * time.Millisecond
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}

// once refreshes and redeems, until something is not answered well.
func (c *client) once() bool {
	a := c.refresh(c.token)
	switch {
	case a.Status == http.StatusBadRequest:
		c.seen.wrong(&c.seen.refused, "an acknowledged refresh token", a)
		return false
	case !c.well("refresh", a):
		return false
	}
	c.token = a.RefreshToken
	c.seen.acknowledged.Add(1)

	again := c.pending != ""
	if !again {
		if a = c.authorize(); !c.well("authorize", a) {
			return false
		}
		c.pending = a.Code
	}
	a = c.redeem(c.pending)
	if again && a.Status == http.StatusBadRequest { // the first try had done it
		c.pending = ""
		return true
	}
	if !c.well("redeem", a) {
		return false
	}
	c.seen.acknowledged.Add(1)
	c.spent, c.unused, c.pending = append(c.spent, c.pending), append(c.unused, a.RefreshToken), ""
	return true
}

// well counts an answer; it is false for all but 200.
func (c *client) well(what string, a testkit.Answer) bool {
	switch {
	case a.Status == http.StatusOK:
		return true
	case a.Status == 0:
		c.seen.unanswered.Add(1)
	case a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		c.seen.unavailable.Add(1)
	default:
		c.seen.wrong(&c.seen.odd, what, a)
	}
	return false
}

// audit asks for everything that the client was told, once all is well again.
func audit(all []*client) {
	var auditing sync.WaitGroup
	for _, c := range all {
		auditing.Go(c.audit)
	}
	auditing.Wait()
}

func (c *client) audit() {
	// The own token first: that may be a retry, and its window is short.
	if a := c.refresh(c.token); c.acknowledged(a) {
		c.token = a.RefreshToken
	}
	for _, token := range c.unused {
		c.acknowledged(c.refreshOther(token))
	}
	for _, code := range c.spent {
		c.spend(code, 0)
	}
	// Nobody knows the fate of this one: it may be redeemed now, or have been, but
	// only once from now on.
	if c.pending != "" {
		c.spend(c.pending, 1)
	}
	c.unused, c.spent, c.pending = nil, nil, ""
}

// acknowledged judges the answer for a refresh token that the client was told of.
func (c *client) acknowledged(a testkit.Answer) bool {
	switch a.Status {
	case http.StatusOK:
		return true
	case http.StatusBadRequest:
		c.seen.wrong(&c.seen.refused, "audit: an acknowledged refresh token", a)
	default:
		c.seen.wrong(&c.seen.stuck, "audit: refresh", a)
	}
	return false
}

func (c *client) spend(code string, most int) {
	for range most + 1 {
		switch a := c.redeem(code); a.Status {
		case http.StatusOK:
			if most--; most < 0 {
				c.seen.wrong(&c.seen.twice, "audit: a spent code", a)
			}
		case http.StatusBadRequest:
		default:
			c.seen.wrong(&c.seen.stuck, "audit: redeem", a)
		}
	}
}
