// Package oidc is the standard face: OAuth 2.1 and OpenID Connect, as any client
// library finds it by its discovery document.
package oidc

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// Name is the face of the clients that speak the standard.
const Name oauth.Face = "oidc"

// The paths of the back channel.
const (
	tokenPath      = "/oauth2/token"
	jwksPath       = "/oauth2/jwks"
	userinfoPath   = "/oauth2/userinfo"
	introspectPath = "/oauth2/introspect"
	revokePath     = "/oauth2/revoke"
	parPath        = "/oauth2/par"
	registerPath   = "/oauth2/register"
)

type api struct {
	engine *engine.Engine
	site   *pages.Site
}

// Face is the dialect over an engine.
func Face(e *engine.Engine) wire.Face {
	a := &api{engine: e, site: newSite(e)}
	// Nothing ambient decides what these answer.
	anyOrigin := &wire.CORS{Headers: "*, authorization"}
	cors := &wire.CORS{Allowed: a.allowedOrigin, Headers: "authorization, content-type"}
	type methods = map[string]wire.Handler
	face := wire.Face{Name: string(Name), Routes: []wire.Route{
		{Path: "/.well-known/openid-configuration", Render: renderError, CORS: anyOrigin, Methods: methods{http.MethodGet: a.metadata, http.MethodHead: a.metadata}},
		{Path: "/.well-known/oauth-authorization-server", Render: renderError, CORS: anyOrigin, Methods: methods{http.MethodGet: a.metadata, http.MethodHead: a.metadata}},
		{Path: jwksPath, Render: renderError, CORS: anyOrigin, Methods: methods{http.MethodGet: a.jwks, http.MethodHead: a.jwks}},
		{Path: tokenPath, Render: renderError, CORS: cors, Methods: methods{http.MethodPost: a.token}},
		{Path: userinfoPath, Render: renderBearerError, CORS: cors, Methods: methods{http.MethodGet: a.userinfo, http.MethodPost: a.userinfo}},
		{Path: revokePath, Render: renderError, CORS: cors, Methods: methods{http.MethodPost: a.revoke}},
		{Path: parPath, Render: renderError, CORS: cors, Methods: methods{http.MethodPost: a.push}},
		{Path: introspectPath, Render: renderError, Methods: methods{http.MethodPost: a.introspect}},
		{Path: registerPath, Render: renderBearerError, CORS: anyOrigin, Methods: methods{http.MethodPost: a.register}},
		{Path: registerPath + "/{client_id}", Render: renderBearerError, CORS: anyOrigin, Methods: methods{http.MethodGet: a.registration, http.MethodDelete: a.unregister}},
	}}
	face.Routes = append(face.Routes, a.pageRoutes()...)
	return face
}

// allowedOrigin: the origins of the redirect URIs that clients have registered.
func (a *api) allowedOrigin(r *http.Request, origin string) (bool, error) {
	return a.engine.AllowedOrigin(r.Context(), Name, origin)
}

// note puts the client into the log line of a request that the engine has refused,
// if there is such a client: what stands for its id may be a secret.
func (a *api) note(r *http.Request, clientID string) {
	if a.engine.Met(Name, clientID) {
		wire.EventOf(r).ClientID = clientID
	}
}
