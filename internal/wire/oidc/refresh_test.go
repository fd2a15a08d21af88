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

// OpenID Connect Core §12.2: the same user and sign-in, no nonce, the new access
// token's hash.
func TestRefresh(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.spa, offlineScope)
	b.Clock.Advance(time.Minute)
	a := b.spa.Refresh(s.RefreshToken, nil)
	if a.Status != http.StatusOK || a.RefreshToken == "" || a.RefreshToken == s.RefreshToken || a.JSON().Text("scope") != "offline_access openid profile" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	fresh, err := b.spa.ValidateIDToken(a.IDToken, testkit.IDTokenChecks{AccessToken: a.AccessToken, MaxAge: -1})
	if err != nil {
		t.Fatal(err)
	}
	same := testkit.Document{}
	for name, v := range s.Claims {
		same[name] = v
	}
	delete(same, "nonce")
	now := float64(b.Clock.Now().Unix())
	same["iat"], same["exp"], same["jti"], same["at_hash"] = now, now+3600, fresh["jti"], fresh["at_hash"]
	if diff := cmp.Diff(same, fresh); diff != "" || fresh["jti"] == s.Claims["jti"] || fresh["at_hash"] == s.Claims["at_hash"] {
		t.Errorf("ID token (-want +got): %s", diff)
	}
}

// The scope of one access token may be less than the grant's, and is the grant's
// again with the next (RFC 6749 §6). Security case 133: never more.
func TestRefreshNarrowsScope(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, url.Values{"scope": {"openid email profile"}})
	a := b.web.Refresh(s.RefreshToken, url.Values{"scope": {"email"}})
	if a.Status != http.StatusOK || a.JSON().Text("scope") != "email" || a.IDToken != "" {
		t.Errorf("narrowed: %d %s", a.Status, a.Body)
	}
	if u := b.web.Userinfo(a.AccessToken); u.Status != http.StatusForbidden {
		t.Errorf("userinfo without openid: %d", u.Status)
	}
	if a = b.web.Refresh(s.RefreshToken, nil); a.JSON().Text("scope") != "email openid profile" || a.IDToken == "" {
		t.Errorf("whole again: %d %s", a.Status, a.Body)
	}
	want(t, "wider", b.web.Refresh(s.RefreshToken, url.Values{"scope": {"openid phone"}}), oauth.InvalidScope)
	want(t, "malformed", b.web.Refresh(s.RefreshToken, url.Values{"scope": {"openid  email"}}), oauth.InvalidScope)

	public := b.signIn(t, b.spa, nil)
	want(t, "wider", b.spa.Refresh(public.RefreshToken, url.Values{"scope": {"openid phone"}}), oauth.InvalidScope)
	b.Clock.Advance(time.Minute) // out of the retry window: had it rotated, this were a replay
	if a := b.spa.Refresh(public.RefreshToken, nil); a.Status != http.StatusOK {
		t.Errorf("after the refused one: %d %s", a.Status, a.Body)
	}

	// 135: what the client may no longer have is not in its tokens.
	b.change(t, testkit.Web, func(c *store.Client) { c.Scope = "email openid" })
	if a = b.web.Refresh(s.RefreshToken, nil); a.JSON().Text("scope") != "email openid" {
		t.Errorf("after the client lost profile: %d %s", a.Status, a.Body)
	}
}

// Security cases 126 to 129 (DESIGN.md §3): a lost answer is given again, a replay
// ends the grant.
func TestRotation(t *testing.T) {
	b := newBack(t)
	rotated := func(t *testing.T) (first, second string) {
		t.Helper()
		first = b.signIn(t, b.spa, nil).RefreshToken
		a := b.spa.Refresh(first, nil)
		if a.Status != http.StatusOK || a.RefreshToken == first {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return first, a.RefreshToken
	}
	t.Run("127: the parent inside the window gets the same successor", func(t *testing.T) {
		first, second := rotated(t)
		b.Clock.Advance(29 * time.Second)
		if a := b.spa.Refresh(first, nil); a.RefreshToken != second {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if a := b.spa.Refresh(second, nil); a.Status != http.StatusOK {
			t.Errorf("the successor: %d %s", a.Status, a.Body)
		}
	})
	t.Run("126: the parent after the window", func(t *testing.T) {
		first, second := rotated(t)
		b.Clock.Advance(31 * time.Second)
		want(t, "the parent", b.spa.Refresh(first, nil), oauth.InvalidGrant)
		want(t, "the successor", b.spa.Refresh(second, nil), oauth.InvalidGrant)
	})
	t.Run("129: the grandparent inside the window", func(t *testing.T) {
		first, second := rotated(t)
		third := b.spa.Refresh(second, nil)
		want(t, "the grandparent", b.spa.Refresh(first, nil), oauth.InvalidGrant)
		want(t, "the newest", b.spa.Refresh(third.RefreshToken, nil), oauth.InvalidGrant)
		if b.spa.Userinfo(third.AccessToken).Status != http.StatusUnauthorized {
			t.Error("the access token is good")
		}
	})
	t.Run("a confidential client's does not rotate", func(t *testing.T) {
		s := b.signIn(t, b.web, nil)
		for range 3 {
			b.Clock.Advance(time.Minute)
			if a := b.web.Refresh(s.RefreshToken, nil); a.RefreshToken != s.RefreshToken {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}
	})
}

// Security cases 131, 139: nothing else is a use of a refresh token.
func TestRefreshOfSomethingElse(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.spa, nil)
	_, code := b.code(t, b.spa, nil)
	for name, token := range map[string]string{
		"an access token": s.AccessToken, "an ID token": s.IDToken, "a code": code, "junk": "x",
		"one in another case": strings.ToUpper(s.RefreshToken), "one with more": s.RefreshToken + "A",
	} {
		want(t, name, b.spa.Refresh(token, nil), oauth.InvalidGrant)
	}
	want(t, "by another client", b.web.Refresh(s.RefreshToken, nil), oauth.InvalidGrant)
	want(t, "by one without the grant type", b.service.Refresh(s.RefreshToken, nil), oauth.UnauthorizedClient)
	b.Clock.Advance(time.Minute)
	if a := b.spa.Refresh(s.RefreshToken, nil); a.Status != http.StatusOK {
		t.Errorf("by its owner afterwards: %d %s", a.Status, a.Body)
	}
}

// Security cases 137, 138: a grant ends when it is not used, and whatever its use.
func TestRefreshLifetimes(t *testing.T) {
	b := newBack(t)
	b.change(t, testkit.SPA, func(c *store.Client) { c.RefreshIdleLifetime, c.RefreshAbsoluteLifetime = 100, 250 })
	idle, used := b.signIn(t, b.spa, offlineScope).RefreshToken, b.signIn(t, b.spa, offlineScope).RefreshToken
	for _, after := range []time.Duration{90, 90, 69} {
		b.Clock.Advance(after * time.Second)
		a := b.spa.Refresh(used, nil)
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		used = a.RefreshToken
	}
	want(t, "never used for 249 s", b.spa.Refresh(idle, nil), oauth.InvalidGrant)
	b.Clock.Advance(time.Second)
	want(t, "used all the time for 250 s", b.spa.Refresh(used, nil), oauth.InvalidGrant)
}

// A client that has not registered for refresh tokens gets none.
func TestNoRefreshToken(t *testing.T) {
	b := newBack(t)
	rp := b.Register(t, testkit.Document{"grant_types": []string{"authorization_code"}}, nil)
	s := b.signIn(t, rp, url.Values{"scope": {"openid offline_access"}, "prompt": {"consent"}})
	if s.RefreshToken != "" || s.JSON()["refresh_token"] != nil || s.JSON().Text("scope") != "openid" {
		t.Errorf("%s", s.Body)
	}
}
