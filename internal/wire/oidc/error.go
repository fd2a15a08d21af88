package oidc

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// renderError answers in the shape of RFC 6749 §5.2. A 401 always says how a
// client may authenticate (RFC 9110 §15.5.2), however it has tried.
func renderError(w http.ResponseWriter, _ *http.Request, refusal *wire.Refusal) {
	code := status(refusal)
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="tallystick"`)
	}
	wire.WriteOAuthError(w, code, refusal, "")
}

// renderBearerError answers where a bearer token is the credential (RFC 6750 §3).
func renderBearerError(w http.ResponseWriter, r *http.Request, refusal *wire.Refusal) {
	if challenge := bearerChallenge(r, refusal.Err.Code); challenge != "" && refusal.Status == 0 {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	wire.WriteOAuthError(w, status(refusal), refusal, "")
}

// bearerChallenge is the challenge for an error; "" if it is not about a token.
func bearerChallenge(r *http.Request, code oauth.ErrorCode) string {
	const scheme = `Bearer realm="tallystick"`
	switch code {
	case oauth.InvalidToken:
		// RFC 6750 §3.1: no code for who has sent none.
		if r.Header.Get("Authorization") == "" && wire.MediaType(r) != wire.FormType {
			return scheme
		}
		return scheme + `, error="invalid_token"`
	case oauth.InvalidRequest:
		return scheme + `, error="invalid_request"`
	case oauth.InsufficientScope:
		return scheme + `, error="insufficient_scope", scope="openid"`
	}
	return ""
}

// status is where the face's status codes are decided, unless HTTP itself has
// one.
func status(refusal *wire.Refusal) int {
	if refusal.Status != 0 {
		return refusal.Status
	}
	//exhaustive:enforce
	switch refusal.Err.Code {
	case oauth.InvalidClient, oauth.InvalidToken:
		return http.StatusUnauthorized
	case oauth.InsufficientScope, oauth.AccessDenied:
		return http.StatusForbidden
	case oauth.ServerError:
		return http.StatusInternalServerError
	case oauth.TemporarilyUnavailable:
		if refusal.Err.Fault() {
			return http.StatusServiceUnavailable
		}
		return http.StatusTooManyRequests // a limit
	case oauth.InvalidRequest, oauth.InvalidGrant, oauth.UnauthorizedClient, oauth.UnsupportedGrantType, oauth.UnsupportedResponseType,
		oauth.InvalidScope, oauth.LoginRequired, oauth.ConsentRequired, oauth.InteractionRequired,
		oauth.InvalidRequestURI, oauth.InvalidRequestObject, oauth.UnmetRequirements,
		oauth.UnsupportedTokenType, oauth.InvalidRedirectURI, oauth.InvalidClientMetadata, oauth.InvalidTarget:
	}
	return http.StatusBadRequest
}
