package userdocks_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

// A challenge that came with the login page must be answered at the exchange
// (RFC 7636 §4.5), also when the code came by an earlier sign-in; and where the
// app's policy wants one, there is no code without.
func TestHostedChallenge(t *testing.T) {
	w := testkit.NewWorld(t)
	b := newBrowser(t, w)
	with := loginURL("signIn") + "&code_challenge=" + testkit.Challenge + "&code_challenge_method=S256"
	typed := []string{"username", testkit.Email, "password", testkit.Password}
	for _, code := range []string{
		b.arrived(b.press(b.get(with), typed...)).Query().Get("code"),
		b.arrived(b.get(with)).Query().Get("code"),
	} {
		if a := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, code)); a.Status != 400 {
			t.Errorf("without the verifier: %d %s", a.Status, a.Body)
		}
		r := testkit.UserdocksRedeem(testkit.App, code)
		body := strings.Replace(read(t, r), `{`, `{"code_verifier":"`+testkit.Verifier+`",`, 1)
		if a := testkit.Send(w.Handler, again(r, body)); a.Status != 201 {
			t.Errorf("with the verifier: %d %s", a.Status, a.Body)
		}
	}
	for name, query := range map[string]string{
		"plain": "&code_challenge=" + testkit.Challenge + "&code_challenge_method=plain", "no method": "&code_challenge=" + testkit.Challenge,
		"no hash": "&code_challenge=x&code_challenge_method=S256",
	} {
		if p := b.get(loginURL("signIn") + query); p.status != 400 || !strings.Contains(p.body, `id="oauth-error"`) {
			t.Errorf("%s: %d", name, p.status)
		}
	}

	change(t, w, func(c *store.Client) { c.RequirePKCE = true })
	fresh := newBrowser(t, w)
	if p := fresh.get(loginURL("signIn")); p.status != 400 || p.header.Get("Location") != "" || p.action != "" {
		t.Errorf("a form that would lead nowhere: %d %s", p.status, p.header.Get("Location"))
	}
	if p := fresh.get(loginURL("logout")); p.status != 200 {
		t.Errorf("logout needs no challenge: %d", p.status)
	}
	if code := fresh.arrived(fresh.press(fresh.get(with), typed...)).Query().Get("code"); code == "" {
		t.Error("no code with one")
	}
}

func read(t *testing.T, r *http.Request) string {
	t.Helper()
	var b strings.Builder
	if _, err := io.Copy(&b, r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// again is a request with another body.
func again(r *http.Request, body string) *http.Request {
	c := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(body))
	c.Header = r.Header.Clone()
	return c
}
