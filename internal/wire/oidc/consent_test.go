package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
)

// scopeOf is what a client was granted, as the token endpoint tells it.
func scopeOf(s *testkit.Session) string { return s.JSON().Text("scope") }

// TestConsent: consent is asked for once, for what is new, and by nobody but the
// user whose browser it is.
func TestConsent(t *testing.T) {
	f := newFront(t)
	start := func(t *testing.T, change url.Values) (*testkit.Browser, *testkit.Attempt, *testkit.Page) {
		t.Helper()
		b, a := f.Browser(t), f.web.Begin(testkit.With(set("prompt", "consent"), change))
		b.Open(a.URL())
		page := b.SignIn(testkit.Email, testkit.Password)
		if !page.AsksConsent() {
			t.Fatalf("%s", page)
		}
		safeHeaders(t, page.Header)
		return b, a, page
	}
	allow := func(page *testkit.Page) string {
		return url.Values{"form": {sealOf(t, page, "consent-allow")}}.Encode()
	}
	consentPath := testkit.Issuer + "/oauth2/consent"

	t.Run("asked once", func(t *testing.T) {
		b := f.Browser(t)
		for i, want := range []int{1, 0, 1, 0, 0} {
			scope := []string{"openid email", "openid email", "openid email profile", "openid profile", "email"}[i]
			j := b.Complete(f.web.Begin(set("scope", scope)).URL(), testkit.Ada)
			if j.Answer.Code() == "" || j.Consents != want {
				t.Errorf("%s: asked %d times, want %d", scope, j.Consents, want)
			}
		}
	})
	t.Run("what is asked stands on the page", func(t *testing.T) {
		_, _, page := start(t, url.Values{
			"scope": {"openid email offline_access"}, "resource": {testkit.API},
			"claims": {`{"userinfo":{"nickname":null,"email":null},"id_token":{"auth_time":{"essential":true},"acr":null}}`},
		})
		for _, want := range []string{"Web (web.example.com)", "Ada Lövelace", testkit.Email, "your e-mail address", "your nickname", testkit.API, "when you are away"} {
			if !strings.Contains(page.Body, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		if n := strings.Count(page.Body, "your e-mail address"); n != 1 {
			t.Errorf("asked %d times for the address", n)
		}
		for _, not := range []string{"“auth_time”", "“acr”", "vouched"} {
			if strings.Contains(page.Body, not) {
				t.Errorf("the page says %q", not)
			}
		}
	})
	t.Run("security 60: a client cannot write on the page", func(t *testing.T) {
		rp := f.Register(t, testkit.Document{
			"client_name": `<script>alert(1)</script>"><img src=x onerror=alert(1)>` + "\u202eevil", "logo_uri": "https://logo.example/x.png",
			"policy_uri": "https://rp.example.org/p", "scope": "openid <b>bold</b>",
		}, nil)
		a, b := rp.Begin(set("scope", "openid <b>bold</b>")), f.Browser(t)
		b.Open(a.URL())
		page := b.SignIn(testkit.Email, testkit.Password)
		if !page.AsksConsent() || !page.Has("unvouched") {
			t.Fatalf("%s", page)
		}
		for _, not := range []string{"<script", "<img src=x", "<b>bold", "\u202e"} {
			if strings.Contains(page.Body, not) {
				t.Errorf("the page has %q:\n%s", not, page.Body)
			}
		}
	})
	t.Run("denied", func(t *testing.T) {
		before := f.rows(t)
		b, a, _ := start(t, set("scope", "openid phone"))
		answered(t, a, b.Deny(), "access_denied")
		before["session"]++
		if diff := cmp.Diff(before, f.rows(t)); diff != "" {
			t.Errorf("stored (-before +after):\n%s", diff)
		}
		// It is not remembered as agreed to.
		a = f.web.Begin(set("scope", "openid phone", "prompt", "none"))
		answered(t, a, b.Open(a.URL()), "consent_required")
	})
	t.Run("cancelled", func(t *testing.T) {
		before := f.rows(t)
		b, a := f.Browser(t), f.web.Begin(nil)
		b.Open(a.URL())
		answered(t, a, b.Cancel(), "access_denied")
		if diff := cmp.Diff(before, f.rows(t)); diff != "" {
			t.Errorf("stored (-before +after):\n%s", diff)
		}
	})
	t.Run("security 64: begun in one browser, agreed to in another", func(t *testing.T) {
		_, _, page := start(t, nil)
		other := f.signedIn(t)
		other.Open("/account") // has a form of its own
		grants := f.Count(t, "grant")
		onPage(t, http.StatusForbidden, "access_denied", f.send(http.MethodPost, consentPath, allow(page), "Cookie", cookies(other)))
		if n := f.Count(t, "grant"); n != grants {
			t.Errorf("%d grants, want %d", n, grants)
		}
	})
	t.Run("security 53: agreed to by a page of another site", func(t *testing.T) {
		b, _, page := start(t, nil)
		for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
			onPage(t, http.StatusForbidden, "access_denied", f.send(http.MethodPost, consentPath, allow(page), append(header, "Cookie", cookies(b))...))
		}
	})
	t.Run("security 64: shown to one user, agreed to by another in the same browser", func(t *testing.T) {
		grace := putPerson(t, f.World)
		b, _, page := start(t, nil)
		stale := allow(page)
		second := b.Another()
		second.Open("/account")
		second.Press("sign-out")
		second.Open("/account")
		second.SignIn(grace.Username, grace.Password)
		grants := f.Count(t, "grant")
		rec := f.send(http.MethodPost, consentPath, stale, "Cookie", cookies(second))
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `id="consent-allow"`) || !strings.Contains(rec.Body.String(), "Grace Brewster Hopper") {
			t.Errorf("want to be asked anew: %d\n%s", rec.Code, rec.Body)
		}
		// Whose session has ended must sign in.
		rec = f.send(http.MethodPost, consentPath, stale, "Cookie", cookies(b))
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `id="login-submit"`) {
			t.Errorf("want to be asked to sign in: %d\n%s", rec.Code, rec.Body)
		}
		if n := f.Count(t, "grant"); n != grants {
			t.Errorf("%d grants, want %d", n, grants)
		}
	})
	t.Run("security 65: what is in the form beside its text does not count", func(t *testing.T) {
		b, a, page := start(t, set("scope", "openid email"))
		body := allow(page) + "&scope=openid+email+profile+phone&resource=" + url.QueryEscape(testkit.API) + "&claims=%7B%7D&client_id=web2"
		rec := f.send(http.MethodPost, consentPath, body, "Cookie", cookies(b))
		to, err := rec.Result().Location()
		if err != nil || rec.Code != http.StatusSeeOther {
			t.Fatalf("%d %v", rec.Code, err)
		}
		s := a.Exchange(t, &testkit.Journey{Answer: &testkit.Authorization{To: to, Mode: "query", Params: to.Query()}})
		if scopeOf(s) != "email openid" && scopeOf(s) != "" {
			t.Errorf("scope %q", scopeOf(s))
		}
	})
	t.Run("security 65: what would be granted is more than what was shown", func(t *testing.T) {
		rp := f.RP(t, testkit.Web2, testkit.Web2Secret, testkit.Web2Callback)
		rp.AuthMethod = "client_secret_post"
		narrow := func(scope string) {
			c := testkit.StandardClient(testkit.Web2, f.Clock.Now().UnixMilli())
			c.Scope = scope
			if err := f.Store.PutClient(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			f.Clock.Advance(2 * time.Second) // until all nodes know
		}
		narrow("email openid profile")
		b, a := f.Browser(t), rp.Begin(without("scope")) // all but openid and offline_access
		b.Open(a.URL())
		if page := b.SignIn(testkit.Email, testkit.Password); !page.AsksConsent() || strings.Contains(page.Body, "phone number") {
			t.Fatalf("%s", page)
		}
		narrow(oauth.DefaultScope)
		grants := f.Count(t, "grant")
		page := b.Allow()
		if page.Answer != nil || !page.AsksConsent() || !strings.Contains(page.Body, "phone number") || f.Count(t, "grant") != grants {
			t.Fatalf("want to be asked anew: %s", page)
		}
		page = b.Allow()
		a.Check(t, page.Answer)
		if s := a.Exchange(t, &testkit.Journey{Answer: page.Answer}); scopeOf(s) != "address email phone profile" && scopeOf(s) != "" {
			t.Errorf("scope %q", scopeOf(s))
		}
	})
	t.Run("another account", func(t *testing.T) {
		b, a, _ := start(t, set("login_hint", testkit.Email))
		f.Clock.Advance(time.Second)
		page := b.Press("use-another")
		if !page.AsksSignIn() || page.Value("username") != "" {
			t.Fatalf("%s", page)
		}
		// The session that is still there does not do.
		if j := b.Another().Complete(a.URL(), testkit.Ada); j.SignIns != 0 {
			t.Errorf("signed in %d times", j.SignIns)
		}
		j := b.Finish(testkit.Person{Username: "grace@example.com", Password: testkit.Password})
		a.Check(t, j.Answer)
		s := a.Exchange(t, j)
		if info := f.web.Userinfo(s.AccessToken).JSON(); info.Text("sub") == "" || info.Text("sub") == f.succeeds(t).Claims.Text("sub") {
			t.Errorf("sub %q", info.Text("sub"))
		}
	})
	f.succeeds(t)
}

// TestPrompts is about who is asked when (OIDC Core §3.1.2.1).
func TestPrompts(t *testing.T) {
	f := newFront(t)
	first := f.succeeds(t)
	grace := putPerson(t, f.World)
	t.Run("security 33: prompt=none without a session makes no cookie", func(t *testing.T) {
		a := f.web.Begin(set("prompt", "none"))
		rec := f.send(http.MethodGet, a.URL(), "")
		to, err := rec.Result().Location()
		if err != nil || to.Query().Get("error") != "login_required" || len(rec.Header().Values("Set-Cookie")) > 0 {
			t.Errorf("%d %v, cookies %v", rec.Code, to, rec.Header().Values("Set-Cookie"))
		}
	})
	t.Run("prompt=none in every mode", func(t *testing.T) {
		for _, mode := range []string{"query", "fragment", "form_post"} {
			a := f.web.Begin(set("prompt", "none", "response_mode", mode))
			page := f.Browser(t).Open(a.URL())
			answered(t, a, page, "login_required")
			if page.Answer.Mode != mode {
				t.Errorf("answered in %s, want %s", page.Answer.Mode, mode)
			}
		}
	})
	t.Run("security 36: max_age=0 with an old session", func(t *testing.T) {
		b := f.signedIn(t)
		f.Clock.Advance(time.Minute)
		a := f.web.Begin(set("max_age", "0"))
		page := b.Open(a.URL())
		if !page.AsksSignIn() || page.Value("username") != testkit.Email {
			t.Fatalf("%s", page)
		}
		// Whoever opens it again, or sends the form empty, has not signed in.
		b.Open(a.URL())
		if page = b.Press("login-submit"); page.Answer != nil || !page.AsksSignIn() {
			t.Fatalf("%s", page)
		}
		f.Clock.Advance(time.Second)
		begun := f.Clock.Now()
		j := b.Finish(testkit.Ada)
		a.Check(t, j.Answer)
		if s := a.Exchange(t, j); s.Claims.Int("auth_time") < begun.Unix() {
			t.Errorf("auth_time %d, want %d or later", s.Claims.Int("auth_time"), begun.Unix())
		}
	})
	t.Run("prompt=login is not answered for the session that there is", func(t *testing.T) {
		b := f.signedIn(t)
		f.Clock.Advance(time.Minute)
		for _, prompt := range []string{"login", "select_account", "login consent", "consent login select_account"} {
			a := f.web.Begin(set("prompt", prompt))
			j := b.Complete(a.URL(), testkit.Ada)
			if j.SignIns != 1 || j.Answer.Code() == "" || (j.Consents == 1) != strings.Contains(prompt, "consent") {
				t.Errorf("%s: asked %d times for the password, %d for consent", prompt, j.SignIns, j.Consents)
			}
			f.Clock.Advance(time.Minute)
		}
	})
	t.Run("security 38: an id_token_hint of another user", func(t *testing.T) {
		b := f.Browser(t)
		f.web.SignIn(t, b, grace, nil)
		f.Clock.Advance(time.Minute)
		a := f.web.Begin(set("prompt", "none", "id_token_hint", first.IDToken))
		answered(t, a, b.Open(a.URL()), "login_required")
		// Asked, he may sign in as the one who is meant; as himself he gets nothing.
		a = f.web.Begin(set("id_token_hint", first.IDToken))
		j := b.Complete(a.URL(), grace)
		a.Check(t, j.Answer)
		if j.SignIns != 1 || j.Answer.Error() != "login_required" {
			t.Errorf("signed in %d times, %v", j.SignIns, j.Answer.Params)
		}
		f.Clock.Advance(time.Minute)
		a = f.web.Begin(set("id_token_hint", first.IDToken))
		j = b.Complete(a.URL(), testkit.Ada)
		a.Check(t, j.Answer)
		if s := a.Exchange(t, j); s.Claims.Text("sub") != first.Claims.Text("sub") {
			t.Errorf("sub %q, want %q", s.Claims.Text("sub"), first.Claims.Text("sub"))
		}
	})
	t.Run("a hint is not believed: the password is", func(t *testing.T) {
		b := f.Browser(t)
		b.Open(f.web.Begin(set("login_hint", testkit.Email, "id_token_hint", first.IDToken)).URL())
		if page := b.SignIn(testkit.Email, "wrong"); page.Status != http.StatusUnauthorized {
			t.Errorf("%s", page)
		}
	})
	t.Run("a login_hint that is markup", func(t *testing.T) {
		const hint = `"><script>alert(1)</script>`
		page := f.Browser(t).Open(f.web.Begin(set("login_hint", hint)).URL())
		if page.Value("username") != hint || strings.Contains(page.Body, "<script>") {
			t.Errorf("filled in with %q", page.Value("username"))
		}
	})
	t.Run("the page in another language", func(t *testing.T) {
		b := f.Browser(t)
		a := f.web.Begin(url.Values{"resource": {testkit.API, testkit.Issuer}})
		page := b.Open(a.URL())
		i := -1
		for k, link := range page.Links() {
			if strings.Contains(link, "ui_locales=de") {
				i = k
			}
		}
		if i < 0 {
			t.Fatalf("links %v", page.Links())
		}
		if page = b.Open(page.Links()[i]); page.Language() != "de" {
			t.Errorf("in %s", page.Language())
		}
		j := b.Finish(testkit.Ada)
		a.Check(t, j.Answer)
		a.Exchange(t, j)
	})
}
