//go:build scale

package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// verifier is somebody to whom tokens are shown: a resource server, or a client with its
// ID tokens.
type verifier struct {
	name string
	// blind is how long he may go on with what he knows: after a revocation he may take
	// the revoked key, and not know the new one, for so long.
	blind time.Duration
	// verify checks a token by his copy of the JWK Set, and tells how old that was; < 0
	// if he does not tell.
	verify func(token string) (age time.Duration, err error)

	wrong atomic.Int64 // the last time that he was wrong, and might be: milliseconds after the revocation
}

var tokenAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.RS256}

// copyOfKeys is a JWK Set that is held for the max-age of its answer (RFC 9111 §4.2), to
// the end, and fetched from whichever node is next.
type copyOfKeys struct {
	net  *network
	path string // of the JWK Set
	now  func() time.Time
	// cooldown after a fetch, an unknown kid is worth another one; 0 = it never is.
	cooldown time.Duration

	mu      sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time
	until   time.Time
}

func (c *copyOfKeys) verify(token string) (time.Duration, error) {
	object, err := jose.ParseSignedCompact(token, tokenAlgs)
	if err != nil {
		return 0, err
	}
	head := object.Signatures[0].Protected
	keys, age, err := c.find(head.KeyID)
	if err != nil {
		return age, err
	}
	if len(keys) != 1 || keys[0].Algorithm != head.Algorithm {
		return age, fmt.Errorf("%d keys for %s %s in a set that is %v old", len(keys), head.Algorithm, head.KeyID, age)
	}
	_, err = object.Verify(keys[0].Key)
	return age, err
}

func (c *copyOfKeys) find(kid string) (keys []jose.JSONWebKey, age time.Duration, err error) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.until) {
		if err := c.fetch(now); err != nil {
			return nil, 0, err
		}
	}
	keys = c.keys.Key(kid)
	if len(keys) == 0 && c.cooldown > 0 && now.Sub(c.fetched) >= c.cooldown {
		if err := c.fetch(now); err != nil {
			return nil, 0, err
		}
		keys = c.keys.Key(kid)
	}
	return keys, now.Sub(c.fetched), nil
}

// fetch counts the age from the request, as a cache must (RFC 9111 §4.2.3).
func (c *copyOfKeys) fetch(now time.Time) error {
	a := c.net.ask(httptest.NewRequest(http.MethodGet, c.path, nil))
	life, err := maxAge(a.Header)
	if a.Status != http.StatusOK || err != nil {
		return fmt.Errorf("the JWK Set: %d %s, %w", a.Status, a.Body, err)
	}
	c.keys = jose.JSONWebKeySet{}
	c.fetched, c.until = now, now.Add(life)
	return json.Unmarshal([]byte(a.Body), &c.keys)
}

func maxAge(h http.Header) (time.Duration, error) {
	_, seconds, _ := strings.Cut(h.Get("Cache-Control"), "max-age=")
	n, err := strconv.Atoi(seconds)
	return time.Duration(n) * time.Second, err
}

// newVerifiers are some of each kind. Those who never look out of turn have begun at
// different times, so that together they have copies of every age.
func newVerifiers(l *timeline, jwksURI string) (all []*verifier, err error) {
	const caches, cooldown = 6, 30 * time.Second
	// Who looks at an unknown kid must meet one first.
	const meeting = 2 * tick
	net := newNetwork(l.nodes...)
	path := strings.TrimPrefix(jwksURI, issuer)
	life, err := maxAge(net.ask(httptest.NewRequest(http.MethodGet, path, nil)).Header)
	if err != nil {
		return nil, err
	}
	for i := range caches {
		c := &copyOfKeys{net: net, path: path, now: l.Now}
		if err := c.fetch(l.Now().Add(-time.Duration(i) * life / caches)); err != nil {
			return nil, err
		}
		all = append(all, &verifier{name: fmt.Sprintf("cache %d", i), blind: life, verify: c.verify})
	}
	patient := &copyOfKeys{net: net, path: path, now: l.Now, cooldown: cooldown}
	all = append(all, &verifier{name: "cache with a cool-down", blind: cooldown + meeting, verify: patient.verify})

	// go-oidc holds its keys until it meets an unknown one.
	ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: net})
	library := oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(ctx, jwksURI), &oidc.Config{
		SkipClientIDCheck: true, SupportedSigningAlgs: []string{oidc.ES256, oidc.RS256}, Now: l.Now,
	})
	return append(all, &verifier{name: "go-oidc", blind: meeting, verify: func(token string) (time.Duration, error) {
		_, err := library.Verify(ctx, token)
		if _, over := errors.AsType[*oidc.TokenExpiredError](err); over {
			err = nil // it lived when the look began
		}
		return -1, err
	}}), nil
}
