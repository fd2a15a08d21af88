package demo

import (
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const origin = "http://127.0.0.1:8080"

var linkTag = regexp.MustCompile(`<a class="button" id="step-submit" href="([^"]*)"`)

// link is where the page's one button leads the browser.
func (p *page) link() string {
	if m := linkTag.FindStringSubmatch(p.body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// cookie is what a browser would send back of a page's cookie; "" if it is gone.
func (p *page) cookie() (value string, raw *http.Cookie) {
	for _, c := range (&http.Response{Header: p.header}).Cookies() {
		if c.Name == flowCookie && c.MaxAge > 0 {
			return c.Name + "=" + c.Value, c
		}
	}
	return "", nil
}

func (p *page) forgets() bool {
	return slices.ContainsFunc((&http.Response{Header: p.header}).Cookies(), func(c *http.Cookie) bool { return c.Name == flowCookie && c.MaxAge < 0 })
}

// begun is a walk whose browser has left: its request, and its cookie.
func begun(t *testing.T, w *world, changes ...string) (asked url.Values, cookie string) {
	t.Helper()
	p := w.press(w.do("GET", AppPath, nil), changes...)
	u, err := url.Parse(p.link())
	if err != nil || u.Path != authorizePath {
		t.Fatalf("the browser is led to %q", p.link())
	}
	cookie, _ = p.cookie()
	return u.Query(), cookie
}

func TestAppBuildsTheRequest(t *testing.T) {
	w := newWorld(t)
	p := w.do("GET", AppPath, nil)
	f := p.fields
	w.wants(p, 200, "1. Request", f.Get("keep.code_verifier"), f.Get("code_challenge"), f.Get("state"), f.Get("nonce"))
	p = w.press(p, "max_age", "60", "prompt", "login", "response_mode", "form_post", "claims", `{"id_token":{"email":null}}`)
	w.wants(p, 200, "Where the browser goes", "&state =", "OIDC Core §3.1.2.1", "RFC 7636 §4.3", "2. Sign in")

	// RFC 6749 §3.1: what is empty is as good as not sent, so login_hint is not.
	want := origin + "/oauth2/authorize?code_challenge=" + f.Get("code_challenge") + "&code_challenge_method=S256&response_type=code&client_id=web" +
		"&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fdev%2Fapp%2Fcallback&state=" + f.Get("state") + "&nonce=" + f.Get("nonce") +
		"&scope=openid+profile+email&prompt=login&max_age=60&response_mode=form_post&claims=%7B%22id_token%22%3A%7B%22email%22%3Anull%7D%7D"
	if diff := cmp.Diff(want, p.link()); diff != "" {
		t.Errorf("link (-want +got):\n%s", diff)
	}
	_, c := p.cookie()
	if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != AppPath || c.MaxAge != 600 || c.Secure {
		t.Errorf("cookie %v, want one for ten minutes, HttpOnly, Lax, below %s, not Secure on http", c, AppPath)
	}
	if strings.Contains(p.link(), f.Get("keep.code_verifier")) {
		t.Error("the verifier left with the request (RFC 7636 §7.1)")
	}
	if w.got != nil {
		t.Errorf("the server was asked: %v", w.got)
	}
}

func TestAppPushesTheRequest(t *testing.T) {
	w := newWorld(t, `400 {"error":"invalid_scope"}`, `201 {"request_uri":"urn:ietf:params:oauth:request_uri:tsp_1","expires_in":60}`)
	p := w.press(w.do("GET", AppPath, nil), "keep.how", "pushed", "scope", "nonsense")
	w.wants(p, 200, "Not pushed", "400 Bad Request", "request_id=RID", "step 1 again")
	if p.link() != "" || p.fields.Get("keep.how") != "pushed" {
		t.Errorf("a refused request leads to %q; the form has forgotten %q", p.link(), p.fields.Get("keep.how"))
	}
	state := p.fields.Get("state")
	p = w.press(p)
	w.wants(p, 200, "201 Created", "RFC 9126 §2", "curl -i http://127.0.0.1:8080/oauth2/par")
	if want := origin + "/oauth2/authorize?client_id=web&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Atsp_1"; p.link() != want {
		t.Errorf("link %q, want %q", p.link(), want)
	}
	got := w.got[1]
	form, err := url.ParseQuery(got.Body)
	if err != nil || got.URI != "/oauth2/par" || got.Auth != "Basic "+base64.StdEncoding.EncodeToString([]byte("web:web-secret")) ||
		form.Get("state") != state || form.Get("redirect_uri") != origin+AppCallback || form.Has("login_hint") || form.Has("code_verifier") {
		t.Errorf("pushed %+v", got)
	}
}

func TestAppTakesTheAnswer(t *testing.T) {
	for _, method := range []string{"GET", "POST"} { // response_mode query and form_post
		w := newWorld(t)
		asked, cookie := begun(t, w, "max_age", "60")
		answer := url.Values{"code": {"tsc_1"}, "state": {asked.Get("state")}, "iss": {origin}}
		var p *page
		if method == "GET" {
			p = w.do("GET", AppCallback+"?"+answer.Encode(), nil, "Cookie", cookie)
		} else {
			p = w.do("POST", AppCallback, answer, "Cookie", cookie, "Origin", origin)
		}
		w.wants(p, 200, method+" /dev/app/callback", "code =tsc_1", "Holds: state", "Holds: iss", "RFC 9207 §2.4", "RFC 6749 §10.12", "3. Redeem")
		if !p.forgets() {
			t.Error("the flow can be answered twice")
		}
		if p.fields.Get("code") != "tsc_1" || p.fields.Get("keep.nonce") != asked.Get("nonce") || p.fields.Get("keep.max_age") != "60" ||
			p.fields.Get("keep.asked_at") != "1735689600" || len(p.fields.Get("code_verifier")) != 43 {
			t.Errorf("the next form: %v", p.fields)
		}
	}
}

func TestAppRefusesTheAnswer(t *testing.T) {
	const mine = "{state}" // stands for the state of the walk
	tests := []struct {
		name, query string
		cookie      string // "" = the walk's
		status      int
		says        string
		forgets     bool
	}{
		{"another state (RFC 6749 §10.12)", "code=x&state=other&iss=" + origin, "", 400, "Does not hold: state", false},
		{"no state", "code=x&iss=" + origin, "", 400, "it is not: nothing", false},
		{"another issuer (RFC 9207 §2.4)", "code=x&state=" + mine + "&iss=https://evil.example", "", 400, "it is not: “https://evil.example”", false},
		{"no issuer (RFC 9207 §2.4)", "code=x&state=" + mine, "", 400, "Does not hold: iss", false},
		{"an error of another state", "error=access_denied&state=other&iss=" + origin, "", 400, "Does not hold: state", false},
		{"no cookie", "code=x&state=" + mine + "&iss=" + origin, "other=1", 400, "no request on its way", false},
		{"a cookie of nonsense", "code=x&state=" + mine + "&iss=" + origin, flowCookie + "=%zz", 400, "no request on its way", false},
		{"an empty cookie", "code=x&state=" + mine + "&iss=" + origin, flowCookie + "=", 400, "no request on its way", false},
		{"a cookie without a state", "code=x&iss=" + origin, flowCookie + "=v=1", 400, "no request on its way", false},
		{"neither code nor error", "state=" + mine + "&iss=" + origin, "", 400, "neither a code nor an error", false},
		{"nothing at all: the fragment stays in the browser", "", "", 400, "no request on its way", false},
		{"denied (RFC 6749 §4.1.2.1)", "error=access_denied&state=" + mine + "&iss=" + origin, "", 200, "The person said no", true},
		{"nobody signed in (OIDC Core §3.1.2.6)", "error=login_required&state=" + mine + "&iss=" + origin, "", 200, "prompt=none", true},
		{"something to ask (OIDC Core §3.1.2.6)", "error=consent_required&state=" + mine + "&iss=" + origin, "", 200, "there is something to ask", true},
		{"an error that nobody knows", "error=teapot&error_description=short+and+stout&state=" + mine + "&iss=" + origin, "", 200, "short and stout", true},
		{"code and error: an error", "error=access_denied&code=x&state=" + mine + "&iss=" + origin, "", 200, "The person said no", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t) // no answers: a request that is sent fails the test
			asked, cookie := begun(t, w)
			if tt.cookie != "" {
				cookie = tt.cookie
			}
			if tt.query == "" {
				cookie = ""
			}
			p := w.do("GET", AppCallback+"?"+strings.ReplaceAll(tt.query, mine, asked.Get("state")), nil, "Cookie", cookie)
			w.wants(p, tt.status, tt.says, "Start again from step 1")
			if p.action != "" {
				t.Error("there is something to redeem")
			}
			if p.link() != origin+AppPath {
				t.Errorf("it leads on to %q", p.link())
			}
			if p.forgets() != tt.forgets {
				t.Errorf("forgets the request that is on its way: %v", p.forgets())
			}
		})
	}
}

func TestAppRefusesRequests(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	whole := newWorld(t).do("GET", AppPath, nil).fields
	long := url.Values{}
	for name := range whole {
		long.Set(name, whole.Get(name))
	}
	long.Set("state", strings.Repeat("x", maxFlow))
	tests := []struct {
		name, method, path, mediaType, body string
		status                              int
		allow, says                         string
	}{
		{"HEAD of the callback, which would use the flow up", "HEAD", AppCallback + "?code=x", "", "", 405, "GET, POST", ""},
		{"PUT to the callback", "PUT", AppCallback, form, "code=x", 405, "GET, POST", ""},
		{"the first step is not opened", "GET", AppPath + "/request", "", "", 405, "POST", "pressed, not opened"},
		{"PUT to the app", "PUT", AppPath, form, "", 405, "GET, HEAD", ""},
		{"POST to the app", "POST", AppPath, form, "", 405, "GET, HEAD", ""},
		{"a step that the browser takes is no address", "POST", AppPath + "/logout", form, "", 404, "", ""},
		{"the logout address is not opened", "GET", AppLogout, "", "", 405, "POST", ""},
		{"POST to the browser app", "POST", SPAPath, form, "", 405, "GET, HEAD", ""},
		{"POST to its callback", "POST", SPACallback, form, "", 405, "GET, HEAD", ""},
		{"no such script", "GET", SPAPath + "/other.js", "", "", 404, "", ""},
		{"an empty form", "POST", AppPath + "/request", form, "", 400, "", "missing"},
		{"a state that no cookie can hold", "POST", AppPath + "/request", form, long.Encode(), 400, "", "longer than a cookie"},
		{"the callback with two codes (RFC 6749 §3.1)", "GET", AppCallback + "?code=a&code=b", "", "", 400, "", "more than once"},
		{"the callback with a broken escape", "GET", AppCallback + "?code=%zz", "", "", 400, "", "percent-encoding"},
		{"the callback with NUL", "GET", AppCallback + "?code=%00", "", "", 400, "", "NUL"},
		{"a form post that is no form", "POST", AppCallback, "application/json", "{}", 415, "", "must be sent as"},
		{"a form post with two states", "POST", AppCallback, form, "state=a&state=b", 400, "", "more than once"},
		{"a form post that is oversized", "POST", AppCallback, form, "code=" + strings.Repeat("x", 64<<10), 413, "", "64 KiB"},
		{"a line break in the Basic header (RFC 9110 §5.5)", "POST", AppPath + "/userinfo", form, keeps() + "Authorization=a%0d%0ab", 400, "", "Authorization"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.send(tt.method, tt.path, tt.mediaType, tt.body)
			w.wants(p, tt.status, tt.says)
			if got := p.header.Get("Allow"); got != tt.allow {
				t.Errorf("Allow %q, want %q", got, tt.allow)
			}
			if w.got != nil {
				t.Errorf("the server was asked: %v", w.got)
			}
		})
	}
}

// keeps are the hidden fields of any step, empty.
func keeps() string {
	var b strings.Builder
	for _, k := range appWalk().keeps {
		b.WriteString("keep." + k + "=&")
	}
	return b.String()
}

func TestOtherSitesPressNoButtonOfTheApp(t *testing.T) {
	w := newWorld(t)
	start := w.do("GET", AppPath, nil)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		for _, slug := range []string{"request", "token", "refresh", "revoke"} {
			p := w.do("POST", AppPath+"/"+slug, start.fields, headers...)
			w.wants(p, http.StatusForbidden, "Nothing was sent")
			if _, c := p.cookie(); c != nil {
				t.Error("a form of another site begins a walk")
			}
		}
		// A form post comes from the server's page; from elsewhere it has no cookie.
		w.wants(w.do("POST", AppCallback, url.Values{"code": {"x"}, "state": {"s"}, "iss": {origin}}, headers...), 400, "no request on its way")
	}
}

func TestHostileAnswersAreText(t *testing.T) {
	const hostile = `"><script>alert(1)</script>'&{{.}}` + "\u202e"
	w := newWorld(t)
	asked, cookie := begun(t, w)
	q := url.QueryEscape(hostile)
	for _, query := range []string{
		"error=" + q + "&error_description=" + q + "&state=" + asked.Get("state") + "&iss=" + origin,
		"code=" + q + "&state=" + q + "&iss=" + q,
		"code=" + q + "&state=" + asked.Get("state") + "&iss=" + origin + "&" + q + "=" + q,
	} {
		// w.serve looks for tags.
		if p := w.do("GET", AppCallback+"?"+query, nil, "Cookie", cookie); p.status >= 500 {
			t.Errorf("%d", p.status)
		}
	}
	p := w.press(w.do("GET", AppPath, nil), "state", hostile, "nonce", hostile, "keep.code_verifier", hostile)
	cookie, _ = p.cookie()
	p = w.do("GET", AppCallback+"?code=x&state="+q+"&iss="+origin, nil, "Cookie", cookie)
	w.wants(p, 200, "Holds: state")
	if p.fields.Get("keep.nonce") != hostile || p.fields.Get("code_verifier") != hostile {
		t.Errorf("what was kept came back as %v", p.fields)
	}
}

// Tokens that do not verify are shown, and not taken (OpenID Connect Core
// §3.1.3.5).
func TestAppTakesNoForeignTokens(t *testing.T) {
	for _, step := range []string{"token", "refresh"} {
		w := newWorld(t, `200 {"access_token":"`+someJWT+`","id_token":"`+someJWT+`","refresh_token":"tsr_1"}`, `200 {"keys":[]}`)
		form := url.Values{}
		for _, f := range appWalk().steps {
			if f.Slug == step {
				for _, p := range f.fields(&demo{}, values{}) {
					form.Set(p.Name, "x")
				}
			}
		}
		for _, k := range appWalk().keeps {
			form.Set("keep."+k, "x")
		}
		p := w.do("POST", AppPath+"/"+step, form)
		w.wants(p, 200, "200 OK", "not to be believed", "Does not hold: signature", "The walk ends here")
		if p.action != "" || p.link() != origin+AppPath {
			t.Errorf("%s: it leads on to %q%q", step, p.action, p.link())
		}
	}
}

// Whatever the server answers, the page is shown.
func TestOddAnswersToTheApp(t *testing.T) {
	for _, answer := range []string{
		"200 ", "200 null", "200 []", "200 {}", `200 {"access_token":7}`, `200 {"access_token":"a.b.c","id_token":"` + someJWT + `"}`,
		`200 {"sub":7,"active":"yes"}`, "200 \xff\xfe", "200 " + strings.Repeat("[", 20000), "400 ",
	} {
		for _, step := range appWalk().steps[atCallback+1 : atLogout] {
			for _, jwks := range []string{"200 {}", "200 nonsense", `200 {"keys":[{"kty":"RSA"}]}`, "400 no"} {
				w := newWorld(t, answer, jwks)
				form := url.Values{}
				for _, f := range step.fields(&demo{}, values{}) {
					form.Set(f.Name, f.Value)
				}
				for _, k := range appWalk().keeps {
					form.Set("keep."+k, "x")
				}
				w.wants(w.do("POST", AppPath+"/"+step.Slug, form), 200, "Came back")
				if step.judge == nil || strings.HasPrefix(answer, "400") {
					break // the keys are not asked for
				}
			}
		}
	}
}

func TestSPAPage(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{SPAPath, SPACallback, SPACallback + "?code=tsc_of-the-answer&state=s"} {
		p := w.do("GET", path, nil)
		w.wants(p, 200, "an app that runs in the browser")
		for _, want := range []string{`data-issuer="http://127.0.0.1:8080"`, `data-client="spa"`, `data-callback="http://127.0.0.1:8080/dev/spa/callback"`, `<script type="module" src="/dev/spa/app.js">`} {
			if !strings.Contains(p.body, want) {
				t.Errorf("GET %s lacks %s", path, want)
			}
		}
		if strings.Contains(p.body, "tsc_of-the-answer") {
			t.Error("the answer's code stands in the page")
		}
	}
	for _, name := range spaScripts {
		p := w.do("GET", SPAPath+"/"+name, nil)
		if p.status != 200 || p.header.Get("Content-Type") != "text/javascript; charset=utf-8" || p.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, p.status, p.header)
		}
		for _, bad := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "localStorage"} {
			if strings.Contains(p.body, bad) {
				t.Errorf("%s uses %s", name, bad)
			}
		}
	}
}
