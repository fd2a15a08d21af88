package oidc_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
)

// Security case 95: RFC 6749 §2.3.1 for every byte that a secret may have, in the
// header and in the body.
func TestSecretsOfAllBytes(t *testing.T) {
	b := newBack(t)
	for _, secret := range []string{":", "%", "+", "a:b:c", "100%25+1", " ", "é&=", "\x01\x7f", `"\`} {
		if err := b.Engine.PutClientSecret(t.Context(), testkit.Service, secret, time.Time{}); err != nil {
			t.Fatal(err)
		}
		b.Clock.Advance(2 * time.Second)
		rp := *b.service
		rp.Secret = secret
		for _, method := range []string{"client_secret_basic", "client_secret_post"} {
			rp.AuthMethod = method
			if a := rp.ClientCredentials(nil); a.Status != http.StatusOK {
				t.Errorf("%q by %s: %d %s", secret, method, a.Status, a.Body)
			}
		}
	}
}

// RFC 6749 §2.3.1: an empty secret may be left out, so a Basic header without one names
// a public client as client_id does, and proves nothing for any other.
func TestBasicWithoutSecret(t *testing.T) {
	b := newBack(t)
	for _, tt := range []struct {
		client string
		status int
		code   oauth.ErrorCode
	}{
		{testkit.SPA, http.StatusBadRequest, oauth.UnauthorizedClient}, // it is known, and may not do this
		{testkit.Service, http.StatusUnauthorized, oauth.InvalidClient},
		{"nobody", http.StatusUnauthorized, oauth.InvalidClient},
	} {
		rp := *b.service
		rp.ID, rp.Secret, rp.AuthMethod = tt.client, "", "client_secret_basic"
		a := rp.ClientCredentials(nil)
		want(t, tt.client, a, tt.code)
		if a.Status != tt.status {
			t.Errorf("%s: %d, want %d", tt.client, a.Status, tt.status)
		}
	}
}

// Two secrets are good while one takes the place of the other, each until its end.
func TestSecretRotation(t *testing.T) {
	b := newBack(t)
	if err := b.Engine.PutClientSecret(t.Context(), testkit.Service, "next", b.Clock.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	next := *b.service
	next.Secret = "next"
	for _, rp := range []*testkit.RP{b.service, &next} {
		if a := rp.ClientCredentials(nil); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	b.Clock.Advance(time.Minute)
	want(t, "the one that has ended", next.ClientCredentials(nil), oauth.InvalidClient)
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signer registers a client that authenticates by its key.
func (b *back) signer(t testing.TB, alg string) *testkit.RP {
	t.Helper()
	key := testkit.NewClientKey(t, alg)
	return b.Register(t, testkit.Document{
		"token_endpoint_auth_method": "private_key_jwt", "jwks": testkit.JWKS(key), "scope": "openid api:read",
		"grant_types": []string{"authorization_code", "client_credentials"},
	}, key)
}

// RFC 7523 §3, by every algorithm and at every endpoint, each assertion once.
func TestAssertions(t *testing.T) {
	b := newBack(t)
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		rp := b.signer(t, alg)
		a := rp.ClientCredentials(url.Values{"scope": {"api:read"}})
		if a.Status != http.StatusOK || !active(t, rp, a.AccessToken) || rp.Revoke("x").Status != http.StatusOK {
			t.Errorf("%s: %d %s", alg, a.Status, a.Body)
		}
		if push := rp.Begin(nil).Push(); push.Status != http.StatusCreated {
			t.Errorf("%s: push: %d %s", alg, push.Status, push.Body)
		}
	}
	rp := b.signer(t, "ES256")
	once := url.Values{"client_assertion": {rp.Assertion(nil)}, "client_assertion_type": {assertionType}}
	// RFC 7521 §4.2: client_id is not needed beside an assertion.
	if a := rp.ClientCredentials(testkit.With(once, url.Values{"scope": {"api:read"}})); a.Status != http.StatusOK {
		t.Errorf("without client_id: %d %s", a.Status, a.Body)
	}
	want(t, "again", rp.ClientCredentials(once), oauth.InvalidClient)
	want(t, "again, for introspection", rp.Post("introspection", testkit.With(once, url.Values{"token": {"x"}})), oauth.InvalidClient)
	want(t, "again, to push", rp.Post("pushed_authorization_request", once), oauth.InvalidClient)
}

// Security cases 99 to 106. Each row is one thing that is wrong.
func TestWrongAssertions(t *testing.T) {
	b := newBack(t)
	rp, stranger := b.signer(t, "RS256"), testkit.NewClientKey(t, "RS256")
	now := b.Clock.Now()
	claims := func(more testkit.Document) func() string { return func() string { return rp.Assertion(more) } }
	header := func(name gojose.HeaderKey, value any) func() string {
		return func() string { return rp.Key.Sign(decode(t, rp.Assertion(nil)), map[gojose.HeaderKey]any{name: value}) }
	}
	for _, tt := range []struct {
		name      string
		assertion func() string
		good      bool
	}{
		{"as it should be", claims(nil), true},
		{"104: expired for less than a minute", claims(testkit.Document{"exp": now.Add(-59 * time.Second).Unix()}), true},
		{"104: expired for a minute", claims(testkit.Document{"exp": now.Add(-60 * time.Second).Unix()}), false},
		{"104: five minutes ahead", claims(testkit.Document{"exp": now.Add(5 * time.Minute).Unix()}), true},
		{"104: more", claims(testkit.Document{"exp": now.Add(5*time.Minute + time.Second).Unix()}), false},
		{"104: without an end", claims(testkit.Document{"exp": nil}), false},
		{"104: valid in a minute", claims(testkit.Document{"nbf": now.Add(60 * time.Second).Unix()}), true},
		{"104: valid later", claims(testkit.Document{"nbf": now.Add(61 * time.Second).Unix()}), false},
		{"104: an end that is no number", claims(testkit.Document{"exp": "tomorrow"}), false},
		{"without jti", claims(testkit.Document{"jti": nil}), false},
		{"106: of another issuer", claims(testkit.Document{"iss": testkit.Web}), false},
		{"106: about another client", claims(testkit.Document{"sub": testkit.Web}), false},
		{"106: all of another client", claims(testkit.Document{"iss": testkit.Web, "sub": testkit.Web}), false},
		{"100: alg none", func() string { return testkit.Unsigned(decode(t, rp.Assertion(nil))) }, false},
		{"100: HS256 by the public key", func() string { return hs256(t, decode(t, rp.Assertion(nil)), rp.Key) }, false},
		{"100: PS256 for RS256", func() string { k := *rp.Key; k.Alg = "PS256"; return k.Sign(decode(t, rp.Assertion(nil)), nil) }, false},
		{"by a key of somebody else", func() string { k := *stranger; k.ID = rp.Key.ID; return k.Sign(decode(t, rp.Assertion(nil)), nil) }, false},
		{"101: jwk in the header", header("jwk", stranger.Public()), false},
		{"101: jku in the header", header("jku", "http://127.0.0.1:1/keys"), false},
		{"101: x5u in the header", header("x5u", "http://127.0.0.1:1/cert"), false},
		{"101: x5c in the header", header("x5c", []string{"AAAA"}), false},
		{"102: crit with an unknown name", header("crit", []string{"exp"}), false},
		{"102: b64", header("b64", false), false},
		{"not a JWT", func() string { return "x" }, false},
	} {
		a := rp.ClientCredentials(url.Values{
			"client_id": {rp.ID}, "client_assertion": {tt.assertion()}, "client_assertion_type": {assertionType}, "scope": {"api:read"},
		})
		if (a.Status == http.StatusOK) != tt.good || !tt.good && (a.Error != "invalid_client" || a.Status != http.StatusUnauthorized) {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
	}
	// 99: the method is pinned.
	for name, method := range map[string]string{"by a secret": "client_secret_post", "by nothing": "none"} {
		other := *rp
		other.AuthMethod, other.Secret = method, "secret"
		want(t, "99: "+name, other.ClientCredentials(nil), oauth.InvalidClient)
	}
	secret := *b.web
	secret.Key, secret.AuthMethod = rp.Key, "private_key_jwt"
	want(t, "99: an assertion of a client with a secret", secret.Refresh("x", nil), oauth.InvalidClient)
}

// decode reads the claims of a JWT of ours.
func decode(t testing.TB, token string) (d testkit.Document) {
	t.Helper()
	object, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{"RS256"})
	if err == nil {
		err = json.Unmarshal(object.UnsafePayloadWithoutVerification(), &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hs256 signs with what everybody knows (RFC 8725 §2.1).
func hs256(t testing.TB, claims testkit.Document, k *testkit.ClientKey) string {
	t.Helper()
	public, err := json.Marshal(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(`{"alg":"HS256","kid":"`+k.ID+`"}`)) + "." + enc.EncodeToString(payload)
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(input))
	return input + "." + enc.EncodeToString(mac.Sum(nil))
}

// What a client has authenticated by is not kept with its request.
func TestPushedRequestHoldsNoSecret(t *testing.T) {
	b := newBack(t)
	rp := *b.web
	rp.AuthMethod = "client_secret_post"
	signer := b.signer(t, "ES256")
	for _, client := range []*testkit.RP{&rp, signer, b.web} {
		a := client.Begin(url.Values{"state": {"the state"}, "resource": {"http://127.0.0.1:1/"}, "unknown": {"x"}})
		if r := a.Push(); r.Status != http.StatusCreated {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		_, params, err := b.Engine.Pushed(t.Context(), client.ID, a.Handle)
		if err != nil {
			t.Fatal(err)
		}
		var kept map[string]string
		if err := json.Unmarshal(params, &kept); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type", "unknown"} {
			if kept[name] != "" {
				t.Errorf("%s is kept", name)
			}
		}
		if kept["state"] != "the state" || kept["client_id"] != client.ID || kept["resource"] != "http://127.0.0.1:1/" {
			t.Errorf("kept: %v", kept)
		}
		if _, _, err := b.Engine.Pushed(t.Context(), testkit.SPA, a.Handle); err == nil {
			t.Error("another client can begin with it")
		}
	}
}

// A pushed request leads to a code like any other, once.
func TestPushedRequest(t *testing.T) {
	b := newBack(t)
	browser := b.Browser(t)
	a := b.web.Begin(nil)
	if r := a.Push(); r.Status != http.StatusCreated {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	j := browser.Complete(a.URL(), testkit.Ada)
	if j.Answer == nil {
		t.Fatalf("no answer; the page: %s", j.End)
	}
	a.Exchange(t, j)
	if again := browser.Complete(a.URL(), testkit.Ada); again.Answer != nil && again.Answer.Code() != "" {
		t.Error("a second code came of it")
	}
}
