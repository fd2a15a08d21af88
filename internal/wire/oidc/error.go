package oidc

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// renderError answers in the shape of RFC 6749 §5.2.
func renderError(w http.ResponseWriter, _ *http.Request, refusal *wire.Refusal) {
	status := refusal.Status
	switch {
	case status != 0:
	case refusal.Err.Code == oauth.ServerError:
		status = http.StatusInternalServerError
	case refusal.Err.Code == oauth.TemporarilyUnavailable:
		status = http.StatusServiceUnavailable
	default:
		status = http.StatusBadRequest
	}
	wire.WriteOAuthError(w, status, refusal, "")
}
