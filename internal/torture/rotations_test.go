//go:build scale

package torture

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
)

// keyRotation is how long a key signs, as far as it is up to the nodes: a little longer
// than the next one is published before.
const keyRotation = engine.KeyLead + 2*time.Minute

// Keys rotate under load, by the keeping of two nodes and by hand; every token is taken
// by everybody, however old his copy of the JWK Set is, until it expires. Then the keys
// are revoked: their tokens end, and nobody is logged out.
func TestKeyRotations(t *testing.T) {
	l, operator := startClocked(t)
	rp := testkit.NewRP(t, &http.Client{Transport: newNetwork(l.nodes...)}, issuer, l.Now)
	verifiers, err := newVerifiers(l, rp.Metadata.Text("jwks_uri"))
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{timeline: l, verifiers: verifiers, signed: map[string]map[string]bool{}}
	clients, web := newShowers(t, w, rp)

	stop := make(chan struct{})
	var load sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); load.Wait() })
	t.Cleanup(end)
	for _, c := range clients {
		load.Go(func() { c.work(stop) })
	}
	if !t.Run("rotations", func(t *testing.T) { testRotations(t, w, operator, len(clients)) }) {
		return
	}
	t.Run("revocation", func(t *testing.T) { testKeyRevocation(t, w, operator, web) })
}

// newShowers are clients of three kinds with a grant each: public ones that rotate, and
// whose replays end the grant; confidential ones; and those of anonymous profiles. web
// has one of the second kind for itself.
func newShowers(t *testing.T, w *witness, rp *testkit.RP) (all []*shower, web *registered) {
	t.Helper()
	browser := testkit.NewBrowser(t, rp.HTTP, issuer)
	signIn := func(id, secret, redirectURI string) *registered {
		c := *rp
		c.ID, c.Secret, c.RedirectURI, c.AuthMethod = id, secret, redirectURI, "client_secret_basic"
		if secret == "" {
			c.AuthMethod = "none"
		}
		s := c.SignIn(t, browser, testkit.Person{Username: testkit.Email, Password: testkit.Password}, url.Values{"scope": {"offline_access openid"}, "prompt": {"consent"}})
		return &registered{&c, s.RefreshToken}
	}
	for i := range 5 {
		c := signIn(testkit.SPA, "", testkit.SPACallback)
		if i > 2 {
			c = signIn(testkit.Web, testkit.WebSecret, testkit.WebCallback)
		}
		all = append(all, &shower{w: w, refresh: c.refresh, token: c.token})
	}
	net := newNetwork(w.nodes...)
	for range 3 {
		a := net.ask(testkit.DressipiRedeem(testkit.Shop, net.ask(testkit.DressipiAuthorize(testkit.Shop)).Code))
		if a.Status != http.StatusOK {
			t.Fatalf("redeem: %d %s", a.Status, a.Body)
		}
		all = append(all, &shower{w: w, token: a.RefreshToken, refresh: func(token string) testkit.Answer {
			return net.ask(testkit.DressipiRefresh(testkit.Shop, token))
		}})
	}
	return all, signIn(testkit.Web, testkit.WebSecret, testkit.WebCallback)
}

// registered is a client of the standard face, with a refresh token.
type registered struct {
	*testkit.RP
	token string
}

func (r *registered) refresh(token string) testkit.Answer { return r.Refresh(token, nil) }

func testRotations(t *testing.T, w *witness, operator *server.Server, clients int) {
	want, answers, byHand := size(3, 20), size(8, 32), 0
	began, wall := w.Now(), time.Now()
	for seen := 0; seen < want; {
		w.await(t, answers)
		if n := w.rotations(); n > seen {
			// Every other one by hand, at once; the keeping would be next in two minutes.
			if seen = n; n%2 == 1 && n < want {
				byHand++
				if _, err := operator.Engine.RotateSigningKeys(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if w.Now().Sub(began) > time.Duration(want+1)*(keyRotation+keepingEvery+keysEvery) {
			t.Fatalf("%d rotations in %v", seen, w.Now().Sub(began))
		}
	}
	w.judge(t)
	for i := range w.ages {
		if w.ages[i].Load() == 0 {
			t.Errorf("nobody had keys that were %d to %d fifths of their max-age old", i, i+1)
		}
	}
	took := w.Now().Sub(began)
	summary.add(t, fmt.Sprintf("%d key rotations, %d of them by hand, in %v of a clock that ran %.0f times as fast; two nodes, %d clients, %d answers with tokens",
		want, byHand, took.Round(time.Minute), took.Seconds()/time.Since(wall).Seconds(), clients, w.answers.Load()),
		fmt.Sprintf("%d of %d verifications failed, %d answers but 200", w.failed.Load(), w.verified.Load()+w.failed.Load(), w.odd.Load()), "never away")
}

// A key that somebody else may know is revoked: it ends at the nodes with their next look
// at the keys, and elsewhere when a copy of the JWK Set has.
func testKeyRevocation(t *testing.T, w *witness, operator *server.Server, web *registered) {
	keys, err := operator.Engine.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verified, when := w.verified.Load(), w.Now()
	w.mu.Lock()
	w.when = when
	for _, k := range keys {
		if k.Signs && k.Purpose == engine.Standard {
			w.revoked = append(w.revoked, k.ID)
		}
	}
	revoked := w.revoked
	w.mu.Unlock()
	old := web.refresh(web.token)
	for _, kid := range revoked {
		if err := operator.Engine.RevokeSigningKey(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
	}
	for w.Now().Sub(when) < keysEvery+tick {
		w.await(t, size(8, 32))
	}
	fresh := web.refresh(web.token)
	for i, n := range w.nodes {
		there := *web.RP
		there.HTTP = &http.Client{Transport: newNetwork(n)}
		if a := there.Userinfo(old.AccessToken); a.Status != http.StatusUnauthorized {
			t.Errorf("node %d takes a token of a revoked key: %d %s", i, a.Status, a.Body)
		}
		if a := there.Userinfo(fresh.AccessToken); a.Status != http.StatusOK {
			t.Errorf("node %d does not take a new token: %d %s", i, a.Status, a.Body)
		}
	}
	for w.Now().Sub(when) < keysEvery+engine.JWKSMaxAge+2*time.Minute {
		w.await(t, size(8, 32))
	}
	w.judge(t)
	var latest [3]time.Duration // by kind
	for i, v := range w.verifiers {
		kind := max(i-len(w.verifiers)+3, 0)
		latest[kind] = max(latest[kind], time.Duration(v.wrong.Load())*time.Millisecond)
	}
	summary.add(t, fmt.Sprintf("%d keys revoked under that load", len(revoked)),
		fmt.Sprintf("%d tokens of a revoked key taken after it, or others refused, of %d verifications; %d answers but 200", w.failed.Load(), w.verified.Load()-verified, w.odd.Load()),
		fmt.Sprintf("a new token was refused after %v for the last time by who looks at an unknown kid at once, %v with a cool-down, %v by who never looks out of turn", latest[2], latest[1], latest[0]))
}
