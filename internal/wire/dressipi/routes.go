// Package dressipi is the Dressipi ("Mapp Fashion") face: anonymous profiles,
// PKCE, an authorize endpoint that answers in JSON. Its contract has no page and
// no redirect; the vendor's SDK puts every parameter into the query.
package dressipi

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// Name is the face of the clients that speak this dialect.
const Name oauth.Face = "dressipi"

// SigningKey signs the face's tokens. ES256 keeps an answer below what the
// vendor's Expo adapter can store.
var SigningKey = engine.KeySpec{Purpose: engine.Standard, Alg: jose.ES256}

type api struct{ engine *engine.Engine }

// Face is the dialect over an engine.
func Face(e *engine.Engine) wire.Face {
	a := &api{engine: e}
	// Any page may read the answers: no cookie and no other ambient authority
	// decides what they hold. The profile takes a cookie, but is never readable
	// with one, since credentials are not allowed.
	open := &wire.CORS{Headers: "content-type, authorization, x-api-key, x-dressipi-jwt"}
	face := wire.Face{Name: string(Name)}
	// The reference pages print the paths without /api, the SDK and the docs'
	// base URL have it.
	for _, prefix := range []string{"", "/api"} {
		face.Routes = append(face.Routes,
			wire.Route{Path: prefix + "/oauth/authorize", Render: renderAuthorizeError, CORS: open,
				Methods: map[string]wire.Handler{http.MethodGet: a.authorize}},
			wire.Route{Path: prefix + "/oauth/token", Render: renderTokenError, CORS: open,
				Methods: map[string]wire.Handler{http.MethodPost: a.token}},
			wire.Route{Path: prefix + "/profile", Render: renderResourceError, CORS: open,
				Methods: map[string]wire.Handler{http.MethodGet: a.profile, http.MethodHead: a.profile}},
		)
	}
	return face
}

// authorize answers GET /oauth/authorize: 200 and JSON, never a redirect.
func (a *api) authorize(w http.ResponseWriter, r *http.Request) error {
	req, state, err := decodeAuthorize(r)
	if err != nil {
		return err
	}
	// Not before it is known: what a client writes there by mistake may be a
	// secret.
	if _, err := a.engine.Client(r.Context(), Name, req.ClientID); err != nil {
		return err
	}
	wire.EventOf(r).ClientID = req.ClientID
	code, err := a.engine.AuthorizeAnonymous(r.Context(), req)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, authorization{Code: code, State: state})
}

// token answers POST /oauth/token.
func (a *api) token(w http.ResponseWriter, r *http.Request) error {
	req, err := a.decodeToken(w, r)
	if err != nil {
		return err
	}
	issued, err := a.engine.Token(r.Context(), req)
	if err != nil {
		return err
	}
	event := wire.EventOf(r)
	event.Grant, event.GrantType, event.Outcome = engine.GID(issued.Grant), string(req.GrantType), issued.Outcome.String()
	w.Header().Set("Pragma", "no-cache")
	return wire.WriteJSON(w, http.StatusOK, tokens{
		AccessToken:  issued.AccessToken,
		RefreshToken: issued.RefreshToken,
		ExpiresIn:    int64(issued.Lifetime.Seconds()),
		TokenType:    "Bearer",
	})
}

// profile answers GET /profile, a small resource of the soft kind: who the JWT
// stands for, and without a good one nobody, but never an error.
func (a *api) profile(w http.ResponseWriter, r *http.Request) error {
	token, err := presentedToken(r)
	if err != nil {
		return err
	}
	who, err := a.identify(r, token)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, who)
}
