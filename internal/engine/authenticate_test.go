package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// keyed is a client that authenticates by a key of its own.
type keyed struct {
	id  string
	key *ecdsa.PrivateKey
	kid string
}

func newKeyed(t *testing.T, w *testkit.World, id string, change func(*oauth.Client)) *keyed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &keyed{id: id, key: key, kid: "k1"}
	c := testkit.StandardClient(id, w.Clock.Now().UnixMilli())
	c.AuthMethod, c.RedirectURIs = oauth.AuthPrivateKeyJWT, []string{testkit.WebCallback}
	c.GrantTypes = []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials}
	c.JWKS = k.jwks(t)
	if change != nil {
		change(&c.Client)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *keyed) jwks(t *testing.T) json.RawMessage {
	t.Helper()
	set, err := json.Marshal(gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{{Key: k.key.Public(), KeyID: k.kid}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (k *keyed) sign(t *testing.T, claims map[string]any, alg gojose.SignatureAlgorithm, key any, header map[gojose.HeaderKey]any) string {
	t.Helper()
	options := &gojose.SignerOptions{ExtraHeaders: map[gojose.HeaderKey]any{"kid": k.kid}}
	for name, value := range header {
		options.ExtraHeaders[name] = value
	}
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var jti atomic.Int64

// claims are those of a good assertion.
func (k *keyed) claims(now time.Time) map[string]any {
	return map[string]any{
		"iss": k.id, "sub": k.id, "aud": testkit.Issuer, "jti": fmt.Sprint("j", jti.Add(1)),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
}

func (k *keyed) assertion(t *testing.T, now time.Time) engine.Credentials {
	t.Helper()
	return engine.Credentials{Method: oauth.AuthPrivateKeyJWT, Assertion: k.sign(t, k.claims(now), gojose.ES256, k.key, nil)}
}

func TestClientAssertions(t *testing.T) {
	w := testkit.NewWorld(t)
	k := newKeyed(t, w, "keyed", nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Second)
	now := w.Clock.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	type m = map[string]any
	for _, tt := range []struct {
		name   string
		claims m // laid over good ones; nil value = left out
		header map[gojose.HeaderKey]any
		alg    gojose.SignatureAlgorithm
		key    any
		good   bool
	}{
		{name: "good (RFC 7523 §3)", good: true},
		{name: "audience alone in an array", claims: m{"aud": []string{testkit.Issuer}}, good: true},
		{name: "audience is the token endpoint (RFC 10070)", claims: m{"aud": testkit.Issuer + "/oauth2/token"}},
		{name: "issuer and another audience (RFC 10070)", claims: m{"aud": []string{testkit.Issuer, "https://other.example"}}},
		{name: "no audience", claims: m{"aud": nil}},
		{name: "audience []", claims: m{"aud": []string{}}},
		{name: "audience a number", claims: m{"aud": 1}},
		{name: "iss is another", claims: m{"iss": "web"}},
		{name: "sub is another", claims: m{"sub": "web"}},
		{name: "no iss", claims: m{"iss": nil}},
		{name: "no jti", claims: m{"jti": nil}},
		{name: "no exp", claims: m{"exp": nil}},
		{name: "exp a string", claims: m{"exp": "1"}},
		{name: "exp beyond all reckoning", claims: m{"exp": 1e300}},
		{name: "expired 59 s ago, skew", claims: m{"exp": at(-59 * time.Second)}, good: true},
		{name: "expired 61 s ago", claims: m{"exp": at(-61 * time.Second)}},
		{name: "exp five minutes ahead", claims: m{"exp": at(5 * time.Minute)}, good: true},
		{name: "exp more than five minutes ahead", claims: m{"exp": at(5*time.Minute + time.Second)}},
		{name: "nbf 59 s ahead, skew", claims: m{"nbf": at(59 * time.Second)}, good: true},
		{name: "nbf 61 s ahead", claims: m{"nbf": at(61 * time.Second)}},
		{name: "iat 61 s ahead", claims: m{"iat": at(61 * time.Second)}},
		{name: "no iat", claims: m{"iat": nil}, good: true},
		{name: "HS256 by the public key", alg: gojose.HS256, key: []byte("0123456789abcdef0123456789abcdef")},
		{name: "another's key", alg: gojose.RS256, key: rsaKey},
		{name: "jku (RFC 8725 §3.10)", header: map[gojose.HeaderKey]any{"jku": "https://evil.example/keys"}},
		{name: "x5u", header: map[gojose.HeaderKey]any{"x5u": "https://evil.example/cert"}},
		{name: "unknown crit", header: map[gojose.HeaderKey]any{"crit": []string{"x"}, "x": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := k.claims(now)
			for name, value := range tt.claims {
				if claims[name] = value; value == nil {
					delete(claims, name)
				}
			}
			alg, key := gojose.ES256, any(k.key)
			if tt.key != nil {
				alg, key = tt.alg, tt.key
			}
			c := engine.Credentials{ClientID: k.id, Method: oauth.AuthPrivateKeyJWT, Assertion: k.sign(t, claims, alg, key, tt.header)}
			_, err := w.Engine.Authenticate(t.Context(), oidc.Name, c)
			if tt.good && err != nil || !tt.good && code(err) != oauth.InvalidClient {
				t.Fatalf("%v", err)
			}
			if !tt.good {
				return
			}
			if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, c); code(err) != oauth.InvalidClient {
				t.Errorf("a second time: %v", err)
			}
		})
	}
	t.Run("client_id beside it is another", func(t *testing.T) {
		c := k.assertion(t, now)
		c.ClientID = testkit.Web
		if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, c); code(err) != oauth.InvalidClient {
			t.Errorf("%v", err)
		}
	})
	t.Run("a secret that it never had", func(t *testing.T) {
		if err := w.Engine.PutClientSecret(t.Context(), k.id, "old", time.Time{}); err != nil {
			t.Fatal(err)
		}
		c := engine.Credentials{ClientID: k.id, Method: oauth.AuthSecretPost, Secret: "old"}
		if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, c); code(err) != oauth.InvalidClient {
			t.Errorf("%v", err)
		}
	})
	t.Run("algorithm pinned by the client", func(t *testing.T) {
		pinned := newKeyed(t, w, "pinned", func(c *oauth.Client) { c.AuthSigningAlg = "PS256" })
		w.Clock.Advance(2 * time.Second)
		if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, pinned.assertion(t, w.Clock.Now())); code(err) != oauth.InvalidClient {
			t.Errorf("%v", err)
		}
	})
}

// One assertion is good for one of many at once, also on another node.
func TestAnAssertionIsUsedOnce(t *testing.T) {
	w := testkit.NewWorld(t)
	k := newKeyed(t, w, "keyed", nil)
	w.Clock.Advance(2 * time.Second)
	for range 20 {
		c := k.assertion(t, w.Clock.Now())
		var good atomic.Int64
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				<-start
				if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, c); err == nil {
					good.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		if good.Load() != 1 {
			t.Fatalf("%d of 20 were let in", good.Load())
		}
	}
}

// Keys at jwks_uri are looked at again for a key that is not known, so that a
// client can rotate; and never anywhere else than there.
func TestClientKeysAreFetched(t *testing.T) {
	w := testkit.NewWorld(t)
	var set atomic.Pointer[json.RawMessage]
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(*set.Load())
	}))
	defer srv.Close()
	k := newKeyed(t, w, "keyed", func(c *oauth.Client) { c.JWKS, c.JWKSURI = nil, srv.URL+"/jwks" })
	w.Clock.Advance(2 * time.Second)
	raw := k.jwks(t)
	set.Store(&raw)
	for range 3 {
		if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, k.assertion(t, w.Clock.Now())); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d fetches for three assertions", n)
	}
	next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k.key, k.kid = next, "k2"
	raw2 := k.jwks(t)
	set.Store(&raw2)
	w.Clock.Advance(time.Minute)
	if _, err := w.Engine.Authenticate(t.Context(), oidc.Name, k.assertion(t, w.Clock.Now())); err != nil {
		t.Errorf("after its rotation: %v", err)
	}
}

func TestClientSecrets(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	try := func(id, secret string, m oauth.AuthMethod) oauth.ErrorCode {
		_, err := w.Engine.Authenticate(ctx, oidc.Name, engine.Credentials{ClientID: id, Method: m, Secret: secret})
		return code(err)
	}
	// One takes the place of another without a moment in which neither works.
	if err := w.Engine.PutClientSecret(ctx, testkit.Web, "next", w.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, id, secret string
		method           oauth.AuthMethod
		want             oauth.ErrorCode
	}{
		{"its secret", testkit.Web, testkit.WebSecret, oauth.AuthSecretBasic, ""},
		{"in the body", testkit.Web, testkit.WebSecret, oauth.AuthSecretPost, ""},
		{"its next secret", testkit.Web, "next", oauth.AuthSecretBasic, ""},
		{"a wrong one", testkit.Web, testkit.WebSecret + "x", oauth.AuthSecretBasic, oauth.InvalidClient},
		{"another client's", testkit.Web, testkit.Web2Secret, oauth.AuthSecretBasic, oauth.InvalidClient},
		{"an empty one", testkit.Web, "", oauth.AuthSecretBasic, oauth.InvalidClient},
		{"none at all", testkit.Web, "", oauth.AuthNone, oauth.InvalidClient},
		{"one by a public client", testkit.SPA, "x", oauth.AuthSecretPost, oauth.InvalidClient},
		{"an unknown client's", "nobody", "x", oauth.AuthSecretBasic, oauth.InvalidClient},
		{"a client of another face", testkit.App, "", oauth.AuthNone, oauth.InvalidClient},
	} {
		if got := try(tt.id, tt.secret, tt.method); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	w.Clock.Advance(time.Hour)
	if got := try(testkit.Web, "next", oauth.AuthSecretBasic); got != oauth.InvalidClient {
		t.Errorf("an expired one: %q", got)
	}
	// Wrong secret and unknown client: the same words.
	words := func(id string) string {
		_, err := w.Engine.Authenticate(ctx, oidc.Name, engine.Credentials{ClientID: id, Method: oauth.AuthSecretBasic, Secret: "x"})
		return oauth.AsError(err).Description
	}
	if a, b := words(testkit.Web), words("nobody"); a != b {
		t.Errorf("%q for a known client, %q for an unknown one", a, b)
	}
}
