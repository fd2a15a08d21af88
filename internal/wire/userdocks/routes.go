// Package userdocks is the Userdocks face: JSON in envelopes, an ID token whose
// nonce is of the exchange, absolute expiries as strings. The clients of this
// dialect are called apps.
package userdocks

import (
	_ "embed"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// Name is the face of the apps.
const Name oauth.Face = "userdocks"

// Issuer is the iss of the face's tokens: the browser SDK has it built in.
const Issuer = "f0af4569-4d5d-4c20-af95-5a80c74e30a6"

// SigningKey is the face's own key. The server SDK keeps the first one that it
// sees for ever and shares it among apps, so this key stands in no JWKS, signs
// nothing else and is replaced only on purpose.
var SigningKey = engine.KeySpec{Purpose: "userdocks", Alg: jose.RS256}

type api struct{ engine *engine.Engine }

// Face is the dialect over an engine.
func Face(e *engine.Engine) wire.Face {
	a := &api{engine: e}
	cors := &wire.CORS{Allowed: a.allowedOrigin, Headers: "content-type, authorization"}
	anyOrigin := &wire.CORS{}
	type methods = map[string]wire.Handler
	face := wire.Face{Name: string(Name), Routes: []wire.Route{
		{Path: "/api/v1/users", Render: renderPublicError, CORS: cors, Methods: methods{http.MethodPost: a.register, http.MethodPut: a.password}},
		{Path: "/api/v1/user-confirm-hashes/{hash}", Render: renderPublicError, CORS: cors, Methods: methods{http.MethodPut: a.confirm}},
		{Path: "/api/v1/codes", Render: renderPublicError, CORS: cors, Methods: methods{http.MethodPost: a.codes}},
		{Path: "/api/v1/tokens", Render: renderTokensError, CORS: cors, Methods: methods{http.MethodPost: a.tokens}},
		{Path: "/api/v1/users/me", Render: renderBearerError, CORS: cors, Methods: methods{
			http.MethodGet: a.me, http.MethodPut: a.updateMe, http.MethodDelete: a.deleteMe}},
		{Path: "/api/v1/tenants/{tenantUuid}", Render: renderBearerError, CORS: cors, Methods: methods{http.MethodGet: a.tenant}},
		{Path: "/api/v1/public-key", Render: renderAPIKeyError, Methods: methods{http.MethodGet: a.publicKey}},
		{Path: "/api/v1/apps/{appUuid}/keys", Render: renderAPIKeyError, Methods: methods{http.MethodGet: a.publicKey}},
		{Path: "/api/v1/apps/{appUuid}/users", Render: renderAPIKeyError, Methods: methods{http.MethodGet: a.usersOf}},
		{Path: "/api/v1/apps/{appUuid}/users/{userUuidOrEmail}", Render: renderAPIKeyError, Methods: methods{http.MethodPut: a.updateUserOf}},
		{Path: "/api/v1/openapi.json", Render: renderPublicError, CORS: anyOrigin, Methods: methods{http.MethodGet: openAPI}},
		{Path: "/api/v1/", Render: renderPublicError},
	}}
	face.Routes = append(face.Routes, a.hostedRoutes()...)
	return face
}

// allowedOrigin: the origins of the redirect URIs that apps have registered, and
// nothing else.
func (a *api) allowedOrigin(r *http.Request, origin string) (bool, error) {
	return a.engine.AllowedOrigin(r.Context(), Name, origin)
}

// note puts the app into the log line of the request, if there is such an app:
// what a client writes there by mistake may be a secret.
func (a *api) note(r *http.Request, appUUID string) {
	if app, err := a.engine.Client(r.Context(), Name, appUUID); err == nil {
		wire.EventOf(r).ClientID = app.ID
	}
}

// codes answers POST /api/v1/codes: e-mail and password for a code (contract
// §A.1).
func (a *api) codes(w http.ResponseWriter, r *http.Request) error {
	req, err := decodeCodes(w, r)
	if err != nil {
		return err
	}
	a.note(r, req.password.ClientID)
	code, err := a.engine.AuthorizePassword(r.Context(), req.password)
	if err != nil {
		return err
	}
	return writeItem(w, http.StatusCreated, "codes", nextAction(req, code))
}

// tokens answers POST /api/v1/tokens (contract §B).
func (a *api) tokens(w http.ResponseWriter, r *http.Request) error {
	req, err := decodeTokens(w, r)
	if err != nil {
		return err
	}
	a.note(r, req.ClientID)
	issued, err := a.engine.Token(r.Context(), req)
	if err != nil {
		return err
	}
	event := wire.EventOf(r)
	event.Grant, event.GrantType, event.Outcome = engine.GID(issued.Grant), string(req.GrantType), issued.Outcome.String()
	return writeItem(w, http.StatusCreated, "tokens", tokensItem(issued))
}

// publicKey answers GET /api/v1/public-key and /api/v1/apps/:appUuid/keys.
func (a *api) publicKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.apiKey(r, engine.Read); err != nil {
		return err
	}
	key, err := a.engine.SigningKey(SigningKey)
	if err != nil {
		return err
	}
	return writeItem(w, http.StatusOK, "appKeys", keyItem(key))
}

//go:embed openapi.json
var openAPIDocument []byte

// openAPI answers GET /api/v1/openapi.json: this face, described for machines.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", wire.JSONType)
	_, _ = w.Write(openAPIDocument)
	return nil
}
