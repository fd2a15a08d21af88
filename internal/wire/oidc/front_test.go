package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

// front is a world with a confidential client, whose flow is known to succeed.
type front struct {
	*testkit.World
	web *testkit.RP
}

func newFront(t testing.TB, options ...testkit.Option) *front {
	t.Helper()
	w := testkit.NewWorld(t, options...)
	f := &front{World: w, web: w.RP(t, testkit.Web, testkit.WebSecret, testkit.WebCallback)}
	f.succeeds(t)
	return f
}

// succeeds runs the whole flow in a browser of its own.
func (f *front) succeeds(t testing.TB) *testkit.Session {
	t.Helper()
	return f.web.SignIn(t, f.Browser(t), testkit.Ada, nil)
}

// signedIn is a browser whose user has agreed to what the web client asks for.
func (f *front) signedIn(t testing.TB) *testkit.Browser {
	t.Helper()
	b := f.Browser(t)
	f.web.SignIn(t, b, testkit.Ada, nil)
	return b
}

// rows counts what is stored.
func (f *front) rows(t testing.TB) map[string]int {
	t.Helper()
	n := make(map[string]int)
	for _, table := range []string{"session", "grant", "consent", "request"} {
		n[table] = f.Count(t, table)
	}
	return n
}

// send sends a request from nowhere, past all browsers.
func (f *front) send(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "as.example"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	rec := httptest.NewRecorder()
	f.Handler.ServeHTTP(rec, r)
	return rec
}

// authorizeURL is the address of a raw query.
func authorizeURL(q string) string { return testkit.Issuer + "/oauth2/authorize?" + q }

var sealText = regexp.MustCompile(`name="form" value="([^"]*)"`)

// sealOf is what the form of a button carries.
func sealOf(t *testing.T, p *testkit.Page, id string) string {
	t.Helper()
	for form := range strings.SplitSeq(p.Body, "</form>") {
		if all := sealText.FindAllStringSubmatch(form, -1); len(all) > 0 && strings.Contains(form, `id="`+id+`"`) {
			return all[len(all)-1][1]
		}
	}
	t.Fatalf("no form with #%s on %s", id, p)
	return ""
}

// onPage checks that an answer is an error page of ours that leads nowhere.
func onPage(t *testing.T, status int, code string, rec *httptest.ResponseRecorder) {
	t.Helper()
	body := rec.Body.String()
	if rec.Code != status || rec.Header().Get("Location") != "" || !strings.Contains(body, `id="oauth-error"`) || !strings.Contains(body, code+": ") {
		t.Errorf("%d, Location %q, want %d and an error page with %s:\n%s", rec.Code, rec.Header().Get("Location"), status, code, body)
	}
	if cookies := rec.Header().Values("Set-Cookie"); len(cookies) > 0 {
		t.Errorf("cookies %v", cookies)
	}
	safeHeaders(t, rec.Header())
}

// safeHeaders are those of every page (security 68: nobody frames it, no script of
// anybody runs on it).
func safeHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Cross-Origin-Opener-Policy": "unsafe-none", // who has opened it as a popup waits for it
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	csp := h.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
}

// answered checks a refusal that the client is told of, in a browser that has a
// session and so would get a code otherwise.
func answered(t *testing.T, a *testkit.Attempt, page *testkit.Page, code string) {
	t.Helper()
	if page.Answer == nil {
		t.Fatalf("want an answer to the client with %s; got %s", code, page)
	}
	a.Check(t, page.Answer)
	if page.Answer.Error() != code || page.Answer.Code() != "" {
		t.Errorf("error %q, code %t; want %s", page.Answer.Error(), page.Answer.Code() != "", code)
	}
	if d := page.Answer.Params.Get("error_description"); d == "" || !errorText.MatchString(d) {
		t.Errorf("error_description %q", d)
	}
}

// set is for Begin and Set.
func set(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// without is a parameter that is not sent.
func without(names ...string) url.Values {
	v := url.Values{}
	for _, name := range names {
		v[name] = nil
	}
	return v
}
