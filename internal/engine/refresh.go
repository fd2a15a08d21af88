package engine

import (
	"context"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

func refuseRefresh(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "refresh token: "+reason, invalidGrant)
}

// refresh uses a refresh token (RFC 6749 §6). A foreign client's try is refused
// before the store is asked to rotate anything, and harms nobody.
func (e *Engine) refresh(ctx context.Context, caller *Caller, req *TokenRequest) (*Issued, int64, error) {
	client := caller.client
	t, err := e.verify(ctx, tally.Refresh, req.RefreshToken)
	if err != nil {
		return nil, 0, refreshError(err, req.RefreshToken)
	}
	id := e.grantID(t.Secret)
	birth, err := e.birthright(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if birth == nil {
		return nil, 0, refuseRefresh("no such grant")
	}
	if birth.ClientID != client.ID {
		return nil, 0, refuseRefresh("issued to another client")
	}

	scope, resources, err := e.narrowed(client, birth, req)
	if err != nil {
		return nil, 0, err
	}

	now := e.now()
	issued, err := e.sign(ctx, client, birth, scope, resources, req.Shape, now)
	if err != nil {
		return nil, 0, err
	}
	ring := e.keys.ring(now)
	rotate := store.Rotate{
		Grant: id, Presented: t.Generation, PresentedKey: t.Key, ActiveKey: ring.Active(),
		Now: millis(now), IdleLife: idleLife(client), Rotating: client.RefreshTokenRotation,
		RetryWindow: time.Duration(client.RefreshRetryWindow).Milliseconds(),
		UntilUsed:   client.RefreshRetryWindow == oauth.UntilUsed,
		EndOnReplay: client.OnReplay == oauth.EndGrant, Assertion: caller.take(), Trace: req.Trace,
	}
	out, err := e.store.RotateRefresh(ctx, rotate)
	if err == nil && e.worthReport(out.Outcome, out.Ended, id, now) {
		rotate.Report, rotate.Assertion = true, store.Spend{}
		if told, err := e.store.RotateRefresh(ctx, rotate); err == nil { // else it is refused all the same
			out = told
		}
	}
	if err != nil {
		return nil, 0, fault("rotate refresh token", err)
	}
	switch {
	case out.Outcome == store.Reused:
		return nil, 0, refuseAssertion("used before")
	case !out.Outcome.Served():
		return nil, 0, refuseRefresh(out.Outcome.String())
	}
	return e.withRefreshToken(ctx, issued, t.Secret, out.Outcome, out.State, out.ConfigVersion)
}
