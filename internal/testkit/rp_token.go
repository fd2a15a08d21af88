package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ClientKey is a client's signing key. One without an ID stands in JWK Sets, and
// signs, without a kid.
type ClientKey struct {
	ID, Alg string
	private crypto.Signer
}

// NewClientKey makes a key for RS256, PS256, ES256 or EdDSA.
func NewClientKey(t testing.TB, alg string) *ClientKey {
	t.Helper()
	k := &ClientKey{ID: Random(), Alg: alg}
	var err error
	switch alg {
	case "RS256", "PS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("no key for %q", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Public is the key as a JWK (RFC 7517 §4).
func (k *ClientKey) Public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"}
}

// JWKS is a set of keys, for the metadata jwks or to be served as jwks_uri.
func JWKS(keys ...*ClientKey) jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	return set
}

// Sign makes a JWT in compact form; header adds to alg and kid. What
// cannot be signed is a mistake of the test and panics.
func (k *ClientKey) Sign(claims Document, header map[jose.HeaderKey]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return k.SignPayload(text, header)
}

// SignPayload is Sign of whatever bytes.
func (k *ClientKey) SignPayload(payload []byte, header map[jose.HeaderKey]any) string {
	options := &jose.SignerOptions{ExtraHeaders: header}
	if k.ID != "" {
		options = options.WithHeader("kid", k.ID)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Alg), Key: k.private}, options)
	if err != nil {
		panic(err)
	}
	object, err := s.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := object.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// Unsigned is a JWT of alg none (RFC 7519 §6.1).
func Unsigned(claims Document) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString(text) + "."
}

// signatures are the algorithms that a server may sign with.
var signatures = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// Verify checks a JWT's signature by the issuer's JWKS, which it fetches, and
// returns its header and claims.
func (rp *RP) Verify(token string) (jose.Header, Document, error) {
	object, err := jose.ParseSignedCompact(token, signatures)
	if err != nil {
		return jose.Header{}, nil, err
	}
	header := object.Signatures[0].Protected
	a := rp.Call(http.MethodGet, rp.Metadata.Text("jwks_uri"), nil, nil)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil || a.Status != http.StatusOK {
		return header, nil, fmt.Errorf("JWKS: %d %w", a.Status, err)
	}
	keys := set.Key(header.KeyID)
	if header.KeyID == "" || len(keys) != 1 { // OIDC Core §10.1
		return header, nil, fmt.Errorf("kid %q names %d keys of the JWKS, want one", header.KeyID, len(keys))
	}
	if alg := keys[0].Algorithm; alg != "" && alg != header.Algorithm {
		return header, nil, fmt.Errorf("alg %s by a key for %s", header.Algorithm, alg)
	}
	payload, err := object.Verify(keys[0].Key)
	if err != nil {
		return header, nil, err
	}
	var claims Document
	return header, claims, json.Unmarshal(payload, &claims)
}

// IDTokenChecks is what an ID token must agree with.
type IDTokenChecks struct {
	Nonce       string        // "" = must have none
	AccessToken string        // "" = at_hash is not looked at
	MaxAge      time.Duration // < 0 = auth_time is not asked for
	ACR         []string      // acceptable values; nil = any
}

// ValidateIDToken validates an ID token from the token endpoint as OIDC Core
// §3.1.3.7 tells a client to, and reports the first fault.
func (rp *RP) ValidateIDToken(token string, want IDTokenChecks) (Document, error) {
	header, c, err := rp.Verify(token)
	if err != nil {
		return nil, err
	}
	alg := rp.IDTokenAlg
	if alg == "" {
		alg = "RS256" // OIDC Registration §2 id_token_signed_response_alg
	}
	now := rp.Now()
	switch aud := audience(c["aud"]); {
	case header.Algorithm != alg:
		return c, fmt.Errorf("alg %s, want %s", header.Algorithm, alg)
	case c.Text("iss") != rp.Issuer:
		return c, fmt.Errorf("iss %q, want %q", c.Text("iss"), rp.Issuer)
	case !slices.Contains(aud, rp.ID):
		return c, fmt.Errorf("aud %v, want %s among them", aud, rp.ID)
	case len(aud) > 1 && c.Text("azp") == "":
		return c, errors.New("several audiences and no azp")
	case c["azp"] != nil && c.Text("azp") != rp.ID:
		return c, fmt.Errorf("azp %v, want %s", c["azp"], rp.ID)
	case c.Text("sub") == "" || len(c.Text("sub")) > 255: // §2
		return c, fmt.Errorf("sub %q, want 1 to 255 characters", c.Text("sub"))
	case c.Int("exp") <= now.Unix():
		return c, fmt.Errorf("exp %d is over, now is %d", c.Int("exp"), now.Unix())
	case c.Int("iat") > now.Unix() || c.Int("iat") < now.Add(-time.Hour).Unix():
		return c, fmt.Errorf("iat %d, now is %d", c.Int("iat"), now.Unix())
	case c.Text("nonce") != want.Nonce:
		return c, fmt.Errorf("nonce %q, want %q", c.Text("nonce"), want.Nonce)
	case want.MaxAge >= 0 && (c.Int("auth_time") == 0 || c.Int("auth_time") > now.Unix() || c.Int("auth_time") < now.Add(-want.MaxAge).Unix()):
		return c, fmt.Errorf("auth_time %v, want at most %v before %d", c["auth_time"], want.MaxAge, now.Unix())
	case want.ACR != nil && !slices.Contains(want.ACR, c.Text("acr")):
		return c, fmt.Errorf("acr %v, want one of %v", c["acr"], want.ACR)
	case want.AccessToken != "" && c["at_hash"] != nil && c.Text("at_hash") != leftHalf(header.Algorithm, want.AccessToken):
		return c, fmt.Errorf("at_hash %v is not the access token's", c["at_hash"])
	}
	return c, nil
}

func audience(v any) []string {
	if one, ok := v.(string); ok {
		return []string{one}
	}
	return Document{"aud": v}.Texts("aud")
}

// leftHalf is at_hash (OIDC Core §3.1.3.6).
func leftHalf(alg, token string) string {
	sum := sha256.Sum256([]byte(token))
	half := sum[:len(sum)/2]
	if alg == "EdDSA" { // Ed25519 hashes with SHA-512
		long := sha512.Sum512([]byte(token))
		half = long[:len(long)/2]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

// Session is what a client has after a sign-in.
type Session struct {
	Attempt *Attempt
	Journey *Journey
	Answer
	Claims Document // of the ID token; nil without openid
}

// Authorize sends a person through an authorization request and checks the
// answer as a client does: that it came to the redirect URI, with the state and
// the issuer (RFC 9207 §2.4). The answer may be a refusal.
func (rp *RP) Authorize(t testing.TB, b *Browser, who Person, more url.Values) (*Attempt, *Journey) {
	t.Helper()
	a := rp.Begin(more)
	j := b.Complete(a.URL(), who)
	if j.Answer == nil {
		t.Fatalf("authorization: no answer; the page: %s", j.End)
	}
	a.Check(t, j.Answer)
	return a, j
}

// Check checks an authorization response as a client does before it looks at
// what it says.
func (a *Attempt) Check(t testing.TB, answer *Authorization) {
	t.Helper()
	registered, _, _ := strings.Cut(a.rp.RedirectURI, "?")
	if got := answer.To.Scheme + "://" + answer.To.Host + answer.To.EscapedPath(); got != registered && a.rp.RedirectURI != "" {
		t.Fatalf("authorization: the answer went to %s, want %s", got, registered)
	}
	for name, values := range answer.Params { // RFC 6749 §3.1
		if len(values) > 1 {
			t.Errorf("authorization: %s %d times", name, len(values))
		}
	}
	if want := a.Params.Get("state"); answer.Params.Get("state") != want {
		t.Errorf("authorization: state %q, want %q", answer.Params.Get("state"), want)
	}
	if got := answer.Params.Get("iss"); got != a.rp.Issuer {
		t.Errorf("authorization: iss %q, want %q (RFC 9207 §2)", got, a.rp.Issuer)
	}
}

// SignIn runs the whole code flow and checks all of it. more goes into the
// authorization request.
func (rp *RP) SignIn(t testing.TB, b *Browser, who Person, more url.Values) *Session {
	t.Helper()
	a, j := rp.Authorize(t, b, who, more)
	return a.Exchange(t, j)
}

// Exchange redeems the code that a journey brought and checks the tokens.
func (a *Attempt) Exchange(t testing.TB, j *Journey) *Session {
	t.Helper()
	if j.Answer.Code() == "" {
		t.Fatalf("authorization: no code but %v", j.Answer.Params)
	}
	s := &Session{Attempt: a, Journey: j, Answer: a.Redeem(j.Answer.Code(), nil)}
	if s.Status != http.StatusOK {
		t.Fatalf("token: %d %s", s.Status, s.Body)
	}
	body := s.JSON()
	if kind := body.Text("token_type"); !strings.EqualFold(kind, "Bearer") || s.AccessToken == "" || body.Int("expires_in") <= 0 {
		t.Fatalf("token: token_type %q, expires_in %v, access token %t", kind, body["expires_in"], s.AccessToken != "")
	}
	if cc := s.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") { // RFC 6749 §5.1
		t.Errorf("token: Cache-Control %q, want no-store", cc)
	}
	if s.IDToken == "" {
		return s
	}
	want := IDTokenChecks{Nonce: a.Params.Get("nonce"), AccessToken: s.AccessToken, MaxAge: -1}
	if raw := a.Params.Get("max_age"); raw != "" {
		age, err := time.ParseDuration(raw + "s")
		if err != nil {
			t.Fatal(err)
		}
		want.MaxAge = age + a.rp.Now().Sub(a.At)
	}
	var err error
	if s.Claims, err = a.rp.ValidateIDToken(s.IDToken, want); err != nil {
		t.Fatalf("ID token: %v", err)
	}
	return s
}
