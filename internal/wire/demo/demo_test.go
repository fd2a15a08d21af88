package demo

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seen is a request as the server behind the page got it.
type seen struct {
	Method, URI, Type, Body, Auth, Key, JWT, Remote string
}

// world is the page over a server that answers from a list and remembers what
// it was sent.
type world struct {
	t       *testing.T
	mux     *http.ServeMux
	answers []string // "STATUS body", used from the front
	got     []seen
}

func newWorld(t *testing.T, answers ...string) *world {
	w := &world{t: t, mux: http.NewServeMux(), answers: answers}
	target := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.got = append(w.got, seen{r.Method, r.RequestURI, r.Header.Get("Content-Type"), string(body),
			r.Header.Get("Authorization"), r.Header.Get("X-API-KEY"), r.Header.Get("x-dressipi-jwt"), r.RemoteAddr})
		if len(w.answers) == 0 {
			t.Fatalf("one more request than answers: %s %s", r.Method, r.RequestURI)
		}
		status, answer, _ := strings.Cut(w.answers[0], " ")
		w.answers = w.answers[1:]
		rw.Header().Set("X-Request-Id", "RID")
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(map[string]int{"200": 200, "201": 201, "400": 400, "401": 401}[status])
		_, _ = io.WriteString(rw, answer)
	})
	w.mux.Handle("/", http.NotFoundHandler()) // the server's own catch-all
	for pattern, h := range Handlers(Config{
		Target: target, Base: "http://127.0.0.1:8080", Issuer: "http://127.0.0.1:8080", Curl: "curl", Email: "zoe@example.com", Password: "pass-word",
		App: "app-uuid", AppRedirect: "http://127.0.0.1:8080/dev/userdocks/callback", ReadAPIKey: "udr_key", Boutique: "demo-boutique",
		Web: "web", WebSecret: "web-secret", SPA: "spa",
		Now: func() time.Time { return time.Unix(1735689600, 0) },
	}) {
		w.mux.Handle(pattern, h)
	}
	return w
}

// page is an answer of the page, with what can be pressed in it.
type page struct {
	status int
	header http.Header
	body   string
	action string
	fields url.Values
	order  []string
}

var (
	formTag = regexp.MustCompile(`(?s)<form [^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	// An input with its value, or a list with the choice that is made in it.
	inputTag  = regexp.MustCompile(`(?s)<input [^>]*name="([^"]*)"(?: value="([^"]*)")?|<select [^>]*name="([^"]*)">.*?value="([^"]*)" selected`)
	submitTag = regexp.MustCompile(`<button|type="submit"|type="image"`)
	tag       = regexp.MustCompile(`<[^>]*>`)
)

func (w *world) do(method, path string, form url.Values, headers ...string) *page {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, nil)
	if form != nil {
		r = httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.serve(r)
}

// send sends a body as it is.
func (w *world) send(method, path, mediaType, body string) *page {
	w.t.Helper()
	r := httptest.NewRequest(method, origin+path, strings.NewReader(body))
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return w.serve(r)
}

// serve also holds every page to what all pages promise.
func (w *world) serve(r *http.Request) *page {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	p := &page{status: rec.Code, header: rec.Header(), body: rec.Body.String(), fields: url.Values{}}
	if p.status == http.StatusSeeOther {
		return p
	}
	want := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	bads := []string{"<script", "style=", "<style", " onclick", "#ZgotmplZ"}
	if scripted := r.URL.Path == SPAPath || r.URL.Path == SPACallback; scripted && p.status == http.StatusOK {
		want += "; script-src 'self'; connect-src 'self'"
		bads[0] = "<script>"
	}
	if got := p.header.Get("Content-Security-Policy"); got != want {
		w.t.Errorf("%s %s: policy %q", r.Method, r.URL, got)
	}
	if !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		return p
	}
	if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Referrer-Policy") != "no-referrer" || p.header.Get("X-Content-Type-Options") != "nosniff" {
		w.t.Errorf("%s %s: headers %v", r.Method, r.URL, p.header)
	}
	for _, bad := range bads {
		if strings.Contains(p.body, bad) {
			w.t.Errorf("%s %s: the page contains %s", r.Method, r.URL, bad)
		}
	}
	forms := formTag.FindAllStringSubmatch(p.body, -1)
	if len(forms) > 1 || strings.Count(p.body, "<form") != len(forms) {
		w.t.Errorf("%s %s: %d forms, want at most one", r.Method, r.URL, strings.Count(p.body, "<form"))
	}
	for _, f := range forms {
		// <button type="submit"> counts twice.
		if n := len(submitTag.FindAllString(f[2], -1)); n != 2 {
			w.t.Errorf("%s %s: a form does not have exactly one submit button", r.Method, r.URL)
		}
		p.action = f[1]
		for _, in := range inputTag.FindAllStringSubmatch(f[2], -1) {
			name, value := in[1]+in[3], in[2]+in[4]
			p.order = append(p.order, name)
			p.fields.Add(name, html.UnescapeString(value))
		}
	}
	return p
}

// press submits the page's form, with changes.
func (w *world) press(p *page, changes ...string) *page {
	w.t.Helper()
	if p.action == "" {
		w.t.Fatalf("nothing to press in:\n%s", p.text())
	}
	form := url.Values{}
	for name, v := range p.fields {
		form[name] = v
	}
	for i := 0; i < len(changes); i += 2 {
		if !form.Has(changes[i]) {
			w.t.Fatalf("no field %q among %q", changes[i], p.order)
		}
		form.Set(changes[i], changes[i+1])
	}
	return w.do("POST", p.action, form, "Sec-Fetch-Site", "same-origin")
}

// text is what a reader sees.
func (p *page) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(p.body, " "))), " ")
}

func (w *world) wants(p *page, status int, texts ...string) {
	w.t.Helper()
	if p.status != status {
		w.t.Errorf("status %d, want %d", p.status, status)
	}
	for _, want := range texts {
		if !strings.Contains(p.text(), want) {
			w.t.Errorf("page lacks %q:\n%s", want, p.text())
		}
	}
}

const (
	// {"alg":"ES256"} . {"exp":1735776000,"iat":1735689600,"sub":"7"} . four bytes
	someJWT  = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3MzU3NzYwMDAsImlhdCI6MTczNTY4OTYwMCwic3ViIjoiNyJ9.AQIDBA"
	otherJWT = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3MzU3NzYwMDAsImlhdCI6MTczNTY4OTYwMCwic3ViIjoiNyJ9.BQYHCA"
)

func TestDressipiWalk(t *testing.T) {
	w := newWorld(t,
		`200 {"code":"tsa_1","state":"s"}`,
		`400 {"error":"invalid_grant"}`,
		`200 {"access_token":"`+someJWT+`","refresh_token":"tsr_1","expires_in":86400,"token_type":"Bearer"}`,
		`200 {"access_token":"`+otherJWT+`","refresh_token":"tsr_2","expires_in":86400,"token_type":"Bearer"}`,
		`200 {"personalised":true,"sub":"7"}`,
		`400 {"error":"invalid_grant","error_description":"no"}`,
	)
	p := w.do("GET", "/dev/dressipi", nil)
	verifier, challenge := p.fields.Get("keep.code_verifier"), p.fields.Get("code_challenge")
	w.wants(p, 200, "1. Authorize", verifier, challenge, "Ask for a code")
	if again := w.do("GET", "/dev/dressipi", nil); again.fields.Get("keep.code_verifier") == verifier {
		t.Error("the verifier is not drawn afresh")
	}

	p = w.press(p)
	w.wants(p, 200, "200 OK", `"code" : "tsa_1"`, "X-Request-Id : RID", "RFC 7636 §4.3", "2. Redeem", "curl -i -G http://127.0.0.1:8080/api/oauth/authorize")
	p = w.press(p, "code_verifier", "wrong")
	w.wants(p, 200, "400 Bad Request", "request_id=RID", "step 2 again")
	// The broken value is gone: the offer is what is right.
	p = w.press(p)
	w.wants(p, 200, "RFC 7636 §4.6", `"alg" : "ES256"`, `"sub" : "7"`, "Thursday, 2 January 2025, 00:00:00 UTC 24 hours after iat", "4 bytes", "3. Refresh")
	p = w.press(p)
	w.wants(p, 200, "RFC 6749 §6", "4. Who am I")
	p = w.press(p)
	w.wants(p, 200, `"personalised" : true`, "x-dressipi-jwt : "+otherJWT, "5. Once only")
	p = w.press(p)
	w.wants(p, 200, "400 Bad Request", "request_id=RID", "RFC 6749 §4.1.2", "That was the walk")
	if p.action != "" {
		t.Error("a form after the last step")
	}

	const form = "application/x-www-form-urlencoded"
	const urn = "urn%3Aietf%3Awg%3Aoauth%3A2.0%3Aoob%3Aauto"
	redeem := func(v string) seen {
		return seen{Method: "POST", URI: "/api/oauth/token", Type: form,
			Body: "grant_type=authorization_code&code=tsa_1&code_verifier=" + v + "&client_id=demo-boutique&redirect_uri=" + urn}
	}
	want := []seen{
		{Method: "GET", URI: "/api/oauth/authorize?code_challenge=" + challenge + "&code_challenge_method=S256&response_type=code&client_id=demo-boutique&redirect_uri=" + urn},
		redeem("wrong"), redeem(verifier),
		{Method: "POST", URI: "/api/oauth/token", Type: form, Body: "grant_type=refresh_token&refresh_token=tsr_1&client_id=demo-boutique&redirect_uri=" + urn},
		{Method: "GET", URI: "/api/profile", JWT: otherJWT},
		redeem(verifier),
	}
	for i := range want {
		want[i].Remote = "192.0.2.1:1234" // the visitor's, as limits and the log should see it
	}
	w.got[0].URI, _, _ = strings.Cut(w.got[0].URI, "&state=")
	if diff := cmp.Diff(want, w.got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestUserdocksWalk(t *testing.T) {
	const callback = "/dev/userdocks/callback?code=tsc_1&state=my%20state&client_id=app-uuid&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fdev%2Fuserdocks%2Fcallback&service=email&grant_type=authorization_code"
	envelope := func(kind, item string) string {
		return `{"kind":"` + kind + `","totalItems":1,"itemsLength":1,"items":[` + item + `]}`
	}
	key, jwt := signedJWT(t)
	tokens := func(refresh string) string {
		return `201 ` + envelope("tokens", `{"accessToken":"`+jwt+`","idToken":"`+someJWT+`","expiresIn":"1735693200","tokenType":"Bearer","redirectUri":"x","refreshToken":"`+refresh+`"}`)
	}
	w := newWorld(t,
		`201 `+envelope("codes", `{"nextAction":{"action":"httpRequest","method":"GET","url":"http://127.0.0.1:8080`+callback+`"}}`),
		tokens("tsr_1"), tokens("tsr_2"),
		`200 `+envelope("users", `{"email":"zoe@example.com"}`),
		`200 `+envelope("appKeys", `{"value":`+quoteJSON(key)+`}`),
		`400 {"errors":[{"validation":"error","code":"[E4000]","message":"no"}]}`,
	)
	p := w.do("GET", "/dev/userdocks", nil)
	w.wants(p, 200, "1. Sign in", "zoe@example.com", "pass-word")
	p = w.press(p)
	w.wants(p, 200, "201 Created", "RFC 9700 §2.1", "2. Callback")
	if !strings.Contains(p.body, `id="step-submit" href="http://127.0.0.1:8080`+strings.ReplaceAll(callback, "&", "&amp;")+`"`) {
		t.Errorf("no link to the callback in:\n%s", p.body)
	}
	p = w.do("GET", callback, nil)
	w.wants(p, 200, "GET /dev/userdocks/callback ?code =tsc_1 &state =my%20state", "RFC 6749 §10.12", "3. Redeem")
	p = w.press(p)
	w.wants(p, 200, "The access token, decoded", "The ID token, decoded", "RFC 6749 §4.1.3")
	p = w.press(p)
	w.wants(p, 200, "RFC 6749 §6", "The ID token, decoded")
	p = w.press(p)
	w.wants(p, 200, "Authorization : Bearer "+jwt, "RFC 6750 §2.1")
	p = w.press(p)
	w.wants(p, 200, "verifies the access token", "-----BEGIN PUBLIC KEY-----", "RFC 8725 §3.1")
	p = w.press(p)
	w.wants(p, 200, "[E4000]", "request_id=RID", "That was the walk")

	var bodies []map[string]string
	for _, s := range w.got {
		var b map[string]string
		if s.Body != "" {
			if s.Type != "application/json" {
				t.Errorf("body of type %q", s.Type)
			}
			if err := json.Unmarshal([]byte(s.Body), &b); err != nil {
				t.Fatal(err)
			}
			delete(b, "nonce")
		}
		bodies = append(bodies, b)
	}
	state := bodies[0]["state"]
	code := map[string]string{"language": "en", "service": "email", "grant_type": "authorization_code", "client_id": "app-uuid",
		"redirect_uri": "http://127.0.0.1:8080/dev/userdocks/callback", "code": "tsc_1", "state": "my state", "auth_time": "1735689600", "scope": "openid profile email"}
	want := []map[string]string{
		{"appUuid": "app-uuid", "email": "zoe@example.com", "password": "pass-word", "state": state, "redirectUri": "http://127.0.0.1:8080/dev/userdocks/callback"},
		code,
		// contract §B.1: a refresh says authorization_code, and has an empty code
		{"language": "en", "service": "email", "grant_type": "authorization_code", "client_id": "app-uuid", "redirect_uri": "http://127.0.0.1:8080/dev/userdocks/callback",
			"code": "", "state": "my state", "auth_time": "1735689600", "scope": "", "prompt": "none", "refresh_token": "tsr_1"},
		nil, nil,
		code,
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	if w.got[3].Auth != "Bearer "+jwt || w.got[4].Key != "udr_key" {
		t.Errorf("headers: %+v %+v", w.got[3], w.got[4])
	}
}

func TestHomeAndFiles(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/dev/"} {
		if p := w.do("GET", path, nil); p.status != http.StatusSeeOther || p.header.Get("Location") != "/dev" {
			t.Errorf("GET %s: %d to %q", path, p.status, p.header.Get("Location"))
		}
	}
	p := w.do("GET", "/dev", nil)
	w.wants(p, 200, "Whoever brought the half that matched", "zoe@example.com", "pass-word", "demo-boutique", "app-uuid")
	for _, want := range []string{`href="/dev/dressipi"`, `href="/dev/userdocks"`} {
		if !strings.Contains(p.body, want) {
			t.Errorf("home lacks %s", want)
		}
	}
	for path, mediaType := range map[string]string{"/dev/style.css": "text/css; charset=utf-8", "/dev/mark.svg": "image/svg+xml"} {
		if p := w.do("GET", path, nil); p.status != 200 || p.header.Get("Content-Type") != mediaType || p.body == "" {
			t.Errorf("GET %s: %d %q", path, p.status, p.header.Get("Content-Type"))
		}
	}
	// What is not below /dev stays the server's.
	if rec := httptest.NewRecorder(); true {
		w.mux.ServeHTTP(rec, httptest.NewRequest("GET", "/elsewhere", nil))
		if rec.Code != 404 || rec.Header().Get("Content-Security-Policy") != "" {
			t.Errorf("GET /elsewhere was answered here: %d", rec.Code)
		}
	}
}
