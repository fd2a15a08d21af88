package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
)

// buttonOf is the text of the n-th form that is posted to a path.
func buttonOf(t *testing.T, p *testkit.Page, path string, n int) string {
	t.Helper()
	for form := range strings.SplitSeq(p.Body, "</form>") {
		if all := sealText.FindAllStringSubmatch(form, -1); len(all) > 0 && strings.Contains(form, `action="`+path+`"`) {
			if n--; n < 0 {
				return all[len(all)-1][1]
			}
		}
	}
	t.Fatalf("no form to %s on %s", path, p)
	return ""
}

func TestAccount(t *testing.T) {
	f := newFront(t)
	spa := f.RP(t, testkit.SPA, "", testkit.SPACallback)
	send := func(b *testkit.Browser, path, text string, header ...string) (status int, to string) {
		rec := f.send(http.MethodPost, testkit.Issuer+path, url.Values{"form": {text}}.Encode(), append(header, "Cookie", cookies(b))...)
		return rec.Code, rec.Header().Get("Location")
	}
	refresh := func(rp *testkit.RP, s *testkit.Session) int { return rp.Refresh(s.RefreshToken, nil).Status }

	t.Run("to sign in", func(t *testing.T) {
		b := f.Browser(t)
		page := b.Open("/account")
		if !page.AsksSignIn() || page.Status != http.StatusOK {
			t.Fatalf("%s", page)
		}
		safeHeaders(t, page.Header)
		if page = b.SignIn(testkit.Email, "wrong"); page.Status != http.StatusUnauthorized || !page.AsksSignIn() || page.Value("username") != testkit.Email {
			t.Errorf("%s", page)
		}
		f.Clock.Advance(engine.FormLifetime)
		if page = b.SignIn(testkit.Email, testkit.Password); page.Status != http.StatusBadRequest || !page.Has("problems") {
			t.Errorf("%s", page)
		}
		if page = b.SignIn(testkit.Email, testkit.Password); page.Status != http.StatusOK || !page.Has("sign-out") || page.URL.Path != "/account" {
			t.Errorf("%s", page)
		}
		safeHeaders(t, page.Header)
		copied := b.Another()
		if page = b.Press("sign-out"); !page.LoggedOut() || b.Cookie("ts") != "" {
			t.Errorf("%s", page)
		}
		f.gone(t, copied)
	})
	t.Run("what clients have, and no more of it after one click", func(t *testing.T) {
		b := f.signedIn(t)
		offline := set("scope", "openid email offline_access")
		web, other := f.web.SignIn(t, b, testkit.Ada, offline), spa.SignIn(t, b, testkit.Ada, offline)
		page := b.Open("/account")
		for _, want := range []string{"Web", "SPA", "See your e-mail address", "Keep this access", "2 January 2026", "Ada Lövelace"} {
			if !strings.Contains(page.Body, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		text := buttonOf(t, page, "/account/revoke", 1) // by name: SPA, Web
		if status, to := send(b, "/account/revoke", text); status != http.StatusSeeOther || to != "/account?revoked" {
			t.Fatalf("%d %q", status, to)
		}
		if got := []int{refresh(f.web, web), refresh(spa, other)}; !cmp.Equal(got, []int{http.StatusBadRequest, http.StatusOK}) {
			t.Errorf("refresh: %v", got)
		}
		// Whoever makes up an address gets no words of his own onto the page.
		for _, q := range []string{"revoked", "revoked=spa", "revoked=%3Cb%3E"} {
			if page = b.Open("/account?" + q); !strings.Contains(page.Body, "The app has no access any more.") || strings.Contains(page.Body, "<b>") {
				t.Errorf("%s:\n%s", q, page.Body)
			}
		}
		// He is asked again.
		if j := b.Complete(f.web.Begin(nil).URL(), testkit.Ada); j.Consents != 1 || j.Answer.Code() == "" {
			t.Errorf("asked %d times", j.Consents)
		}
		// Twice is once.
		if status, _ := send(b, "/account/revoke", text); status != http.StatusSeeOther {
			t.Errorf("again: %d", status)
		}
	})
	t.Run("other browsers", func(t *testing.T) {
		b := f.signedIn(t)
		f.Clock.Advance(time.Second)
		other := f.signedIn(t)
		f.stays(t, other)
		page := b.Open("/account")
		if n := strings.Count(page.Body, "This browser"); n != 1 {
			t.Errorf("%d times this browser", n)
		}
		n := strings.Count(page.Body, `action="/account/end-session"`)
		status, to := send(b, "/account/end-session", buttonOf(t, page, "/account/end-session", n-1)) // the latest
		if status != http.StatusSeeOther {
			t.Fatalf("%d", status)
		}
		f.gone(t, other)
		f.stays(t, b)
		if page = b.Open(to); !strings.Contains(page.Body, "That browser is signed out.") {
			t.Errorf("the page does not tell:\n%s", page.Body)
		}
	})
	t.Run("security 64: a form counts for the sign-in that it was shown for", func(t *testing.T) {
		grace := putPerson(t, f.World)
		b := f.signedIn(t)
		page := b.Open("/account")
		texts := map[string]string{
			"/account/revoke": buttonOf(t, page, "/account/revoke", 0), "/account/sign-out": sealOf(t, page, "sign-out"),
			"/account/end-session": buttonOf(t, page, "/account/end-session", 0),
		}
		same := b.Another()
		f.Clock.Advance(time.Second)
		f.web.SignIn(t, same, grace, set("prompt", "login"))
		for path, text := range texts {
			if status, _ := send(same, path, text); status != http.StatusForbidden {
				t.Errorf("%s as another user: %d", path, status)
			}
			if status, _ := send(f.signedIn(t), path, text); status != http.StatusForbidden {
				t.Errorf("%s in another browser: %d", path, status)
			}
			if status, _ := send(same, path, text, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
				t.Errorf("%s from another site: %d", path, status)
			}
			// b's session has ended when somebody else signed in in its browser.
			if status, to := send(b, path, text); status != http.StatusSeeOther || to != "/account" {
				t.Errorf("%s without a session: %d %q", path, status, to)
			}
		}
		f.stays(t, same)
	})
	t.Run("too late", func(t *testing.T) {
		b := f.signedIn(t)
		b.Open("/account")
		f.Clock.Advance(engine.FormLifetime)
		page := b.Press("sign-out")
		if page.Status != http.StatusBadRequest || !page.Has("sign-out") || !strings.Contains(page.Body, "open for too long") {
			t.Fatalf("%s", page)
		}
		f.stays(t, b)
		b.Open("/account")
		if page = b.Press("sign-out"); !page.LoggedOut() {
			t.Errorf("%s", page)
		}
	})
	t.Run("methods and paths", func(t *testing.T) {
		for path, want := range map[string]int{
			"/account/": http.StatusNotFound, "/account/x": http.StatusNotFound, "/account/revoke": http.StatusMethodNotAllowed, "/account/sign-in": http.StatusMethodNotAllowed,
		} {
			onPage(t, want, "invalid_request", f.send(http.MethodGet, testkit.Issuer+path, ""))
		}
		onPage(t, http.StatusMethodNotAllowed, "invalid_request", f.send(http.MethodPost, testkit.Issuer+"/account", "x=y"))
	})
}

// TestForwarded: security 169: what a request says of the host that it was sent to
// is not believed.
func TestForwarded(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	for _, header := range [][]string{
		{"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "http"}, {"Forwarded", "host=evil.example;proto=http"}, {"X-Original-URL", "/account"}, {"Host", "evil.example"},
	} {
		rec := f.send(http.MethodGet, f.web.Begin(nil).URL(), "", append(header, "Cookie", cookies(b))...)
		to, err := rec.Result().Location()
		if err != nil || to.Query().Get("iss") != testkit.Issuer || to.Query().Get("code") == "" {
			t.Errorf("%v: %d %v", header, rec.Code, to)
		}
		rec = f.send(http.MethodGet, f.web.Begin(nil).URL(), "", header...)
		if body := rec.Body.String(); rec.Code != http.StatusOK || strings.Contains(body, "evil") || !strings.Contains(rec.Header().Get("Set-Cookie"), "__Host-ts_form=") {
			t.Errorf("%v: %d %v\n%s", header, rec.Code, rec.Header(), body)
		}
	}
}
