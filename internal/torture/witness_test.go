//go:build scale

package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
)

// witness sees every token, shows it to every verifier, and knows what should come of it.
type witness struct {
	*timeline
	verifiers []*verifier

	answers  atomic.Int64 // with tokens
	verified atomic.Int64
	failed   atomic.Int64 // verifications that should not, and revoked tokens that were taken
	refused  atomic.Int64 // verifications that a verifier could not know better, after a revocation
	odd      atomic.Int64 // answers but 200
	ages     [5]atomic.Int64

	mu      sync.Mutex
	signed  map[string]map[string]bool // kids by algorithm
	revoked []string                   // kids
	when    time.Time                  // of the revocation
	first   []string                   // of what went wrong
}

// seenToken is a token that was answered.
type seenToken struct {
	text, kid, alg string
	expires        time.Time
}

func (w *witness) wrong(n *atomic.Int64, format string, args ...any) {
	n.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.first) < 10 {
		w.first = append(w.first, fmt.Sprintf(format, args...))
	}
}

// read notes who has signed a token.
func (w *witness) read(text string) (k seenToken, err error) {
	token, err := jwt.ParseSigned(text, tokenAlgs)
	if err != nil {
		return k, err
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return k, err
	}
	k = seenToken{text, token.Headers[0].KeyID, token.Headers[0].Algorithm, claims.Expiry.Time()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.signed[k.alg] == nil {
		w.signed[k.alg] = map[string]bool{}
	}
	w.signed[k.alg][k.kid] = true
	return k, nil
}

// rotations is how often keys of both algorithms have been followed by others that
// really signed.
func (w *witness) rotations() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(len(w.signed["ES256"]), len(w.signed["RS256"])) - 1
}

// show shows a token that lives to everybody.
func (w *witness) show(k seenToken) {
	for _, v := range w.verifiers {
		now := w.Now()
		age, err := v.verify(k.text)
		w.mu.Lock()
		when, revoked := w.when, slices.Contains(w.revoked, k.kid)
		w.mu.Unlock()
		switch {
		case !when.IsZero() && now.Before(when.Add(keysEvery+tick+v.blind)):
			if err != nil && !revoked {
				w.refused.Add(1)
				v.wrong.Store(max(v.wrong.Load(), now.Sub(when).Milliseconds()))
			}
		case revoked && err == nil:
			w.wrong(&w.failed, "%s takes a token of the revoked %s, %v after", v.name, k.kid, now.Sub(when))
		case !revoked && err != nil:
			w.wrong(&w.failed, "%s, of a token that expires in %v: %v", v.name, k.expires.Sub(now), err)
		case !revoked:
			w.verified.Add(1)
			if age >= 0 {
				w.ages[min(int(age*5/engine.JWKSMaxAge), 4)].Add(1)
			}
		}
	}
}

// await lets a tick pass and the load answer so often.
func (w *witness) await(t *testing.T, answers int) {
	t.Helper()
	w.pass(t)
	before := w.answers.Load()
	if _, err := until(time.Now(), time.Minute, func() bool { return w.answers.Load() >= before+int64(answers) }); err != nil {
		t.Fatalf("%d answers: %v; %v", answers, err, w.first)
	}
}

// judge fails the test for what must never be.
func (w *witness) judge(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.first {
		t.Error(what)
	}
}

// shower is a client that refreshes as fast as it is answered, and shows what it got.
type shower struct {
	w       *witness
	refresh func(token string) testkit.Answer
	token   string
	held    []seenToken // earlier ones, that live
	kid     string      // that has signed the last one that was held
}

// heldAtOnce is how many earlier tokens a client keeps to show them again.
const heldAtOnce = 64

func (s *shower) work(stop <-chan struct{}) {
	pause := time.Duration(size(10, 0)) * time.Millisecond // the short form leaves time for the clock
	for {
		if a := s.refresh(s.token); a.Status != http.StatusOK {
			s.w.wrong(&s.w.odd, "refresh: %d %s", a.Status, a.Body)
			pause = 10 * time.Millisecond
		} else {
			s.show(a)
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}

func (s *shower) show(a testkit.Answer) {
	if a.RefreshToken != "" {
		s.token = a.RefreshToken
	}
	for _, text := range []string{a.AccessToken, a.IDToken} {
		if text == "" {
			continue
		}
		k, err := s.w.read(text)
		if err != nil {
			s.w.wrong(&s.w.failed, "%v: %s", err, text)
			continue
		}
		s.w.show(k)
		s.hold(k)
	}
	soon := s.w.Now().Add(time.Minute)
	s.held = slices.DeleteFunc(s.held, func(k seenToken) bool { return k.expires.Before(soon) })
	if len(s.held) > 0 {
		s.w.show(s.held[rand.IntN(len(s.held))])
	}
	s.w.answers.Add(1)
}

// hold keeps the first token of every key, and some of the others.
func (s *shower) hold(k seenToken) {
	if k.kid == s.kid && rand.IntN(16) > 0 {
		return
	}
	if s.kid = k.kid; len(s.held) < heldAtOnce {
		s.held = append(s.held, k)
	} else {
		s.held[rand.IntN(heldAtOnce)] = k
	}
}
