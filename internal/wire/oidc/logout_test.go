package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
)

// stays checks that a browser is still signed in.
func (f *front) stays(t *testing.T, b *testkit.Browser) {
	t.Helper()
	a := f.web.Begin(set("prompt", "none"))
	page := b.Open(a.URL())
	if page.Answer == nil || page.Answer.Code() == "" {
		t.Errorf("not signed in any more: %s", page)
	}
}

// gone checks that it is not.
func (f *front) gone(t *testing.T, b *testkit.Browser) {
	t.Helper()
	a := f.web.Begin(set("prompt", "none"))
	answered(t, a, b.Open(a.URL()), "login_required")
}

// TestLogout is OpenID Connect RP-Initiated Logout 1.0; see also the conformance
// modules.
func TestLogout(t *testing.T) {
	f := newFront(t)
	token := f.succeeds(t).IDToken
	spa := f.RP(t, testkit.SPA, "", testkit.SPACallback)
	spaToken := spa.SignIn(t, f.Browser(t), testkit.Ada, nil).IDToken
	good := set("id_token_hint", token, "post_logout_redirect_uri", testkit.WebSignedOut, "state", "a b&c")

	t.Run("asked, then sent back", func(t *testing.T) {
		b := f.signedIn(t)
		page := b.Open(f.web.LogoutURL(good))
		if !page.AsksLogout() || page.Status != http.StatusOK || !strings.Contains(page.Body, "Ada Lövelace") || page.Has("oauth-error") {
			t.Fatalf("%s", page)
		}
		safeHeaders(t, page.Header)
		f.stays(t, b)
		b.Open(f.web.LogoutURL(good))
		copied := b.Another()
		page = b.ConfirmLogout()
		if page.Answer == nil || page.URL.String() != testkit.WebSignedOut+"?state=a+b%26c" {
			t.Fatalf("sent to %v", page.URL)
		}
		f.gone(t, b)
		f.gone(t, copied)
		if b.Cookie("ts") != "" {
			t.Error("the cookie is still there")
		}
		// Nobody is left to be asked (§2: it is not an error).
		if page = b.Open(f.web.LogoutURL(good)); page.Answer == nil || page.Answer.Params.Get("state") != "a b&c" {
			t.Errorf("without a session: %s", page)
		}
	})
	t.Run("security 166: without a hint, asked", func(t *testing.T) {
		b := f.signedIn(t)
		for _, q := range []url.Values{nil, set("state", "x"), set("client_id", "web"), set("x", "y"), set("logout_hint", testkit.Email)} {
			if page := b.Open(f.web.LogoutURL(q)); !page.AsksLogout() || page.Status != http.StatusOK {
				t.Errorf("%v: %s", q, page)
			}
		}
		f.stays(t, b)
	})
	t.Run("the hint names another user: who is signed in is asked", func(t *testing.T) {
		b := f.Browser(t)
		f.web.SignIn(t, b, putPerson(t, f.World), nil)
		page := b.Open(f.web.LogoutURL(good))
		if !page.AsksLogout() || !strings.Contains(page.Body, "Grace Brewster Hopper") {
			t.Errorf("%s", page)
		}
		f.stays(t, b)
	})
	for _, row := range []struct {
		name   string
		change url.Values
	}{
		{"security 167: post_logout_redirect_uri not registered", set("post_logout_redirect_uri", "https://evil.example/")},
		{"security 167: javascript:", set("post_logout_redirect_uri", "javascript:alert(1)")},
		{"security 167: a slash more", set("post_logout_redirect_uri", testkit.WebSignedOut+"/")},
		{"security 167: a query more", set("post_logout_redirect_uri", testkit.WebSignedOut+"?x=1")},
		{"a redirect URI is none", set("post_logout_redirect_uri", testkit.WebCallback)},
		{"client_id is not the hint's (§2)", set("client_id", testkit.SPA)},
		{"a hint of another client", set("id_token_hint", spaToken)},
		{"a hint that nobody has signed", set("id_token_hint", testkit.Unsigned(testkit.Document{"iss": testkit.Issuer, "aud": "web", "sub": "x"}))},
		{"a hint by a foreign key", set("id_token_hint", testkit.NewClientKey(t, "RS256").Sign(testkit.Document{"iss": testkit.Issuer, "aud": "web", "sub": "x"}, nil))},
		{"an access token as the hint", set("id_token_hint", f.succeeds(t).AccessToken)},
		{"an address of nobody", without("id_token_hint")},
		{"an unknown client_id", testkit.With(without("id_token_hint"), set("client_id", "<b>x"))},
		{"a client of another face", testkit.With(without("id_token_hint"), set("client_id", testkit.App, "post_logout_redirect_uri", testkit.AppCallback))},
		{"a state over the limit", set("state", strings.Repeat("s", 2049))},
	} {
		t.Run(row.name, func(t *testing.T) {
			q := testkit.With(good, row.change)
			for name, v := range q {
				if v == nil {
					delete(q, name)
				}
			}
			// Nobody signed in: a page, which says why it leads nowhere.
			rec := f.send(http.MethodGet, f.web.LogoutURL(q), "")
			body := rec.Body.String()
			if rec.Code != http.StatusBadRequest || rec.Header().Get("Location") != "" || !strings.Contains(body, `id="logged-out"`) ||
				!strings.Contains(body, "invalid_") || strings.Contains(body, "evil") || strings.Contains(body, "<b>x") {
				t.Errorf("%d %q\n%s", rec.Code, rec.Header().Get("Location"), body)
			}
			// Signed in: asked, told why, and not sent on afterwards.
			b := f.signedIn(t)
			page := b.Open(f.web.LogoutURL(q))
			if !page.AsksLogout() || page.Status != http.StatusBadRequest || !strings.Contains(page.Body, "invalid_") {
				t.Fatalf("%s", page)
			}
			f.stays(t, b)
			b.Open(f.web.LogoutURL(q))
			if page = b.ConfirmLogout(); page.Answer != nil || !page.LoggedOut() {
				t.Errorf("%s", page)
			}
			f.gone(t, b)
		})
	}
	t.Run("with a client_id alone, only who has been asked is sent on", func(t *testing.T) {
		q := set("client_id", testkit.Web, "post_logout_redirect_uri", testkit.WebSignedOut, "state", "x")
		page := f.Browser(t).Open(f.web.LogoutURL(q))
		if page.Answer != nil || !page.LoggedOut() || !strings.Contains(strings.Join(page.Links(), " "), testkit.WebSignedOut+"?state=x") {
			t.Errorf("without a session: %s", page)
		}
		b := f.signedIn(t)
		b.Open(f.web.LogoutURL(q))
		if page = b.ConfirmLogout(); page.Answer == nil || page.URL.String() != testkit.WebSignedOut+"?state=x" {
			t.Errorf("%s", page)
		}
	})
	t.Run("by POST of another site, whose cookie stays at home", func(t *testing.T) {
		b := f.signedIn(t)
		page := b.Post(testkit.Issuer+"/oauth2/logout", good)
		if !page.AsksLogout() {
			t.Fatalf("%s", page)
		}
		f.stays(t, b)
		b.Post(testkit.Issuer+"/oauth2/logout", good)
		if page = b.ConfirmLogout(); page.Answer == nil || page.Answer.Params.Get("state") != "a b&c" {
			t.Fatalf("%s", page)
		}
		f.gone(t, b)
	})
	t.Run("a confirmation of another browser, or of another site", func(t *testing.T) {
		b, other := f.signedIn(t), f.signedIn(t)
		body := url.Values{"form": {sealOf(t, b.Open(f.web.LogoutURL(good)), "logout-confirm")}}.Encode()
		other.Open("/account")
		confirm := testkit.Issuer + "/oauth2/logout/confirm"
		onPage(t, http.StatusForbidden, "access_denied", f.send(http.MethodPost, confirm, body, "Cookie", cookies(other)))
		onPage(t, http.StatusForbidden, "access_denied", f.send(http.MethodPost, confirm, body, "Cookie", cookies(b), "Sec-Fetch-Site", "cross-site"))
		onPage(t, http.StatusMethodNotAllowed, "invalid_request", f.send(http.MethodGet, confirm+"?"+body, "", "Cookie", cookies(b)))
		f.stays(t, b)
		f.stays(t, other)
	})
	t.Run("a confirmation that comes late", func(t *testing.T) {
		b := f.signedIn(t)
		b.Open(f.web.LogoutURL(good))
		f.Clock.Advance(engine.FormLifetime)
		page := b.ConfirmLogout()
		if page.Status != http.StatusBadRequest || !page.AsksLogout() || !page.Has("problems") {
			t.Fatalf("%s", page)
		}
		f.stays(t, b)
		b.Open(f.web.LogoutURL(good))
		if page = b.ConfirmLogout(); page.Answer == nil {
			t.Errorf("%s", page)
		}
	})
	t.Run("the address was taken back in between", func(t *testing.T) {
		register := func(uris ...string) {
			c := testkit.StandardClient(testkit.Web, f.Clock.Now().UnixMilli())
			c.PostLogoutRedirectURIs = uris
			if err := f.Store.PutClient(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			f.Clock.Advance(2 * time.Second) // until all nodes know
		}
		b := f.signedIn(t)
		b.Open(f.web.LogoutURL(good))
		register()
		if page := b.ConfirmLogout(); page.Answer != nil || !page.LoggedOut() {
			t.Errorf("%s", page)
		}
		f.gone(t, b)
		register(testkit.WebSignedOut)
	})
	t.Run("carriers", func(t *testing.T) {
		path := testkit.Issuer + "/oauth2/logout"
		onPage(t, http.StatusUnsupportedMediaType, "invalid_request", f.send(http.MethodPost, path, good.Encode(), "Content-Type", "application/json"))
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodPost, path+"?state=x", good.Encode()))
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodGet, path+"?state=x&state=y", ""))
		onPage(t, http.StatusRequestURITooLong, "invalid_request", f.send(http.MethodGet, path+"?x="+strings.Repeat("x", 9000), ""))
		for _, method := range []string{http.MethodHead, http.MethodDelete, http.MethodPut} {
			if rec := f.send(method, path, ""); rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET, POST" {
				t.Errorf("%s: %d", method, rec.Code)
			}
		}
	})
	t.Run("in the language that was asked for", func(t *testing.T) {
		b := f.signedIn(t)
		if page := b.Open(f.web.LogoutURL(set("ui_locales", "de"))); page.Language() != "de" {
			t.Errorf("asked in %s", page.Language())
		}
		if page := b.ConfirmLogout(); page.Language() != "de" || !page.LoggedOut() {
			t.Errorf("%s", page)
		}
	})
	f.succeeds(t)
}
