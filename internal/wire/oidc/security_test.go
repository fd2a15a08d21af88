package oidc_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

// tokenRequest adds nothing to a form.
func tokenRequest(form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// left is a connection whose client has gone: what is written to it is lost.
type left struct{ *httptest.ResponseRecorder }

func (l left) Write(p []byte) (int, error) {
	n, _ := l.ResponseRecorder.Write(p)
	return n, syscall.EPIPE
}

// Security case 124: the client is gone before it has read the answer. What was
// exchanged stays exchanged: a code is spent, and a second use of it is a replay;
// a refresh token yields the same successor again.
func TestAnswersThatNobodyReads(t *testing.T) {
	b := newBack(t)
	lose := func(form url.Values) testkit.Answer {
		t.Helper()
		rec := httptest.NewRecorder()
		b.Handler.ServeHTTP(left{rec}, tokenRequest(form))
		a := testkit.Read(rec.Code, rec.Header(), rec.Body.String())
		if a.Status != http.StatusOK || a.AccessToken == "" || a.RefreshToken == "" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a
	}
	attempt, code := b.code(t, b.spa, nil)
	lost := lose(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {testkit.SPA}, "code": {code}, "redirect_uri": {testkit.SPACallback}, "code_verifier": {attempt.Verifier},
	})
	want(t, "the code again", attempt.Redeem(code, nil), oauth.InvalidGrant)
	want(t, "the refresh token that was lost", b.spa.Refresh(lost.RefreshToken, nil), oauth.InvalidGrant)
	if a := b.spa.Userinfo(lost.AccessToken); a.Status != http.StatusUnauthorized {
		t.Errorf("the access token that was lost: %d", a.Status)
	}

	token := b.signIn(t, b.spa, nil).RefreshToken
	lost = lose(url.Values{"grant_type": {"refresh_token"}, "client_id": {testkit.SPA}, "refresh_token": {token}})
	again := b.spa.Refresh(token, nil)
	if again.RefreshToken != lost.RefreshToken || again.RefreshToken == token {
		t.Fatalf("%d %s; want the successor that was lost", again.Status, again.Body)
	}
	if a := b.spa.Refresh(again.RefreshToken, nil); a.Status != http.StatusOK {
		t.Errorf("the successor: %d %s", a.Status, a.Body)
	}
}

// Security case 125: a token stands in the body and nowhere else.
func TestTokensStandInTheBody(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, offlineScope)
	for name, values := range s.Header {
		for _, token := range []string{s.AccessToken, s.IDToken, s.RefreshToken} {
			if token == "" || strings.Contains(strings.Join(values, " "), token) {
				t.Errorf("a token in %s", name)
			}
		}
	}
}

// Security case 143: whoever has a dead token and presents it all day fills neither
// the grants nor the audit.
func TestReplayStorm(t *testing.T) {
	const storm = 300
	b := newBack(t)
	rows := func() map[string]int {
		t.Helper()
		n := map[string]int{}
		for _, table := range []string{"grant", "audit", "session", "consent", "spent"} {
			n[table] = b.Count(t, table)
		}
		return n
	}
	replay := func(token string) {
		t.Helper()
		want(t, "a dead token", b.spa.Refresh(token, nil), oauth.InvalidGrant)
	}
	t.Run("it ends the grant once", func(t *testing.T) {
		s := b.signIn(t, b.spa, nil)
		b.spa.Refresh(s.RefreshToken, nil)
		b.Clock.Advance(31 * time.Second)
		before := rows()
		for range storm {
			replay(s.RefreshToken)
			want(t, "a dead code", s.Attempt.Redeem(s.Journey.Answer.Code(), nil), oauth.InvalidGrant)
		}
		before["audit"]++ // the end
		if diff := cmp.Diff(before, rows()); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
	t.Run("refused and reported, once a minute (on_replay)", func(t *testing.T) {
		b.change(t, testkit.SPA, func(c *store.Client) { c.OnReplay = oauth.RefuseReplay })
		first := b.signIn(t, b.spa, nil).RefreshToken
		second := b.spa.Refresh(first, nil).RefreshToken
		b.Clock.Advance(31 * time.Second)
		before := rows()
		const minutes = 3
		for range minutes {
			for range storm / minutes {
				replay(first)
			}
			b.Clock.Advance(time.Minute)
		}
		before["audit"] += minutes
		if diff := cmp.Diff(before, rows()); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if a := b.spa.Refresh(second, nil); a.Status != http.StatusOK {
			t.Errorf("its owner: %d %s", a.Status, a.Body)
		}
	})
}

// Security case 142: two nodes of one issuer, here on one file, behave as one. What
// a process remembers decides nothing.
func TestTwoNodes(t *testing.T) {
	b := newBack(t)
	other := testkit.NewWorldOf(t, b.World, b.Path)
	at := func(rp *testkit.RP, i int) *testkit.RP {
		elsewhere := *rp
		if i%2 == 1 {
			elsewhere.HTTP = other.Client()
		}
		return &elsewhere
	}
	// contend sends n requests at once, to each node by turns.
	contend := func(n int, send func(i int) testkit.Answer) []testkit.Answer {
		answers, start := make([]testkit.Answer, n), make(chan struct{})
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { <-start; answers[i] = send(i) })
		}
		close(start)
		all.Wait()
		return answers
	}
	for range 5 {
		token := b.signIn(t, b.spa, nil).RefreshToken
		successors := map[string]bool{}
		for _, a := range contend(12, func(i int) testkit.Answer { return at(b.spa, i).Refresh(token, nil) }) {
			if successors[a.RefreshToken] = true; a.Status != http.StatusOK {
				t.Errorf("refresh: %d %s", a.Status, a.Body)
			}
		}
		if len(successors) != 1 || successors[token] {
			t.Errorf("%d successors, want one", len(successors))
		}

		a, code := b.code(t, b.spa, nil)
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testkit.SPACallback}, "code_verifier": {a.Verifier}}
		won := 0
		for _, a := range contend(12, func(i int) testkit.Answer { return at(b.spa, i).Token(form) }) {
			switch {
			case a.Status == http.StatusOK:
				won++
			case a.Error != "invalid_grant":
				t.Errorf("redeem: %d %s", a.Status, a.Body)
			}
		}
		if won != 1 {
			t.Errorf("the code was redeemed %d times", won)
		}

		signer := b.signer(t, "ES256")
		once := url.Values{"client_assertion": {signer.Assertion(nil)}, "client_assertion_type": {assertionType}, "scope": {"api:read"}}
		won = 0
		for _, a := range contend(12, func(i int) testkit.Answer { return at(signer, i).ClientCredentials(once) }) {
			if a.Status == http.StatusOK {
				won++
			}
		}
		if won != 1 {
			t.Errorf("the assertion was used %d times", won)
		}
	}
	s := b.signIn(t, b.web, nil)
	if !active(t, at(b.web, 1), s.AccessToken) {
		t.Error("the other node does not know the token")
	}
	b.web.Revoke(s.RefreshToken)
	if active(t, at(b.web, 1), s.AccessToken) {
		t.Error("revoked here, active there")
	}
}

// Security case 82, for a refresh and for whoever authenticates in the body: what
// is sent twice is refused, and rotates nothing.
func TestDoubledParametersOfARefresh(t *testing.T) {
	b := newBack(t)
	token := b.signIn(t, b.spa, nil).RefreshToken
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {testkit.SPA}, "scope": {"openid"}}
	secret := url.Values{"grant_type": {"client_credentials"}, "client_id": {testkit.Service}, "client_secret": {testkit.ServiceSecret}}
	asserted := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {b.signer(t, "ES256").Assertion(nil)}, "scope": {"api:read"},
	}
	for _, form := range []url.Values{form, secret, asserted} {
		for name := range form {
			doubled := testkit.With(form, url.Values{name: {form.Get(name), form.Get(name)}})
			want(t, name, testkit.Send(b.Handler, tokenRequest(doubled)), oauth.InvalidRequest)
		}
	}
	b.Clock.Advance(time.Minute) // out of the retry window: had it rotated, this were a replay
	for _, form := range []url.Values{form, secret, asserted} {
		if a := testkit.Send(b.Handler, tokenRequest(form)); a.Status != http.StatusOK {
			t.Errorf("afterwards, each once: %d %s", a.Status, a.Body)
		}
	}
}

// A refused exchange has used the assertion: whoever has overheard it does not get
// another try with it.
func TestRefusalsSpendTheAssertion(t *testing.T) {
	b := newBack(t)
	signer := b.signer(t, "ES256")
	for what, refused := range map[string]url.Values{
		"a scope": {"grant_type": {"client_credentials"}, "scope": {"phone"}}, "a grant type": {"grant_type": {"password"}},
		"a code": {"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {callback}},
	} {
		by := url.Values{"client_assertion": {signer.Assertion(nil)}, "client_assertion_type": {assertionType}}
		if a := signer.Token(testkit.With(refused, by)); a.Status != http.StatusBadRequest || a.Error == "invalid_client" {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		want(t, "after "+what+" that was refused", signer.ClientCredentials(testkit.With(by, url.Values{"scope": {"api:read"}})), oauth.InvalidClient)
	}
}

// An ID token says who is meant, also when it has expired (OpenID Connect Core
// §3.1.2.1).
func TestExpiredHint(t *testing.T) {
	f := newFront(t)
	b := f.Browser(t)
	first := f.web.SignIn(t, b, testkit.Ada, nil)
	f.Clock.Advance(25 * time.Hour)
	second := f.web.SignIn(t, b, testkit.Ada, set("prompt", "none", "id_token_hint", first.IDToken))
	if first.Claims.Int("exp") > f.Clock.Now().Unix() || second.Claims.Text("sub") != first.Claims.Text("sub") {
		t.Errorf("%v, then %v", first.Claims, second.Claims)
	}
}

// Security case 163: nothing that an attacker can sign by himself passes, whatever
// else is right about it.
func TestForgedAccessTokens(t *testing.T) {
	b := newBack(t)
	good := b.signIn(t, b.web, nil).AccessToken
	_, payload, _ := strings.Cut(good[:strings.LastIndex(good, ".")], ".")
	forge := func(alg, kid string, secret []byte) string {
		enc := base64.RawURLEncoding
		input := enc.EncodeToString([]byte(`{"alg":"`+alg+`","typ":"at+jwt","kid":"`+kid+`"}`)) + "." + payload
		if secret == nil {
			return input + "."
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + enc.EncodeToString(mac.Sum(nil))
	}
	forged := map[string]string{"a megabyte of dots": strings.Repeat(".", 1<<20)}
	var set gojose.JSONWebKeySet
	if err := json.Unmarshal([]byte(b.web.Call(http.MethodGet, b.web.Metadata.Text("jwks_uri"), nil, nil).Body), &set); err != nil || len(set.Keys) == 0 {
		t.Fatal(err)
	}
	_, claims, err := b.web.Verify(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		der, err := x509.MarshalPKIXPublicKey(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := key.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		of := " for " + key.Algorithm
		stranger := testkit.NewClientKey(t, key.Algorithm)
		stranger.ID = key.KeyID
		forged["a foreign key of its kid"+of] = stranger.Sign(claims, map[gojose.HeaderKey]any{"typ": "at+jwt"})
		forged["none"+of] = forge("none", key.KeyID, nil)
		// RFC 8725 §2.1, by each spelling of a public key that could be taken for a secret.
		forged["HS256 by the JWK"+of] = forge("HS256", key.KeyID, jwk)
		forged["HS256 by the DER"+of] = forge("HS256", key.KeyID, der)
		forged["HS256 by the PEM"+of] = forge("HS256", key.KeyID, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	for name, token := range forged {
		if a := b.web.Userinfo(token); a.Status != http.StatusUnauthorized || a.Error != "invalid_token" {
			t.Errorf("%s, at userinfo: %d %s", name, a.Status, a.Body)
		}
		if a := b.web.Introspect(token); len(token) < 64<<10 && a.Body != `{"active":false}` {
			t.Errorf("%s, at introspection: %d %s", name, a.Status, a.Body)
		}
	}
	if a := b.web.Userinfo(good); a.Status != http.StatusOK {
		t.Errorf("the one that all are made of: %d %s", a.Status, a.Body)
	}
}

// The database holds nothing that could be presented, whatever has gone through the
// face.
func TestDatabaseHoldsNoSecret(t *testing.T) {
	b := newBack(t)
	browser := b.Browser(t)
	s := b.web.SignIn(t, browser, testkit.Ada, offlineScope)
	rotated := b.spa.Refresh(b.signIn(t, b.spa, nil).RefreshToken, nil)
	_, code := b.code(t, b.spa, nil)
	signer := b.signer(t, "ES256")
	once := url.Values{"client_assertion": {signer.Assertion(nil)}, "client_assertion_type": {assertionType}, "scope": {"api:read"}}
	signer.ClientCredentials(once)
	post := *b.web2
	post.AuthMethod = "client_secret_post"
	pushed := post.Begin(nil)
	if r := pushed.Push(); r.Status != http.StatusCreated {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	registered := b.Register(t, nil, nil)
	secrets := map[string]string{
		"code": code, "spent code": s.Journey.Answer.Code(), "verifier": s.Attempt.Verifier, "access token": s.AccessToken, "ID token": s.IDToken,
		"refresh token": s.RefreshToken, "rotated refresh token": rotated.RefreshToken, "session": browser.Cookie("ts"), "form cookie": browser.Cookie("ts_form"),
		"assertion": once.Get("client_assertion"), "request_uri": pushed.Handle, "client secret": testkit.WebSecret, "secret of who pushed": testkit.Web2Secret,
		"registered secret": registered.Secret, "registration access token": registered.Registration.Text("registration_access_token"), "password": testkit.Password,
	}
	files, err := filepath.Glob(b.Path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	held := 0
	for _, file := range files {
		dump, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		held += bytes.Count(dump, []byte(registered.ID))
		for name, secret := range secrets {
			if secret == "" || bytes.Contains(dump, []byte(secret)) {
				t.Errorf("%s holds the %s", filepath.Base(file), name)
			}
		}
	}
	if held == 0 {
		t.Error("what was registered is not in the files, either: these are not those of the database")
	}
}
