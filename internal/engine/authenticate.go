package engine

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// Credentials are what a client has brought to prove who it is, as it was sent.
type Credentials struct {
	// ClientID may be "" beside an assertion, which names the client itself.
	ClientID  string
	Method    oauth.AuthMethod // "" is none
	Secret    string           // of client_secret_basic and client_secret_post
	Assertion string           // of private_key_jwt
}

// Caller is a client that has proved who it is.
type Caller struct {
	client    *store.Client
	judged    int64 // the config version that it was judged by
	assertion store.Spend
}

// Client is who calls.
func (c *Caller) Client() *oauth.Client { return &c.client.Client }

// take is the assertion that is still to be spent; it can be taken once.
func (c *Caller) take() store.Spend {
	s := c.assertion
	c.assertion = store.Spend{}
	return s
}

func refuseAssertion(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidClient, "assertion: "+reason, wrongCredentials)
}

// Authenticate finds out which client calls, and spends its assertion. Refusal:
// invalid_client; to who brings credentials in the same words whether there is such
// a client or not.
func (e *Engine) Authenticate(ctx context.Context, face oauth.Face, c Credentials) (*Caller, error) {
	caller, err := e.authenticate(ctx, face, c)
	if err != nil {
		return nil, err
	}
	return caller, e.spend(ctx, caller)
}

// spend spends the caller's assertion, if there is one that no intent has spent.
func (e *Engine) spend(ctx context.Context, caller *Caller) error {
	s := caller.take()
	if s.ID == (store.Hash{}) {
		return nil
	}
	out, err := e.store.Spend(ctx, s)
	if err != nil {
		return fault("spend assertion", err)
	}
	if out != store.Done {
		return refuseAssertion("used before")
	}
	return nil
}

// authenticate leaves the assertion to be spent with what it is for.
func (e *Engine) authenticate(ctx context.Context, face oauth.Face, c Credentials) (*Caller, error) {
	if c.Method == oauth.AuthPrivateKeyJWT && c.ClientID == "" {
		c.ClientID = subjectOf(c.Assertion)
	}
	client, judged, err := e.clientAt(ctx, face, c.ClientID)
	if err != nil {
		refusal := oauth.AsError(err)
		if refusal.Code == oauth.InvalidClient && c.Method != "" && c.Method != oauth.AuthNone {
			// What a known client costs, and in its words.
			e.secretHash(c.ClientID, c.Secret)
			return nil, refuseCredentials(refusal.Reason)
		}
		return nil, err
	}
	caller := &Caller{client: client, judged: judged}
	method := c.Method
	if method == "" {
		method = oauth.AuthNone
	}
	if method != client.AuthMethod && !(method.Secret() && client.HasSecret()) {
		e.secretHash(c.ClientID, c.Secret)
		if method == oauth.AuthNone {
			return nil, oauth.Refuse(oauth.InvalidClient, "client authentication missing", "The client must authenticate by "+string(client.AuthMethod)+".")
		}
		return nil, refuseCredentials("the client authenticates by " + string(client.AuthMethod) + ", not " + string(method))
	}
	switch method {
	case oauth.AuthNone:
		return caller, nil
	case oauth.AuthSecretBasic, oauth.AuthSecretPost:
		return caller, e.checkSecret(client, c.Secret)
	case oauth.AuthPrivateKeyJWT:
		caller.assertion, err = e.checkAssertion(ctx, client, c.Assertion)
		return caller, err
	}
	return nil, refuseCredentials("unknown method")
}

// again judges a caller by the configuration of now: it may be disabled since, its
// secret withdrawn, or the grant type taken from it.
func (e *Engine) again(ctx context.Context, req *TokenRequest, caller *Caller) error {
	e.clients.forget()
	client, err := e.client(ctx, req.Face, caller.client.ID)
	switch {
	case err != nil:
		return err
	case client.AuthMethod != caller.client.AuthMethod:
		return refuseCredentials("another method since")
	case !client.Allows(req.GrantType):
		return oauth.Refuse(oauth.UnauthorizedClient, "grant type not allowed any more", "The client may not use this grant_type.")
	case req.Secret != "":
		return e.checkSecret(client, req.Secret)
	}
	return nil
}

func refuseCredentials(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidClient, "credentials: "+reason, wrongCredentials)
}

// wrongCredentials is what a client is told whose credentials are wrong, and who
// brings some for a client that there is not.
const wrongCredentials = "The client credentials are not valid."

// secretHash is what the store keeps of a client's secret. It is keyed from the
// master key, so that a database alone tells nothing even of a secret that an
// operator has chosen badly; ours are random and need no slow hash.
func (e *Engine) secretHash(clientID, secret string) store.Hash {
	h := hmac.New(sha256.New, e.secretKey)
	h.Write([]byte("tallystick client secret\x00" + clientID + "\x00" + secret))
	return store.Hash(h.Sum(nil))
}

func (e *Engine) checkSecret(client *store.Client, secret string) error {
	hash, now, good := e.secretHash(client.ID, secret), millis(e.now()), 0
	for _, s := range client.Secrets {
		same := subtle.ConstantTimeCompare(s.Hash[:], hash[:])
		if s.ExpiresAt == 0 || s.ExpiresAt > now {
			good |= same
		}
	}
	if good != 1 {
		return refuseCredentials("wrong secret, or an expired one")
	}
	return nil
}

// NewSecret draws a secret that a client can authenticate with.
func (e *Engine) NewSecret() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(e.rand, b[:]); err != nil {
		return "", fault("randomness", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// PutClientSecret lets a client authenticate by a secret, beside those that it has,
// until expires; the zero time is no end.
func (e *Engine) PutClientSecret(ctx context.Context, clientID, secret string, expires time.Time) error {
	s := store.ClientSecret{ClientID: clientID, Hash: e.secretHash(clientID, secret), CreatedAt: millis(e.now())}
	if !expires.IsZero() {
		s.ExpiresAt = millis(expires)
	}
	if err := e.store.PutClientSecret(ctx, s); err != nil {
		return fault("put client secret", err)
	}
	e.clients.forget()
	return nil
}

// SetClientSecret makes a secret the only one of a client; what is there already is
// left alone.
func (e *Engine) SetClientSecret(ctx context.Context, client *store.Client, secret string) error {
	want := e.secretHash(client.ID, secret)
	have := slices.ContainsFunc(client.Secrets, func(s store.ClientSecret) bool { return s.Hash == want && s.ExpiresAt == 0 })
	if !have {
		if err := e.PutClientSecret(ctx, client.ID, secret, time.Time{}); err != nil {
			return err
		}
	}
	for _, s := range client.Secrets {
		if s.Hash == want {
			continue
		}
		if err := e.store.DeleteClientSecret(ctx, client.ID, s.Hash); err != nil {
			return fault("delete client secret", err)
		}
	}
	return nil
}

// The life of a client's assertion.
const (
	assertionLifetime = 5 * time.Minute // at most ahead
	assertionSkew     = 60 * time.Second
	maxJTI            = 256
)

// assertion is a client's JWT that says who it is (RFC 7523 §3).
type assertion struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
	Expires  *float64        `json:"exp"`
	Before   *float64        `json:"nbf"`
	Issued   *float64        `json:"iat"`
}

// subjectOf names the client of an assertion that nobody has verified yet.
func subjectOf(token string) string {
	payload, _, err := jose.UnverifiedPayload(token)
	if err != nil {
		return ""
	}
	var a assertion
	if jose.Unmarshal(payload, &a) != nil {
		return ""
	}
	return a.Subject
}

func (e *Engine) checkAssertion(ctx context.Context, client *store.Client, token string) (store.Spend, error) {
	payload, err := e.verifyClientJWT(ctx, client, token, client.AuthSigningAlg)
	if err != nil {
		if busy(err) {
			return store.Spend{}, fault("client keys", err)
		}
		return store.Spend{}, refuseAssertion(err.Error())
	}
	var a assertion
	if err := jose.Unmarshal(payload, &a); err != nil {
		return store.Spend{}, refuseAssertion("claims malformed")
	}
	// The issuer is the only audience: a token endpoint's URL as the audience lets
	// one server's assertion be used at another (RFC 10070).
	var aud string
	now := e.now()
	expires, ok := seconds(a.Expires)
	before, okBefore := seconds(a.Before)
	issued, okIssued := seconds(a.Issued)
	switch {
	case a.Issuer != client.ID, a.Subject != client.ID:
		return store.Spend{}, refuseAssertion("iss or sub is not the client")
	case json.Unmarshal(a.Audience, &aud) != nil && !soleAudience(a.Audience, &aud), aud != e.issuer:
		return store.Spend{}, oauth.Refuse(oauth.InvalidClient, "assertion: audience", "The aud of the client_assertion must be the issuer, and nothing else.")
	case a.ID == "" || len(a.ID) > maxJTI:
		return store.Spend{}, refuseAssertion("jti missing or too long")
	case a.Expires == nil || !ok:
		return store.Spend{}, refuseAssertion("exp missing")
	case !now.Before(expires.Add(assertionSkew)):
		return store.Spend{}, refuseAssertion("expired")
	case expires.After(now.Add(assertionLifetime)):
		return store.Spend{}, refuseAssertion("exp more than five minutes ahead")
	case a.Before != nil && (!okBefore || before.After(now.Add(assertionSkew))):
		return store.Spend{}, refuseAssertion("not valid yet")
	case a.Issued != nil && (!okIssued || issued.After(now.Add(assertionSkew))):
		return store.Spend{}, refuseAssertion("issued in the future")
	}
	return store.Spend{
		ID: sha256.Sum256([]byte("tallystick jti\x00" + client.ID + "\x00" + a.ID)),
		// Remembered until it would be refused for its age on every node.
		ExpiresAt: millis(expires.Add(2 * assertionSkew)), Now: millis(now),
	}, nil
}

// soleAudience reads an array of exactly one audience.
func soleAudience(raw json.RawMessage, aud *string) bool {
	var list []string
	if json.Unmarshal(raw, &list) != nil || len(list) != 1 {
		return false
	}
	*aud = list[0]
	return true
}

// seconds reads a NumericDate (RFC 7519 §2); false if it is none that can be
// reckoned with.
func seconds(n *float64) (time.Time, bool) {
	if n == nil || *n < 0 || *n > 1e11 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(*n * 1000)), true
}

// verifyClientJWT verifies what a client has signed by the keys that it has
// registered. alg pins the algorithm; "" is any. The error is no answer yet: each
// use has words of its own. Faults are faults.
func (e *Engine) verifyClientJWT(ctx context.Context, client *store.Client, token, alg string) ([]byte, error) {
	allowed := []jose.Alg{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519}
	switch jose.Alg(alg) {
	case "":
	case jose.EdDSA, jose.Ed25519: // two names of one algorithm
		allowed = []jose.Alg{jose.EdDSA, jose.Ed25519}
	default:
		allowed = []jose.Alg{jose.Alg(alg)}
	}
	raw := []byte(client.JWKS)
	if client.JWKSURI != "" {
		var err error
		if raw, err = e.fetch.Get(ctx, client.JWKSURI, jwksTypes...); err != nil {
			return nil, fmt.Errorf("jwks_uri: %w", err)
		}
	}
	payload, known, err := e.verifyBy(raw, token, allowed)
	if known || client.JWKSURI == "" {
		return payload, err
	}
	// The client may have a new key.
	if raw, err = e.fetch.Fresh(ctx, client.JWKSURI, jwksTypes...); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	payload, _, err = e.verifyBy(raw, token, allowed)
	return payload, err
}

// busy reports whether it is our fault, or nobody's, that something could not be
// fetched: then the client's keys are no worse than they were.
func busy(err error) bool {
	if errors.Is(err, context.Canceled) {
		return true
	}
	b, ok := errors.AsType[interface {
		error
		Busy() bool
	}](err)
	return ok && b.Busy()
}

var jwksTypes = []string{"application/jwk-set+json", "application/json"}

// verifyBy remembers the sets that it has read: a client sends the same for months.
func (e *Engine) verifyBy(raw []byte, token string, allowed []jose.Alg) (payload []byte, known bool, err error) {
	sum := store.Hash(sha256.Sum256(raw))
	set, ok := e.keySets.get(sum)
	if !ok {
		if set, err = jose.ParseKeySet(raw); err != nil {
			return nil, false, err
		}
		e.keySets.put(sum, set)
	}
	payload, _, known, err = set.Verify(token, allowed)
	return payload, known, err
}
