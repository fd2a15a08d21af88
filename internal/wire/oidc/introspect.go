package oidc

import (
	"net/http"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// introspection is RFC 7662 §2.2. Of a token that is not active nothing else is
// said, whatever is wrong with it.
type introspection struct {
	Active    bool        `json:"active"`
	TokenType string      `json:"token_type,omitempty"` // only what can be presented to a resource server has one
	ClientID  string      `json:"client_id,omitempty"`
	Subject   string      `json:"sub,omitempty"`
	Scope     oauth.Scope `json:"scope,omitempty"`
	Audience  any         `json:"aud,omitempty"`
	Issuer    string      `json:"iss,omitempty"`
	IssuedAt  int64       `json:"iat,omitempty"`
	ExpiresAt int64       `json:"exp,omitempty"`
	ID        string      `json:"jti,omitempty"`
}

// maxIntrospected is what a resource server may pass on of what it was handed: the
// answer to a token is that it is not active, whatever its length.
const maxIntrospected = 2 << 20

// introspect answers POST /oauth2/introspect. A token_type_hint is no help here.
func (a *api) introspect(w http.ResponseWriter, r *http.Request) error {
	limit := int64(wire.MaxBody)
	if c, err := credentials(r, nil); err == nil && c.Method == oauth.AuthSecretBasic {
		if _, err := a.engine.Authenticate(r.Context(), Name, c); err == nil {
			limit = maxIntrospected
		}
	}
	p, err := backFormOf(w, r, limit)
	if err != nil {
		return err
	}
	caller, err := a.authenticated(r, p)
	if err != nil {
		return err
	}
	if err := p.Require("token"); err != nil {
		return err
	}
	found, err := a.engine.Introspect(r.Context(), Name, caller, p["token"])
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, a.introspection(found))
}

func (a *api) introspection(t *engine.Introspection) introspection {
	if !t.Active {
		return introspection{}
	}
	out := introspection{
		Active: true, ClientID: t.ClientID, Subject: t.Subject, Scope: t.Scope, Issuer: a.engine.Issuer(),
		IssuedAt: unix(t.IssuedAt), ExpiresAt: unix(t.ExpiresAt), ID: t.ID,
	}
	if t.Kind == "access_token" {
		out.TokenType = "Bearer"
	}
	switch len(t.Audience) {
	case 0:
	case 1:
		out.Audience = t.Audience[0]
	default:
		out.Audience = t.Audience
	}
	return out
}

// unix is 0 for a time that is not said.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
