package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
)

// OpenID Connect Core §5.3, §5.4: by scope, by each way of RFC 6750, and nothing
// that was not asked for.
func TestUserinfo(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, url.Values{"scope": {"openid email"}})
	want := testkit.Document{"sub": s.Claims["sub"], "email": testkit.Email, "email_verified": true}
	for name, ask := range map[string]func(string) testkit.Answer{"GET": b.web.Userinfo, "POST": b.web.UserinfoPost, "POST with a form": b.web.UserinfoForm} {
		a := ask(s.AccessToken)
		if diff := cmp.Diff(want, a.JSON()); diff != "" || a.Status != http.StatusOK {
			t.Errorf("%s: %d (-want +got): %s", name, a.Status, diff)
		}
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, a.Header)
		}
	}
	// A form that has nothing in it beside a token in the header is no second one.
	a := b.web.Call(http.MethodPost, b.web.Endpoint("userinfo"), http.Header{
		"Authorization": {"Bearer " + s.AccessToken}, "Content-Type": {"application/x-www-form-urlencoded"},
	}, strings.NewReader("x=y"))
	if a.Status != http.StatusOK {
		t.Errorf("a form without a token: %d %s", a.Status, a.Body)
	}
	if a = b.web.Userinfo(s.IDToken); a.Status != http.StatusUnauthorized || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("an ID token: %d %v", a.Status, a.Header)
	}
	if a = b.web.Userinfo(s.RefreshToken); a.Status != http.StatusUnauthorized {
		t.Errorf("a refresh token: %d", a.Status)
	}
	b.Clock.Advance(3601e9)
	if a = b.web.Userinfo(s.AccessToken); a.Status != http.StatusUnauthorized {
		t.Errorf("an expired one: %d", a.Status)
	}
}

// OpenID Connect Core §5.3.2: signed for a client that has registered an
// algorithm. What is signed is no ID token, and comes back as no hint.
func TestSignedUserinfo(t *testing.T) {
	b := newBack(t)
	for _, alg := range []string{"RS256", "ES256"} {
		rp := b.Register(t, testkit.Document{"userinfo_signed_response_alg": alg}, nil)
		s := b.signIn(t, rp, url.Values{"scope": {"openid email"}})
		a := rp.Userinfo(s.AccessToken)
		if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/jwt" {
			t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
		}
		header, claims, err := rp.Verify(a.Body)
		if err != nil || header.Algorithm != alg || header.ExtraHeaders["typ"] != nil {
			t.Errorf("%+v %v", header, err)
		}
		want := testkit.Document{"iss": testkit.Issuer, "aud": rp.ID, "sub": s.Claims["sub"], "email": testkit.Email, "email_verified": true}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
		if hint, err := b.Engine.Hint(a.Body); err == nil {
			t.Errorf("it passes for an ID token of %s", hint.ClientID)
		}
		if u := rp.Userinfo(a.Body); u.Status != http.StatusUnauthorized {
			t.Errorf("it passes for an access token: %d", u.Status)
		}
	}
}

// Pairwise subjects are the same in the ID token, at userinfo and in introspection
// (OpenID Connect Core §8).
func TestPairwiseSubject(t *testing.T) {
	b := newBack(t)
	rp := b.Register(t, testkit.Document{"subject_type": "pairwise"}, nil)
	s := b.signIn(t, rp, nil)
	public := b.signIn(t, b.web, nil)
	sub := s.Claims.Text("sub")
	if sub == "" || sub == public.Claims.Text("sub") || rp.Userinfo(s.AccessToken).JSON().Text("sub") != sub || rp.Introspect(s.AccessToken).JSON().Text("sub") != sub {
		t.Errorf("sub %q; userinfo %s; introspection %s", sub, rp.Userinfo(s.AccessToken).Body, rp.Introspect(s.AccessToken).Body)
	}
}
