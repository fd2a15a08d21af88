// Package oidc is the standard face. So far it publishes the keys by which
// anybody can verify what the issuer signs.
package oidc

import (
	"net/http"
	"strconv"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// Name is the face of the clients that speak the standard.
const Name oauth.Face = "oidc"

type api struct{ engine *engine.Engine }

// Face is the dialect over an engine.
func Face(e *engine.Engine) wire.Face {
	a := &api{engine: e}
	return wire.Face{Name: string(Name), Routes: []wire.Route{
		{Path: "/oauth2/jwks", Render: renderError, CORS: &wire.CORS{},
			Methods: map[string]wire.Handler{http.MethodGet: a.jwks, http.MethodHead: a.jwks}},
	}}
}

// jwks answers with the JWK Set (RFC 7517 §5). A key that replaces another must
// be in it for longer than this cache life before it signs.
func (a *api) jwks(w http.ResponseWriter, _ *http.Request) error {
	body := a.engine.JWKS()
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}
