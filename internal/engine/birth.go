package engine

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// Binding is what binds a code beside its client: the exchange must bring it
// again, or its proof.
type Binding struct {
	RedirectURI string               // in the form that the face compares
	State       string               // "" = none
	Challenge   *oauth.CodeChallenge // nil = none was sent
}

// newGrant draws a grant of a user for a client, with the client's whole scope.
func (e *Engine) newGrant(client *store.Client, user *User, b Binding) (*store.Grant, tally.Secret, error) {
	secret, id, err := e.newSecret()
	if err != nil {
		return nil, secret, err
	}
	now := e.now()
	g := &store.Grant{
		Birthright: store.Birthright{
			ID: id, ClientID: client.ID, Subject: FormatUUID(user.ID), User: user.ID,
			Scope: scopeOf(client), AuthTime: millis(now), RedirectURI: b.RedirectURI,
			CreatedAt: millis(now), CodeExpiresAt: millis(now.Add(oauth.CodeLifetime)),
			AbsoluteExpiresAt: absoluteEnd(client, now),
		},
		GrantState: store.GrantState{MACKey: e.keys.ring(now).Active()},
	}
	if b.State != "" {
		g.StateHash = sha256.Sum256([]byte(b.State))
	}
	if b.Challenge != nil {
		g.CodeChallenge, g.HasChallenge = *b.Challenge, true
	}
	return g, secret, nil
}

// checkChallenge refuses the birth of a code without a challenge where the
// client's policy wants one.
func checkChallenge(client *store.Client, challenge *oauth.CodeChallenge) error {
	if client.RequirePKCE && challenge == nil {
		return oauth.Refuse(oauth.InvalidRequest, "challenge missing, and the client has require_pkce", "A code_challenge is required.")
	}
	return nil
}

func (e *Engine) birth(ctx context.Context, g *store.Grant, user *User, trace Trace) error {
	out, err := e.store.Birth(ctx, store.Birth{
		Grant: *g, CredentialVersion: user.CredentialVersion, Address: Network(trace.IP), Most: mostGrants, Now: g.CreatedAt, Trace: trace,
	})
	return e.born(g, out, err)
}

// born remembers a grant, or says why there is none.
func (e *Engine) born(g *store.Grant, out store.Outcome, err error) error {
	switch {
	case err != nil:
		return fault("birth", err)
	case out == store.Spent:
		return refusePushed("used before")
	case out != store.Done:
		return refuseSignIn("birth " + out.String())
	}
	e.births.put(g.ID, g.Birthright)
	return nil
}

func (e *Engine) mintCode(secret tally.Secret) (string, error) {
	ring := e.keys.ring(e.now())
	code, err := ring.Mint(tally.Code, tally.Tally{Key: ring.Active(), Secret: secret})
	if err != nil {
		return "", fault("mint code", err)
	}
	return code, nil
}

// checkState: where the code was born with a state, the exchange must bring the
// same. A code that was injected into another callback comes with that one's.
func checkState(g *Grant, state string) error {
	if g.StateHash == (store.Hash{}) {
		return nil
	}
	if sum := sha256.Sum256([]byte(state)); subtle.ConstantTimeCompare(sum[:], g.StateHash[:]) != 1 {
		return oauth.Refuse(oauth.InvalidGrant, "code: bound to another state", "The state is not the one that the code was issued for.")
	}
	return nil
}
