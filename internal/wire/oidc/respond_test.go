package oidc_test

import (
	"bytes"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

// TestFaults: when the server cannot answer, who sits there is told to try again;
// where nobody does, the client is (RFC 6749 §4.1.2.1 temporarily_unavailable).
func TestFaults(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	page := b.Open(f.web.Begin(set("prompt", "consent")).URL())
	allow := url.Values{"form": {sealOf(t, page, "consent-allow")}}.Encode()
	before := f.rows(t)
	db, err := sql.Open("sqlite", f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rename := func(from, to string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), `ALTER TABLE "`+from+`" RENAME TO "`+to+`"`); err != nil {
			t.Fatal(err)
		}
	}
	failing := func(method, target, body string) *httptest.ResponseRecorder {
		t.Helper()
		rename("session", "away")
		defer rename("away", "session")
		return f.send(method, target, body, "Cookie", cookies(b))
	}
	for _, row := range []struct{ name, method, target, body string }{
		{"authorize", http.MethodGet, f.web.Begin(nil).URL(), ""},
		{"consent", http.MethodPost, testkit.Issuer + "/oauth2/consent", allow},
		{"logout", http.MethodGet, f.web.LogoutURL(nil), ""},
		{"account", http.MethodGet, testkit.Issuer + "/account", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			rec := failing(row.method, row.target, row.body)
			onPage(t, http.StatusServiceUnavailable, "temporarily_unavailable", rec)
			if rec.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	t.Run("prompt=none", func(t *testing.T) {
		rec := failing(http.MethodGet, f.web.Begin(set("prompt", "none")).URL(), "")
		to, err := rec.Result().Location()
		if err != nil || to.Query().Get("error") != "temporarily_unavailable" || to.Query().Get("iss") != testkit.Issuer || to.Query().Get("state") == "" {
			t.Errorf("%d %v", rec.Code, to)
		}
	})
	if got := f.rows(t); got["grant"] != before["grant"] || got["session"] != before["session"] {
		t.Errorf("stored %v, before %v", got, before)
	}
	// Nothing is lost: the same form does it.
	if page := b.Allow(); page.Answer == nil || page.Answer.Code() == "" {
		t.Errorf("%s", page)
	}
}

// TestLog: the log tells of no secret and of nobody's words (security, §0 canary).
func TestLog(t *testing.T) {
	var log bytes.Buffer
	f := newFront(t, testkit.LogTo(&log))
	b := f.Browser(t)
	a := f.web.Begin(set("state", "canary-state", "nonce", "canary-nonce", "login_hint", "canary-hint@example.com"))
	page := b.Open(a.URL())
	form := sealOf(t, page, "login-submit")
	b.SignIn("canary-user@example.com", "canary-password")
	b.SignIn(testkit.Email, testkit.Password)
	if b.Page.AsksConsent() {
		b.Allow()
	}
	secrets := []string{
		"canary", form, b.Cookie("ts"), b.Cookie("ts_form"), b.Page.Answer.Code(), testkit.Password, testkit.Email, a.Verifier, a.Params.Get("code_challenge"), testkit.WebCallback,
	}
	s := a.Exchange(t, &testkit.Journey{Answer: b.Page.Answer})
	b.Open(f.web.LogoutURL(set("id_token_hint", s.IDToken, "state", "canary-state")))
	b.ConfirmLogout()
	f.send(http.MethodGet, authorizeURL("client_id=canary-client&redirect_uri=https://canary.example"), "")
	for _, secret := range append(secrets, s.IDToken) {
		if secret == "" || strings.Contains(log.String(), secret) {
			t.Errorf("the log has %.40q:\n%s", secret, log.String())
		}
	}
	for _, want := range []string{`"client":"web"`, `"endpoint":"/oauth2/authorize"`, `"reason":"sign-in: `, `"reason":"client unknown to this face"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}
