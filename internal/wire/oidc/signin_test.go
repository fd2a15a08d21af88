package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

const signInPath = testkit.Issuer + "/oauth2/sign-in"

// typed is the body that the sign-in form of a page sends.
func typed(t *testing.T, p *testkit.Page, username, password string) string {
	return url.Values{"form": {sealOf(t, p, "login-submit")}, "username": {username}, "password": {password}}.Encode()
}

// cookies are those that a browser has, as a header.
func cookies(b *testkit.Browser) string {
	var all []string
	for _, name := range []string{"ts", "ts_form"} {
		if v := b.Cookie(name); v != "" {
			all = append(all, "__Host-"+name+"="+v)
		}
	}
	return strings.Join(all, "; ")
}

// TestForeignForms: a sign-in form that this browser did not get here is worth
// nothing (login CSRF, RFC 9700 §4.7).
func TestForeignForms(t *testing.T) {
	f := newFront(t)
	b, other := f.Browser(t), f.Browser(t)
	page := b.Open(f.web.Begin(nil).URL())
	other.Open(f.web.Begin(nil).URL())
	good := typed(t, page, testkit.Email, testkit.Password)
	before := f.rows(t)
	for _, row := range []struct {
		name, body string
		header     []string
	}{
		{"security 52: no form text", set("username", testkit.Email, "password", testkit.Password).Encode(), []string{"Cookie", cookies(b)}},
		{"security 52: the text of another browser", good, []string{"Cookie", cookies(other)}},
		{"security 52: no cookie", good, nil},
		{"security 53: Origin of another site", good, []string{"Cookie", cookies(b), "Origin", "https://evil.example"}},
		{"security 53: Sec-Fetch-Site cross-site", good, []string{"Cookie", cookies(b), "Sec-Fetch-Site", "cross-site"}},
		{"security 53: same-site is not the same origin", good, []string{"Cookie", cookies(b), "Sec-Fetch-Site", "same-site"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			onPage(t, http.StatusForbidden, "access_denied", f.send(http.MethodPost, signInPath, row.body, row.header...))
		})
	}
	t.Run("GET (the form is an answer only)", func(t *testing.T) {
		onPage(t, http.StatusMethodNotAllowed, "invalid_request", f.send(http.MethodGet, signInPath, "", "Cookie", cookies(b)))
	})
	t.Run("as JSON", func(t *testing.T) {
		onPage(t, http.StatusUnsupportedMediaType, "invalid_request", f.send(http.MethodPost, signInPath, good, "Cookie", cookies(b), "Content-Type", "application/json"))
	})
	t.Run("a field twice", func(t *testing.T) {
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodPost, signInPath, good+"&username=x", "Cookie", cookies(b)))
	})
	t.Run("security 59: a password of 1 MiB", func(t *testing.T) {
		onPage(t, http.StatusRequestEntityTooLarge, "invalid_request", f.send(http.MethodPost, signInPath, good+strings.Repeat("x", 1<<20), "Cookie", cookies(b)))
	})
	if diff := cmp.Diff(before, f.rows(t)); diff != "" {
		t.Errorf("stored (-before +after):\n%s", diff)
	}
	if rec := f.send(http.MethodPost, signInPath, good, "Cookie", cookies(b), "Sec-Fetch-Site", "same-origin"); rec.Code != http.StatusSeeOther {
		t.Errorf("the form itself: %d", rec.Code)
	}
}

// TestTamperedForms: whatever is changed in a text that goes round, and wherever
// it is posted to, it is not believed (security 66 of the catalogue).
func TestTamperedForms(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	page := b.Open(f.web.Begin(set("prompt", "consent")).URL())
	texts := map[string]string{"sign-in": sealOf(t, page, "login-submit"), "cancel": sealOf(t, page, "login-cancel")}
	texts["forgot"] = sealOf(t, page, "login-forgot")
	page = b.Press("login-forgot")
	texts["mail"], texts["back"] = sealOf(t, page, "forgot-submit"), sealOf(t, page, "forgot-back")
	link := f.atAccount(t).Link
	texts["reset"] = sealOf(t, b.Open(oidc.ResetURL("", "", link, "")), "reset-submit")
	b.Open(f.web.Begin(set("prompt", "consent")).URL())
	page = b.SignIn(testkit.Email, testkit.Password)
	for _, name := range []string{"allow", "deny"} {
		texts[name] = sealOf(t, page, "consent-"+name)
	}
	texts["switch"] = sealOf(t, page, "use-another")
	account := b.Open("/account")
	texts["sign out"] = sealOf(t, account, "sign-out")
	texts["logout"] = sealOf(t, b.Open("/oauth2/logout"), "logout-confirm")
	home := map[string]string{
		"sign-in": "/oauth2/sign-in", "cancel": "/oauth2/sign-in", "allow": "/oauth2/consent", "deny": "/oauth2/consent", "switch": "/oauth2/consent",
		"sign out": "/account/sign-out", "logout": "/oauth2/logout/confirm",
		"forgot": "/oauth2/forgot", "mail": "/oauth2/forgot", "back": "/oauth2/forgot", "reset": "/oauth2/reset",
	}
	paths := []string{
		"/oauth2/sign-in", "/oauth2/consent", "/oauth2/logout/confirm",
		"/account/sign-in", "/account/sign-out", "/account/revoke", "/account/end-session", userdocks.LoginPath,
		"/oauth2/forgot", "/oauth2/reset", "/userdocks/reset",
	}
	before := f.rows(t)
	post := func(path, text string) *httptest.ResponseRecorder {
		body := url.Values{"form": {text}, "username": {testkit.Email}, "password": {testkit.Password}}.Encode()
		return f.send(http.MethodPost, testkit.Issuer+path, body, "Cookie", cookies(b), "Sec-Fetch-Site", "same-origin")
	}
	for name, text := range texts {
		for _, path := range paths {
			if path == home[name] {
				continue
			}
			if rec := post(path, text); rec.Code != http.StatusForbidden {
				t.Errorf("%s posted to %s: %d", name, path, rec.Code)
			}
		}
		for i := 0; i < len(text); i += 7 {
			changed := []byte(text)
			if changed[i]++; changed[i] == text[i] || !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(changed[i])) {
				changed[i] = 'A'
			}
			if string(changed) == text {
				continue
			}
			if rec := post(home[name], string(changed)); rec.Code != http.StatusForbidden {
				t.Fatalf("%s with byte %d changed: %d", name, i, rec.Code)
			}
		}
		for _, cut := range []string{"", text[1:], text[:len(text)-1], text + "A", text + "\n", "=" + text} {
			if rec := post(home[name], cut); rec.Code != http.StatusForbidden {
				t.Errorf("%s in part: %d", name, rec.Code)
			}
		}
	}
	if diff := cmp.Diff(before, f.rows(t)); diff != "" {
		t.Errorf("stored (-before +after):\n%s", diff)
	}
	if mails := f.Mails(t); len(mails) != 0 {
		t.Errorf("mails: %+v", mails)
	}
	if rec := post("/oauth2/consent", texts["allow"]); rec.Code != http.StatusSeeOther {
		t.Errorf("the form itself: %d", rec.Code)
	}
}

// TestWrongPassword: security 54, 55: nobody learns whether there is such a user.
func TestWrongPassword(t *testing.T) {
	f := newFront(t)
	failures := func() int64 {
		u, _, err := f.Store.User(t.Context(), f.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		return u.GuessFailures
	}
	// attempt has the name that was typed taken out of it.
	attempt := func(username, password string) (int, string) {
		b := f.Browser(t)
		b.Open(f.web.Begin(set("state", "same", "nonce", "same", "code_challenge", testkit.Challenge)).URL())
		sessions := f.Count(t, "session")
		page := b.SignIn(username, password)
		if page.Answer != nil {
			t.Fatalf("signed in as %s", username)
		}
		if b.Cookie("ts") != "" || f.Count(t, "session") != sessions {
			t.Errorf("a session for %s", username)
		}
		if page.Value("username") != username || page.Value("password") != "" {
			t.Errorf("the form is filled in with %q and %q", page.Value("username"), page.Value("password"))
		}
		safeHeaders(t, page.Header)
		return page.Status, strings.ReplaceAll(sealText.ReplaceAllString(page.Body, ""), username, "")
	}
	before := failures()
	status, wrong := attempt(testkit.Email, "not the password")
	if status != http.StatusUnauthorized || failures() != before+1 {
		t.Errorf("wrong password: %d, %d failures, want 401 and %d", status, failures(), before+1)
	}
	for _, username := range []string{"nobody@example.com", "unverified@example.com", "disabled@example.com"} {
		password := testkit.Password
		status, body := attempt(username, password)
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", username, status)
		}
		if diff := cmp.Diff(wrong, body); diff != "" {
			t.Errorf("%s: another page (-wrong password +):\n%s", username, diff)
		}
	}
	if status, body := attempt(testkit.Email, strings.Repeat("x", 2000)); status != http.StatusUnauthorized || body != wrong {
		t.Errorf("security 59: a long password: %d", status)
	}
	t.Run("nothing typed", func(t *testing.T) {
		b := f.Browser(t)
		b.Open(f.web.Begin(nil).URL())
		before := failures()
		page := b.Press("login-submit")
		if page.Status != http.StatusBadRequest || !page.Has("username-problem") || !page.Has("password-problem") || failures() != before {
			t.Errorf("%s", page)
		}
	})
	f.succeeds(t)
}

// TestGuessingIsSlowed: security 56: an alias doubles no allowance, and the client
// is told when to come back.
func TestGuessingIsSlowed(t *testing.T) {
	f := newFront(t)
	who := putPerson(t, f.World) // has a user name, too
	b := f.Browser(t)
	b.Open(f.web.Begin(nil).URL())
	names := []string{"grace", who.Username, " GRACE ", "Grace@Example.com"}
	for i := range 10 {
		if page := b.SignIn(names[i%len(names)], "wrong "+strconv.Itoa(i)); page.Status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %s", i+1, page)
		}
	}
	page := b.SignIn(who.Username, who.Password)
	after, err := strconv.Atoi(page.Header.Get("Retry-After"))
	if page.Status != http.StatusTooManyRequests || err != nil || after < 1 || !page.AsksSignIn() {
		t.Fatalf("guess 11: Retry-After %q, %s", page.Header.Get("Retry-After"), page)
	}
	f.Clock.Advance(time.Duration(after) * time.Second)
	if j := b.Finish(who); j.Answer == nil || j.Answer.Code() == "" {
		t.Errorf("after Retry-After: %s", j.End)
	}
}

// TestSessionIsNew: security 62: what the browser had before a sign-in is worth
// nothing after it (no fixation).
func TestSessionIsNew(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	old, thief := b.Cookie("ts"), b.Another()
	f.Clock.Advance(time.Second)
	f.web.SignIn(t, b, testkit.Ada, set("prompt", "login"))
	if b.Cookie("ts") == old || b.Cookie("ts") == "" {
		t.Error("the cookie is the same")
	}
	a := f.web.Begin(set("prompt", "none"))
	answered(t, a, thief.Open(a.URL()), "login_required")

	t.Run("one that somebody has planted", func(t *testing.T) {
		for _, planted := range []string{"x", old, old[:len(old)-1], strings.Repeat("A", 4096)} {
			rec := f.send(http.MethodGet, f.web.Begin(set("prompt", "none")).URL(), "", "Cookie", "__Host-ts="+planted)
			if to, err := rec.Result().Location(); err != nil || to.Query().Get("error") != "login_required" {
				t.Errorf("%.20s: %d %v", planted, rec.Code, to)
			}
		}
	})
	t.Run("one without the prefix of https (RFC 6265bis §4.1.3)", func(t *testing.T) {
		rec := f.send(http.MethodGet, f.web.Begin(set("prompt", "none")).URL(), "", "Cookie", "ts="+b.Cookie("ts"))
		if to, err := rec.Result().Location(); err != nil || to.Query().Get("error") != "login_required" {
			t.Errorf("%d %v", rec.Code, to)
		}
	})
}

// TestOneSession: a sign-in here is one on the other pages of the issuer, frames
// among them, and ends there as well.
func TestOneSession(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	page := b.Open(f.web.Begin(nil).URL())
	rec := f.send(http.MethodPost, signInPath, typed(t, page, testkit.Email, testkit.Password), "Cookie", cookies(b))
	set := rec.Result().Cookies()
	i := slices.IndexFunc(set, func(c *http.Cookie) bool { return c.Name == "ts_silent" })
	j := slices.IndexFunc(set, func(c *http.Cookie) bool { return c.Name == "__Host-ts" })
	if i < 0 || j < 0 {
		t.Fatalf("cookies: %v", rec.Header().Values("Set-Cookie"))
	}
	silent, session := set[i], set[j]
	if silent.Path != userdocks.LoginPath || silent.SameSite != http.SameSiteNoneMode || !silent.Secure || !silent.HttpOnly {
		t.Errorf("ts_silent: %v", silent)
	}
	if session.Path != "/" || session.SameSite != http.SameSiteLaxMode || !session.Secure || !session.HttpOnly {
		t.Errorf("ts: %v", session)
	}
	for _, c := range []struct {
		find  func(string) (*engine.Session, error)
		value string
	}{
		{func(v string) (*engine.Session, error) { return f.Engine.Session(t.Context(), v) }, session.Value},
		{func(v string) (*engine.Session, error) { return f.Engine.SilentSession(t.Context(), v) }, silent.Value},
	} {
		if s, err := c.find(c.value); err != nil || s == nil || s.User.ID != f.User.ID {
			t.Errorf("%v, %v", s, err)
		}
	}
	visit := userdocks.LoginPath + "?client_id=" + testkit.App + "&redirect_uri=" + url.QueryEscape(testkit.AppCallback)
	if to := f.send(http.MethodGet, testkit.Issuer+visit, "", "Cookie", "__Host-ts="+session.Value).Header().Get("Location"); !strings.HasPrefix(to, testkit.AppCallback) {
		t.Errorf("the other pages do not know the session: sent to %q", to)
	}
}

// TestReturnTo: security 63: there is no parameter that says where to go after a
// sign-in, however it is spelt.
func TestReturnTo(t *testing.T) {
	f := newFront(t)
	for _, to := range []string{
		"//evil.example", `/\evil.example`, "https:evil.example", "%2f%2fevil.example", "https://evil.example", `\\evil.example`,
		"///evil.example", "/%09/evil.example", "/\t/evil.example", "https:/evil.example", "javascript:alert(1)", "/account/..//evil.example",
		"http:\\\\evil.example", ".evil.example", "@evil.example", "/account@evil.example", "https://as.example@evil.example",
		"https://as.example.evil.example", "?x=//evil.example", "#//evil.example", "/;//evil.example", "//evil%E3%80%82example",
		"\x01https://evil.example", " https://evil.example", "https:\nevil.example", "/%5cevil.example", "//%65vil.example", "http:evil.example",
		"data:text/html,x", "//[::1]/", "//0x7f.1/",
	} {
		b := f.Browser(t)
		page := b.Open("/account?return_to=" + url.QueryEscape(to) + "&next=" + url.QueryEscape(to) + "&redirect_uri=" + url.QueryEscape(to))
		body := typed(t, page, testkit.Email, testkit.Password) + "&return_to=" + url.QueryEscape(to) + "&redirect_uri=" + url.QueryEscape(to)
		rec := f.send(http.MethodPost, testkit.Issuer+"/account/sign-in", body, "Cookie", cookies(b))
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/account" {
			t.Errorf("%q: %d %q", to, rec.Code, rec.Header().Get("Location"))
		}
	}
}

// TestPagesStayOpen: a form that is too old is offered again.
func TestPagesStayOpen(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	a := f.web.Begin(set("prompt", "consent"))
	b.Open(a.URL())
	f.Clock.Advance(engine.FormLifetime)
	page := b.SignIn(testkit.Email, testkit.Password)
	if page.Status != http.StatusBadRequest || !page.AsksSignIn() || !page.Has("problems") || page.Value("username") != testkit.Email || b.Cookie("ts") != "" {
		t.Fatalf("sign-in: %s", page)
	}
	if page = b.SignIn(testkit.Email, testkit.Password); !page.AsksConsent() {
		t.Fatalf("sign-in, again: %s", page)
	}
	f.Clock.Advance(engine.FormLifetime)
	grants := f.Count(t, "grant")
	if page = b.Allow(); page.Status != http.StatusBadRequest || !page.AsksConsent() || !page.Has("problems") || f.Count(t, "grant") != grants {
		t.Fatalf("consent: %s", page)
	}
	page = b.Allow()
	a.Check(t, page.Answer)
	a.Exchange(t, &testkit.Journey{Answer: page.Answer})

	t.Run("to cancel, it is never too late", func(t *testing.T) {
		b := f.Browser(t)
		a := f.web.Begin(nil)
		b.Open(a.URL())
		f.Clock.Advance(engine.FormLifetime)
		answered(t, a, b.Cancel(), "access_denied")
	})
}
