package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
)

// TestNowhereToAnswer is about requests whose client or redirect URI is in doubt:
// a page tells of it, and nothing leads anywhere (RFC 6749 §4.1.2.1).
func TestNowhereToAnswer(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	native := f.RP(t, testkit.Native, "", "http://127.0.0.1/cb")
	before := f.rows(t)
	at := func(uri string) url.Values { return set("redirect_uri", uri) }
	for _, row := range []struct {
		name   string
		rp     *testkit.RP
		change url.Values
		more   string // behind the query
		code   string
	}{
		{"security 1: unknown client_id", f.web, set("client_id", "nobody"), "", "invalid_client"},
		{"security 1: a client_id that is markup", f.web, set("client_id", "<script>alert(1)</script>"), "", "invalid_client"},
		{"security 1: a client of another face", f.web, set("client_id", testkit.App, "redirect_uri", testkit.AppCallback), "", "invalid_client"},
		{"security 2: no client_id", f.web, without("client_id"), "", "invalid_request"},
		{"security 3: redirect_uri not registered (RFC 9700 §4.1.3)", f.web, at("https://evil.example/cb"), "", "invalid_request"},
		{"security 3: redirect_uri of another client", f.web, at(testkit.Web2Callback), "", "invalid_request"},
		{"security 4: redirect_uri absent, two registered (RFC 6749 §3.1.2.3)", native, set("redirect_uri", "", "scope", "profile"), "", "invalid_request"},
		{"redirect_uri absent with openid (OIDC Core §3.1.2.1)", f.web, without("redirect_uri"), "", "invalid_request"},
		{"security 5: a slash more", f.web, at(testkit.WebCallback + "/"), "", "invalid_request"},
		{"security 6: another case in the path", f.web, at("https://web.example.com/Callback"), "", "invalid_request"},
		{"security 7: the host in capitals", f.web, at("https://WEB.example.com/callback"), "", "invalid_request"},
		{"security 8: a query more", f.web, at(testkit.WebCallback + "?a=1"), "", "invalid_request"},
		{"security 9: a fragment", f.web, at(testkit.WebCallback + "#frag"), "", "invalid_request"},
		{"security 10: user information", f.web, at("https://web.example.com@evil.example/callback"), "", "invalid_request"},
		{"security 10: a backslash", f.web, at(`https://web.example.com\@evil.example/callback`), "", "invalid_request"},
		{"security 12: ..;/ in the path", f.web, at("https://web.example.com/callback/..;/x"), "", "invalid_request"},
		{"security 12: encoded dots in the path", f.web, at("https://web.example.com/x/%2e%2e/callback"), "", "invalid_request"},
		{"security 12: two slashes in the path", f.web, at("https://web.example.com//callback"), "", "invalid_request"},
		{"security 14: javascript:", f.web, at("javascript:alert(1)"), "", "invalid_request"},
		{"security 14: JaVaScRiPt:", f.web, at("JaVaScRiPt:alert(1)"), "", "invalid_request"},
		{"security 14: data:", f.web, at("data:text/html,x"), "", "invalid_request"},
		{"security 16: the path of a loopback client is fixed (RFC 8252 §7.3)", native, at("http://127.0.0.1:51004/other"), "", "invalid_request"},
		{"security 16: so is its host", native, at("http://localhost:51004/cb"), "", "invalid_request"},
		{"security 18: loopback, of a client that did not register it", f.web, at("http://127.0.0.1/callback"), "", "invalid_request"},
		{"security 19: a twin of the host in another script", f.web, at("https://wеb.example.com/callback"), "", "invalid_request"},
		{"security 19: a full-width dot", f.web, at("https://web．example.com/callback"), "", "invalid_request"},
		{"security 20: redirect_uri sent twice (RFC 6749 §3.1)", f.web, nil, "&redirect_uri=https%3A%2F%2Fevil.example%2Fcb", "invalid_request"},
		{"security 20: twice the same", f.web, nil, "&redirect_uri=" + url.QueryEscape(testkit.WebCallback), "invalid_request"},
		{"security 21: client_id sent twice", f.web, nil, "&client_id=web", "invalid_request"},
		{"state sent twice", f.web, nil, "&state=x", "invalid_request"},
		{"a parameter that nobody knows sent twice", f.web, nil, "&x=1&x=1", "invalid_request"},
		{"more than 50 parameters", f.web, nil, strings.Repeat("&x=1", 60), "invalid_request"},
		{"a bad escape", f.web, nil, "&nonce2=%zz", "invalid_request"},
		{"NUL", f.web, nil, "&x=%00", "invalid_request"},
		{"not UTF-8", f.web, nil, "&x=%ff", "invalid_request"},
		{"security 32: a state over the limit", f.web, set("state", strings.Repeat("s", 2049)), "", "invalid_request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			q := row.rp.Begin(row.change).Params.Encode() + row.more
			rec := f.send(http.MethodGet, authorizeURL(q), "")
			onPage(t, http.StatusBadRequest, row.code, rec)
			if body := rec.Body.String(); strings.Contains(body, "evil") || strings.Contains(body, "<script>") || strings.Contains(body, "alert(1)") {
				t.Errorf("the page says what the address said:\n%s", body)
			}
			// Who is signed in is not sent on either.
			if page := b.Open(authorizeURL(q)); page.Answer != nil || !page.IsError() {
				t.Errorf("in a browser with a session: %s", page)
			}
			// Nor is an error told there (doorkeeper-openid_connect #61).
			for _, worse := range []string{"&prompt=none", "&response_type=", "&response_mode=fragment", "&request_uri=https%3A%2F%2Fevil.example"} {
				if to := f.send(http.MethodGet, authorizeURL(q+worse), "").Header().Get("Location"); to != "" {
					t.Errorf("with %s: sent to %s", worse, to)
				}
			}
		})
	}
	if diff := cmp.Diff(before, f.rows(t)); diff != "" {
		t.Errorf("stored (-before +after):\n%s", diff)
	}
	f.succeeds(t)
}

// TestErrorPage: what the address says does not stand on the page (security 70).
func TestErrorPage(t *testing.T) {
	f := newFront(t)
	const evil = `<svg/onload=alert(1)>`
	for name, code := range map[string]string{
		"error": "invalid_request", "error_description": "invalid_request", "error_hint": "invalid_request", "state": "invalid_request",
		"client_id": "invalid_client", "redirect_uri": "invalid_request", "ui_locales": "invalid_request", "request": "invalid_request_object",
		"request_uri": "invalid_request_uri", "scope": "invalid_request", "display": "invalid_request",
	} {
		q := f.web.Begin(set("redirect_uri", "https://evil.example/")).Params
		q.Set(name, evil)
		rec := f.send(http.MethodGet, authorizeURL(q.Encode()), "")
		onPage(t, http.StatusBadRequest, code, rec)
		if body := rec.Body.String(); strings.Contains(body, "onload") {
			t.Errorf("%s: stands on the page:\n%s", name, body)
		}
	}
	// In the language that was asked for, or the browser's.
	for query, lang := range map[string]string{"ui_locales=fr+de-AT": "de", "ui_locales=en": "en", "ui_locales=fr": "de", "": "de"} {
		body := f.send(http.MethodGet, authorizeURL(query), "", "Accept-Language", "de").Body.String()
		if !strings.Contains(body, `<html lang="`+lang+`">`) {
			t.Errorf("%q: want the page in %s:\n%s", query, lang, body)
		}
	}
}

// TestToldToTheClient is about requests that are refused at the client's redirect
// URI, each with the state and the issuer (security 51; RFC 9207 §2).
func TestToldToTheClient(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	spa := f.RP(t, testkit.SPA, "", testkit.SPACallback)
	hint := f.succeeds(t).IDToken
	before := f.rows(t)
	for _, row := range []struct {
		name   string
		rp     *testkit.RP
		change url.Values
		code   string
	}{
		{"security 23: response_type=token", f.web, set("response_type", "token"), "unsupported_response_type"},
		{"security 23: response_type=id_token", f.web, set("response_type", "id_token"), "unsupported_response_type"},
		{"security 23: response_type=code token", f.web, set("response_type", "code token"), "unsupported_response_type"},
		{"security 23: response_type=none", f.web, set("response_type", "none"), "unsupported_response_type"},
		{"security 24: no response_type (RFC 6749 §3.1.1)", f.web, without("response_type"), "invalid_request"},
		{"security 25: response_mode=web_message", f.web, set("response_mode", "web_message"), "invalid_request"},
		{"security 26: a public client without a challenge (RFC 9700 §2.1.1)", spa, testkit.NoPKCE, "invalid_request"},
		{"security 27: a confidential one without", f.web, testkit.NoPKCE, "invalid_request"},
		{"security 28: plain (RFC 7636 §4.3)", f.web, set("code_challenge_method", "plain"), "invalid_request"},
		{"security 28: no method, which means plain", f.web, without("code_challenge_method"), "invalid_request"},
		{"a method without a challenge", f.web, without("code_challenge"), "invalid_request"},
		{"security 29: a challenge of 42 characters", f.web, set("code_challenge", testkit.Challenge[1:]), "invalid_request"},
		{"security 29: of 44", f.web, set("code_challenge", testkit.Challenge+"A"), "invalid_request"},
		{"security 29: with padding", f.web, set("code_challenge", testkit.Challenge[1:]+"="), "invalid_request"},
		{"security 29: of the other alphabet", f.web, set("code_challenge", "+/"+testkit.Challenge[2:]), "invalid_request"},
		{"security 30: a scope that the client may not have", f.web, set("scope", "openid api:write"), "invalid_scope"},
		{"security 31: a scope with control characters (RFC 6749 §3.3)", f.web, set("scope", "openid \x07"), "invalid_scope"},
		{"security 31: a long scope", f.web, set("scope", "openid "+strings.Repeat("x ", 600)+"x"), "invalid_scope"},
		{"security 35: prompt=none login (OIDC Core §3.1.2.1)", f.web, set("prompt", "none login"), "invalid_request"},
		{"an unknown prompt", f.web, set("prompt", "please"), "invalid_request"},
		{"max_age below zero", f.web, set("max_age", "-1"), "invalid_request"},
		{"max_age that is no number", f.web, set("max_age", "1e3"), "invalid_request"},
		{"claims that are no object", f.web, set("claims", `["name"]`), "invalid_request"},
		{"claims with a name twice", f.web, set("claims", `{"userinfo":{"name":null,"name":null}}`), "invalid_request"},
		{"an acr that cannot be had (OIDC Core §5.5.1.1)", f.web, set("claims", `{"id_token":{"acr":{"essential":true,"value":"2"}}}`), "unmet_authentication_requirements"},
		{"a nonce over the limit", f.web, set("nonce", strings.Repeat("n", 1025)), "invalid_request"},
		{"registration (OIDC Core §7.2.1)", f.web, set("registration", `{}`), "registration_not_supported"},
		{"security 39: an id_token_hint that nobody has signed", f.web, set("id_token_hint", testkit.Unsigned(testkit.Document{"iss": testkit.Issuer, "sub": "x", "aud": testkit.Web})), "invalid_request"},
		{"security 39: one by a foreign key", f.web, set("id_token_hint", testkit.NewClientKey(t, "RS256").Sign(testkit.Document{"iss": testkit.Issuer, "sub": "x", "aud": testkit.Web}, nil)), "invalid_request"},
		{"an id_token_hint of another client", spa, set("id_token_hint", hint), "invalid_request"},
		{"security 47: a resource that is not absolute (RFC 8707 §2)", f.web, set("resource", "/api"), "invalid_target"},
		{"security 47: a resource with a fragment", f.web, set("resource", testkit.API+"#x"), "invalid_target"},
		{"security 47: an unknown resource", f.web, set("resource", "https://unknown.example/"), "invalid_target"},
		{"a known resource and an unknown one", f.web, url.Values{"resource": {testkit.API, "https://unknown.example/"}}, "invalid_target"},
		{"request and request_uri at once (OIDC Core §6.1)", f.web, set("request", "x", "request_uri", "https://rp.example.org/r"), "invalid_request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := row.rp.Begin(row.change)
			answered(t, a, b.Open(a.URL()), row.code)
			// No page comes first, either.
			answered(t, a, f.Browser(t).Open(a.URL()), row.code)
			rec := f.send(http.MethodGet, a.URL(), "")
			if rec.Code != http.StatusFound || len(rec.Header().Values("Set-Cookie")) > 0 {
				t.Errorf("%d, cookies %v", rec.Code, rec.Header().Values("Set-Cookie"))
			}
		})
	}
	if diff := cmp.Diff(before, f.rows(t)); diff != "" {
		t.Errorf("stored (-before +after):\n%s", diff)
	}
	f.succeeds(t)
}

// TestAnswers is about answers with a code.
func TestAnswers(t *testing.T) {
	f := newFront(t)
	native := f.RP(t, testkit.Native, "", "http://127.0.0.1/cb")
	signIn := func(t *testing.T, rp *testkit.RP, change url.Values) *testkit.Session {
		t.Helper()
		return rp.SignIn(t, f.Browser(t), testkit.Ada, change)
	}
	t.Run("security 15: a loopback client takes any port (RFC 8252 §7.3)", func(t *testing.T) {
		rp := *native
		rp.RedirectURI = "http://127.0.0.1:51004/cb"
		signIn(t, &rp, nil)
	})
	t.Run("an app's own scheme (RFC 8252 §7.1)", func(t *testing.T) {
		rp := *native
		rp.RedirectURI = "com.example.app:/cb"
		a := rp.Begin(nil)
		j := f.Browser(t).Complete(a.URL(), testkit.Ada)
		if j.Answer == nil || !strings.HasPrefix(j.Answer.To.String(), "com.example.app:/cb?code=") || a.Redeem(j.Answer.Code(), nil).Status != http.StatusOK {
			t.Errorf("%+v", j)
		}
	})
	t.Run("a form cannot be posted to an app", func(t *testing.T) {
		rp := *native
		rp.RedirectURI = "com.example.app:/cb"
		a := rp.Begin(set("response_mode", "form_post"))
		page := f.Browser(t).Open(a.URL())
		if page.Answer == nil || page.Answer.Mode != "query" || page.Answer.Error() != "invalid_request" || page.Answer.Params.Get("state") != a.Params.Get("state") {
			t.Errorf("%s", page)
		}
	})
	t.Run("redirect_uri left out where there is one, without openid (RFC 6749 §3.1.2.3)", func(t *testing.T) {
		a := f.web.Begin(url.Values{"redirect_uri": nil, "scope": {"profile"}})
		j := f.Browser(t).Complete(a.URL(), testkit.Ada)
		a.Check(t, j.Answer)
		if r := a.Redeem(j.Answer.Code(), url.Values{"redirect_uri": nil}); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
	t.Run("security 32: a state comes back as it was", func(t *testing.T) {
		for _, state := range []string{`"><script>alert(1)</script>`, "a b+c%20&d=é\n\t#", strings.Repeat("s", 2048)} {
			for _, mode := range []string{"query", "fragment", "form_post"} {
				signIn(t, f.web, set("state", state, "response_mode", mode)) // checks it
			}
		}
		b := f.signedIn(t)
		page := b.Open(f.web.Begin(set("state", `"><script>alert(1)</script>`, "response_mode", "form_post")).URL())
		if strings.Contains(page.Body, "<script>alert") {
			t.Errorf("the state is in the page as it came:\n%s", page.Body)
		}
	})
	t.Run("no state, none comes back", func(t *testing.T) {
		s := signIn(t, f.web, without("state"))
		if s.Journey.Answer.Params.Has("state") {
			t.Error("a state")
		}
	})
	t.Run("security 50: 302 after GET, 303 after POST; iss (RFC 9207 §2)", func(t *testing.T) {
		b := f.signedIn(t)
		a := f.web.Begin(nil)
		cookie := "__Host-ts=" + b.Cookie("ts")
		for _, rec := range []struct {
			want int
			got  interface{ Result() *http.Response }
		}{
			{http.StatusFound, f.send(http.MethodGet, a.URL(), "", "Cookie", cookie)},
			{http.StatusSeeOther, f.send(http.MethodPost, testkit.Issuer+"/oauth2/authorize", a.Params.Encode(), "Cookie", cookie)},
		} {
			res := rec.got.Result()
			to, err := res.Location()
			if err != nil || res.StatusCode != rec.want || to.Query().Get("iss") != testkit.Issuer || to.Query().Get("code") == "" ||
				res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d, %v, want %d", res.StatusCode, res.Header, rec.want)
			}
		}
	})
	t.Run("nobody is asked for what says nothing to us (OIDC Core §3.1.2.1)", func(t *testing.T) {
		signIn(t, f.web, set("display", "hologram", "claims_locales", "fr", "acr_values", "7 8", "x", "y"))
	})
	t.Run("max_age beyond all numbers", func(t *testing.T) {
		b := f.signedIn(t)
		if j := b.Complete(f.web.Begin(set("max_age", "9223372036854775807")).URL(), testkit.Ada); j.Answer.Code() == "" || j.SignIns != 0 {
			t.Errorf("%+v", j)
		}
	})
	t.Run("several resources (RFC 8707 §2)", func(t *testing.T) {
		signIn(t, f.web, url.Values{"resource": {testkit.API, testkit.Issuer}})
	})
}

// TestCarriers is about how a request comes (OIDC Core §3.1.2.1).
func TestCarriers(t *testing.T) {
	f := newFront(t)
	path := testkit.Issuer + "/oauth2/authorize"
	good := f.web.Begin(nil).Params.Encode()
	t.Run("security 48: a POST of another type", func(t *testing.T) {
		for _, kind := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
			onPage(t, http.StatusUnsupportedMediaType, "invalid_request", f.send(http.MethodPost, path, good, "Content-Type", kind))
		}
	})
	t.Run("a POST with a query", func(t *testing.T) {
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodPost, path+"?client_id=web", good))
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodPost, path+"?x=1", good))
	})
	t.Run("a compressed body", func(t *testing.T) {
		onPage(t, http.StatusUnsupportedMediaType, "invalid_request", f.send(http.MethodPost, path, good, "Content-Encoding", "gzip"))
	})
	t.Run("a body over 64 KiB", func(t *testing.T) {
		onPage(t, http.StatusRequestEntityTooLarge, "invalid_request", f.send(http.MethodPost, path, good+"&x="+strings.Repeat("x", 64<<10)))
	})
	t.Run("security 49: other methods", func(t *testing.T) {
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodTrace, http.MethodPatch, http.MethodHead} {
			rec := f.send(method, path+"?"+good, "")
			if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET, POST" {
				t.Errorf("%s: %d, Allow %q", method, rec.Code, rec.Header().Get("Allow"))
			}
		}
	})
	t.Run("security 31: a scope of 100 kB", func(t *testing.T) {
		start := time.Now()
		rec := f.send(http.MethodGet, path+"?"+good+"&x="+strings.Repeat("x", 100_000), "")
		onPage(t, http.StatusRequestURITooLong, "invalid_request", rec)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
	t.Run("a POST of another site finds the session, though its cookie stays at home", func(t *testing.T) {
		b := f.signedIn(t)
		a := f.web.Begin(set("prompt", "none"))
		page := b.Post(path, a.Params)
		if page.Answer == nil || page.Answer.Code() == "" {
			t.Fatalf("%s", page)
		}
		a.Check(t, page.Answer)
		f.web.SignIn(t, b, testkit.Ada, nil)
	})
	t.Run("a POST that is too long for a query", func(t *testing.T) {
		b := f.Browser(t)
		a := f.web.Begin(set("x", strings.Repeat("x", 10_000)))
		if page := b.Post(path, a.Params); !page.AsksSignIn() {
			t.Fatalf("%s", page)
		}
		j := b.Finish(testkit.Ada)
		a.Check(t, j.Answer)
		a.Exchange(t, j)
	})
	t.Run("parameters that do not fit into a form", func(t *testing.T) {
		body := f.web.Begin(set("login_hint", strings.Repeat("x", 9000))).Params.Encode()
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodPost, path, body))
	})
}
