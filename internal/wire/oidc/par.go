package oidc

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// push answers POST /oauth2/par (RFC 9126 §2): an authorization request, from the
// client itself. It is checked as far as it can be before there is a user, and kept
// without what the client has authenticated by.
func (a *api) push(w http.ResponseWriter, r *http.Request) error {
	p, err := backForm(w, r, "resource")
	if err != nil {
		return err
	}
	c, err := credentials(r, p)
	if err != nil {
		return err
	}
	uri, err := a.engine.Push(r.Context(), Name, c, tracing(r), func(ctx context.Context, client *oauth.Client) ([]byte, error) {
		wire.EventOf(r).ClientID = client.ID
		kept, err := a.checkPushed(ctx, client, p)
		if err != nil {
			return nil, err
		}
		return json.Marshal(kept)
	})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, pushed{RequestURI: uri, ExpiresIn: int64(engine.PushedLifetime.Seconds())})
}
