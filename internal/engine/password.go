package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// PasswordRequest asks for a code for a user who gives his password.
type PasswordRequest struct {
	Face        oauth.Face
	ClientID    string
	Identifier  string // e-mail address or user name, as typed
	Password    string
	RedirectURI string
	// SameRedirect compares a registered redirect URI with the request's; nil
	// compares bytes.
	SameRedirect func(registered, requested string) bool
	Challenge    *oauth.CodeChallenge // nil = none was sent
	Trace        Trace
}

// AuthorizePassword checks a password and gives birth to a grant. Every cause
// that has to do with the user is refused in the same words and time:
// access_denied.
func (e *Engine) AuthorizePassword(ctx context.Context, req PasswordRequest) (code string, err error) {
	client, err := e.client(ctx, req.Face, req.ClientID)
	if err != nil {
		return "", err
	}
	same := req.SameRedirect
	if same == nil {
		same = func(a, b string) bool { return a == b }
	}
	if !slices.ContainsFunc(client.RedirectURIs, func(r string) bool { return same(r, req.RedirectURI) }) {
		return "", oauth.Refuse(oauth.InvalidRequest, "redirect URI not registered", "The redirect URI is not registered for this client.")
	}
	if client.RequirePKCE && req.Challenge == nil {
		return "", oauth.Refuse(oauth.InvalidRequest, "challenge missing", "A code_challenge is required.")
	}
	// The client's whole scope: this request has no parameter to ask for less.
	scope, err := oauth.ParseScope(client.Scope)
	if err != nil {
		return "", fmt.Errorf("scope of client %s: %w", client.ID, err)
	}
	user, err := e.checkPassword(ctx, req.Identifier, req.Password)
	if err != nil {
		return "", err
	}

	secret, id, err := e.newSecret()
	if err != nil {
		return "", err
	}
	now := e.now()
	ring := e.keys.ring(now)
	g := store.Grant{
		Birthright: store.Birthright{
			ID: id, ClientID: client.ID, Subject: FormatUUID(user.ID), User: user.ID,
			Scope: scope, AuthTime: millis(now), RedirectURI: req.RedirectURI,
			CreatedAt: millis(now), CodeExpiresAt: millis(now.Add(oauth.CodeLifetime)),
			AbsoluteExpiresAt: absoluteEnd(client, now),
		},
		GrantState: store.GrantState{MACKey: ring.Active()},
	}
	if req.Challenge != nil {
		g.CodeChallenge, g.HasChallenge = *req.Challenge, true
	}
	out, err := e.store.Birth(ctx, store.Birth{Grant: g, CredentialVersion: user.CredentialVersion, Now: millis(now), Trace: req.Trace})
	if err != nil {
		return "", fault("birth", err)
	}
	if out != store.Done {
		return "", refuseSignIn("birth " + out.String())
	}
	e.births.put(id, g.Birthright)
	code, err = ring.Mint(tally.Code, tally.Tally{Key: ring.Active(), Secret: secret})
	if err != nil {
		return "", fault("mint code", err)
	}
	return code, nil
}

func refuseSignIn(reason string) *oauth.Error {
	return oauth.Refuse(oauth.AccessDenied, "sign-in: "+reason, "The user name or password is wrong.")
}

// checkPassword spends the time of one hash whatever the cause of a refusal.
func (e *Engine) checkPassword(ctx context.Context, identifier, password string) (*User, error) {
	user, found, err := e.store.UserByIdentifier(ctx, NormaliseIdentifier(identifier))
	if err != nil {
		return nil, fault("user", err)
	}
	if !found || user.PasswordHash == "" {
		if err := e.hasher.VerifyNothing(ctx, password); err != nil {
			return nil, passwordError(err)
		}
		return nil, refuseSignIn("no such user, or one without a password")
	}
	ok, err := e.hasher.Verify(ctx, user.PasswordHash, password)
	switch {
	case err != nil:
		return nil, passwordError(err)
	case !ok:
		return nil, refuseSignIn("wrong password")
	case user.DisabledAt != 0:
		return nil, refuseSignIn("user disabled")
	case !user.EmailVerified:
		return nil, refuseSignIn("e-mail address not verified")
	}
	return &user, nil
}

// NormaliseIdentifier is the form in which e-mail addresses and user names are
// stored and looked up.
func NormaliseIdentifier(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
