package oidc_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

var (
	actions = regexp.MustCompile(`action="([^"]*)"`)
	anyPort = regexp.MustCompile(`^http://127\.0\.0\.1:[1-9][0-9]{0,4}/cb$`)
)

// FuzzRequestObject: whatever a client has signed, it is judged like parameters, and
// leads nowhere else.
func FuzzRequestObject(f *testing.F) {
	w := testkit.NewWorld(f)
	key := testkit.NewClientKey(f, "ES256")
	rp := w.Register(f, testkit.Document{"jwks": testkit.JWKS(key), "redirect_uris": []string{callback + "?foo=bar"}}, key)
	claims := `"iss":"` + rp.ID + `","aud":"` + testkit.Issuer + `"`
	for _, seed := range []string{
		`{` + claims + `,"response_type":"code","scope":"openid","redirect_uri":"` + callback + `?foo=bar","state":"s","max_age":0,"claims":{"userinfo":{"email":null}}}`,
		`{` + claims + `,"redirect_uri":"https://evil.example/"}`, `{` + claims + `,"request":"x","request_uri":"y"}`, `{` + claims + `,"client_id":"web"}`,
		`{` + claims + `,"state":1,"scope":["openid"],"redirect_uri":{}}`, `{` + claims + `,"state":"a","state":"b"}`, `{"iss":"web"}`, `[]`, `null`, `x`, `{`,
		`{` + claims + `,"resource":["http://127.0.0.1/","x"],"exp":1e400,"nbf":-1}`, `{` + claims + `,"response_mode":"form_post","prompt":"none"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		q := url.Values{"client_id": {rp.ID}, "response_type": {"code"}, "scope": {"openid"}, "request": {key.SignPayload(payload, nil)}}
		rec := httptest.NewRecorder()
		w.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, testkit.Issuer+"/oauth2/authorize?"+q.Encode(), nil))
		leadsWell(t, rec, false)
	})
}

// FuzzAuthorizationRequest: whatever the query, the endpoint answers without a
// fault, and leads nowhere but to what some client has registered, with state and
// issuer.
func FuzzAuthorizationRequest(f *testing.F) {
	w := testkit.NewWorld(f)
	web := w.RP(f, testkit.Web, testkit.WebSecret, testkit.WebCallback)
	native := w.RP(f, testkit.Native, "", "http://127.0.0.1:5000/cb")
	key := testkit.NewClientKey(f, "ES256")
	signer := w.Register(f, testkit.Document{"jwks": testkit.JWKS(key), "redirect_uris": []string{callback + "?foo=bar"}}, key)
	good := web.Begin(nil).Params
	pushed := web.Begin(nil)
	pushed.Push()
	seeds := []string{
		"", "client_id=web", "&&&=&=", "%", "%00=%ff", good.Encode() + ";x=1",
		pushed.Params.Encode(), url.Values{"client_id": {"web"}, "request_uri": {pushed.Handle}}.Encode(),
		native.Begin(set("response_mode", "form_post")).Params.Encode(),
		native.Begin(set("redirect_uri", "com.example.app:/cb", "response_mode", "form_post")).Params.Encode(),
		signer.Begin(set("request", signer.Begin(nil).RequestObject(nil))).Params.Encode(),
		signer.Begin(set("request", signer.Begin(nil).UnsignedRequestObject(nil))).Params.Encode(),
	}
	for name, value := range map[string]string{
		"redirect_uri": "https://web.example.com@evil.example/callback", "response_mode": "fragment", "prompt": "none login", "max_age": "-1",
		"claims": `{"id_token":{"sub":{"value":"x"}}}`, "resource": "https://api.example.com/#x", "request_uri": "http://127.0.0.1:1/", "scope": "openid \x00",
		"state": "\r\nSet-Cookie: x=y", "ui_locales": "de", "id_token_hint": "a.b.c", "code_challenge": "x", "response_type": "token", "registration": "{}",
	} {
		seeds = append(seeds, web.Begin(set(name, value)).Params.Encode(), good.Encode()+"&"+name+"="+url.QueryEscape(value))
	}
	for _, seed := range seeds {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, q string, post bool) {
		r := httptest.NewRequest(http.MethodGet, testkit.Issuer+"/oauth2/authorize", nil)
		if r.URL.RawQuery = q; post {
			r = httptest.NewRequest(http.MethodPost, testkit.Issuer+"/oauth2/authorize", strings.NewReader(q))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		rec := httptest.NewRecorder()
		w.Handler.ServeHTTP(rec, r)
		leadsWell(t, rec, post)
	})
}

// registered are the places that the clients of the fuzz targets may be answered at.
var registered = []string{testkit.WebCallback, testkit.Web2Callback, testkit.SPACallback, "com.example.app:/cb", callback + "?foo=bar", "http://127.0.0.1/cb"}

// leadsWell fails on a fault, and on an answer that leads elsewhere, or without state
// and issuer.
func leadsWell(t *testing.T, rec *httptest.ResponseRecorder, post bool) {
	t.Helper()
	to := rec.Header().Get("Location")
	if rec.Code >= 500 || (rec.Code/100 == 3) != (to != "") || strings.ContainsAny(to, "\r\n") {
		t.Fatalf("%d, Location %q\n%s", rec.Code, to, rec.Body)
	}
	for _, form := range actions.FindAllStringSubmatch(rec.Body.String(), -1) {
		if action := html.UnescapeString(form[1]); !strings.HasPrefix(action, "/oauth2/") && !slices.Contains(registered, action) && !anyPort.MatchString(action) {
			t.Fatalf("a form to %q", action)
		}
	}
	if to == "" || post && strings.HasPrefix(to, "/oauth2/authorize?") {
		return
	}
	at, params := "", ""
	for _, uri := range registered {
		if rest, ok := strings.CutPrefix(to, uri); ok && rest != "" && strings.ContainsAny(rest[:1], "?&#") {
			at, params = uri, rest[1:]
		}
	}
	if i := strings.IndexAny(to, "?#"); at == "" && i >= 0 && anyPort.MatchString(to[:i]) {
		at, params = to[:i], to[i+1:]
	}
	values, err := url.ParseQuery(params)
	if at == "" || err != nil || values.Get("iss") != testkit.Issuer || values.Get("error") == "" || values.Has("code") {
		t.Fatalf("sent to %q", to)
	}
}
