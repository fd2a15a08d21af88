package engine

import (
	"context"
	"slices"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// sessionLifetime is how long a browser's sign-in lasts, used or not.
const sessionLifetime = 7 * 24 * time.Hour

// Session is a browser's sign-in.
type Session struct {
	store.Session
	User User
	// Cookie and SilentCookie are the two artefacts that name it; only SignIn
	// knows them.
	Cookie       string
	SilentCookie string
}

// SignIn checks a password and opens a session, always a new one: whatever
// cookie the browser had before, former, is worth nothing afterwards (no
// fixation). If it was the same user's, the grants of the former session live on
// with this one; if it was another's, they end. For refusals see checkPassword.
func (e *Engine) SignIn(ctx context.Context, identifier, password string, former *Session, trace Trace) (*Session, error) {
	user, err := e.checkPassword(ctx, identifier, password, trace.IP)
	if err != nil {
		return nil, err
	}
	secret, id, err := e.newSecret()
	if err != nil {
		return nil, err
	}
	now := e.now()
	s := &Session{User: *user, Session: store.Session{
		ID: store.SessionID(id), User: user.ID, AuthTime: millis(now), CreatedAt: millis(now), ExpiresAt: millis(now.Add(sessionLifetime)),
	}}
	var formerID store.SessionID
	if former != nil {
		formerID = former.ID
	}
	out, err := e.store.OpenSession(ctx, store.OpenSession{
		Former: formerID, Session: s.Session, CredentialVersion: user.CredentialVersion, Address: Network(trace.IP), Now: millis(now), Trace: trace,
	})
	if err != nil {
		return nil, fault("open session", err)
	}
	if out != store.Done {
		return nil, refuseSignIn("session " + out.String())
	}
	// Which browser it is in has been told by the store.
	stored, found, err := e.store.Session(ctx, s.ID)
	if err != nil {
		return nil, fault("session", err)
	}
	if !found {
		return nil, refuseSignIn("session gone")
	}
	s.Session = stored
	e.wake(e.notices) // it may have ended somebody else's
	ring := e.keys.ring(now)
	t := tally.Tally{Key: ring.Active(), Secret: secret}
	if s.Cookie, err = ring.Mint(tally.Session, t); err != nil {
		return nil, fault("mint session", err)
	}
	if s.SilentCookie, err = ring.Mint(tally.SilentSession, t); err != nil {
		return nil, fault("mint session", err)
	}
	return s, nil
}

// Session finds the living session of a cookie; nil if there is none. Junk costs
// no query.
func (e *Engine) Session(ctx context.Context, cookie string) (*Session, error) {
	return e.session(ctx, tally.Session, cookie)
}

// FormerSession is the session that a browser had last, over or not: who signs in
// anew takes its place. It is good for nothing else.
func (e *Engine) FormerSession(ctx context.Context, cookie string) (*Session, error) {
	t, err := e.verify(ctx, tally.Session, cookie)
	if err != nil {
		return nil, unlessJunk(err)
	}
	s, found, err := e.store.Session(ctx, store.SessionID(e.grantID(t.Secret)))
	if err != nil {
		return nil, fault("session", err)
	}
	if !found || s.EndedAt != 0 {
		return nil, nil
	}
	return &Session{Session: s}, nil
}

// SilentSession is Session for the cookie of embedded pages.
func (e *Engine) SilentSession(ctx context.Context, cookie string) (*Session, error) {
	return e.session(ctx, tally.SilentSession, cookie)
}

func (e *Engine) session(ctx context.Context, kind tally.Kind, cookie string) (*Session, error) {
	t, err := e.verify(ctx, kind, cookie)
	if err != nil {
		return nil, unlessJunk(err)
	}
	s, found, err := e.store.Session(ctx, store.SessionID(e.grantID(t.Secret)))
	if err != nil {
		return nil, fault("session", err)
	}
	if !found || s.EndedAt != 0 || s.ExpiresAt <= millis(e.now()) {
		return nil, nil
	}
	u, found, err := e.store.User(ctx, s.User)
	if err != nil {
		return nil, fault("user", err)
	}
	if !found || u.DisabledAt != 0 {
		return nil, nil
	}
	return &Session{Session: s, User: u}, nil
}

// EndSession ends a session and the grants that end with it.
func (e *Engine) EndSession(ctx context.Context, s *Session, trace Trace) error {
	if _, err := e.store.EndSession(ctx, store.EndSession{Session: s.ID, Now: millis(e.now()), Trace: trace}); err != nil {
		return fault("end session", err)
	}
	e.wake(e.notices)
	return nil
}

// Destination is a client and one of its registered redirect URIs: somewhere
// that a browser may be sent to. Only Engine.Destination makes one, so a
// redirect to an unchecked URI does not compile.
type Destination struct {
	client      *store.Client
	redirectURI string // in the form that the face compares
}

// Client is the client.
func (d *Destination) Client() *oauth.Client { return &d.client.Client }

// SelfRegistered reports whether nobody has vouched for the client: it has
// registered itself (RFC 7591 §5).
func (d *Destination) SelfRegistered() bool { return d.client.Source == store.SelfRegistered }

// RedirectURI is the redirect URI in the form that the face compares.
func (d *Destination) RedirectURI() string { return d.redirectURI }

// Origin is the origin of the redirect URI.
func (d *Destination) Origin() string { return oauth.Origin(d.redirectURI) }

// Destination checks that a client is known and that a redirect URI is one of
// its own. Refusals: invalid_client; invalid_request (not registered). Neither
// may be answered by a redirect.
func (e *Engine) Destination(ctx context.Context, face oauth.Face, clientID, redirectURI string, same func(registered, requested string) bool) (*Destination, error) {
	client, err := e.client(ctx, face, clientID)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(client.RedirectURIs, func(r string) bool { return same(r, redirectURI) }) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "redirect URI not registered", "The redirect URI is not registered for this client.")
	}
	return &Destination{client: client, redirectURI: redirectURI}, nil
}

// AuthorizeSession gives birth to a grant for the user of a session and returns
// its code. The grant ends with the session. state and challenge bind the code,
// "" and nil where the visitor came without. Refusals: invalid_request (the
// client needs a challenge); access_denied (the session or the user has ended).
func (e *Engine) AuthorizeSession(ctx context.Context, s *Session, d *Destination, state string, challenge *oauth.CodeChallenge, trace Trace) (code string, err error) {
	if err := checkChallenge(d.client, challenge); err != nil {
		return "", err
	}
	g, secret, err := e.newGrant(d.client, &s.User, Binding{d.redirectURI, state, challenge})
	if err != nil {
		return "", err
	}
	g.Session, g.Browser, g.AuthTime = s.ID, s.Browser, s.AuthTime
	if err := e.birth(ctx, g, &s.User, trace); err != nil {
		return "", err
	}
	return e.mintCode(secret)
}

// SilentTokens issues tokens for the user of a session without any interaction:
// the grant is born redeemed, ends with the session, and lives for two access
// tokens, so that what a page fetches in the background does not pile up.
// Refusal: unauthorized_client (the client may not).
func (e *Engine) SilentTokens(ctx context.Context, s *Session, d *Destination, shape Shape, trace Trace) (*Issued, error) {
	if !d.client.SilentCrossSite {
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "silent_cross_site is off", "The client may not renew tokens in a frame.")
	}
	g, secret, err := e.newGrant(d.client, &s.User, Binding{RedirectURI: d.redirectURI})
	if err != nil {
		return nil, err
	}
	now := time.UnixMilli(g.CreatedAt)
	g.Session, g.Browser, g.AuthTime = s.ID, s.Browser, s.AuthTime
	g.AbsoluteExpiresAt = g.CreatedAt + 2*d.client.AccessTokenLifetime*1000
	g.CodeExpiresAt, g.RedeemedAt, g.RotatedAt = g.CreatedAt, g.CreatedAt, g.CreatedAt
	g.IdleExpiresAt = store.IdleEnd(g.CreatedAt, idleLife(d.client))
	issued, err := e.sign(ctx, d.client, &g.Birthright, g.Scope, g.Resources, shape, now)
	if err != nil {
		return nil, err
	}
	if err := e.birth(ctx, g, &s.User, trace); err != nil {
		return nil, err
	}
	issued, _, err = e.withRefreshToken(ctx, issued, secret, store.Done, g.GrantState, 0)
	return issued, err
}
