package engine

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// AccessTokenType is the typ of an access token (RFC 9068 §2.1).
const AccessTokenType = "at+jwt"

// AccessToken is a verified access token of the standard form.
type AccessToken struct {
	ID        string
	ClientID  string
	Subject   string
	Scope     oauth.Scope
	Audience  []string
	IssuedAt  time.Time
	ExpiresAt time.Time
	Grant     *Grant // nil where the client acts for itself
}

// accessToken verifies a token and sees that what it stands for is alive: the
// client, and the grant if it has one. No cache stands before the grant. Refusal:
// invalid_token.
func (e *Engine) accessToken(ctx context.Context, face oauth.Face, token string) (*AccessToken, error) {
	typ, payload, err := e.VerifyToken(Standard, token)
	if err != nil {
		return nil, err
	}
	var c struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
		ClientID string          `json:"client_id"`
		Scope    string          `json:"scope"`
		ID       string          `json:"jti"`
		Issued   int64           `json:"iat"`
		Expires  int64           `json:"exp"`
		GID      string          `json:"gid"`
	}
	if err := jose.Unmarshal(payload, &c); err != nil || typ != AccessTokenType || c.Issuer != e.issuer || c.ClientID == "" {
		return nil, refuseToken("not an access token of ours")
	}
	scope, err := oauth.ParseScope(c.Scope)
	if err != nil {
		return nil, refuseToken("scope malformed")
	}
	t := &AccessToken{
		ID: c.ID, ClientID: c.ClientID, Subject: c.Subject, Scope: scope, Audience: audiences(c.Audience),
		IssuedAt: time.Unix(c.Issued, 0), ExpiresAt: time.Unix(c.Expires, 0),
	}
	if c.GID == "" {
		if _, err := e.client(ctx, face, c.ClientID); err != nil {
			if refusal := oauth.AsError(err); refusal.Fault() {
				return nil, err
			}
			return nil, refuseToken("client unknown or disabled")
		}
		return t, nil
	}
	t.Grant, err = e.Living(ctx, face, c.ClientID, c.GID)
	return t, err
}

// Introspection is what may be told of a token (RFC 7662 §2.2); Active false is
// all that is told of any other.
type Introspection struct {
	Active bool
	Kind   string // access_token or refresh_token
	AccessToken
}

// Introspect tells a client of a token that was issued to it, or that is for it (see
// serves). To everybody else the token is not active. Refusal:
// unauthorized_client (public clients prove nothing).
func (e *Engine) Introspect(ctx context.Context, face oauth.Face, caller *Caller, token string) (*Introspection, error) {
	if caller.client.Public() {
		return nil, oauth.Refuse(oauth.InvalidClient, "introspection by a public client", "The client must authenticate.")
	}
	if t, err := e.refreshToken(ctx, caller, token); err != nil || t != nil {
		if err != nil {
			return nil, err
		}
		return &Introspection{Active: true, Kind: "refresh_token", AccessToken: *t}, nil
	}
	t, err := e.accessToken(ctx, face, token)
	if err != nil {
		if refusal := oauth.AsError(err); refusal.Fault() {
			return nil, err
		}
		return &Introspection{}, nil
	}
	if t.ClientID != caller.client.ID && !serves(caller.client, t.Audience) {
		return &Introspection{}, nil
	}
	return &Introspection{Active: true, Kind: "access_token", AccessToken: *t}, nil
}

// serves reports whether the client is the resource server of one of the audiences:
// by its id, or by what its policy says.
func serves(c *store.Client, audience []string) bool {
	return slices.ContainsFunc(audience, func(a string) bool { return a == c.ID || slices.Contains(c.IntrospectResources, a) })
}

// refreshToken finds a refresh token of the caller that could be used now; nil if
// it is none.
func (e *Engine) refreshToken(ctx context.Context, caller *Caller, token string) (*AccessToken, error) {
	t, err := e.verify(ctx, tally.Refresh, token)
	if err != nil {
		return nil, unlessJunk(err)
	}
	g, found, err := e.store.Grant(ctx, e.grantID(t.Secret))
	if err != nil {
		return nil, fault("grant", err)
	}
	now := millis(e.now())
	over := func(end store.Time) bool { return end != 0 && end <= now }
	if !found || g.ClientID != caller.client.ID || g.RevokedAt != 0 || over(g.IdleExpiresAt) || over(g.AbsoluteExpiresAt) || t.Generation < g.Generation {
		return nil, nil
	}
	out := &AccessToken{ClientID: g.ClientID, Subject: g.Subject, Scope: g.Scope, IssuedAt: time.UnixMilli(max(g.RedeemedAt, g.RotatedAt)), Grant: &g.Birthright}
	for _, end := range []store.Time{g.IdleExpiresAt, g.AbsoluteExpiresAt} {
		if at := time.UnixMilli(end); end != 0 && (out.ExpiresAt.IsZero() || at.Before(out.ExpiresAt)) {
			out.ExpiresAt = at
		}
	}
	return out, nil
}

// Revoke ends the grant of a refresh or access token of the caller (RFC 7009). Of
// a token that is unknown, dead or somebody else's it says nothing. Refusal:
// unsupported_token_type (an access token that stands for no grant).
func (e *Engine) Revoke(ctx context.Context, face oauth.Face, caller *Caller, token string, trace Trace) error {
	id, err := e.revocable(ctx, face, caller, token)
	if err != nil || id == nil {
		return err
	}
	_, err = e.EndGrant(ctx, *id, store.WhyRevoked, trace)
	return err
}

func (e *Engine) revocable(ctx context.Context, face oauth.Face, caller *Caller, token string) (*store.GrantID, error) {
	t, err := e.verify(ctx, tally.Refresh, token)
	if err == nil {
		// Whatever its generation: its holder wants it dead.
		birth, err := e.birthright(ctx, e.grantID(t.Secret))
		if err != nil || birth == nil || birth.ClientID != caller.client.ID {
			return nil, err
		}
		return &birth.ID, nil
	}
	if err := unlessJunk(err); err != nil {
		return nil, err
	}
	access, err := e.accessToken(ctx, face, token)
	switch {
	case err != nil:
		if refusal := oauth.AsError(err); refusal.Fault() {
			return nil, err
		}
		return nil, nil
	case access.ClientID != caller.client.ID:
		return nil, nil
	case access.Grant == nil:
		return nil, oauth.Refuse(oauth.UnsupportedTokenType, "access token without a grant", "An access token that a client got for itself cannot be revoked: it ends by itself.")
	}
	return &access.Grant.ID, nil
}

// Userinfo is who an access token stands for, and what may be told.
type Userinfo struct {
	User   User
	Token  *AccessToken
	Claims oauth.ClaimsRequest
	Client *oauth.Client
}

// Userinfo answers for an access token (OpenID Connect Core §5.3). Refusals:
// invalid_token; insufficient_scope.
func (e *Engine) Userinfo(ctx context.Context, face oauth.Face, token string) (*Userinfo, error) {
	t, err := e.accessToken(ctx, face, token)
	if err != nil {
		if oauth.AsError(err).Code == oauth.UnauthorizedClient {
			return nil, refuseToken("client disabled")
		}
		return nil, err
	}
	if !slices.Contains(t.Audience, e.issuer) {
		return nil, refuseToken("audience is another")
	}
	if t.Grant == nil || !t.Scope.Has(oauth.OpenID) {
		return nil, oauth.Refuse(oauth.InsufficientScope, "no openid", "The access token must have the scope openid.")
	}
	u, found, err := e.store.User(ctx, t.Grant.User)
	switch {
	case err != nil:
		return nil, fault("user", err)
	case !found:
		return nil, refuseToken("user deleted")
	case u.DisabledAt != 0:
		return nil, refuseToken("user disabled")
	}
	client, err := e.client(ctx, face, t.ClientID)
	if err != nil {
		return nil, err
	}
	claims, err := oauth.ParseClaims(t.Grant.Claims)
	if err != nil {
		return nil, fault("claims of grant", err)
	}
	return &Userinfo{User: u, Token: t, Claims: claims, Client: &client.Client}, nil
}

// Sign signs what is no token of an exchange, such as the answer of userinfo.
func (e *Engine) Sign(d Draft) (string, error) { return e.keys.sign(&d, e.now()) }
