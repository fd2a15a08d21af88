package testkit_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
)

// caught is a testing.TB that notes a fatal fault instead of failing.
type caught struct {
	testing.TB
	fault string
}

func (c *caught) Helper() {}
func (c *caught) Fatalf(format string, args ...any) {
	c.fault = fmt.Sprintf(format, args...)
	panic(c)
}
func (c *caught) Fatal(args ...any) { c.Fatalf("%s", fmt.Sprint(args...)) }

// faultOf runs f and reports the fault that it ends with; "" if it ends well.
func faultOf(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	c := &caught{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(c) {
				panic(r)
			}
		}()
		f(c)
	}()
	return c.fault
}

const (
	formHead = `<form method="post" action="/next"><input type="hidden" name="form" value="a&amp;b"><input name="username" value="x">`
	signIn   = formHead + `<input name="password"><input type="checkbox" name="stay" value="1"><button id="login-submit">In</button></form>
		<form method="post" action="/cancel"><button id="login-cancel">Back</button></form>`
)

// site answers by path, and tells what it was sent.
func site(pages map[string]func(http.ResponseWriter, *http.Request)) *http.Client {
	mux := http.NewServeMux()
	for path, page := range pages {
		mux.HandleFunc(path, page)
	}
	return testkit.HandlerClient(mux)
}

func page(body, policy string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = io.WriteString(w, body)
	}
}

func to(status int, address string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", address)
		w.WriteHeader(status)
	}
}

func TestBrowserSignsIn(t *testing.T) {
	var sent url.Values
	var origin, fetchSite string
	b := testkit.NewBrowser(t, site(map[string]func(http.ResponseWriter, *http.Request){
		"/": to(302, "/sign-in"), "/sign-in": page(signIn, "form-action 'self' https://rp.example"),
		"/next": func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			sent, origin, fetchSite = r.PostForm, r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
			to(303, "https://rp.example/cb?code=c&state=s")(w, r)
		},
	}), "https://as.example")
	j := b.Complete("/", testkit.Person{Username: "ada", Password: "pass"})
	if j.Answer == nil || j.Answer.Code() != "c" || j.Answer.Mode != "query" || j.SignIns != 1 || j.Consents != 0 {
		t.Errorf("journey %+v", j)
	}
	want := url.Values{"form": {"a&b"}, "username": {"ada"}, "password": {"pass"}} // a box that is not ticked is not sent
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("form (-want +got): %s", diff)
	}
	if origin != "null" || fetchSite != "same-origin" {
		t.Errorf("Origin %q, Sec-Fetch-Site %q", origin, fetchSite)
	}
}

func TestBrowserReadsAnswers(t *testing.T) {
	posted := `<form method="post" action="https://rp.example/cb"><input type="hidden" name="code" value="c"><input type="hidden" name="iss" value="https://as.example"></form>`
	for name, c := range map[string]struct {
		handler func(http.ResponseWriter, *http.Request)
		mode    string
		params  url.Values
	}{
		"query":                          {to(302, "https://rp.example/cb?foo=bar&error=e"), "query", url.Values{"foo": {"bar"}, "error": {"e"}}},
		"fragment":                       {to(302, "https://rp.example/cb#code=c"), "fragment", url.Values{"code": {"c"}}},
		"form_post":                      {page(posted, "form-action https://rp.example"), "form_post", url.Values{"code": {"c"}, "iss": {"https://as.example"}}},
		"a scheme of an app's":           {to(302, "com.example.app:/cb?code=c"), "query", url.Values{"code": {"c"}}},
		"a port of the issuer's machine": {to(302, "https://as.example:8443/cb?code=c"), "query", url.Values{"code": {"c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := testkit.NewBrowser(t, site(map[string]func(http.ResponseWriter, *http.Request){"/": c.handler}), "https://as.example").Open("/")
			if p.Answer == nil || p.Answer.Mode != c.mode {
				t.Fatalf("answer %+v on %s", p.Answer, p)
			}
			if diff := cmp.Diff(c.params, p.Answer.Params); diff != "" {
				t.Errorf("params (-want +got): %s", diff)
			}
		})
	}
}

// What a person cannot do, or a browser does not, is a fault.
func TestBrowserRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		sign, policy string
		next         func(http.ResponseWriter, *http.Request)
		want         string
	}{
		"a redirect that form-action forbids": {signIn, "default-src 'none'; form-action 'self'", to(303, "https://rp.example/cb?code=c"), "form-action"},
		"a form that would be sent on":        {signIn, "", to(307, "/other"), "307"},
		"two submit buttons":                  {formHead + `<button id="login-submit">A</button><button>B</button></form>`, "", nil, "2 submit buttons"},
		"a button in no form":                 {`<button id="login-submit">A</button>`, "", nil, "in no form"},
		"no field for the password":           {formHead + `<button id="login-submit">A</button></form>`, "", nil, "no field password"},
		"no such button":                      {"<p>nothing</p>", "", nil, "no #login-submit"},
	} {
		t.Run(name, func(t *testing.T) {
			next := c.next
			if next == nil {
				next = page("", "")
			}
			client := site(map[string]func(http.ResponseWriter, *http.Request){"/": page(c.sign, c.policy), "/next": next})
			fault := faultOf(t, func(t testing.TB) {
				b := testkit.NewBrowser(t, client, "https://as.example")
				b.Open("/")
				b.SignIn("a", "b")
			})
			if !strings.Contains(fault, c.want) {
				t.Errorf("fault %q, want %q in it", fault, c.want)
			}
		})
	}
}

func TestBrowserKeepsCookiesBySameSite(t *testing.T) {
	got := map[string]string{}
	tell := func(w http.ResponseWriter, r *http.Request) { got[r.Method] = r.Header.Get("Cookie") }
	b := testkit.NewBrowser(t, site(map[string]func(http.ResponseWriter, *http.Request){
		"/set": func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "__Host-lax", Value: "1", Path: "/", Secure: true, SameSite: http.SameSiteLaxMode})
			http.SetCookie(w, &http.Cookie{Name: "none", Value: "2", Path: "/", Secure: true, SameSite: http.SameSiteNoneMode})
		},
		"/tell": tell,
	}), "https://as.example")
	b.Open("/set")
	b.Open("/tell")
	b.Post("/tell", url.Values{})
	want := map[string]string{"GET": "__Host-lax=1; none=2", "POST": "none=2"} // RFC 6265bis §5.2
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cookies (-want +got): %s", diff)
	}
	if b.Cookie("lax") != "1" || b.Another().Cookie("lax") != "1" {
		t.Error("the cookie is not found by its plain name")
	}
	b.Forget()
	if b.Cookie("lax") != "" {
		t.Error("a forgotten cookie is still there")
	}
}

// The browser and the handler's client also work over a real connection.
func TestBrowserOverTheWire(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(page(`<p id="oauth-error"> no   <b>such</b> client </p>`, "")))
	defer s.Close()
	p := testkit.NewBrowser(t, s.Client(), s.URL).Open("/")
	if !p.IsError() || p.Text("oauth-error") != "no such client" {
		t.Errorf("page %s", p)
	}
}
