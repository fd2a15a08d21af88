package engine

import (
	"context"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// clientCredentials issues an access token to a client for itself (RFC 6749 §4.4).
// There is no grant and nothing is written: the token is judged by its signature,
// its time and the client.
func (e *Engine) clientCredentials(ctx context.Context, client *store.Client, req *TokenRequest) (*Issued, error) {
	allowed := scopeOf(client).Without(oauth.OpenID).Without(oauth.OfflineAccess)
	scope := req.Scope
	if scope == "" {
		scope = allowed
	}
	// Nobody is signed in, so there is nobody to tell of or to act for later.
	if !scope.Within(allowed) {
		return nil, oauth.Refuse(oauth.InvalidScope, "scope not allowed to client by itself", "The scope is more than the client may have for itself.")
	}
	if err := e.checkResources(client, req.Resources); err != nil {
		return nil, err
	}
	issued, err := e.sign(ctx, client, nil, scope, req.Resources, req.Shape, e.now())
	if err != nil {
		return nil, err
	}
	issued.Outcome = store.Done
	return issued, nil
}
