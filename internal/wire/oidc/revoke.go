package oidc

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/wire"
)

// revoke answers POST /oauth2/revoke (RFC 7009 §2). Which kind of token it is can
// be seen, so a token_type_hint is not looked at.
func (a *api) revoke(w http.ResponseWriter, r *http.Request) error {
	caller, p, err := a.caller(w, r)
	if err != nil {
		return err
	}
	if err := p.Require("token"); err != nil {
		return err
	}
	if err := a.engine.Revoke(r.Context(), Name, caller, p["token"], tracing(r)); err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, struct{}{})
}
