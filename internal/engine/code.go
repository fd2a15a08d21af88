package engine

import (
	"context"
	"errors"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

func refuseCode(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "code: "+reason, invalidCode)
}

// redeemCode spends the code of a grant that has a row (RFC 6749 §4.1.3).
// Everything that binds the code is checked before it is spent, so that a wrong
// try of somebody else leaves it to its owner.
func (e *Engine) redeemCode(ctx context.Context, caller *Caller, req *TokenRequest) (*Issued, int64, error) {
	client := caller.client
	t, err := e.verify(ctx, tally.Code, req.Code)
	if err != nil {
		return nil, 0, codeError(err, req.Code)
	}
	id := e.grantID(t.Secret)
	birth, err := e.birthright(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if birth == nil {
		return nil, 0, refuseCode("no such grant")
	}
	if birth.ClientID != client.ID {
		return nil, 0, refuseCode("issued to another client")
	}
	if !sameRedirect(client, birth, req.RedirectURI) {
		return nil, 0, oauth.Refuse(oauth.InvalidGrant, "code: bound to another redirect URI",
			"The redirect_uri is not the one that the code was issued for.")
	}
	if err := checkState(birth, req.State); err != nil {
		return nil, 0, err
	}
	if err := checkVerifier(birth.CodeChallenge, birth.HasChallenge, req.CodeVerifier); err != nil {
		return nil, 0, err
	}

	// RFC 6749 §4.1.3 has no scope here, so what a client writes there is nothing.
	scope, resources, err := e.narrowed(client, birth, &TokenRequest{Resources: req.Resources})
	if err != nil {
		return nil, 0, err
	}

	now := e.now()
	issued, err := e.sign(ctx, client, birth, scope, resources, req.Shape, now)
	if err != nil {
		return nil, 0, err
	}
	ring := e.keys.ring(now)
	redeem := store.Redeem{
		Grant: id, Now: millis(now), MACKey: ring.Active(), IdleExpiresAt: store.IdleEnd(millis(now), idleLife(client)),
		// A public client's request without a verifier could be anybody's: the
		// code alone stands in the browser's history.
		Proven:      birth.HasChallenge || !client.Public(),
		EndOnReplay: client.OnReplay == oauth.EndGrant, Assertion: caller.take(), Trace: req.Trace,
	}
	out, err := e.store.RedeemCode(ctx, redeem)
	if err == nil && e.worthReport(out.Outcome, out.Ended, id, now) {
		redeem.Report, redeem.Assertion = true, store.Spend{}
		if told, err := e.store.RedeemCode(ctx, redeem); err == nil { // else it is refused all the same
			out = told
		}
	}
	if err != nil {
		return nil, 0, fault("redeem code", err)
	}
	switch {
	case out.Outcome == store.Reused:
		return nil, 0, refuseAssertion("used before")
	case !out.Outcome.Served():
		return nil, 0, refuseCode(out.Outcome.String())
	}
	return e.withRefreshToken(ctx, issued, t.Secret, out.Outcome, out.State, out.ConfigVersion)
}

// checkVerifier is RFC 7636 §4.6, with RFC 9700 §4.8.2: a verifier without a
// challenge means that the challenge was stripped on the way.
func checkVerifier(challenge oauth.CodeChallenge, has bool, verifier oauth.CodeVerifier) error {
	switch {
	case has && verifier == "":
		return oauth.Refuse(oauth.InvalidGrant, "verifier: missing", "The code was requested with a code_challenge: code_verifier is required.")
	case !has && verifier != "":
		return oauth.Refuse(oauth.InvalidGrant, "verifier: sent for a code without a challenge", "The code was requested without a code_challenge: a code_verifier must not be sent.")
	case has && !challenge.Matches(verifier):
		return oauth.Refuse(oauth.InvalidGrant, "verifier: does not match the challenge", "The code_verifier does not match the code_challenge of the authorization request.")
	}
	return nil
}

// sameRedirect: the redirect URI is the one of the authorization request, or there
// was none in it and the client has only one (RFC 6749 §4.1.3).
func sameRedirect(client *store.Client, g *Grant, uri string) bool {
	if g.RedirectURI == "" && len(client.RedirectURIs) == 1 {
		return uri == "" || uri == client.RedirectURIs[0]
	}
	return g.RedirectURI == uri
}

// withRefreshToken completes an exchange with the token that the row now holds.
func (e *Engine) withRefreshToken(ctx context.Context, issued *Issued, secret tally.Secret, outcome store.Outcome, state store.GrantState, version int64) (*Issued, int64, error) {
	issued.Outcome = outcome
	if !issued.Client.Allows(oauth.RefreshToken) {
		return issued, version, nil
	}
	t := tally.Tally{Key: state.MACKey, Secret: secret, Generation: state.Generation}
	token, err := e.keys.ring(e.now()).Mint(tally.Refresh, t)
	if errors.Is(err, tally.ErrKey) {
		// Another node has rotated under a key that this one has not seen yet.
		if err = e.keys.reload(ctx); err == nil {
			token, err = e.keys.ring(e.now()).Mint(tally.Refresh, t)
		}
	}
	if err != nil {
		return nil, 0, fault("mint refresh token", err)
	}
	issued.RefreshToken = token
	return issued, version, nil
}

func idleLife(c *store.Client) int64 { return c.RefreshIdleLifetime * 1000 }

func absoluteEnd(c *store.Client, now time.Time) store.Time {
	if c.RefreshAbsoluteLifetime == 0 {
		return 0
	}
	return millis(now) + c.RefreshAbsoluteLifetime*1000
}
