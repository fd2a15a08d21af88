package testkit

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Browser is one person's browser without JavaScript. It keeps cookies as
// SameSite says, follows redirects as long as they stay on the issuer's origin,
// reads the page that it ends on, and presses the buttons that are on it. It
// stops where it would leave the issuer: that answer is not fetched but shown
// (Page.Answer). What no browser would do ends the test.
//
// Its methods are for the test's own goroutine; any number of browsers may be
// open at the same server.
type Browser struct {
	t      testing.TB
	client *http.Client
	issuer *url.URL
	jar    *cookiejar.Jar
	// crossSite holds the names of the cookies that a request of another site's
	// page may carry even if it is a POST: SameSite=None.
	crossSite map[string]bool

	// Page is where the browser is; nil before Open.
	Page *Page
	// Language is sent as Accept-Language, if set.
	Language string
}

// NewBrowser opens a browser with no cookies. client carries its requests; the
// client's own jar and redirect policy are not used.
func NewBrowser(t testing.TB, client *http.Client, issuer string) *Browser {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, issuer: u, crossSite: map[string]bool{}, client: &http.Client{
		Transport:     client.Transport,
		Timeout:       client.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	b.Forget()
	return b
}

// Browser opens a browser at the world.
func (w *World) Browser(t testing.TB) *Browser {
	t.Helper()
	return NewBrowser(t, w.Client(), Issuer)
}

// Client is an HTTP client whose every request ends at the world's handler,
// whatever the host. It is safe for several goroutines.
func (w *World) Client() *http.Client { return HandlerClient(w.Handler) }

// HandlerClient is an HTTP client whose every request ends at the handler.
func HandlerClient(h http.Handler) *http.Client { return &http.Client{Transport: direct{h}} }

// direct serves a request as a server would have read it from the wire.
type direct struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), r.Body)
	in.Header, in.Host, in.ContentLength = r.Header.Clone(), r.URL.Host, r.ContentLength
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, in)
	res := rec.Result()
	res.Request = r
	return res, nil
}

// Forget clears the cookies.
func (b *Browser) Forget() {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar = jar
	clear(b.crossSite)
}

// Another is a second browser that has the same cookies now: what a stolen
// cookie, or another window, has.
func (b *Browser) Another() *Browser {
	b.t.Helper()
	n := NewBrowser(b.t, b.client, b.issuer.String())
	n.jar.SetCookies(b.issuer, cloneCookies(b.jar.Cookies(b.issuer)))
	maps.Copy(n.crossSite, b.crossSite)
	return n
}

func cloneCookies(cookies []*http.Cookie) []*http.Cookie {
	out := make([]*http.Cookie, len(cookies))
	for i, c := range cookies {
		out[i] = &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", Secure: strings.HasPrefix(c.Name, "__Host-")}
	}
	return out
}

// Cookie is the value of a cookie of the issuer's root, without the prefix that
// https gives its name; "" if there is none.
func (b *Browser) Cookie(name string) string {
	for _, c := range b.jar.Cookies(b.issuer) {
		if strings.TrimPrefix(c.Name, "__Host-") == name {
			return c.Value
		}
	}
	return ""
}

// Open goes to an address, as a link on another site does. A path is one at the
// issuer.
func (b *Browser) Open(address string) *Page {
	b.t.Helper()
	return b.visit(b.request(http.MethodGet, address, nil), "cross-site")
}

// Post sends a form as a page of another site does: cookies that are
// SameSite=Lax stay at home.
func (b *Browser) Post(address string, form url.Values) *Page {
	b.t.Helper()
	r := b.request(http.MethodPost, address, form)
	r.Header.Set("Origin", "https://elsewhere.example")
	return b.visit(r, "cross-site")
}

func (b *Browser) request(method, address string, form url.Values) *http.Request {
	b.t.Helper()
	u, err := b.issuer.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, u.String(), body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// visit sends a request and follows where it leads, up to the first page or the
// issuer's edge. site is Sec-Fetch-Site.
func (b *Browser) visit(r *http.Request, site string) *Page {
	b.t.Helper()
	var from *Page
	if site == "same-origin" {
		from = b.Page
	}
	for range 10 {
		if b.foreign(r.URL) {
			if from != nil && !from.mayReach(r.URL) {
				b.t.Fatalf("browser: form-action of %s blocks the way to %s", from.URL.Path, bare(r.URL))
			}
			b.Page = &Page{b: b, URL: r.URL, Answer: answerIn(r.URL)}
			return b.Page
		}
		res := b.send(r, site)
		to := res.Header.Get("Location")
		if res.StatusCode/100 != 3 || to == "" {
			b.Page = b.read(r.URL, res)
			return b.Page
		}
		_ = res.Body.Close()
		if r.Method == http.MethodPost && res.StatusCode != http.StatusSeeOther {
			b.t.Fatalf("browser: %s answers a POST with %d: the form may be sent on (RFC 9700 §4.12)", r.URL.Path, res.StatusCode)
		}
		next, err := r.URL.Parse(to)
		if err != nil {
			b.t.Fatalf("browser: Location of %s: %v", r.URL.Path, err)
		}
		r = b.request(http.MethodGet, next.String(), nil)
	}
	b.t.Fatalf("browser: more than ten redirects, last at %s", r.URL.Path)
	return nil
}

func (b *Browser) send(r *http.Request, site string) *http.Response {
	b.t.Helper()
	for _, c := range b.jar.Cookies(r.URL) {
		// RFC 6265bis §5.2: Lax is sent with a navigation by GET only.
		if site != "cross-site" || r.Method == http.MethodGet || b.crossSite[c.Name] {
			r.AddCookie(c)
		}
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Site", site)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if b.Language != "" {
		r.Header.Set("Accept-Language", b.Language)
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	cookies := res.Cookies()
	for _, c := range cookies {
		b.crossSite[c.Name] = c.SameSite == http.SameSiteNoneMode
	}
	b.jar.SetCookies(r.URL, cookies)
	return res
}

func (b *Browser) foreign(u *url.URL) bool {
	return u.Scheme != b.issuer.Scheme || u.Host != b.issuer.Host
}

// Authorization is an answer of the authorization endpoint, as the client's
// redirect URI gets it (RFC 6749 §4.1.2, OAuth 2.0 Multiple Response Types §2.1).
type Authorization struct {
	// To is the address that the answer went to; in form_post it is the action.
	To *url.URL
	// Mode is query, fragment or form_post.
	Mode string
	// Params are what the client's page reads. In query they include those that
	// the registered URI has of its own.
	Params url.Values
}

// Code is the authorization code; "" in a refusal.
func (a *Authorization) Code() string { return a.Params.Get("code") }

// Error is the error code of a refusal.
func (a *Authorization) Error() string { return a.Params.Get("error") }

func answerIn(u *url.URL) *Authorization {
	if fragment, err := url.ParseQuery(u.EscapedFragment()); err == nil && len(fragment) > 0 && u.Fragment != "_" {
		return &Authorization{To: u, Mode: "fragment", Params: fragment}
	}
	return &Authorization{To: u, Mode: "query", Params: u.Query()}
}

// bare is an address without what may be secret.
func bare(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// Person is who sits at the browser, with what Complete needs.
type Person struct {
	Username, Password string
	// Deny and Cancel are what the person does when asked for consent, and for
	// sign-in, instead of agreeing.
	Deny, Cancel bool
}

// Ada is the world's user.
var Ada = Person{Username: Email, Password: Password}

// Journey is what happened on the way from an authorization request to its
// answer.
type Journey struct {
	// Answer is what the client got; nil where the way ended on a page of the
	// server, which is End.
	Answer *Authorization
	End    *Page
	// SignIns and Consents count the pages that asked.
	SignIns, Consents int
}

// Complete opens an authorization URL and does whatever the pages ask for, as
// the person does.
func (b *Browser) Complete(address string, who Person) *Journey {
	b.t.Helper()
	b.Open(address)
	return b.Finish(who)
}

// Finish goes on from the page that the browser is on.
func (b *Browser) Finish(who Person) *Journey {
	b.t.Helper()
	var j Journey
	for range 6 {
		p := b.Page
		switch {
		case p.Answer != nil:
			j.Answer, j.End = p.Answer, p
			return &j
		case p.AsksSignIn():
			j.SignIns++
			if who.Cancel {
				b.Cancel()
			} else {
				b.SignIn(who.Username, who.Password)
			}
		case p.AsksConsent():
			j.Consents++
			if who.Deny {
				b.Deny()
			} else {
				b.Allow()
			}
		default:
			j.End = p
			return &j
		}
		if b.Page.Status == http.StatusUnauthorized && b.Page.AsksSignIn() {
			j.End = b.Page // the password was wrong; trying again would not help
			return &j
		}
	}
	b.t.Fatalf("browser: the pages go round in a circle, last %s", b.Page)
	return nil
}

// SignIn fills in the sign-in form.
func (b *Browser) SignIn(username, password string) *Page {
	b.t.Helper()
	return b.Press("login-submit", "username", username, "password", password)
}

// Cancel goes back from the sign-in page.
func (b *Browser) Cancel() *Page { b.t.Helper(); return b.Press("login-cancel") }

// Allow agrees on the consent page.
func (b *Browser) Allow() *Page { b.t.Helper(); return b.Press("consent-allow") }

// Deny refuses on the consent page.
func (b *Browser) Deny() *Page { b.t.Helper(); return b.Press("consent-deny") }

// ConfirmLogout agrees on the sign-out page.
func (b *Browser) ConfirmLogout() *Page { b.t.Helper(); return b.Press("logout-confirm") }

// Press types into fields of the form that the button of that id is in (name,
// value, …) and presses the button.
func (b *Browser) Press(id string, typed ...string) *Page {
	b.t.Helper()
	form, fault := b.Page.formOf(id)
	if fault != "" {
		b.t.Fatalf("browser: %s; the page: %s", fault, b.Page)
	}
	for i := 0; i < len(typed); i += 2 {
		if !slices.Contains(form.inputs, typed[i]) {
			b.t.Fatalf("browser: the form of #%s has no field %s; the page: %s", id, typed[i], b.Page)
		}
		form.fields.Set(typed[i], typed[i+1])
	}
	if form.method != "post" {
		target, err := b.Page.URL.Parse(form.action)
		if err != nil {
			b.t.Fatal(err)
		}
		target.RawQuery = form.fields.Encode()
		return b.visit(b.request(http.MethodGet, target.String(), nil), "same-origin")
	}
	return b.visit(b.Page.submission(form), "same-origin")
}
