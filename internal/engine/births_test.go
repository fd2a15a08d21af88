package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
)

const birthsAllowed = 3

// births are the ways by which a stranger makes rows, through the faces.
var births = map[string]struct {
	born    int // the status
	request func(w *testkit.World, n int) *http.Request
}{
	"anonymous profiles": {200, func(w *testkit.World, _ int) *http.Request {
		return testkit.DressipiRedeem(testkit.Shop, testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code)
	}},
	"accounts": {201, func(_ *testkit.World, n int) *http.Request {
		return testkit.UserdocksRegister(testkit.App, fmt.Sprintf("new%d@example.com", n), "a wholly unlikely phrase")
	}},
	"clients": {201, func(*testkit.World, int) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/register", strings.NewReader(`{"redirect_uris":["https://app.example/cb"]}`))
		r.Header.Set("Content-Type", "application/json")
		return r
	}},
}

func limited(c *server.Config) { c.BirthsPerNetwork = birthsAllowed }

// What strangers can make has a limit per network, which is no fault: 429, and when to
// come back. Others are not kept out by it, and it passes.
func TestBirthsOfANetwork(t *testing.T) {
	for name, b := range births {
		t.Run(name, func(t *testing.T) {
			w, n := testkit.NewWorld(t, limited), 0
			send := func(ip string) testkit.Answer {
				n++
				r := b.request(w, n)
				r.RemoteAddr = ip + ":1234"
				return testkit.Send(w.Handler, r)
			}
			for window := range 2 {
				for range birthsAllowed {
					if a := send("198.51.100.7"); a.Status != b.born {
						t.Fatalf("window %d: %d %s", window, a.Status, a.Body)
					}
				}
				a := send("198.51.100.200")
				if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "600" {
					t.Errorf("one more: %d, Retry-After %q, %s", a.Status, a.Header.Get("Retry-After"), a.Body)
				}
				if a := send("203.0.113.1"); a.Status != b.born {
					t.Errorf("another network: %d %s", a.Status, a.Body)
				}
				w.Clock.Advance(10 * time.Minute)
			}
		})
	}
}

// bornNot is a store in which nothing is born while it fails.
type bornNot struct {
	store.Store
	failing bool
}

func (s *bornNot) RedeemAnonymous(ctx context.Context, r store.RedeemAnonymous) (store.Redeemed, error) {
	if s.failing {
		return store.Redeemed{}, errors.New("disk full")
	}
	return s.Store.RedeemAnonymous(ctx, r)
}

// What is refused for another reason, and what a fault has kept from being, costs
// nothing: an outage must not use up what a network has.
func TestBirthsThatCameToNothing(t *testing.T) {
	w := testkit.NewWorld(t, limited)
	line := &bornNot{Store: w.Store}
	e, err := engine.New(t.Context(), engine.Config{
		Store: line, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now, BirthsPerNetwork: birthsAllowed,
		Keys: []engine.KeySpec{dressipi.SigningKey}, Faces: []oauth.Face{dressipi.Name},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := http.NewServeMux()
	wire.Funnel{Log: testkit.NoLog(), Now: time.Now}.Mount(h, dressipi.Face(e))
	authorize := func() string { return testkit.Send(h, testkit.DressipiAuthorize(testkit.Shop)).Code }
	line.failing = true
	for range 2 * birthsAllowed {
		if a := testkit.Send(h, testkit.DressipiRedeem(testkit.Shop, authorize())); a.Status != 503 {
			t.Fatalf("while the store fails: %d %s", a.Status, a.Body)
		}
	}
	line.failing = false
	for range 2 * birthsAllowed {
		if a := testkit.Send(h, testkit.DressipiRedeem(testkit.OtherShop, authorize())); a.Status != 400 {
			t.Fatalf("another's code: %d %s", a.Status, a.Body)
		}
	}
	var spent string
	for range birthsAllowed {
		spent = authorize()
		if a := testkit.Send(h, testkit.DressipiRedeem(testkit.Shop, spent)); a.Status != 200 {
			t.Fatalf("within the limit: %d %s", a.Status, a.Body)
		}
	}
	if a := testkit.Send(h, testkit.DressipiRedeem(testkit.Shop, authorize())); a.Status != 429 {
		t.Errorf("beyond it: %d %s", a.Status, a.Body)
	}
	// It makes no row, and must be seen.
	if a := testkit.Send(h, testkit.DressipiRedeem(testkit.Shop, spent)); a.Status != 400 {
		t.Errorf("a code that was redeemed: %d %s", a.Status, a.Body)
	}
}
