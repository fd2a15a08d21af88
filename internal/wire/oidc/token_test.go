package oidc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

var offlineScope = url.Values{"scope": {"openid profile offline_access"}, "prompt": {"consent"}}

// The whole answer, and everything that is in the tokens.
func TestExchange(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, offlineScope)
	now := float64(b.Clock.Now().Unix())
	sub := engine.FormatUUID(b.User.ID)
	if diff := cmp.Diff(testkit.Document{
		"access_token": s.AccessToken, "token_type": "Bearer", "expires_in": 3600.0, "refresh_token": s.RefreshToken,
		"scope": "offline_access openid profile", "id_token": s.IDToken,
	}, s.JSON()); diff != "" {
		t.Errorf("answer (-want +got): %s", diff)
	}
	if s.Header.Get("Content-Type") != "application/json" || s.Header.Get("Pragma") != "no-cache" {
		t.Errorf("headers: %v", s.Header)
	}
	header, access, err := b.web.Verify(s.AccessToken)
	if err != nil || header.Algorithm != "ES256" || header.ExtraHeaders["typ"] != "at+jwt" {
		t.Errorf("access token: %+v %v", header, err)
	}
	// RFC 9068 §2.2.
	if diff := cmp.Diff(testkit.Document{
		"iss": testkit.Issuer, "sub": sub, "aud": testkit.Issuer, "client_id": testkit.Web, "iat": now, "exp": now + 3600, "jti": access["jti"],
		"scope": "offline_access openid profile", "auth_time": now, "acr": "1", "amr": []any{"pwd"}, "gid": access["gid"],
	}, access); diff != "" || access.Text("jti") == "" || access.Text("gid") == "" {
		t.Errorf("access token (-want +got): %s", diff)
	}
	header, _, err = b.web.Verify(s.IDToken)
	if err != nil || header.Algorithm != "RS256" || header.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("ID token: %+v %v", header, err)
	}
	// OpenID Connect Core §2, §3.1.3.6; at_hash, nonce and sid were checked or are opaque.
	if diff := cmp.Diff(testkit.Document{
		"iss": testkit.Issuer, "sub": sub, "aud": testkit.Web, "iat": now, "exp": now + 3600, "jti": s.Claims["jti"], "auth_time": now,
		"nonce": s.Attempt.Params.Get("nonce"), "acr": "1", "amr": []any{"pwd"}, "sid": s.Claims["sid"], "at_hash": s.Claims["at_hash"],
	}, s.Claims); diff != "" || s.Claims.Text("sid") == "" || s.Claims.Text("at_hash") == "" || s.Claims.Text("jti") == access.Text("jti") {
		t.Errorf("ID token (-want +got): %s", diff)
	}
}

// Without openid there is no ID token, and without a scope the client's own counts.
func TestExchangeOfOAuthAlone(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.spa, url.Values{"scope": {"email"}, "nonce": nil})
	if s.IDToken != "" || s.JSON().Text("scope") != "email" || s.RefreshToken == "" {
		t.Errorf("answer: %s", s.Body)
	}
	s = b.signIn(t, b.spa, url.Values{"scope": nil, "nonce": nil})
	if s.IDToken != "" || s.JSON().Text("scope") != "address email phone profile" {
		t.Errorf("answer: %s", s.Body)
	}
}

// Resources (RFC 8707): the token is for what was asked for, and for userinfo.
func TestExchangeForResources(t *testing.T) {
	b := newBack(t)
	const other = "http://127.0.0.1:9000/"
	both := url.Values{"resource": {testkit.API, other}}
	audience := func(a testkit.Answer) any {
		t.Helper()
		_, c, err := b.web.Verify(a.AccessToken)
		if err != nil {
			t.Fatalf("%s: %v", a.Body, err)
		}
		return c["aud"]
	}
	s := b.signIn(t, b.web, both)
	if diff := cmp.Diff([]any{other, testkit.API, testkit.Issuer}, audience(s.Answer)); diff != "" {
		t.Errorf("with openid (-want +got): %s", diff)
	}
	plain := b.signIn(t, b.web, testkit.With(both, url.Values{"scope": {"email"}, "nonce": nil}))
	if diff := cmp.Diff([]any{other, testkit.API}, audience(plain.Answer)); diff != "" {
		t.Errorf("without openid (-want +got): %s", diff)
	}
	narrow := b.web.Refresh(plain.RefreshToken, url.Values{"resource": {testkit.API}})
	if diff := cmp.Diff(any(testkit.API), audience(narrow)); diff != "" {
		t.Errorf("a part of them at refresh (-want +got): %s", diff)
	}
	want(t, "another at refresh", b.web.Refresh(plain.RefreshToken, url.Values{"resource": {"http://127.0.0.1:1/"}}), oauth.InvalidTarget)
	want(t, "malformed at refresh", b.web.Refresh(plain.RefreshToken, url.Values{"resource": {"x"}}), oauth.InvalidTarget)
}

// Security cases 82, 89 to 91, 94, 111 to 119: nothing but the whole right request
// is a use of the code.
func TestWrongTriesLeaveTheCodeToItsOwner(t *testing.T) {
	b := newBack(t)
	as := func(rp *testkit.RP) func(*testkit.Attempt, string) testkit.Answer {
		return func(a *testkit.Attempt, code string) testkit.Answer {
			return rp.Token(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testkit.WebCallback}, "code_verifier": {a.Verifier}})
		}
	}
	with := func(name string, value func(*testkit.Attempt, string) string) func(*testkit.Attempt, string) testkit.Answer {
		return func(a *testkit.Attempt, code string) testkit.Answer {
			v := url.Values{name: {value(a, code)}}
			if v.Get(name) == "" {
				v[name] = nil
			}
			return a.Redeem(code, v)
		}
	}
	the := func(s string) func(*testkit.Attempt, string) string {
		return func(*testkit.Attempt, string) string { return s }
	}
	ofCode := func(f func(string) string) func(*testkit.Attempt, string) string {
		return func(_ *testkit.Attempt, code string) string { return f(code) }
	}
	wrongSecret := *b.web
	wrongSecret.Secret = "wrong"
	for _, tt := range []struct {
		name  string
		wrong func(*testkit.Attempt, string) testkit.Answer
		code  oauth.ErrorCode
	}{
		{"89: by a client without the grant type", as(b.service), oauth.UnauthorizedClient},
		{"90: a wrong secret", as(&wrongSecret), oauth.InvalidClient},
		{"91: a wrong secret in the body", func(a *testkit.Attempt, code string) testkit.Answer {
			return a.Redeem(code, url.Values{"client_id": {testkit.Web}, "client_secret": {"wrong"}})
		}, oauth.InvalidClient},
		{"111: by another client (RFC 6749 §4.1.3)", as(b.web2), oauth.InvalidGrant},
		{"111: by a public client", as(b.spa), oauth.InvalidGrant},
		{"112: another redirect_uri", with("redirect_uri", the(testkit.WebCallback+"/")), oauth.InvalidGrant},
		{"112: no redirect_uri", with("redirect_uri", the("")), oauth.InvalidGrant},
		{"113: another verifier (RFC 7636 §4.6)", with("code_verifier", the(testkit.Verifier)), oauth.InvalidGrant},
		{"114: no verifier", with("code_verifier", the("")), oauth.InvalidGrant},
		{"116: the challenge for a verifier", with("code_verifier", func(a *testkit.Attempt, _ string) string { return a.Params.Get("code_challenge") }), oauth.InvalidGrant},
		{"a verifier that is none", with("code_verifier", the("short")), oauth.InvalidRequest},
		{"119: a code less its last character", with("code", ofCode(func(s string) string { return s[:len(s)-1] })), oauth.InvalidGrant},
		{"119: a code with one more", with("code", ofCode(func(s string) string { return s + "A" })), oauth.InvalidGrant},
		{"119: a code in another case", with("code", ofCode(strings.ToUpper)), oauth.InvalidGrant},
		{"119: a code encoded twice", with("code", ofCode(func(s string) string { return "%74" + s[1:] })), oauth.InvalidGrant},
		{"a resource that nobody knows (RFC 8707 §2)", with("resource", the("https://unknown.example/")), oauth.InvalidTarget},
	} {
		a, code := b.code(t, b.web, nil)
		want(t, tt.name, tt.wrong(a, code), tt.code)
		if got := a.Redeem(code, nil); got.Status != http.StatusOK {
			t.Errorf("%s: afterwards the owner's own: %d %s", tt.name, got.Status, got.Body)
		}
	}
}

// Security case 82: no parameter may be sent twice, equal or not.
func TestDoubledParameters(t *testing.T) {
	b := newBack(t)
	a, code := b.code(t, b.web, nil)
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testkit.WebCallback}, "code_verifier": {a.Verifier}, "client_id": {testkit.Web},
	}
	for name := range form {
		doubled := testkit.With(form, url.Values{name: {form.Get(name), form.Get(name)}})
		want(t, name, b.web.Token(doubled), oauth.InvalidRequest)
	}
	// A resource may be (RFC 8707 §2), but not without end.
	want(t, "11 resources", b.web.Token(testkit.With(form, url.Values{"resource": strings.Fields(strings.Repeat("http://127.0.0.1/ ", 11))})), oauth.InvalidTarget)
	if got := b.web.Token(form); got.Status != http.StatusOK {
		t.Errorf("afterwards, each once: %d %s", got.Status, got.Body)
	}
}

// Security case 115: a verifier for a code without a challenge means that the
// challenge was stripped on the way (RFC 9700 §4.8.2).
func TestVerifierWithoutAChallenge(t *testing.T) {
	b := newBack(t)
	rp := b.Register(t, nil, nil)
	a, code := b.code(t, rp, testkit.NoPKCE)
	want(t, "a verifier", a.Redeem(code, url.Values{"code_verifier": {testkit.Verifier}}), oauth.InvalidGrant)
	if got := a.Redeem(code, nil); got.Status != http.StatusOK {
		t.Errorf("without: %d %s", got.Status, got.Body)
	}
}

// Security case 118: a code lives for 60 s.
func TestCodeExpires(t *testing.T) {
	b := newBack(t)
	a, code := b.code(t, b.web, nil)
	late, lateCode := b.code(t, b.web, nil)
	b.Clock.Advance(59 * time.Second)
	if got := a.Redeem(code, nil); got.Status != http.StatusOK {
		t.Errorf("after 59 s: %d %s", got.Status, got.Body)
	}
	b.Clock.Advance(2 * time.Second)
	want(t, "after 61 s", late.Redeem(lateCode, nil), oauth.InvalidGrant)
}

// Security case 108: whoever is second, all that came of the code is void
// (RFC 6749 §4.1.2).
func TestCodeReplayEndsTheGrant(t *testing.T) {
	b := newBack(t)
	for name, rp := range map[string]*testkit.RP{"confidential": b.web, "public": b.spa} {
		s := b.signIn(t, rp, nil)
		want(t, name+": the code again", s.Attempt.Redeem(s.Journey.Answer.Code(), nil), oauth.InvalidGrant)
		if got := rp.Userinfo(s.AccessToken); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: the access token afterwards: %d %s", name, got.Status, got.Body)
		}
		want(t, name+": the refresh token afterwards", rp.Refresh(s.RefreshToken, nil), oauth.InvalidGrant)
	}
}

// Security cases 122, 136: what ends a grant ends its code, its access tokens and
// its refresh token.
func TestGrantEndsWith(t *testing.T) {
	user := func(change func(*store.User, int64)) func(*back, store.SessionID) (store.Outcome, error) {
		return func(b *back, _ store.SessionID) (store.Outcome, error) {
			u := b.User
			change(&u, b.Clock.Now().UnixMilli())
			return b.Store.PutUser(context.Background(), u)
		}
	}
	for _, tt := range []struct {
		name string
		end  func(*back, store.SessionID) (store.Outcome, error)
		// offline: a grant with offline_access ends, too.
		offline bool
	}{
		{"the user disabled", user(func(u *store.User, now int64) { u.DisabledAt = now }), true},
		{"the password changed", user(func(u *store.User, _ int64) { u.CredentialVersion++ }), true},
		{"the user deleted", func(b *back, _ store.SessionID) (store.Outcome, error) {
			return b.Store.DeleteUser(context.Background(), store.DeleteUser{User: b.User.ID, Now: b.Clock.Now().UnixMilli()})
		}, true},
		{"consent withdrawn", func(b *back, _ store.SessionID) (store.Outcome, error) {
			return b.Store.WithdrawConsent(context.Background(), store.WithdrawConsent{User: b.User.ID, ClientID: testkit.Web, Now: b.Clock.Now().UnixMilli()})
		}, true},
		{"the session ended", func(b *back, id store.SessionID) (store.Outcome, error) {
			return b.Store.EndSession(context.Background(), store.EndSession{Session: id, Now: b.Clock.Now().UnixMilli()})
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBack(t)
			browser := b.Browser(t)
			online, offline := b.web.SignIn(t, browser, testkit.Ada, nil), b.web.SignIn(t, browser, testkit.Ada, offlineScope)
			pending, j := b.web.Authorize(t, browser, testkit.Ada, nil)
			g, found, err := b.Store.Grant(t.Context(), b.GrantOf(t, online.RefreshToken))
			if err != nil || !found {
				t.Fatalf("the grant: %v", err)
			}
			if out, err := tt.end(b, g.Session); err != nil || out != store.Done {
				t.Fatal(out, err)
			}
			want(t, "the code", pending.Redeem(j.Answer.Code(), nil), oauth.InvalidGrant)
			want(t, "the refresh token", b.web.Refresh(online.RefreshToken, nil), oauth.InvalidGrant)
			if active(t, b.web, online.AccessToken) || b.web.Userinfo(online.AccessToken).Status != http.StatusUnauthorized {
				t.Error("the access token is good")
			}
			if got := b.web.Refresh(offline.RefreshToken, nil); (got.Error == "invalid_grant") != tt.offline {
				t.Errorf("the refresh token for offline_access: %d %s", got.Status, got.Body)
			}
			if active(t, b.web, offline.AccessToken) == tt.offline {
				t.Error("the access token for offline_access is judged otherwise")
			}
		})
	}
}

// Security case 85: a request is not made slow by its size.
func TestTenThousandParameters(t *testing.T) {
	b := newBack(t)
	var form strings.Builder
	for range 10_000 {
		form.WriteString("a&")
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.String()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	want(t, "10,000 parameters", testkit.Send(b.Handler, r), oauth.InvalidRequest)
}

// endless is a body that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.read += len(p)
	return len(p), nil
}

// Security case 84: a body without an end is read up to the limit.
func TestEndlessBody(t *testing.T) {
	b := newBack(t)
	body := &endless{}
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := testkit.Send(b.Handler, r); a.Status != http.StatusRequestEntityTooLarge || body.read > 256<<10 {
		t.Errorf("%d after %d bytes", a.Status, body.read)
	}
}
