package userdocks_test

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// browser keeps cookies, reads forms and fills them in. It has no JavaScript.
type browser struct {
	t       *testing.T
	handler http.Handler
	jar     *cookiejar.Jar
}

func newBrowser(t *testing.T, w *testkit.World) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, w.Handler, jar}
}

// shown is an answer, with the one form that may be in it.
type shown struct {
	status int
	header http.Header
	body   string
	action string
	fields url.Values
}

var (
	formTag  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input [^>]*>`)
	attrs    = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
)

func (b *browser) do(r *http.Request) *shown {
	b.t.Helper()
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	b.jar.SetCookies(r.URL, rec.Result().Cookies())
	p := &shown{status: rec.Code, header: rec.Header(), body: rec.Body.String(), fields: url.Values{}}
	forms := formTag.FindAllStringSubmatch(p.body, -1)
	if len(forms) > 1 {
		b.t.Fatalf("%s %s: %d forms", r.Method, r.URL, len(forms))
	}
	for _, f := range forms {
		p.action = html.UnescapeString(f[1])
		if n := strings.Count(f[2], `type="submit"`); n != 1 {
			b.t.Errorf("%s %s: %d submit buttons", r.Method, r.URL, n)
		}
		for _, in := range inputTag.FindAllString(f[2], -1) {
			a := map[string]string{}
			for _, m := range attrs.FindAllStringSubmatch(in[len("<input "):], -1) {
				a[m[1]] = html.UnescapeString(m[2])
			}
			if _, checked := a["checked"]; a["type"] != "checkbox" || checked {
				p.fields.Set(a["name"], a["value"])
			}
		}
	}
	return p
}

func (b *browser) get(path string) *shown {
	b.t.Helper()
	return b.do(httptest.NewRequest("GET", testkit.Issuer+path, nil))
}

// press submits a form with some of its fields filled in: name, value, …
func (b *browser) press(p *shown, typed ...string) *shown {
	b.t.Helper()
	return b.do(b.pressing(p, typed...))
}

func (b *browser) pressing(p *shown, typed ...string) *http.Request {
	b.t.Helper()
	if p.action == "" {
		b.t.Fatalf("no form on the page: %d %s", p.status, p.body)
	}
	fields := url.Values{}
	for name, v := range p.fields {
		fields[name] = v
	}
	for i := 0; i < len(typed); i += 2 {
		fields.Set(typed[i], typed[i+1])
	}
	r := httptest.NewRequest("POST", testkit.Issuer+p.action, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", testkit.Issuer)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// cookie is what the browser has for the login page; "" if nothing.
func (b *browser) cookie(name string) string {
	u, _ := url.Parse(testkit.Issuer + userdocks.LoginPath)
	for _, c := range b.jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Addresses of the login page, with the redirect URI as the SDK writes it: raw.
func loginURL(kind string) string { return loginFor(testkit.App, kind, testkit.AppCallback) }

func loginFor(app, kind, redirect string) string {
	return userdocks.LoginPath + "?client_id=" + app + "&state=s&type=" + kind + "&redirect_uri=" + redirect
}

// signIn signs in on the page and returns the address that it leads to.
func (b *browser) signIn(kind string) *url.URL {
	b.t.Helper()
	p := b.press(b.get(loginURL(kind)), "username", testkit.Email, "password", testkit.Password)
	return b.arrived(p)
}

func (b *browser) arrived(p *shown) *url.URL {
	b.t.Helper()
	u, err := url.Parse(p.header.Get("Location"))
	if err != nil || p.status != 303 || u.Query().Get("code") == "" {
		b.t.Fatalf("not sent back with a code: %d %q %v %s", p.status, p.header.Get("Location"), err, p.body)
	}
	return u
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// change stores the app with a change, before or long after it was looked at.
func change(t *testing.T, w *testkit.World, f func(*store.Client)) {
	t.Helper()
	c := testkit.AppClient(testkit.App, 1, testkit.AppCallback, testkit.AppCallback2, testkit.AppRoot)
	f(&c)
	must(t, w.Store.PutClient(t.Context(), c))
	w.Clock.Advance(2e9)
}
