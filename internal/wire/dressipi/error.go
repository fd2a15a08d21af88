package dressipi

import (
	"net/http"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// renderAuthorizeError answers in JSON with 400 (contract §B.4) and gives the
// state back. An unknown client is unauthorized_client: invalid_client is none
// of RFC 6749 §4.1.2.1's codes.
func renderAuthorizeError(w http.ResponseWriter, r *http.Request, refusal *wire.Refusal) {
	if refusal.Err.Code == oauth.InvalidClient {
		e := *refusal.Err
		e.Code = oauth.UnauthorizedClient
		refusal = &wire.Refusal{Err: &e, Status: refusal.Status, Allow: refusal.Allow}
	}
	state := ""
	if p, err := wire.ParseParams(r.URL.RawQuery); err == nil {
		state = p["state"]
	}
	wire.WriteOAuthError(w, status(refusal), refusal, state)
}

// renderTokenError answers with 400 (contract §C.4); an unknown client that
// used an Authorization header gets the 401 of RFC 6749 §5.2.
func renderTokenError(w http.ResponseWriter, r *http.Request, refusal *wire.Refusal) {
	code := status(refusal)
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if refusal.Err.Code == oauth.InvalidClient && strings.EqualFold(scheme, "Basic") {
		code = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="dressipi"`)
	}
	wire.WriteOAuthError(w, code, refusal, "")
}

// renderResourceError answers in the shape of the resource endpoints (contract
// §A.2), which is not that of OAuth.
func renderResourceError(w http.ResponseWriter, _ *http.Request, refusal *wire.Refusal) {
	wire.SetRefusalHeaders(w, refusal)
	type message struct {
		Message string `json:"message"`
	}
	_ = wire.WriteJSON(w, status(refusal), map[string]message{"error": {refusal.Err.Description}}) // strings always encode
}

func status(refusal *wire.Refusal) int {
	if refusal.Status != 0 {
		return refusal.Status
	}
	switch refusal.Err.Code {
	case oauth.ServerError:
		return http.StatusInternalServerError
	case oauth.TemporarilyUnavailable:
		if refusal.Err.Fault() {
			return http.StatusServiceUnavailable
		}
		return http.StatusTooManyRequests
	case oauth.InvalidRequest, oauth.InvalidClient, oauth.InvalidGrant, oauth.UnauthorizedClient, oauth.UnsupportedGrantType,
		oauth.UnsupportedResponseType, oauth.InvalidScope, oauth.AccessDenied, oauth.InvalidToken, oauth.InsufficientScope:
	default: // those of the standard face never come here
	}
	return http.StatusBadRequest
}
