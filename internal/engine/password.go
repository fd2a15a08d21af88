package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
)

// PasswordRequest asks for a code for a user who gives his password.
type PasswordRequest struct {
	Face        oauth.Face
	ClientID    string
	Identifier  string // e-mail address or user name, as typed
	Password    string
	RedirectURI string
	// SameRedirect compares a registered redirect URI with the request's.
	SameRedirect func(registered, requested string) bool
	State        string               // the exchange must bring it again; "" = none
	Challenge    *oauth.CodeChallenge // nil = none was sent
	Trace        Trace
}

// AuthorizePassword checks a password and gives birth to a grant. Every cause
// that has to do with the user is refused in the same words and time:
// access_denied.
func (e *Engine) AuthorizePassword(ctx context.Context, req PasswordRequest) (code string, err error) {
	d, err := e.Destination(ctx, req.Face, req.ClientID, req.RedirectURI, req.SameRedirect)
	if err != nil {
		return "", err
	}
	if err := checkChallenge(d.client, req.Challenge); err != nil {
		return "", err
	}
	user, err := e.checkPassword(ctx, req.Identifier, req.Password, req.Trace.IP)
	if err != nil {
		return "", err
	}
	g, secret, err := e.newGrant(d.client, user, Binding{req.RedirectURI, req.State, req.Challenge})
	if err != nil {
		return "", err
	}
	if err := e.birth(ctx, g, user, req.Trace); err != nil {
		return "", err
	}
	return e.mintCode(secret)
}

func refuseSignIn(reason string) *oauth.Error {
	return oauth.Refuse(oauth.AccessDenied, "sign-in: "+reason, "The user name or password is wrong.")
}

// checkPassword spends the time of one hash whatever the cause of a refusal, but
// for the limits on guessing: those cost nothing, or they would be a way to
// keep the hashers busy.
func (e *Engine) checkPassword(ctx context.Context, identifier, word, ip string) (*User, error) {
	if len(word) > password.MaxLength {
		return nil, passwordError(password.ErrTooLong)
	}
	now, from := e.now(), Network(ip)
	if err := e.mayGuess(from, now); err != nil {
		return nil, err
	}
	identifier = NormaliseIdentifier(identifier)
	user, found, err := e.store.UserByIdentifier(ctx, identifier)
	if err != nil {
		return nil, fault("user", err)
	}
	p := pair{user.ID, from}
	if !found {
		p.user = nobody(identifier)
	}
	if err := e.mayGuessAt(p, now); err != nil {
		return nil, err
	}
	if !found || user.PasswordHash == "" {
		if err := e.takeGuessAtNobody(identifier, now); err != nil {
			return nil, err
		}
		if err := e.hasher.VerifyNothing(ctx, word); err != nil {
			return nil, passwordError(err)
		}
		e.failed(p, now)
		return nil, refuseSignIn("no such user, or one without a password")
	}
	if err := e.takeGuess(ctx, &user, from, now); err != nil {
		return nil, err
	}
	ok, err := e.hasher.Verify(ctx, user.PasswordHash, word)
	reason := ""
	switch {
	case err != nil:
		// Nobody has looked at the guess, so it does not count.
		if returned := e.store.ReturnGuess(context.WithoutCancel(ctx), user.ID); returned != nil {
			err = errors.Join(err, returned)
		}
		return nil, passwordError(err)
	case !ok:
		reason = "wrong password"
	case user.DisabledAt != 0:
		reason = "user disabled"
	case !user.EmailVerified:
		reason = "e-mail address not verified"
	default:
		e.streaks.put(p, streak{})
		return &user, nil
	}
	e.failed(p, now)
	return nil, refuseSignIn(reason)
}

// NormaliseIdentifier is the form in which e-mail addresses and user names are
// stored and looked up.
func NormaliseIdentifier(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
