package userdocks_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// A mail's address without the issuer, as the browser of the tests wants it.
func confirmURL(link string) string { return userdocks.ConfirmURL("", testkit.App, link, "en") }
func resetURL(link string) string   { return userdocks.ResetURL("", testkit.App, link, "en") }

// signUpMail signs up on the page and returns the link of the mail.
func signUpMail(t *testing.T, w *testkit.World, b *browser, email, password string) string {
	t.Helper()
	p := b.press(b.get(loginURL("signUp")), "username", email, "password", password, "password_again", password, "terms", "true", "privacy", "true")
	if p.status != 200 || !strings.Contains(p.body, email) {
		t.Fatalf("sign-up: %d %s", p.status, p.body)
	}
	mails := w.Mails(t)
	if len(mails) != 1 || mails[0].Template != "confirm" || mails[0].Recipient != email || mails[0].Language != "en" {
		t.Fatalf("mails: %+v", mails)
	}
	return mails[0].Link
}

func signUpAs(t *testing.T, w *testkit.World, b *browser, email, password string) {
	t.Helper()
	if p := b.press(b.get(confirmURL(signUpMail(t, w, b, email, password)))); p.status != 200 {
		t.Fatalf("confirm: %d %s", p.status, p.body)
	}
}

func TestHostedSignUp(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	link := signUpMail(t, w, b, "grace@example.com", "a battery of staples")

	// Not before the address is confirmed, and not by following the link alone.
	early := newBrowser(t, w)
	if p := early.press(early.get(loginURL("signIn")), "username", "grace@example.com", "password", "a battery of staples"); p.status != 400 {
		t.Errorf("before the confirmation: %d", p.status)
	}
	phone := newBrowser(t, w)
	for range 2 { // a scanner has been there first
		if p := phone.get(confirmURL(link)); p.status != 200 || p.action != "/userdocks/confirm" {
			t.Fatalf("the page of the link: %d %s", p.status, p.body)
		}
	}
	if p := early.press(early.get(loginURL("signIn")), "username", "grace@example.com", "password", "a battery of staples"); p.status != 400 {
		t.Errorf("after the page was looked at: %d", p.status)
	}
	done := phone.press(phone.get(confirmURL(link)))
	if done.status != 200 {
		t.Fatalf("confirm: %d %s", done.status, done.body)
	}
	on := userdocks.LoginPath + "?client_id=" + testkit.App + "&amp;type=signIn&amp;redirect_uri=" + url.QueryEscape(testkit.AppCallback)
	if !strings.Contains(done.body, `href="`+on) {
		t.Errorf("no way on to %s:\n%s", on, done.body)
	}
	phone.arrived(phone.press(phone.get(strings.ReplaceAll(on, "&amp;", "&")), "username", "grace@example.com", "password", "a battery of staples"))

	// Used: the page says so, and so does a form that was opened before.
	if p := phone.get(confirmURL(link)); p.status != 400 || p.action != "" || !strings.Contains(p.body, `id="oauth-error"`) {
		t.Errorf("a used link: %d %s", p.status, p.body)
	}
}

// Of the pages of sign-up and forgot nobody learns who has an account.
func TestHostedPagesTellNobody(t *testing.T) {
	w := testkit.NewWorld(t)
	for _, kind := range []string{"signUp", "forgot"} {
		var bodies []string
		for _, email := range []string{testkit.Email, "nobody@example.com"} {
			b := newBrowser(t, w)
			p := b.press(b.get(loginURL(kind)), "username", email, "password", "a battery of staples", "password_again", "a battery of staples", "terms", "true", "privacy", "true")
			if p.status != 200 {
				t.Fatalf("%s %s: %d %s", kind, email, p.status, p.body)
			}
			bodies = append(bodies, strings.ReplaceAll(p.body, email, "EMAIL"))
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s: the pages differ:\n%s\n%s", kind, bodies[0], bodies[1])
		}
	}
	if n := w.Count(t, "user"); n != 4 { // three of the world and nobody
		t.Errorf("%d users", n)
	}
}

func TestHostedSignUpChecks(t *testing.T) {
	w := testkit.NewWorld(t)
	users := w.Count(t, "user")
	right := map[string]string{"username": "grace@example.com", "password": "a battery of staples", "password_again": "a battery of staples", "terms": "true", "privacy": "true"}
	for _, tt := range []struct{ name, field, value, problem string }{
		{"no address", "username", "", "Enter your e-mail address."},
		{"no e-mail address", "username", "grace", "Enter an e-mail address like name@example.com."},
		{"a second recipient", "username", "grace@example.com,eve@example.com", "Enter an e-mail address like name@example.com."},
		{"a header", "username", "grace@example.com\r\nBcc: eve@example.com", "Enter an e-mail address like name@example.com."},
		{"no password", "password", "", "Choose a password."},
		{"a short password", "password", "1234567", "Choose a password of at least 8 characters."},
		{"a common password", "password", "password123", "This password is one of the first that are guessed. Choose another."},
		{"one's own address", "password", "grace@example.com", "This password is one of the first that are guessed. Choose another."},
		{"a long password", "password", strings.Repeat("a b", 400), "Choose a shorter password."},
		{"another password", "password_again", "another battery", "The two passwords are not the same."},
		{"no terms", "terms", "", "Accept the terms and conditions to create an account."},
		{"no privacy", "privacy", "", "Agree to the privacy policy to create an account."},
		{"a robot", "acceptPrivacyPolicy", "true", "This looks like a robot’s work."},
	} {
		b := newBrowser(t, w)
		var typed []string
		for name, value := range right {
			if name != tt.field {
				typed = append(typed, name, value)
			}
		}
		p := b.press(b.get(loginURL("signUp")), append(typed, tt.field, tt.value)...)
		if p.status != 400 || !strings.Contains(p.body, tt.problem) {
			t.Errorf("%s: %d, want %q in\n%s", tt.name, p.status, tt.problem, p.body)
			continue
		}
		if !strings.Contains(p.body, `id="problems" role="alert"`) {
			t.Errorf("%s: nothing announces it", tt.name)
		}
		if tt.field != "acceptPrivacyPolicy" && (!strings.Contains(p.body, `id="`+tt.field+`-problem"`) || !strings.Contains(p.body, `aria-describedby="`+tt.field+`-problem`)) {
			t.Errorf("%s: the field is not described by its problem", tt.name)
		}
		if strings.Contains(p.body, "battery of staples") {
			t.Errorf("%s: the password is shown back", tt.name)
		}
		if tt.field != "terms" && p.fields.Get("terms") != "true" {
			t.Errorf("%s: the box has lost its tick", tt.name)
		}
	}
	if n := w.Count(t, "user"); n != users {
		t.Errorf("%d users more", n-users)
	}
	if mails := w.Mails(t); len(mails) != 0 {
		t.Errorf("mails: %+v", mails)
	}
}

// G25, G26 on the page: a reset ends all sessions; its link works once, for an
// hour, for this app.
func TestHostedReset(t *testing.T) {
	w := testkit.NewWorld(t)
	elsewhere := newBrowser(t, w)
	elsewhere.signIn("signIn")

	ask := func() string {
		b := newBrowser(t, w)
		if p := b.press(b.get(loginURL("forgot")+"&language=de"), "username", testkit.Email); p.status != 200 || !strings.Contains(p.body, `<html lang="de">`) {
			t.Fatalf("forgot: %d %s", p.status, p.body)
		}
		mails := w.Mails(t)
		if len(mails) != 1 || mails[0].Template != "reset" || mails[0].Language != "de" {
			t.Fatalf("mails: %+v", mails)
		}
		return mails[0].Link
	}
	link := ask()
	b := newBrowser(t, w)
	form := b.get(resetURL(link))
	if form.status != 200 || form.action != "/userdocks/reset" || strings.Count(form.body, `autocomplete="new-password"`) != 2 {
		t.Fatalf("reset: %d %s", form.status, form.body)
	}
	if p := b.press(form, "password", "new battery", "password_again", "other battery"); p.status != 400 || p.action == "" {
		t.Errorf("two passwords: %d", p.status)
	}
	if p := b.press(form, "password", testkit.Email, "password_again", testkit.Email); p.status != 400 || p.action == "" || !strings.Contains(p.body, `id="password-problem"`) {
		t.Errorf("the user's own address: %d %s", p.status, p.body)
	}
	if p := b.press(form, "password", "a new battery", "password_again", "a new battery"); p.status != 200 || p.action != "" {
		t.Fatalf("reset: %d %s", p.status, p.body)
	}
	if p := b.press(form, "password", "a newer battery", "password_again", "a newer battery"); p.status != 400 || p.action != "" || !strings.Contains(p.body, `id="oauth-error"`) {
		t.Errorf("the link twice: %d %s", p.status, p.body)
	}
	if p := elsewhere.get(loginURL("signIn")); p.status != 200 {
		t.Errorf("a session from before: %d, want the form", p.status)
	}
	if p := b.press(b.get(loginURL("signIn")), "username", testkit.Email, "password", testkit.Password); p.status != 400 {
		t.Errorf("the old password: %d", p.status)
	}
	w.Clock.Advance(2 * time.Second)
	b.arrived(b.press(b.get(loginURL("signIn")), "username", testkit.Email, "password", "a new battery"))

	link = ask()
	garbled := link[:len(link)-1] + "A"
	if garbled == link {
		garbled = link[:len(link)-1] + "B"
	}
	for name, page := range map[string]string{
		"another app":       userdocks.ResetURL("", testkit.OtherApp, link, ""),
		"for a confirm":     confirmURL(link),
		"garbled":           resetURL(garbled),
		"a session cookie":  resetURL(b.cookie("__Host-ts")),
		"by the login page": loginURL("reset") + "&hash=junk",
	} {
		if p := b.get(page); p.status != 400 || p.action != "" || !strings.Contains(p.body, `id="oauth-error"`) {
			t.Errorf("%s: %d %s", name, p.status, p.body)
		}
	}
	if p := b.get(loginURL("reset") + "&hash=" + link); p.status != 200 || p.action != "/userdocks/reset" {
		t.Errorf("by the login page: %d %s", p.status, p.body)
	}
	w.Clock.Advance(time.Hour)
	if p := b.get(resetURL(link)); p.status != 400 || p.action != "" {
		t.Errorf("after an hour: %d", p.status)
	}
}

// Where no mail is sent, the pages offer nothing that needs one.
func TestHostedWithoutMail(t *testing.T) {
	for _, tt := range []struct {
		name   string
		offers bool
		option testkit.Option
	}{
		{"with", true, func(*server.Config) {}},
		{"without", false, func(c *server.Config) { c.Mail = nil }},
	} {
		b := newBrowser(t, testkit.NewWorld(t, tt.option))
		for _, path := range []string{loginURL("signIn"), loginURL("logout"), resetURL("junk"), confirmURL("junk")} {
			p := b.get(path)
			if offered := strings.Contains(p.body, "type=forgot") || strings.Contains(p.body, "type=signUp"); offered != tt.offers {
				t.Errorf("%s mail, %s: offers %t\n%s", tt.name, path, offered, p.body)
			}
		}
	}
}
