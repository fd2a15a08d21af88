package oidc_test

import (
	"net/url"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

// RFC 8707 §2.2: a client may say at the token endpoint what a token is for. Where
// the authorization request named nothing, that is the issuer alone.
func TestResourceAtTheTokenEndpoint(t *testing.T) {
	b := newBack(t)
	audience := func(a testkit.Answer) any {
		t.Helper()
		_, c, err := b.web.Verify(a.AccessToken)
		if err != nil {
			t.Fatalf("%s: %v", a.Body, err)
		}
		return c["aud"]
	}
	api, issuer := url.Values{"resource": {testkit.API}}, url.Values{"resource": {testkit.Issuer}}
	attempt, code := b.code(t, b.web, nil)
	// Nobody has been asked for it; the code is as good as before.
	want(t, "a resource that was not asked for", attempt.Redeem(code, api), oauth.InvalidTarget)
	a := attempt.Redeem(code, issuer)
	if got := audience(a); got != testkit.Issuer {
		t.Errorf("the issuer: %v", got)
	}
	want(t, "the same at refresh", b.web.Refresh(a.RefreshToken, api), oauth.InvalidTarget)
	if got := audience(b.web.Refresh(a.RefreshToken, nil)); got != testkit.Issuer {
		t.Errorf("none: %v", got)
	}
}

// Access tokens are ES256, or RS256 where the client's policy says so (RFC 9068 §2.1
// has RS256 for resource servers that know no other).
func TestAccessTokenAlg(t *testing.T) {
	b := newBack(t)
	for _, alg := range []string{"", "RS256", "ES256"} {
		b.change(t, testkit.Web, func(c *store.Client) { c.AccessTokenAlg = alg })
		s := b.signIn(t, b.web, nil)
		if alg == "" {
			alg = "ES256"
		}
		if header, _, err := b.web.Verify(s.AccessToken); err != nil || header.Algorithm != alg || !active(t, b.web, s.AccessToken) {
			t.Errorf("%s: %v %v", alg, header.Algorithm, err)
		}
	}
}
