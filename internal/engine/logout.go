package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// IDTokenType is the typ of an ID token.
const IDTokenType = "JWT"

// Hint is what an ID token of ours tells that comes back as a hint.
type Hint struct {
	ClientID string
	Subject  string
}

func refuseHint(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, "id_token_hint: "+reason, "The id_token_hint is not an ID token that this server has issued to the client.")
}

// Hint reads an id_token_hint. It may have expired: it is no credential, it says who
// is meant (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2). Refusal:
// invalid_request.
func (e *Engine) Hint(token string) (*Hint, error) {
	typ, payload, err := e.verifyJWT(Standard, token)
	if err != nil {
		return nil, refuseHint(err.Error())
	}
	var c struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
		Events   json.RawMessage `json:"events"`
		ClientID string          `json:"client_id"`
	}
	aud := func() []string { return audiences(c.Audience) }
	if err := jose.Unmarshal(payload, &c); err != nil || typ != IDTokenType || c.Issuer != e.issuer || len(aud()) != 1 ||
		c.ClientID != "" || len(c.Events) > 0 || c.Subject == "" {
		return nil, refuseHint("not an ID token")
	}
	return &Hint{ClientID: aud()[0], Subject: c.Subject}, nil
}

// LoggedOut is where a browser goes after a logout: one of the client's
// post_logout_redirect_uris. Refusals: invalid_client, invalid_request.
func (e *Engine) LoggedOut(ctx context.Context, face oauth.Face, clientID, uri string) (*Destination, error) {
	client, err := e.client(ctx, face, clientID)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(client.PostLogoutRedirectURIs, uri) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "post_logout_redirect_uri not registered", "The post_logout_redirect_uri is not registered for this client.")
	}
	return &Destination{client: client, redirectURI: uri}, nil
}

// Session ids as pages name them.

// FormatSession prints the id of a session.
func FormatSession(id store.SessionID) string { return hex.EncodeToString(id[:]) }

func parseSession(s string) (id store.SessionID, ok bool) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(id) {
		return id, false
	}
	return store.SessionID(raw), true
}
