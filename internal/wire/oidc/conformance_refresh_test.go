package oidc_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
)

var offline = url.Values{"scope": {"openid offline_access"}, "prompt": {"consent"}}

// refreshable registers a client that may refresh.
func (p *plan) refreshable(t *testing.T, more testkit.Document) *testkit.RP {
	t.Helper()
	d := testkit.Document{"grant_types": []string{"authorization_code", "refresh_token"}}
	for name, v := range more {
		d[name] = v
	}
	return p.client(t, d)
}

func refreshToken(t *testing.T, p *plan) {
	first, second := p.refreshable(t, nil), p.refreshable(t, nil)
	d := first.Metadata
	if !slices.Contains(d.Texts("grant_types_supported"), "refresh_token") || !slices.Contains(d.Texts("scopes_supported"), "offline_access") {
		t.Errorf("discovery: grant_types_supported %v, scopes_supported %v", d["grant_types_supported"], d["scopes_supported"])
	}
	p.refreshes(t, first, p.offlineSignIn(t, first, nil), url.Values{"scope": {"openid offline_access"}})

	s := p.offlineSignIn(t, second, url.Values{"nonce": {strings.Repeat("n", 43)}})
	token := p.refreshes(t, second, s, nil)

	// RFC 6749 §10.4: a refresh token is bound to its client, and whoever else
	// shows it does it no harm.
	tokenError(t, first.Refresh(token, url.Values{"scope": {"openid offline_access"}}), "invalid_grant")
	if a := second.Refresh(token, nil); a.Status != http.StatusOK {
		t.Errorf("refresh by the owner: %d %s", a.Status, a.Body)
	}
}

func (p *plan) offlineSignIn(t *testing.T, rp *testkit.RP, more url.Values) *testkit.Session {
	t.Helper()
	s := p.signIn(t, rp, p.world.Browser(t), testkit.With(offline, more))
	if s.Journey.Consents != 1 { // OIDC Core §11
		t.Errorf("asked %d times for consent to offline_access, want once", s.Journey.Consents)
	}
	return s
}

// vschar is what a token may be made of (RFC 6749 Appendix A.12, A.17).
var vschar = regexp.MustCompile(`^[\x20-\x7e]+$`)

// refreshes refreshes once and returns the refresh token that is good now.
func (p *plan) refreshes(t *testing.T, rp *testkit.RP, s *testkit.Session, more url.Values) string {
	t.Helper()
	if len(s.RefreshToken) < 22 || entropy(s.RefreshToken) < 96 || !vschar.MatchString(s.RefreshToken) {
		t.Fatalf("a refresh token of %d characters", len(s.RefreshToken))
	}
	p.world.Clock.Advance(time.Second)
	a := rp.Refresh(s.RefreshToken, more)
	if a.Status != http.StatusOK || !isType(a, "application/json") || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Fatalf("refresh: %d %v %s", a.Status, a.Header, a.Body)
	}
	body := a.JSON()
	if !strings.EqualFold(body.Text("token_type"), "Bearer") || body.Int("expires_in") <= 0 ||
		a.AccessToken == s.AccessToken || !vschar.MatchString(a.AccessToken) || entropy(a.AccessToken) < 96 {
		t.Errorf("refresh: token_type %q, expires_in %v, the access token anew %t", body.Text("token_type"), body["expires_in"], a.AccessToken != s.AccessToken)
	}
	if a.IDToken != "" {
		sameGrant(t, rp, s, a)
	}
	if u := rp.Userinfo(a.AccessToken); u.Status != http.StatusOK {
		t.Errorf("userinfo with the new access token: %d %s", u.Status, u.Body)
	}
	if a.RefreshToken == "" {
		return s.RefreshToken
	}
	return a.RefreshToken
}

// sameGrant checks an ID token from a refresh (OIDC Core §12.2).
func sameGrant(t *testing.T, rp *testkit.RP, s *testkit.Session, a testkit.Answer) {
	t.Helper()
	_, fresh, err := rp.Verify(a.IDToken)
	if err != nil {
		t.Fatalf("refresh: ID token: %v", err)
	}
	want := testkit.IDTokenChecks{Nonce: fresh.Text("nonce"), AccessToken: a.AccessToken, MaxAge: -1}
	if _, err := rp.ValidateIDToken(a.IDToken, want); err != nil {
		t.Errorf("refresh: ID token: %v", err)
	}
	for _, claim := range []string{"iss", "sub", "aud", "azp", "auth_time"} {
		if diff := cmp.Diff(s.Claims[claim], fresh[claim]); diff != "" {
			t.Errorf("refresh: ID token: %s differs (-first +second): %s", claim, diff)
		}
	}
	if fresh.Int("iat") == s.Claims.Int("iat") {
		t.Errorf("refresh: ID token: iat is still %d", fresh.Int("iat"))
	}
	if nonce := fresh["nonce"]; nonce != nil && nonce != s.Claims["nonce"] {
		t.Errorf("refresh: ID token: nonce %v, want none, or the first one's", nonce)
	}
}

// refreshTokenRPKeyRotation: the client has a new key; the server fetches its
// JWK Set again when it meets a kid that it does not know (OIDC Core §10.1.1).
func refreshTokenRPKeyRotation(t *testing.T, p *plan) {
	first := testkit.NewClientKey(t, "RS256")
	keys := serve(t, "application/json", asJSON(t, testkit.JWKS(first)))
	rp := p.refreshable(t, testkit.Document{"jwks": nil, "jwks_uri": keys.URL})
	rp.Key = first
	s := p.offlineSignIn(t, rp, nil)

	rotated := *rp
	rotated.Key = testkit.NewClientKey(t, "RS256")
	keys.set(asJSON(t, testkit.JWKS(rotated.Key)))
	p.world.Clock.Advance(time.Minute)
	p.refreshes(t, &rotated, s, url.Values{"scope": {"openid offline_access"}})
}
