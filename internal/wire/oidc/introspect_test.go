package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

// RFC 7662 §2.2, for both kinds of tokens.
func TestIntrospection(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, url.Values{"scope": {"openid email"}})
	now := float64(b.Clock.Now().Unix())
	_, access, err := b.web.Verify(s.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(testkit.Document{
		"active": true, "token_type": "Bearer", "client_id": testkit.Web, "sub": s.Claims["sub"], "scope": "email openid",
		"aud": testkit.Issuer, "iss": testkit.Issuer, "iat": now, "exp": now + 3600, "jti": access["jti"],
	}, b.web.Introspect(s.AccessToken).JSON()); diff != "" {
		t.Errorf("access token (-want +got): %s", diff)
	}
	// It is no bearer token, and no resource server may take it for one.
	if diff := cmp.Diff(testkit.Document{
		"active": true, "client_id": testkit.Web, "sub": s.Claims["sub"], "scope": "email openid", "iss": testkit.Issuer,
		"iat": now, "exp": now + 7*24*3600, // with the session
	}, b.web.Introspect(s.RefreshToken).JSON()); diff != "" {
		t.Errorf("refresh token (-want +got): %s", diff)
	}
}

// A resource server is told of the tokens that are for it (RFC 7662 §4, RFC 8707),
// and of no others.
func TestIntrospectionByAResourceServer(t *testing.T) {
	b := newBack(t)
	c := testkit.StandardClient(testkit.Service, b.Clock.Now().UnixMilli())
	c.ID = testkit.API
	if err := b.Store.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := b.Engine.PutClientSecret(t.Context(), testkit.API, "secret", time.Time{}); err != nil {
		t.Fatal(err)
	}
	api := b.RP(t, testkit.API, "secret", "")
	for _, tt := range []struct {
		name   string
		token  string
		active bool
	}{
		{"for it", b.signIn(t, b.web, url.Values{"resource": {testkit.API}, "scope": {"email"}, "nonce": nil}).AccessToken, true},
		{"for it and the issuer", b.signIn(t, b.web, url.Values{"resource": {testkit.API}}).AccessToken, true},
		{"for another", b.signIn(t, b.web, nil).AccessToken, false},
		{"a refresh token", b.signIn(t, b.web, url.Values{"resource": {testkit.API}}).RefreshToken, false},
	} {
		if got := active(t, api, tt.token); got != tt.active {
			t.Errorf("%s: active %t", tt.name, got)
		}
	}
}

// Security case 154: all that is not active is answered by the same bytes.
func TestInactiveTokensAreAlike(t *testing.T) {
	b := newBack(t)
	s, other := b.signIn(t, b.web, nil), b.signIn(t, b.web2, nil)
	revoked := b.signIn(t, b.web, nil)
	b.web.Revoke(revoked.AccessToken)
	rotated := b.signIn(t, b.spa, nil)
	_, code := b.code(t, b.web, nil)
	for name, token := range map[string]string{
		"an ID token": s.IDToken, "another client's access token": other.AccessToken, "another client's refresh token": other.RefreshToken,
		"a revoked access token": revoked.AccessToken, "a revoked refresh token": revoked.RefreshToken, "a code": code, "junk": "junk",
		"a MiB": strings.Repeat("a", 1<<20), "a MiB of dots": strings.Repeat(".", 1<<20),
		"an altered one": s.AccessToken + "A", "a public client's": rotated.AccessToken,
		"of the Dressipi face": b.NewProfile(t).AccessToken, "of the Userdocks face": b.World.SignIn(t).AccessToken,
	} {
		if a := b.web.Introspect(token); a.Status != http.StatusOK || a.Body != `{"active":false}` || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	b.Clock.Advance(3601 * time.Second)
	if active(t, b.web, s.AccessToken) {
		t.Error("an expired access token is active")
	}
}

// RFC 7009: the grant of either token ends. Security case 160: whatever the hint
// says; 157: not by another client.
func TestRevocation(t *testing.T) {
	b := newBack(t)
	revoke := func(rp *testkit.RP, token string, hint ...string) testkit.Answer {
		return rp.Post("revocation", url.Values{"token": {token}, "token_type_hint": hint})
	}
	for _, rp := range []*testkit.RP{b.web, b.spa} {
		for _, tt := range []struct {
			name  string
			token func(*testkit.Session) string
			hint  []string
		}{
			{"the access token", func(s *testkit.Session) string { return s.AccessToken }, nil},
			{"the refresh token", func(s *testkit.Session) string { return s.RefreshToken }, nil},
			{"a wrong hint", func(s *testkit.Session) string { return s.RefreshToken }, []string{"access_token"}},
			{"an unknown hint", func(s *testkit.Session) string { return s.AccessToken }, []string{"pineapple"}},
		} {
			s := b.signIn(t, rp, nil)
			for name, token := range map[string]string{"access": s.AccessToken, "refresh": s.RefreshToken} {
				if a := revoke(b.web2, token); a.Status != http.StatusOK || a.Body != "{}" {
					t.Errorf("%s: the %s token, by another client: %d %s", tt.name, name, a.Status, a.Body)
				}
			}
			if a := rp.Userinfo(s.AccessToken); a.Status != http.StatusOK {
				t.Errorf("%s: another client's revocation has had an effect: %d", tt.name, a.Status)
			}
			if a := revoke(rp, tt.token(s), tt.hint...); a.Status != http.StatusOK || a.Body != "{}" || a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
			}
			if a := rp.Userinfo(s.AccessToken); a.Status != http.StatusUnauthorized {
				t.Errorf("%s: the access token afterwards: %d", tt.name, a.Status)
			}
			want(t, tt.name+": the refresh token afterwards", rp.Refresh(s.RefreshToken, nil), oauth.InvalidGrant)
			if a := revoke(rp, tt.token(s), tt.hint...); a.Status != http.StatusOK {
				t.Errorf("%s: once more: %d %s", tt.name, a.Status, a.Body)
			}
		}
	}
}

// A disabled client is told nothing, and what it has is worth nothing.
func TestDisabledClient(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, nil)
	_, code := b.code(t, b.web, nil)
	b.change(t, testkit.Web, func(c *store.Client) { c.DisabledAt = b.Clock.Now().UnixMilli() })
	want(t, "introspection", b.web.Introspect(s.AccessToken), oauth.InvalidClient)
	want(t, "revocation", b.web.Revoke(s.AccessToken), oauth.InvalidClient)
	want(t, "refresh", b.web.Refresh(s.RefreshToken, nil), oauth.InvalidClient)
	want(t, "code", s.Attempt.Redeem(code, nil), oauth.InvalidClient)
	want(t, "userinfo", b.web.Userinfo(s.AccessToken), oauth.InvalidToken)
	want(t, "push", b.web.Begin(nil).Push(), oauth.InvalidClient)
}
