package userdocks_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// G27: an unregistered redirect URI is refused, whatever it looks like and
// whatever was come for; there is never a Location, nor a message to anybody.
func TestHostedRedirectTricks(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	b.signIn("signIn") // a session would be sent on without a form
	for _, trick := range []string{
		"https://app.example.com.evil.example/callback", "https://app.example.com@evil.example/callback", "https://a@app.example.com@evil.example/callback",
		`https://app.example.com\@evil.example/callback`, `https:\\app.example.com\callback`, "https://app.example.com/callback/../evil", "https://app.example.com/callback/..;/evil",
		"https://app.example.com/%2e%2e/callback", "https://app.example.com/callback%2f", "https://app.example.com:8443/callback", "https://app.example.com:443/callback",
		"http://app.example.com/callback", "HTTPS://app.example.com/callback", "https://App.example.com/callback", "https://app.example.com/Callback",
		"https://app.example.com/callback?a=1", "https://app.example.com/callback#a", "https://app.example.com/callback//", "https://app.example.com/callback/more",
		"https://app.example.com/call", "javascript:alert(1)//https://app.example.com/callback", "data:text/html,x", "//app.example.com/callback", "/callback",
		" https://app.example.com/callback", "https://app.example.com/callback ", "https://app.example.com/callback\r\nX: y", "https://app.example.com\u3002evil.example/callback",
		"http://localhost:3000/cb" /* of the other app */, "", "https://",
	} {
		for _, kind := range []string{"signIn", "signUp", "unauthenticated", "logout", "forgot", "signIn&prompt=none", "logout&prompt=none&logout=true"} {
			p := b.get(loginFor(testkit.App, kind, url.QueryEscape(trick)))
			if p.status != 400 || len(p.header.Values("Location")) > 0 || !strings.Contains(p.body, `id="oauth-error"`) {
				t.Errorf("%s to %q: %d %q", kind, trick, p.status, p.header.Get("Location"))
			}
			if strings.Contains(p.body, "<script") || strings.Contains(p.body, "evil") || !strings.Contains(p.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s to %q: the page does more than refuse:\n%s", kind, trick, p.body)
			}
		}
	}
	b.arrived(b.get(loginURL("signIn"))) // nothing has ended
	for name, path := range map[string]string{
		"an unknown app":         loginFor("99999999-9999-9999-9999-999999999999", "signIn", testkit.AppCallback),
		"a disabled app":         loginFor(testkit.DisabledApp, "signIn", testkit.AppCallback),
		"a client of no app":     loginFor(url.QueryEscape(testkit.Shop), "signIn", "urn:ietf:wg:oauth:2.0:oob:auto"),
		"no app":                 userdocks.LoginPath,
		"an unknown type":        loginURL("payment"),
		"a redirect URI twice":   loginURL("signIn") + "&redirect_uri=https://evil.example",
		"a long state":           loginURL("signIn") + strings.Repeat("s", 300) + "&state=" + strings.Repeat("s", 257),
		"a long redirect URI":    loginFor(testkit.App, "signIn", testkit.AppCallback+strings.Repeat("/", 2048)),
		"a mail's page, no hash": "/userdocks/confirm?client_id=" + testkit.App,
		"a mail's page, no app":  "/userdocks/reset?hash=x",
		"a bad escape":           loginURL("signIn") + "&x=%zz",
	} {
		p := b.get(path)
		if p.status != 400 || p.header.Get("Location") != "" || !strings.Contains(p.body, `id="oauth-error"`) {
			t.Errorf("%s: %d %q %s", name, p.status, p.header.Get("Location"), p.body)
		}
	}
}

// The headers of every page, whatever its status.
func TestHostedHeaders(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.LogoURI = "https://cdn.example:8443/logo.svg" })
	b := newBrowser(t, w)
	ours := "default-src 'none'; style-src 'self'; img-src 'self'"
	app := ours + " https://cdn.example:8443; form-action 'self' https://app.example.com https:; frame-ancestors 'none'; base-uri 'none'"
	mailed := ours + " https://cdn.example:8443; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	bare := ours + "; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	link := signUpMail(t, w, newBrowser(t, w), "grace@example.com", "a battery of staples")
	form := b.get(loginURL("signIn"))
	for name, tt := range map[string]struct {
		page   *shown
		status int
		policy string
	}{
		"signIn":       {form, 200, app},
		"signUp":       {b.get(loginURL("signUp")), 200, app},
		"forgot":       {b.get(loginURL("forgot")), 200, app},
		"logout":       {b.get(loginURL("logout")), 200, app},
		"wrong":        {b.press(form, "username", testkit.Email, "password", "wrong password"), 400, app},
		"sent":         {b.press(b.get(loginURL("forgot")), "username", testkit.Email), 200, app},
		"confirm":      {b.get(confirmURL(link)), 200, mailed},
		"confirmed":    {b.press(b.get(confirmURL(link))), 200, mailed},
		"a dead link":  {b.get(resetURL("junk")), 400, mailed},
		"an error":     {b.get(loginURL("nonsense")), 400, bare},
		"foreign":      {newBrowser(t, w).press(form), 403, bare},
		"nothing here": {b.get("/userdocks/nothing"), 404, bare},
		"method":       {b.do(httptest.NewRequest("PUT", testkit.Issuer+loginURL("signIn"), nil)), 405, bare},
	} {
		if tt.page.status != tt.status {
			t.Errorf("%s: %d, want %d", name, tt.page.status, tt.status)
		}
		got := map[string]string{}
		want := map[string]string{
			"Content-Security-Policy": tt.policy, "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		}
		for h := range want {
			got[h] = strings.Join(tt.page.header.Values(h), " | ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(tt.page.body, "<script") || strings.Contains(tt.page.body, "style=") || strings.Contains(tt.page.body, "javascript:") {
			t.Errorf("%s holds what the policy forbids", name)
		}
	}
}

// Whatever an app is called and whatever is typed is text, on every page.
func TestHostedHostileTexts(t *testing.T) {
	const evil = `"'><script>alert(1)</script>{email}{client}`
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) {
		c.Name, c.LogoURI, c.PolicyURI, c.TermsURI = evil, `https://a;script-src *,x/logo.svg`, "javascript:alert(1)", "javascript://x/%0aalert(1)"
	})
	b := newBrowser(t, w)
	q := url.QueryEscape(evil)
	state := strings.Replace(loginURL("signIn"), "state=s", "state="+q, 1)
	form := b.get(state)
	pages := map[string]*shown{
		"signIn":   form,
		"signUp":   b.get(strings.Replace(state, "type=signIn", "type=signUp", 1)),
		"logout":   b.get(strings.Replace(state, "type=signIn", "type=logout", 1)),
		"wrong":    b.press(form, "username", evil+"@example.com", "password", evil),
		"refused":  b.press(form, "username", `a'<b>@example.com`, "password", evil),
		"language": b.get(loginURL("signIn") + "&language=" + q),
		"error":    b.get(loginFor(q, "signIn", q)),
		"type":     b.get(loginURL(q)),
		"twice":    b.get(loginURL("signIn") + "&" + q + "=1&" + q + "=2"),
		"hash":     b.get(confirmURL(evil)),
	}
	for name, p := range pages {
		if strings.Contains(p.body, "<script") || strings.Contains(p.body, "<b>") || strings.Contains(p.body, `href="javascript`) || strings.Contains(p.body, "ZgotmplZ") {
			t.Errorf("%s:\n%s", name, p.body)
		}
		if csp := p.header.Get("Content-Security-Policy"); strings.Contains(csp, "script-src") || strings.Contains(csp, "https://a;") {
			t.Errorf("%s: policy %s", name, csp)
		}
	}
	if !strings.Contains(form.body, "&lt;script&gt;alert(1)&lt;/script&gt;{email}{client}") {
		t.Errorf("the name is not shown as it is:\n%s", form.body)
	}
	to := b.arrived(b.press(form, "username", testkit.Email, "password", testkit.Password))
	if to.Query().Get("state") != evil || to.Host != "app.example.com" {
		t.Errorf("sent to %s", to)
	}
}

func TestHostedClientTexts(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) {
		c.Name, c.LogoURI, c.PolicyURI, c.TermsURI = "Kerbholz & Co", "https://cdn.example/logo.svg", "https://k.example/privacy", "https://k.example/terms"
	})
	p := newBrowser(t, w).get(loginURL("signUp") + "&language=de")
	for _, want := range []string{
		`<html lang="de">`, "Kerbholz &amp; Co", `<img src="https://cdn.example/logo.svg" alt=""`, `href="https://k.example/privacy"`, `href="https://k.example/terms"`,
		"Konto anlegen", `lang="en" hreflang="en">English</a>`,
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("no %s in\n%s", want, p.body)
		}
	}
	// The language that was asked for goes along.
	if !strings.Contains(p.body, "&amp;type=unauthenticated&amp;redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&amp;language=de") {
		t.Errorf("the way to the sign-in is in another language:\n%s", p.body)
	}
	r := httptest.NewRequest("GET", testkit.Issuer+loginURL("signIn"), nil)
	r.Header.Set("Accept-Language", "fr, de-AT;q=0.8, en;q=0.5")
	if p := newBrowser(t, w).do(r); !strings.Contains(p.body, `<html lang="de">`) {
		t.Errorf("Accept-Language is not heard:\n%s", p.body)
	}
}
