package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
)

// signer is a client that signs its requests.
func (f *front) signer(t *testing.T, more testkit.Document) *testkit.RP {
	t.Helper()
	key := testkit.NewClientKey(t, "ES256")
	d := testkit.Document{"jwks": testkit.JWKS(key), "redirect_uris": []string{callback}}
	for name, v := range more {
		d[name] = v
	}
	return f.Register(t, d, key)
}

// signedByHMAC signs a request object with what everybody knows, or what is no key.
func signedByHMAC(t *testing.T, claims testkit.Document, key string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(key + strings.Repeat("\x00", 32))[:max(32, len(key))]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := s.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// TestRequestObject is RFC 9101 and OpenID Connect Core §6.
func TestRequestObject(t *testing.T) {
	f := newFront(t)
	rp := f.signer(t, nil)
	// around is the request with the object, as OpenID Connect Core §6.1 has it sent.
	around := func(a *testkit.Attempt, object string) url.Values {
		return url.Values{"client_id": {rp.ID}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {rp.RedirectURI}, "state": a.Params["state"], "request": {object}}
	}
	finish := func(t *testing.T, a *testkit.Attempt, q url.Values) *testkit.Session {
		t.Helper()
		b := f.Browser(t)
		b.Open(authorizeURL(q.Encode()))
		j := b.Finish(testkit.Ada)
		if j.Answer == nil {
			t.Fatalf("%s", j.End)
		}
		a.Check(t, j.Answer)
		return a.Exchange(t, j)
	}
	good := rp.Begin(nil)
	finish(t, good, around(good, good.RequestObject(nil)))

	foreign := testkit.NewClientKey(t, "ES256")
	sign := func(a *testkit.Attempt, k *testkit.ClientKey, more testkit.Document) string {
		c := testkit.Document{"iss": rp.ID, "aud": testkit.Issuer}
		for name := range a.Params {
			c[name] = a.Params.Get(name)
		}
		for name, v := range more {
			c[name] = v
		}
		return k.Sign(c, nil)
	}
	now := f.Clock.Now()
	before := f.rows(t)
	for _, row := range []struct {
		name   string
		object func(*testkit.Attempt) string
		code   string
	}{
		{"security 40: alg none", func(a *testkit.Attempt) string { return a.UnsignedRequestObject(nil) }, "invalid_request_object"},
		{"security 40: HS256 with the client_id as the key", func(a *testkit.Attempt) string { return signedByHMAC(t, testkit.Document{"client_id": rp.ID}, rp.ID) }, "invalid_request_object"},
		{"HS256 with the secret as the key", func(a *testkit.Attempt) string {
			return signedByHMAC(t, testkit.Document{"client_id": rp.ID, "redirect_uri": rp.RedirectURI}, rp.Secret)
		}, "invalid_request_object"},
		{"a foreign key", func(a *testkit.Attempt) string { return sign(a, foreign, nil) }, "invalid_request_object"},
		{"no JWT", func(*testkit.Attempt) string { return "x.y.z" }, "invalid_request_object"},
		{"iss is another (RFC 9101 §4)", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"iss": "web"}) }, "invalid_request_object"},
		{"aud is another", func(a *testkit.Attempt) string {
			return a.RequestObject(testkit.Document{"aud": "https://other.example"})
		}, "invalid_request_object"},
		{"client_id is another (RFC 9101 §5)", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"client_id": "web"}) }, "invalid_request_object"},
		{"expired", func(a *testkit.Attempt) string {
			return a.RequestObject(testkit.Document{"exp": now.Add(-2 * time.Minute).Unix()})
		}, "invalid_request_object"},
		{"not valid yet", func(a *testkit.Attempt) string {
			return a.RequestObject(testkit.Document{"nbf": now.Add(2 * time.Minute).Unix()})
		}, "invalid_request_object"},
		{"a request in it (RFC 9101 §4)", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"request": "x"}) }, "invalid_request_object"},
		{"a request_uri in it", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"request_uri": "x"}) }, "invalid_request_object"},
		{"another response_type (OIDC Core §6.1)", func(a *testkit.Attempt) string {
			return a.RequestObject(testkit.Document{"response_type": "token"})
		}, "invalid_request_object"},
		{"scope is a number", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"scope": 7}) }, "invalid_request_object"},
		{"state is an array", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"state": []string{"x"}}) }, "invalid_request_object"},
		{"NUL", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"nonce": "\x00"}) }, "invalid_request_object"},
		{"max_age below zero", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"max_age": -1}) }, "invalid_request"},
		{"a scope that the client may not have", func(a *testkit.Attempt) string { return a.RequestObject(testkit.Document{"scope": "api:write"}) }, "invalid_scope"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := rp.Begin(nil)
			q := around(a, row.object(a))
			answered(t, a, f.Browser(t).Open(authorizeURL(q.Encode())), row.code)
			// Without an address of the client's own beside it, on a page.
			for _, uri := range []string{"", "https://evil.example/cb"} {
				q := testkit.With(q, url.Values{"redirect_uri": {uri}, "prompt": {"none"}})
				rec := f.send(http.MethodGet, authorizeURL(q.Encode()), "")
				to := rec.Header().Get("Location")
				if row.code == "invalid_request_object" && to != "" || strings.Contains(to, "evil") {
					t.Errorf("redirect_uri %q: sent to %q", uri, to)
				}
			}
		})
	}
	t.Run("redirect_uri in it is not registered", func(t *testing.T) {
		a := rp.Begin(nil)
		q := around(a, a.RequestObject(testkit.Document{"redirect_uri": "https://evil.example/cb"}))
		onPage(t, http.StatusBadRequest, "invalid_request", f.send(http.MethodGet, authorizeURL(q.Encode()), ""))
	})
	t.Run("of a client without keys", func(t *testing.T) {
		a := f.web.Begin(nil)
		a.Params.Set("request", good.RequestObject(nil))
		answered(t, a, f.Browser(t).Open(a.URL()), "invalid_request_object")
	})
	if diff := cmp.Diff(before, f.rows(t)); diff != "" {
		t.Errorf("stored (-before +after):\n%s", diff)
	}

	t.Run("what it says goes before what stands beside it, which supplements it (OIDC Core §6.1)", func(t *testing.T) {
		a := rp.Begin(set("scope", "openid email"))
		object := a.RequestObject(testkit.Document{"nonce": nil})
		q := testkit.With(around(a, object), set("scope", "openid", "state", "other", "nonce", a.Params.Get("nonce")))
		if s := finish(t, a, q); scopeOf(s) != "email openid" && scopeOf(s) != "" {
			t.Errorf("scope %q", scopeOf(s))
		}
	})
	t.Run("client_id and request alone (RFC 9101 §5)", func(t *testing.T) {
		a := rp.Begin(nil)
		finish(t, a, url.Values{"client_id": {rp.ID}, "request": {a.RequestObject(nil)}})
	})
	t.Run("JSON in JSON: max_age, claims, resource", func(t *testing.T) {
		a := rp.Begin(nil)
		s := finish(t, a, around(a, a.RequestObject(testkit.Document{
			"max_age": 3600, "claims": map[string]any{"id_token": map[string]any{"name": nil}}, "resource": []string{testkit.Issuer},
		})))
		if s.Claims["name"] != "Ada Lövelace" || s.Claims.Int("auth_time") == 0 {
			t.Errorf("ID token: %v", s.Claims)
		}
	})
	t.Run("by POST, longer than a query", func(t *testing.T) {
		a, b := rp.Begin(nil), f.Browser(t)
		q := around(a, a.RequestObject(testkit.Document{"padding": strings.Repeat("x", 9000)}))
		b.Post(rp.Endpoint("authorization"), q)
		j := b.Finish(testkit.Ada)
		if j.Answer == nil {
			t.Fatalf("%s", j.End)
		}
		a.Check(t, j.Answer)
		a.Exchange(t, j)
	})
}

// TestRequestURI: security 42: nothing is fetched that the client has not
// registered.
func TestRequestURI(t *testing.T) {
	f := newFront(t)
	object := serve(t, "application/oauth-authz-req+jwt", "")
	rp := f.signer(t, testkit.Document{"request_uris": []string{object.URL}})
	a := rp.Begin(nil)
	object.set(a.RequestObject(nil))
	for _, uri := range []string{
		object.URL + "/other", object.URL + "?x=1", strings.ToUpper(object.URL), "http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/", "file:///etc/passwd",
		"gopher://127.0.0.1/", "urn:ietf:params:oauth:request_uri:x", "x",
	} {
		a := rp.Begin(set("request_uri", uri))
		page := f.Browser(t).Open(a.URL())
		if strings.HasPrefix(uri, engine.PushedPrefix) {
			if page.Answer != nil || !page.IsError() || page.Status != http.StatusBadRequest {
				t.Errorf("%s: %s", uri, page)
			}
			continue
		}
		answered(t, a, page, "invalid_request_uri")
	}
	if n := object.hits.Load(); n != 0 {
		t.Errorf("fetched %d times", n)
	}
	b := f.Browser(t)
	b.Open(authorizeURL(url.Values{"client_id": {rp.ID}, "response_type": {"code"}, "scope": {"openid"}, "request_uri": {object.URL}}.Encode()))
	j := b.Finish(testkit.Ada)
	a.Check(t, j.Answer)
	a.Exchange(t, j)
}

// TestAuthorizePushed is RFC 9126 at this end.
func TestAuthorizePushed(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	second := f.RP(t, testkit.Web2, testkit.Web2Secret, testkit.Web2Callback)
	second.AuthMethod = "client_secret_post"
	push := func(t *testing.T, rp *testkit.RP, change url.Values) *testkit.Attempt {
		t.Helper()
		a := rp.Begin(change)
		if r := a.Push(); r.Status != http.StatusCreated {
			t.Fatalf("push: %d %s", r.Status, r.Body)
		}
		return a
	}
	by := func(clientID, handle string, more url.Values) string {
		return authorizeURL(testkit.With(url.Values{"client_id": {clientID}, "request_uri": {handle}}, more).Encode())
	}
	code := func(t *testing.T, a *testkit.Attempt, b *testkit.Browser, address string) *testkit.Session {
		t.Helper()
		j := b.Complete(address, testkit.Ada)
		if j.Answer == nil {
			t.Fatalf("%s", j.End)
		}
		a.Check(t, j.Answer)
		return a.Exchange(t, j)
	}
	refused := func(t *testing.T, address string) {
		t.Helper()
		onPage(t, http.StatusBadRequest, "invalid_request_uri", f.send(http.MethodGet, address, "", "Cookie", cookies(b)))
	}

	t.Run("security 43: of another client; it is not consumed", func(t *testing.T) {
		a := push(t, f.web, nil)
		refused(t, by(testkit.Web2, a.Handle, nil))
		refused(t, by(testkit.SPA, a.Handle, url.Values{"redirect_uri": {testkit.SPACallback}, "response_type": {"code"}, "state": {"x"}}))
		code(t, a, b, a.URL())
	})
	t.Run("security 44: twice", func(t *testing.T) {
		a := push(t, f.web, nil)
		code(t, a, b, a.URL())
		refused(t, a.URL())
	})
	t.Run("security 44: twice, begun before", func(t *testing.T) {
		a := push(t, f.web, nil)
		one, other := f.Browser(t), f.Browser(t)
		one.Open(a.URL())
		other.Open(a.URL())
		if j := one.Finish(testkit.Ada); j.Answer.Code() == "" {
			t.Fatalf("%v", j.Answer.Params)
		}
		j := other.Finish(testkit.Ada)
		a.Check(t, j.Answer)
		if j.Answer.Error() != "invalid_request_uri" {
			t.Errorf("%v", j.Answer.Params)
		}
	})
	t.Run("looking at it does not consume it", func(t *testing.T) {
		a := push(t, f.web, nil)
		for range 3 {
			f.Browser(t).Open(a.URL())
		}
		code(t, a, b, a.URL())
	})
	t.Run("security 45: at its end, and before", func(t *testing.T) {
		a := push(t, f.web, nil)
		f.Clock.Advance(engine.PushedLifetime - time.Second)
		slow := f.Browser(t)
		slow.Open(a.URL())
		f.Clock.Advance(time.Second)
		refused(t, a.URL())
		// Who has begun in time may take his own.
		j := slow.Finish(testkit.Ada)
		a.Check(t, j.Answer)
		a.Exchange(t, j)
	})
	t.Run("spelt in another way", func(t *testing.T) {
		a := push(t, f.web, nil)
		for _, handle := range []string{a.Handle[:len(a.Handle)-1], a.Handle + "A", strings.ToUpper(a.Handle[:45]) + a.Handle[45:], engine.PushedPrefix} {
			rec := f.send(http.MethodGet, by(testkit.Web, handle, nil), "")
			if rec.Code != http.StatusBadRequest || rec.Header().Get("Location") != "" {
				t.Errorf("%q: %d", handle, rec.Code)
			}
		}
		code(t, a, b, a.URL())
	})
	t.Run("what stands beside it does not count (RFC 9126 §4)", func(t *testing.T) {
		a := push(t, f.web, nil)
		s := code(t, a, b, by(testkit.Web, a.Handle, set("redirect_uri", "https://evil.example/", "state", "other", "scope", "openid phone",
			"response_mode", "fragment", "prompt", "login", "nonce", "other")))
		if scopeOf(s) != "openid" && scopeOf(s) != "" {
			t.Errorf("scope %q", scopeOf(s))
		}
	})
	t.Run("with a request object, which says all of it (RFC 9126 §3)", func(t *testing.T) {
		rp := f.signer(t, nil)
		a := rp.Begin(without("nonce"))
		r := rp.Post("pushed_authorization_request", url.Values{"request": {a.RequestObject(nil)}, "scope": {"openid phone"}, "state": {"other"}, "nonce": {"other"}})
		if r.Status != http.StatusCreated {
			t.Fatalf("push: %d %s", r.Status, r.Body)
		}
		a.Handle = r.JSON().Text("request_uri")
		s := code(t, a, f.Browser(t), a.URL())
		if scopeOf(s) != "openid" && scopeOf(s) != "" {
			t.Errorf("scope %q", scopeOf(s))
		}
	})
	t.Run("what would be refused is not kept (RFC 9126 §2.3)", func(t *testing.T) {
		before := f.rows(t)
		object := f.signer(t, nil)
		for _, row := range []struct {
			name   string
			rp     *testkit.RP
			change url.Values
			code   string
		}{
			{"redirect_uri", f.web, set("redirect_uri", "https://evil.example/"), "invalid_request"},
			{"no redirect_uri", f.web, without("redirect_uri"), "invalid_request"},
			{"scope", f.web, set("scope", "api:write"), "invalid_scope"},
			{"response_type", f.web, set("response_type", "token"), "unsupported_response_type"},
			{"no challenge", f.web, testkit.NoPKCE, "invalid_request"},
			{"resource", f.web, set("resource", "x"), "invalid_target"},
			{"request_uri", f.web, set("request_uri", "https://rp.example.org/r"), "invalid_request"},
			{"request object of another client", f.web, set("request", object.Begin(nil).RequestObject(nil)), "invalid_request_object"},
			{"request object for another client", object, set("request", object.Begin(nil).RequestObject(testkit.Document{"client_id": "web"})), "invalid_request_object"},
			{"unsigned request object", object, set("request", object.Begin(nil).UnsignedRequestObject(nil)), "invalid_request_object"},
			{"id_token_hint", f.web, set("id_token_hint", "x"), "invalid_request"},
			{"a state over the limit", f.web, set("state", strings.Repeat("x", 2049)), "invalid_request"},
		} {
			a := row.rp.Begin(row.change)
			if r := a.Push(); r.Status != http.StatusBadRequest || r.Error != row.code || a.Handle != "" {
				t.Errorf("%s: %d %s, want %s", row.name, r.Status, r.Body, row.code)
			}
		}
		if diff := cmp.Diff(before, f.rows(t)); diff != "" {
			t.Errorf("stored (-before +after):\n%s", diff)
		}
	})
	t.Run("security 46: a client that must push", func(t *testing.T) {
		c := testkit.StandardClient(testkit.Web2, f.Clock.Now().UnixMilli())
		c.RequirePAR = true
		if err := f.Store.PutClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		f.Clock.Advance(2 * time.Second)
		a := second.Begin(nil)
		answered(t, a, b.Open(a.URL()), "invalid_request")
		a = push(t, second, nil)
		code(t, a, f.Browser(t), a.URL())
	})
}
