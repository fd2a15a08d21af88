package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// PushedPrefix is what a request_uri of a pushed request begins with (RFC 9126
// §2.2).
const PushedPrefix = "urn:ietf:params:oauth:request_uri:"

// The life of a pushed request, and how many of a client may wait.
const (
	PushedLifetime   = 60 * time.Second
	pushedPerClient  = 1000
	pushedPerNetwork = 300 // in PushedLifetime, by public clients
)

func refusePushed(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequestURI, "pushed request: "+reason,
		"The request_uri is not valid: it is unknown, expired, already used, or was issued to another client.")
}

// Push keeps an authorization request and returns its request_uri. check says
// whether it is one that could be authorized, and returns it as one JSON object; its
// refusal uses the client's assertion, too. Refusals beside those of check and of
// Authenticate: temporarily_unavailable (too many are waiting).
func (e *Engine) Push(ctx context.Context, face oauth.Face, c Credentials, trace Trace, check func(context.Context, *oauth.Client) ([]byte, error)) (uri string, err error) {
	caller, err := e.authenticate(ctx, face, c)
	if err != nil {
		return "", err
	}
	if err := e.mayPush(caller.client, trace.IP); err != nil {
		return "", err
	}
	params, err := check(ctx, &caller.client.Client)
	if err != nil {
		if oauth.AsError(err).Fault() {
			return "", err
		}
		return "", cmp.Or(e.spend(ctx, caller), err)
	}
	secret, id, err := e.newSecret()
	if err != nil {
		return "", err
	}
	now := e.now()
	out, err := e.store.PushRequest(ctx, store.PushRequest{
		Request: store.Request{
			ID: store.RequestID(id), ClientID: caller.client.ID, Params: params,
			CreatedAt: millis(now), ExpiresAt: millis(now.Add(PushedLifetime)),
		},
		PerClient: pushedPerClient, Assertion: caller.take(), Now: millis(now),
	})
	switch {
	case err != nil:
		return "", fault("push request", err)
	case out == store.Reused:
		return "", refuseAssertion("used before")
	case out != store.Done:
		return "", tooManyPushed("of the client")
	}
	ring := e.keys.ring(now)
	handle, err := ring.Mint(tally.PushedRequest, tally.Tally{Key: ring.Active(), Secret: secret})
	if err != nil {
		return "", fault("mint request_uri", err)
	}
	return PushedPrefix + handle, nil
}

func tooManyPushed(whose string) error {
	return &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Reason: "too many pushed requests " + whose + " are waiting", RetryAfter: PushedLifetime,
		Description: "Too many pushed requests are waiting. Please try again later.",
	}
}

// mayPush: anybody can push for a public client, so one network gets only a part of
// what may wait; the client's own users elsewhere are not kept out by it.
func (e *Engine) mayPush(client *store.Client, ip string) error {
	if !client.Public() {
		return nil
	}
	if e.pushes.take(Network(ip), e.now()) > 0 {
		return tooManyPushed("from the network")
	}
	return nil
}

// Pushed finds the request of a request_uri that can be begun with now. It is
// spent when a grant is born of it. Refusal: invalid_request_uri.
func (e *Engine) Pushed(ctx context.Context, clientID, uri string) (store.RequestID, []byte, error) {
	handle, ok := strings.CutPrefix(uri, PushedPrefix)
	if !ok {
		return store.RequestID{}, nil, refusePushed("not one of ours")
	}
	t, err := e.verify(ctx, tally.PushedRequest, handle)
	if err != nil {
		return store.RequestID{}, nil, artefactError(err, handle, refusePushed)
	}
	r, found, err := e.store.Request(ctx, store.RequestID(e.grantID(t.Secret)))
	switch {
	case err != nil:
		return store.RequestID{}, nil, fault("request", err)
	case !found:
		return store.RequestID{}, nil, refusePushed("unknown")
	case r.ClientID != clientID:
		return store.RequestID{}, nil, refusePushed("of another client")
	case r.UsedAt != 0:
		return store.RequestID{}, nil, refusePushed("used before")
	case r.ExpiresAt <= millis(e.now()):
		return store.RequestID{}, nil, refusePushed("expired")
	}
	return r.ID, r.Params, nil
}

func refuseRequestObject(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequestObject, "request object: "+reason, "The request object is not valid.")
}

var requestObjectTypes = []string{"application/oauth-authz-req+jwt", "application/jwt", "text/plain", "application/octet-stream"}

// FetchRequestObject fetches the request object at an address that the client has
// registered. Refusal: invalid_request_uri.
func (e *Engine) FetchRequestObject(ctx context.Context, face oauth.Face, clientID, uri string) (string, error) {
	client, err := e.client(ctx, face, clientID)
	if err != nil {
		return "", err
	}
	refuse := func(reason string) error {
		return oauth.Refuse(oauth.InvalidRequestURI, "request_uri: "+reason, "The request_uri is not registered by the client, or cannot be fetched.")
	}
	// A fragment is the hash of the content, and may change with it (OIDC Core §6.2).
	bare, hash, _ := strings.Cut(uri, "#")
	if !slices.ContainsFunc(client.RequestURIs, func(r string) bool {
		registered, _, _ := strings.Cut(r, "#")
		return registered == bare
	}) {
		return "", refuse("not registered")
	}
	body, err := e.fetch.Get(ctx, bare, requestObjectTypes...)
	if err == nil && hash != "" && hash != contentHash(body) {
		body, err = e.fetch.Fresh(ctx, bare, requestObjectTypes...)
	}
	if err != nil {
		return "", refuse(err.Error())
	}
	return strings.TrimSpace(string(body)), nil
}

func contentHash(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// RequestObject verifies a request object of the client (RFC 9101) and returns its
// claims. Refusal: invalid_request_object.
func (e *Engine) RequestObject(ctx context.Context, face oauth.Face, clientID, token string) (map[string]json.RawMessage, error) {
	client, err := e.client(ctx, face, clientID)
	if err != nil {
		return nil, err
	}
	if client.JWKSURI == "" && len(client.JWKS) == 0 {
		return nil, refuseRequestObject("the client has registered no keys")
	}
	payload, err := e.verifyClientJWT(ctx, client, token, client.RequestObjectAlg)
	if err != nil {
		return nil, refuseRequestObject(err.Error())
	}
	var claims map[string]json.RawMessage
	if err := jose.Unmarshal(payload, &claims); err != nil || claims == nil {
		return nil, refuseRequestObject("claims malformed")
	}
	var known struct {
		Issuer   string          `json:"iss"`
		Audience json.RawMessage `json:"aud"`
		ClientID string          `json:"client_id"`
		Expires  *float64        `json:"exp"`
		Before   *float64        `json:"nbf"`
	}
	if err := jose.Unmarshal(payload, &known); err != nil {
		return nil, refuseRequestObject("claims malformed")
	}
	now := e.now()
	expires, okExpires := seconds(known.Expires)
	before, okBefore := seconds(known.Before)
	switch {
	// RFC 9101 §4: iss is the client; §5: client_id is the one of the request.
	case known.Issuer != "" && known.Issuer != client.ID:
		return nil, refuseRequestObject("iss is not the client")
	case known.ClientID != "" && known.ClientID != client.ID:
		return nil, refuseRequestObject("client_id is another")
	case len(known.Audience) > 0 && !slices.Contains(audiences(known.Audience), e.issuer):
		return nil, refuseRequestObject("aud is not the issuer")
	case known.Expires != nil && (!okExpires || !now.Before(expires.Add(assertionSkew))):
		return nil, refuseRequestObject("expired")
	case known.Before != nil && (!okBefore || before.After(now.Add(assertionSkew))):
		return nil, refuseRequestObject("not valid yet")
	}
	return claims, nil
}

// audiences reads an aud, one or several (RFC 7519 §4.1.3); none if it is
// something else.
func audiences(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var all []string
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all
}

// newID draws a random id.
func (e *Engine) newID() (id [16]byte, err error) {
	if _, err := io.ReadFull(e.rand, id[:]); err != nil {
		return id, fault("randomness", err)
	}
	return id, nil
}
