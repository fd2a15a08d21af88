package oidc_test

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/engine"
	servers "github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

const newPassword = "nine small hazel sticks"

// oneMail is the only mail that is due.
func (f *front) oneMail(t *testing.T) engine.Mail {
	t.Helper()
	mails := f.Mails(t)
	if len(mails) != 1 || mails[0].Template != "reset" || mails[0].Recipient != testkit.Email || mails[0].Lifetime != time.Hour {
		t.Fatalf("mails: %+v", mails)
	}
	return mails[0]
}

// mailFor asks for a mail on the way to a client, in a browser of its own.
func (f *front) mailFor(t *testing.T, rp *testkit.RP) engine.Mail {
	t.Helper()
	b := f.Browser(t)
	b.Open(rp.Begin(nil).URL())
	b.Press("login-forgot")
	b.Press("forgot-submit", "username", testkit.Email)
	return f.oneMail(t)
}

// atAccount asks for a mail from the account page.
func (f *front) atAccount(t *testing.T) engine.Mail {
	t.Helper()
	b := f.Browser(t)
	b.Open("/account")
	b.Press("login-forgot")
	b.Press("forgot-submit", "username", testkit.Email)
	return f.oneMail(t)
}

// address is the page that a mail leads to.
func address(m engine.Mail) string { return oidc.ResetURL("", m.ClientID, m.Link, m.Language) }

// dead checks a page of a link that opens nothing.
func dead(t *testing.T, p *testkit.Page) {
	t.Helper()
	said := strings.Contains(p.Body, "This link no longer works") || strings.Contains(p.Body, "Dieser Link gilt nicht mehr")
	if p.Status != http.StatusBadRequest || !p.IsError() || !said || p.Has("reset-submit") {
		t.Errorf("want a link that opens nothing: %s", p)
	}
	safeHeaders(t, p.Header)
}

// TestForgottenPassword: the mail may be opened on another device; the request goes on
// where it was.
func TestForgottenPassword(t *testing.T) {
	f := newFront(t)
	before := f.signedIn(t)
	refresh := f.web.SignIn(t, f.Browser(t), testkit.Ada, set("scope", "openid offline_access", "prompt", "consent")).RefreshToken

	b, device := f.Browser(t), f.Browser(t)
	a := f.web.Begin(set("ui_locales", "de", "login_hint", testkit.Email))
	b.Open(a.URL())
	page := b.Press("login-forgot")
	if page.Status != http.StatusOK || page.URL.Path != "/oauth2/forgot" || page.Language() != "de" || !page.Has("forgot-submit") || page.Value("password") != "" {
		t.Fatalf("forgot: %s", page)
	}
	safeHeaders(t, page.Header)
	page = b.Press("forgot-submit", "username", " ADA@example.com ")
	if page.Status != http.StatusOK || page.Language() != "de" || !strings.Contains(page.Body, "Sehen Sie in Ihre Post") || page.Has("forgot-submit") {
		t.Fatalf("asked: %s", page)
	}
	safeHeaders(t, page.Header)
	m := f.oneMail(t)
	if m.Face != oidc.Name || m.ClientID != testkit.Web || m.Client != "Web" || m.Language != "de" {
		t.Errorf("mail: %+v", m)
	}

	for range 2 { // a scanner has been there first
		if page = device.Open(address(m)); page.Status != http.StatusOK || page.Language() != "de" || !page.Has("reset-submit") {
			t.Fatalf("the link: %s", page)
		}
		safeHeaders(t, page.Header)
	}
	if page = device.Open(oidc.ResetURL("", m.ClientID, m.Link, "en")); page.Language() != "en" || !slices.Contains(page.Links(), address(m)) {
		t.Errorf("no way to the page in German: %v", page.Links())
	}
	f.stays(t, before)
	f.succeeds(t)
	page = device.Press("reset-submit", "password", newPassword, "password_again", newPassword)
	if page.Status != http.StatusOK || page.Language() != "en" || !strings.Contains(page.Body, "Go back to Web and sign in") || device.Cookie("ts") != "" {
		t.Fatalf("the new password: %s", page)
	}
	safeHeaders(t, page.Header)
	f.gone(t, before)
	if status := f.web.Refresh(refresh, nil).Status; status != http.StatusBadRequest {
		t.Errorf("a grant from before: %d", status)
	}

	page = b.Press("forgot-back")
	if !page.AsksSignIn() || page.Value("username") != testkit.Email || page.Language() != "de" {
		t.Fatalf("back: %s", page)
	}
	if page = b.SignIn(testkit.Email, testkit.Password); page.Status != http.StatusUnauthorized {
		t.Errorf("the old password: %s", page)
	}
	f.Clock.Advance(time.Second)
	j := b.Finish(testkit.Person{Username: testkit.Email, Password: newPassword})
	a.Check(t, j.Answer)
	a.Exchange(t, j)
	dead(t, device.Open(address(m)))
}

// TestForgottenPasswordAtTheAccount: there the mail is about no client.
func TestForgottenPasswordAtTheAccount(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	b.Open("/account?ui_locales=de")
	page := b.Press("login-forgot")
	if page.Language() != "de" || !slices.Contains(page.Links(), "/account?ui_locales=de") {
		t.Fatalf("forgot: %s %v", page, page.Links())
	}
	page = b.Press("forgot-submit", "username", testkit.Email)
	if page.Language() != "de" || !slices.Contains(page.Links(), "/account?ui_locales=de") {
		t.Fatalf("asked: %s %v", page, page.Links())
	}
	m := f.oneMail(t)
	if m.Face != "" || m.ClientID != "" || m.Client != "" || m.Language != "de" {
		t.Errorf("mail: %+v", m)
	}
	b.Open(address(m))
	page = b.Press("reset-submit", "password", newPassword, "password_again", newPassword)
	if page.Status != http.StatusOK || !slices.Contains(page.Links(), "/account?ui_locales=de") {
		t.Fatalf("the new password: %s %v", page, page.Links())
	}
	dead(t, b.Open(address(m)))
	// Who comes too late gets another there.
	b.Press("forgot-again")
	b.Press("forgot-submit", "username", testkit.Email)
	if m := f.oneMail(t); m.ClientID != "" || m.Language != "de" {
		t.Errorf("another mail: %+v", m)
	}
	b.Open("/account")
	if page = b.SignIn(testkit.Email, newPassword); page.Status != http.StatusOK || !page.Has("sign-out") {
		t.Errorf("the account: %s", page)
	}
}

// TestBackFromForgotten: the way back is to the request as it is by now, whoever else
// has signed in meanwhile, however long it took.
func TestBackFromForgotten(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	a := f.web.Begin(nil)
	b.Open(a.URL())
	forgot := b.Press("login-forgot")
	f.web.SignIn(t, b, testkit.Ada, nil) // in another tab
	f.Clock.Advance(engine.FormLifetime)
	b.Page = forgot
	page := b.Press("forgot-back")
	if page.Answer == nil || page.Answer.Code() == "" {
		t.Fatalf("back: %s", page)
	}
	a.Check(t, page.Answer)
	t.Run("a request that was pushed has no address, and goes on all the same", func(t *testing.T) {
		b := f.Browser(t)
		a := f.web.Begin(nil)
		a.Push()
		b.Open(a.URL())
		b.Press("login-forgot")
		b.Press("forgot-submit", "username", "nobody@example.com")
		if b.Press("forgot-back"); !b.Page.AsksSignIn() {
			t.Fatalf("%s", b.Page)
		}
		j := b.Finish(testkit.Ada)
		a.Check(t, j.Answer)
	})
}

// TestForgotTellsNobody: whoever asks learns nothing of who has an account, and an
// address gets five mails an hour, by whatever page they are asked for.
func TestForgotTellsNobody(t *testing.T) {
	f := newFront(t)
	ask := func(start, email string) string {
		b := f.Browser(t)
		b.Open(start)
		b.Press("login-forgot")
		page := b.Press("forgot-submit", "username", email)
		if page.Status != http.StatusOK {
			t.Fatalf("%s: %s", email, page)
		}
		return strings.ReplaceAll(sealText.ReplaceAllString(page.Body, ""), email, "")
	}
	same := set("state", "same", "nonce", "same", "code_challenge", testkit.Challenge)
	for _, start := range []string{f.web.Begin(same).URL(), "/account"} {
		known := ask(start, testkit.Email)
		for _, email := range []string{"nobody@example.com", "disabled@example.com"} {
			if diff := cmp.Diff(known, ask(start, email)); diff != "" {
				t.Errorf("%s: another page (-known +):\n%s", email, diff)
			}
		}
	}
	for range 6 {
		ask("/account", "Ada@Example.com")
		testkit.Send(f.Handler, testkit.UserdocksForgot(testkit.App, testkit.Email))
	}
	if mails := f.Mails(t); len(mails) != 5 {
		t.Errorf("%d mails in an hour, want 5", len(mails))
	}
	f.Clock.Advance(time.Hour)
	ask("/account", testkit.Email)
	f.oneMail(t)
}

// TestResetLinks: a link opens one page, for an hour, once. Whatever is tried with it
// elsewhere spends nothing.
func TestResetLinks(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	web, account := f.mailFor(t, f.web), f.atAccount(t)
	testkit.Send(f.Handler, testkit.UserdocksForgot(testkit.App, testkit.Email))
	app := f.oneMail(t)
	if app.Face != userdocks.Name {
		t.Errorf("mail: %+v", app)
	}
	garbled := web.Link[:30] + "x" + web.Link[31:]
	for _, row := range []struct{ name, address string }{
		{"one of a client at another", oidc.ResetURL("", testkit.Web2, web.Link, "")},
		{"one of a client at none", oidc.ResetURL("", "", web.Link, "")},
		{"one of none at a client", oidc.ResetURL("", testkit.Web, account.Link, "")},
		{"one of the Userdocks face at none", oidc.ResetURL("", "", app.Link, "")},
		{"one of the Userdocks face at a client", oidc.ResetURL("", testkit.Web, app.Link, "")},
		{"one of the Userdocks face at its own client", oidc.ResetURL("", testkit.App, app.Link, "")},
		{"one of a client on the Userdocks page", userdocks.ResetURL("", testkit.Web, web.Link, "")},
		{"one of a client at an app", userdocks.ResetURL("", testkit.App, web.Link, "")},
		{"one of none at an app", userdocks.ResetURL("", testkit.App, account.Link, "")},
		{"one of none on the Userdocks page", userdocks.ResetURL("", "", account.Link, "")},
		{"garbled", oidc.ResetURL("", testkit.Web, garbled, "")},
		{"a session's cookie", oidc.ResetURL("", testkit.Web, f.signedIn(t).Cookie("ts"), "")},
		{"none", oidc.ResetURL("", testkit.Web, "", "")},
		{"too long", oidc.ResetURL("", testkit.Web, web.Link+strings.Repeat("x", 100), "")},
		{"two of them", address(web) + "&hash=" + web.Link},
		{"an unknown client", oidc.ResetURL("", "nobody", web.Link, "")},
	} {
		t.Run(row.name, func(t *testing.T) {
			if p := b.Open(row.address); p.Status != http.StatusBadRequest || !p.IsError() || p.Has("reset-submit") {
				t.Errorf("%s", p)
			}
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		if rec := f.send(http.MethodHead, testkit.Issuer+address(web), ""); rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("%d", rec.Code)
		}
	})
	t.Run("by the Userdocks API", func(t *testing.T) {
		for _, m := range []engine.Mail{web, account} {
			if a := testkit.Send(f.Handler, testkit.UserdocksReset(testkit.App, testkit.Email, m.Link, newPassword)); a.Status != http.StatusBadRequest {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}
	})
	f.succeeds(t)

	t.Run("of a disabled client", func(t *testing.T) {
		c := testkit.StandardClient(testkit.Web, 1)
		c.DisabledAt = 1
		put(t, f.World, c)
		if p := b.Open(address(web)); p.Status != http.StatusBadRequest || !p.IsError() {
			t.Errorf("%s", p)
		}
		put(t, f.World, testkit.StandardClient(testkit.Web, 1))
	})
	t.Run("of a disabled user", func(t *testing.T) {
		u := f.User
		u.DisabledAt = 1
		if _, err := f.Store.PutUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		dead(t, b.Open(address(web)))
		if _, err := f.Store.PutUser(t.Context(), f.User); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a form that lay open when the link was used", func(t *testing.T) {
		slow := f.Browser(t)
		slow.Open(address(web))
		b.Open(address(web))
		if p := b.Press("reset-submit", "password", newPassword, "password_again", newPassword); p.Status != http.StatusOK {
			t.Fatalf("%s", p)
		}
		dead(t, slow.Press("reset-submit", "password", "another phrase of words", "password_again", "another phrase of words"))
		if b.Open("/account"); !b.SignIn(testkit.Email, newPassword).Has("sign-out") {
			t.Errorf("the first one's password: %s", b.Page)
		}
	})
	t.Run("a new password voids the others", func(t *testing.T) { dead(t, b.Open(address(account))) })
	t.Run("for an hour", func(t *testing.T) {
		m := f.mailFor(t, f.web)
		f.Clock.Advance(time.Hour - time.Millisecond)
		if p := b.Open(address(m)); !p.Has("reset-submit") {
			t.Fatalf("a millisecond before: %s", p)
		}
		f.Clock.Advance(time.Millisecond)
		dead(t, b.Press("reset-submit", "password", newPassword, "password_again", newPassword))
		dead(t, b.Open(address(m)))
	})
}

// put stores a client, and lets the time pass that a node may go on without it.
func put(t *testing.T, w *testkit.World, c store.Client) {
	t.Helper()
	if err := w.Store.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Second)
}

// TestNewPasswordChecks: what is wrong is said on the form, which goes on.
func TestNewPasswordChecks(t *testing.T) {
	f := newFront(t)
	m := f.mailFor(t, f.web)
	for _, row := range []struct{ name, word, again, field, problem string }{
		{"nothing typed", "", "", "password", "Choose a password."},
		{"short", "1234567", "1234567", "password", "Choose a password of at least 8 characters."},
		{"long", strings.Repeat("a b", 400), strings.Repeat("a b", 400), "password", "Choose a shorter password."},
		{"common", "password123", "password123", "password", "This password is one of the first that are guessed. Choose another."},
		{"his own address", testkit.Email, testkit.Email, "password", "This password is one of the first that are guessed. Choose another."},
		{"another one", newPassword, newPassword + "!", "password_again", "The two passwords are not the same."},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := f.Browser(t)
			b.Open(address(m))
			p := b.Press("reset-submit", "password", row.word, "password_again", row.again)
			if p.Status != http.StatusBadRequest || p.Text(row.field+"-problem") != row.problem || !p.Has("problems") || p.Value("password") != "" {
				t.Errorf("%s", p)
			}
			safeHeaders(t, p.Header)
		})
	}
	for _, row := range []struct{ name, email, problem string }{
		{"no address", "", "Enter your e-mail address."},
		{"a user name", "ada", "Enter an e-mail address like name@example.com."},
		{"a second recipient", "ada@example.com,eve@example.com", "Enter an e-mail address like name@example.com."},
		{"a header", "ada@example.com\r\nBcc: eve@example.com", "Enter an e-mail address like name@example.com."},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := f.Browser(t)
			b.Open(f.web.Begin(nil).URL())
			b.Press("login-forgot")
			p := b.Press("forgot-submit", "username", row.email)
			if p.Status != http.StatusBadRequest || p.Text("username-problem") != row.problem || !p.Has("forgot-back") || len(f.Mails(t)) != 0 {
				t.Errorf("%s", p)
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		b := f.Browser(t)
		b.Open("/account")
		b.Press("login-forgot")
		f.Clock.Advance(engine.FormLifetime)
		p := b.Press("forgot-submit", "username", testkit.Email)
		if p.Status != http.StatusBadRequest || !p.Has("problems") || p.Value("username") != testkit.Email || len(f.Mails(t)) != 0 {
			t.Fatalf("%s", p)
		}
		b.Press("forgot-submit")
		m := f.oneMail(t)
		b.Open(address(m))
		f.Clock.Advance(engine.FormLifetime)
		if p = b.Press("reset-submit", "password", newPassword, "password_again", newPassword); p.Status != http.StatusBadRequest || !p.Has("problems") {
			t.Fatalf("%s", p)
		}
		f.succeeds(t)
		if p = b.Press("reset-submit", "password", newPassword, "password_again", newPassword); p.Status != http.StatusOK {
			t.Errorf("%s", p)
		}
	})
}

// TestResetLeadsBack: to the client, if somebody vouches for the place. Whoever has
// registered himself does not write mails in our name, either.
func TestResetLeadsBack(t *testing.T) {
	f := newFront(t)
	reset := func(t *testing.T, m engine.Mail) []string {
		t.Helper()
		b := f.Browser(t)
		b.Open(address(m))
		p := b.Press("reset-submit", "password", newPassword, "password_again", newPassword)
		if p.Status != http.StatusOK {
			t.Fatalf("%s", p)
		}
		return p.Links()
	}
	for _, row := range []struct{ name, home, begin, want string }{
		{"nothing registered", "", "", ""},
		{"client_uri", "https://web.example.com/", "", "https://web.example.com/"},
		{"initiate_login_uri (OIDC Core §4)", "https://web.example.com/", "https://web.example.com/go?x=1", "https://web.example.com/go?x=1&iss=" + url.QueryEscape(testkit.Issuer)},
		{"no address of the web", "javascript:alert(1)", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := testkit.StandardClient(testkit.Web, 1)
			c.URI, c.InitiateLoginURI = row.home, row.begin
			put(t, f.World, c)
			var want []string
			if row.want != "" {
				want = []string{row.want}
			}
			if diff := cmp.Diff(want, reset(t, f.mailFor(t, f.web))); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
			f.Clock.Advance(time.Hour)
		})
	}
	t.Run("of one that has registered itself", func(t *testing.T) {
		own := f.Register(t, testkit.Document{"client_name": "Win a prize at evil.example", "client_uri": "https://evil.example/", "redirect_uris": []any{"https://evil.example/cb"}}, nil)
		m := f.mailFor(t, own)
		if m.ClientID != own.ID || m.Face != oidc.Name || m.Client != "" {
			t.Errorf("mail: %+v", m)
		}
		if links := reset(t, m); links != nil {
			t.Errorf("links: %v", links)
		}
	})
}

// TestWithoutMail: where no mail is sent, nobody is told that one will be.
func TestWithoutMail(t *testing.T) {
	f := newFront(t, func(c *servers.Config) { c.Mail = nil })
	b := f.Browser(t)
	for _, start := range []string{f.web.Begin(nil).URL(), "/account"} {
		if p := b.Open(start); !p.AsksSignIn() || p.Has("login-forgot") {
			t.Errorf("%s", p)
		}
	}
	p := b.Open(oidc.ResetURL("", "", "junk", ""))
	if dead(t, p); p.Has("forgot-again") {
		t.Errorf("%s", p)
	}
}

// TestForgottenPasswordIsNotLogged: neither the link, nor whose it is, nor what it was
// used for.
func TestForgottenPasswordIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	f := newFront(t, testkit.LogTo(&log))
	log.Reset()
	m := f.mailFor(t, f.web)
	b := f.Browser(t)
	form := b.Open(address(m)).FormValue("reset-submit", "form")
	b.Press("reset-submit", "password", newPassword, "password_again", newPassword)
	b.Open(address(m))
	b.Press("forgot-again")
	for name, secret := range map[string]string{"link": m.Link, "address": testkit.Email, "password": newPassword, "form": form, "cookie": b.Cookie("ts_form")} {
		if secret == "" || strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	if !strings.Contains(log.String(), `"endpoint":"/oauth2/reset"`) || !strings.Contains(log.String(), `"client":"web"`) {
		t.Errorf("the log does not tell whose page it was:\n%s", log.String())
	}
}
