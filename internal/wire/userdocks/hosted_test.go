package userdocks_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

func TestHostedSignIn(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	p := b.get(loginURL("signIn"))
	if p.status != 200 || p.action != userdocks.LoginPath {
		t.Fatalf("%d, a form for %q", p.status, p.action)
	}
	for _, want := range []string{
		`type="email" id="username" name="username" value="" autocomplete="username"`,
		`type="password" id="password" name="password" autocomplete="current-password"`,
		`id="login-submit"`, `id="login-cancel"`, `<label for="username">`, `<label for="password">`, `<html lang="en">`,
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("%s is not on the page", want)
		}
	}

	// Wrong: the same page, with what was typed but for the password.
	p = b.press(p, "username", testkit.Email, "password", "wrong password")
	if p.status != 400 || p.fields.Get("username") != testkit.Email || strings.Contains(p.body, "wrong password") || !strings.Contains(p.body, `role="alert"`) {
		t.Errorf("a wrong password: %d %s", p.status, p.body)
	}
	if b.cookie("__Host-ts") != "" {
		t.Error("a wrong password has a session")
	}

	u := b.arrived(b.press(p, "password", testkit.Password))
	to := u.String()
	code := u.Query().Get("code")
	want := "https://app.example.com/callback?code=" + code + "&state=s&client_id=" + testkit.App +
		"&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&service=email&grant_type=authorization_code"
	if to != want {
		t.Errorf("sent to\n%s, want\n%s", to, want)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, code)); a.Status != 201 {
		t.Errorf("the code is worth nothing: %d %s", a.Status, a.Body)
	}

	// The session answers from now on, but not where the app has asked for the form.
	again := b.arrived(b.get(loginURL("signIn")))
	if again.Query().Get("code") == code {
		t.Error("the same code twice")
	}
	if p := b.get(loginURL("unauthenticated") + "&unauthenticated=true"); p.status != 200 || p.action == "" {
		t.Errorf("unauthenticated: %d, want the form", p.status)
	}
	w.Clock.Advance(7*24*time.Hour + time.Second)
	if p := b.get(loginURL("signIn")); p.status != 200 {
		t.Errorf("after a week: %d, want the form", p.status)
	}
}

func TestHostedCookies(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w := testkit.NewWorld(t)
		change(t, w, func(c *store.Client) { c.SilentCrossSite = silent })
		b := newBrowser(t, w)
		p := b.press(b.get(loginURL("signIn")), "username", testkit.Email, "password", testkit.Password)
		b.arrived(p)
		// Both, whatever the app: they must name one session.
		want := []string{
			"__Host-ts=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax",
			"ts_silent=…; Path=/userdocks/login; Max-Age=604800; HttpOnly; Secure; SameSite=None",
		}
		var got []string
		for _, c := range p.header.Values("Set-Cookie") {
			name, rest, _ := strings.Cut(c, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			got = append(got, name+"=…;"+attributes)
		}
		if !slices.Equal(got, want) {
			t.Errorf("silent %v: %q, want %q", silent, got, want)
		}
	}
}

// Contract §D: a visitor who comes without a state gets one of ours, or the SDK
// thinks one up and the code does not fit it.
func TestHostedStateIsMade(t *testing.T) {
	b := newBrowser(t, testkit.NewWorld(t))
	bare := strings.Replace(loginURL("signIn"), "&state=s", "", 1)
	one := b.arrived(b.press(b.get(bare), "username", testkit.Email, "password", testkit.Password)).Query().Get("state")
	two := b.arrived(b.get(bare)).Query().Get("state")
	if one == "" || two == "" || one == two {
		t.Errorf("states %q and %q", one, two)
	}
}

// The redirect goes to the URI as it was asked for, once it has matched; and the
// login page is there with a slash as well.
func TestHostedSlashes(t *testing.T) {
	w := testkit.NewWorld(t)
	for requested, want := range map[string]string{
		"https://app.example.com/callback":                     "https://app.example.com/callback?code=",
		"https://app.example.com/callback/":                    "https://app.example.com/callback/?code=",
		"https://app.example.com/second":                       "https://app.example.com/second?code=",
		"https://app.example.com":                              "https://app.example.com?code=",
		"https%3A%2F%2Fapp.example.com%2Fcallback":             "https://app.example.com/callback?code=",
		"https://app.example.com/callback&type=ignored&type=x": "",
	} {
		b := newBrowser(t, w)
		path := strings.Replace(loginFor(testkit.App, "signIn", requested), "login?", "login/?", 1)
		p := b.get(path)
		if want == "" {
			if p.status != 400 {
				t.Errorf("%s: %d", requested, p.status)
			}
			continue
		}
		to := b.arrived(b.press(p, "username", testkit.Email, "password", testkit.Password)).String()
		if !strings.HasPrefix(to, want) {
			t.Errorf("%s: sent to %s", requested, to)
		}
	}
}

// Contract §D, G28: no code, client_id and state.
func TestHostedCancel(t *testing.T) {
	b := newBrowser(t, testkit.NewWorld(t))
	want := `href="https://app.example.com/callback?error=access_denied&amp;client_id=` + testkit.App + `&amp;state=s" id="login-cancel"`
	for _, kind := range []string{"signIn", "signUp", "forgot", "unauthenticated", "logout"} {
		if p := b.get(loginURL(kind)); !strings.Contains(p.body, want) {
			t.Errorf("%s: no way back to the app:\n%s", kind, p.body)
		}
	}
}

// Login CSRF: a form that an attacker has fetched signs nobody in, whatever he
// leaves out or changes.
func TestHostedFormIsBoundToItsBrowser(t *testing.T) {
	w := testkit.NewWorld(t)
	attacker, victim := newBrowser(t, w), newBrowser(t, w)
	form := attacker.get(loginURL("signIn"))
	typed := []string{"username", testkit.Email, "password", testkit.Password}
	sealed := form.fields.Get("form")
	flipped := []byte(sealed)
	flipped[20] ^= 1

	own := victim.get(loginURL("signIn"))
	for _, tt := range []struct {
		name         string
		who          *browser
		form         *shown
		sealed       string // "" = the form's own
		site, origin string // "" = those of our own page
	}{
		{name: "a form of another browser", who: victim, form: form},
		{name: "no form", who: victim, form: own, sealed: "-"},
		{name: "an altered form", who: attacker, form: form, sealed: string(flipped)},
		{name: "a form with a line end", who: attacker, form: form, sealed: sealed + "\n"},
		{name: "another site", who: victim, form: own, site: "cross-site", origin: "https://evil.example"},
		{name: "another origin of the site", who: victim, form: own, site: "same-site", origin: "https://evil.as.example"},
		{name: "another origin, told by Origin alone", who: victim, form: own, site: "-", origin: "https://evil.example"},
		{name: "a frame without an origin", who: victim, form: own, site: "cross-site", origin: "null"},
	} {
		r := tt.who.pressing(tt.form, typed...)
		if tt.sealed != "" {
			r = tt.who.pressing(tt.form, append(slices.Clone(typed), "form", tt.sealed)...)
		}
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
			r.Header.Set("Origin", tt.origin)
		}
		if tt.site == "-" {
			r.Header.Del("Sec-Fetch-Site")
		}
		p := tt.who.do(r)
		if p.status != 403 || p.header.Get("Location") != "" || !strings.Contains(p.body, `id="oauth-error"`) || tt.who.cookie("__Host-ts") != "" {
			t.Errorf("%s: %d %s", tt.name, p.status, p.header.Get("Location"))
		}
	}
	r := victim.pressing(own, typed...)
	r.URL.Path = "/userdocks/confirm"
	if p := victim.do(r); p.status != 403 {
		t.Errorf("a form for another path: %d", p.status)
	}
	if n := w.Count(t, "session"); n != 0 {
		t.Errorf("%d sessions", n)
	}
	// A browser without cookies cannot use a form at all.
	if p := newBrowser(t, w).do(attacker.pressing(form, typed...)); p.status != 403 {
		t.Errorf("without cookies: %d", p.status)
	}
	// An old browser that tells nothing but a null origin is let in by its form.
	r = victim.pressing(own, typed...)
	r.Header.Set("Origin", "null")
	r.Header.Del("Sec-Fetch-Site")
	victim.arrived(victim.do(r))
}

// Two tabs share the browser's half of the form.
func TestHostedTwoTabs(t *testing.T) {
	b := newBrowser(t, testkit.NewWorld(t))
	one, two := b.get(loginURL("signIn")), b.get(loginURL("unauthenticated"))
	b.arrived(b.press(two, "username", testkit.Email, "password", testkit.Password))
	b.arrived(b.press(one, "username", testkit.Email, "password", testkit.Password))
}

func TestHostedFormAges(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	p := b.get(loginURL("signIn"))
	w.Clock.Advance(10 * time.Minute)
	p = b.press(p, "username", testkit.Email, "password", testkit.Password)
	if p.status != 400 || p.fields.Get("username") != testkit.Email || b.cookie("__Host-ts") != "" {
		t.Fatalf("%d %s", p.status, p.body)
	}
	w.Clock.Advance(10*time.Minute - time.Millisecond)
	b.arrived(b.press(p, "password", testkit.Password))
}

// Fixation: a session that was there before is worth nothing afterwards.
func TestHostedSessionIsFresh(t *testing.T) {
	w := testkit.NewWorld(t)
	attacker := newBrowser(t, w)
	signUpAs(t, w, attacker, "mallory@example.com", "a battery of staples")
	attacker.arrived(attacker.press(attacker.get(loginURL("signIn")), "username", "mallory@example.com", "password", "a battery of staples"))
	planted := attacker.cookie("__Host-ts")

	victim := newBrowser(t, w)
	issuer, _ := url.Parse(testkit.Issuer)
	victim.jar.SetCookies(issuer, []*http.Cookie{{Name: "__Host-ts", Value: planted, Path: "/", Secure: true}})
	victim.signIn("unauthenticated")
	if after := victim.cookie("__Host-ts"); after == "" || after == planted {
		t.Fatalf("cookie %q before, %q after", planted, after)
	}
	// What was planted is of another user, and ends: he would be signed in still
	// when the victim's session has ended.
	if p := attacker.get(loginURL("signIn")); p.status != 200 {
		t.Errorf("the planted session: %d, want the form", p.status)
	}
	victim.arrived(victim.get(loginURL("signIn")))
}

// Signing in again in one browser leaves what was born before alive, until
// logout, which ends all of it; and whoever signs in instead is the only one
// there, in frames as well.
func TestHostedOneBrowserOneSignIn(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	refresh := func(token string) testkit.Answer {
		return testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, token))
	}
	first := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, b.signIn("signIn").Query().Get("code")))
	second := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, b.signIn("unauthenticated").Query().Get("code")))
	if first = refresh(first.RefreshToken); first.Status != 201 {
		t.Errorf("the first sign-in's refresh: %d %s", first.Status, first.Body)
	}
	b.get(loginURL("logout"))
	for name, token := range map[string]string{"first": first.RefreshToken, "second": second.RefreshToken} {
		if a := refresh(token); a.Status != 400 {
			t.Errorf("after logout, the %s sign-in's refresh: %d %s", name, a.Status, a.Body)
		}
	}

	// Ada at an app with frames, Ada at one without, then Mallory there.
	must(t, w.Store.PutClient(t.Context(), testkit.AppClient(testkit.OtherApp, 1, testkit.AppCallback)))
	mallory := w.User
	mallory.ID[0], mallory.Email, mallory.Identifiers = 0xab, "mallory@example.com", []store.Identifier{{Kind: "email", Value: "mallory@example.com"}}
	if _, err := w.Store.PutUser(t.Context(), mallory); err != nil {
		t.Fatal(err)
	}
	b.signIn("signIn")
	other := loginFor(testkit.OtherApp, "unauthenticated", testkit.AppCallback)
	b.arrived(b.press(b.get(other), "username", testkit.Email, "password", testkit.Password))
	b.arrived(b.press(b.get(other), "username", "mallory@example.com", "password", testkit.Password))
	got := message(t, b.get(silentURL(testkit.App, testkit.AppCallback, "n")))
	token, _ := got.Token["accessToken"].(string)
	if me := testkit.Send(w.Handler, testkit.UserdocksMe(token)); me.Status != 200 || !strings.Contains(me.Body, "mallory@example.com") {
		t.Errorf("the frame renews for somebody else: %d %s", me.Status, me.Body)
	}
}

func TestHostedLogout(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	tokens := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, b.signIn("signIn").Query().Get("code")))
	held := b.cookie("__Host-ts")

	// From an address that is not the app's, nothing ends.
	if p := b.get(loginFor(testkit.App, "logout", "https://evil.example/")); p.status != 400 {
		t.Errorf("logout to nowhere: %d", p.status)
	}
	if p := b.do(httptest.NewRequest("HEAD", testkit.Issuer+loginURL("logout"), nil)); p.status != 405 {
		t.Errorf("HEAD: %d", p.status)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksMe(tokens.AccessToken)); a.Status != 200 {
		t.Fatalf("ended by nobody: %d", a.Status)
	}

	p := b.get(loginURL("logout") + "&logout=true")
	if p.status != 200 || !strings.Contains(p.body, `id="logged-out"`) || p.action == "" {
		t.Errorf("logout: %d %s", p.status, p.body)
	}
	if b.cookie("__Host-ts") != "" || b.cookie("ts_silent") != "" {
		t.Error("a cookie is left")
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, tokens.RefreshToken)); a.Status != 400 {
		t.Errorf("refresh after logout: %d", a.Status)
	}
	thief := newBrowser(t, w)
	issuer, _ := url.Parse(testkit.Issuer)
	thief.jar.SetCookies(issuer, []*http.Cookie{{Name: "__Host-ts", Value: held, Path: "/", Secure: true}})
	if p := thief.get(loginURL("signIn")); p.status != 200 {
		t.Errorf("a kept cookie after logout: %d", p.status)
	}
	// The page signs in again like any other, also for whoever had no session.
	b.arrived(b.press(p, "username", testkit.Email, "password", testkit.Password))
	if p := newBrowser(t, w).get(loginURL("logout")); p.status != 200 || !strings.Contains(p.body, `id="logged-out"`) {
		t.Errorf("logout without a session: %d", p.status)
	}
}

func TestHostedLimits(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	p := b.get(loginURL("signIn"))
	for range 40 {
		if p = b.press(p, "username", testkit.Email, "password", "wrong password"); p.status == 429 {
			break
		}
	}
	if p.status != 429 || p.fields.Get("username") != testkit.Email {
		t.Fatalf("%d %s", p.status, p.body)
	}
	if s, err := strconv.Atoi(p.header.Get("Retry-After")); err != nil || s < 1 {
		t.Errorf("Retry-After %q", p.header.Get("Retry-After"))
	}
}

// A fault is a 503 that loses nothing of what was typed.
func TestHostedFault(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	r := b.pressing(b.get(loginURL("signIn")), "username", testkit.Email, "password", testkit.Password)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := b.do(r.WithContext(ctx))
	if p.status != 503 || p.fields.Get("username") != testkit.Email || p.header.Get("Retry-After") == "" || p.header.Get("Location") != "" {
		t.Errorf("%d %s", p.status, p.body)
	}
}

func TestHostedBadBodies(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	form := b.get(loginURL("signIn"))
	right := form.fields.Encode()
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"JSON", "application/json", `{}`, 415},
		{"no type", "", right, 415},
		{"a field twice", "application/x-www-form-urlencoded", right + "&password=a&password=b", 400},
		{"a bad escape", "application/x-www-form-urlencoded", right + "&password=%zz", 400},
		{"NUL", "application/x-www-form-urlencoded", right + "&password=a%00b", 400},
		{"not UTF-8", "application/x-www-form-urlencoded", right + "&password=%ff", 400},
		{"65 KiB", "application/x-www-form-urlencoded", right + "&password=" + strings.Repeat("a", 65<<10), 413},
		{"nothing", "application/x-www-form-urlencoded", "", 403},
		{"no password", "application/x-www-form-urlencoded", right + "&x=y", 400},
	} {
		r := b.pressing(form)
		r.Body, r.ContentLength = http.NoBody, 0
		fresh := httptest.NewRequest("POST", testkit.Issuer+userdocks.LoginPath, strings.NewReader(tt.body))
		fresh.Header = r.Header
		fresh.Header.Set("Content-Type", tt.contentType)
		if p := b.do(fresh); p.status != tt.status || p.header.Get("Location") != "" || b.cookie("__Host-ts") != "" {
			t.Errorf("%s: %d, want %d", tt.name, p.status, tt.status)
		}
	}
}

// Nothing that opens anything is in the log, and what was wrong is.
func TestHostedLogHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	w := testkit.NewWorld(t, testkit.LogTo(&log))
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	form := b.get(loginURL("signIn"))
	b.press(form, "username", testkit.Email, "password", "wrong-"+testkit.Password)
	u := b.signIn("signIn")
	silent := b.get(silentURL(testkit.App, testkit.AppCallback, "silent-nonce"))
	link := signUpMail(t, w, newBrowser(t, w), "grace@example.com", "a battery of staples")
	newBrowser(t, w).get(confirmURL(link))
	for name, secret := range map[string]string{
		"code": u.Query().Get("code"), "cookie": b.cookie("__Host-ts"), "silent cookie": b.cookie("ts_silent"), "form cookie": b.cookie("__Host-ts_form"),
		"password": testkit.Password, "e-mail address": testkit.Email, "form": form.fields.Get("form"), "link": link, "nonce": "silent-nonce",
		"access token": message(t, silent).Token["accessToken"].(string),
	} {
		if secret == "" || strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s (%d characters)", name, len(secret))
		}
	}
	if !strings.Contains(log.String(), `"reason":"sign-in: wrong password"`) {
		t.Errorf("the log does not say what was wrong:\n%s", log.String())
	}
}
