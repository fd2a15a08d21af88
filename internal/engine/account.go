package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// Account is what a user sees of his own sign-ins.
type Account struct {
	User     User
	Apps     []App
	Sessions []BrowserSession
}

// App is a client that a user has let have something.
type App struct {
	Client *oauth.Client
	Scope  oauth.Scope
	Since  time.Time // the first time
	Used   time.Time // the last time that a refresh token was rotated or a code redeemed
}

// BrowserSession is a sign-in of a user in a browser.
type BrowserSession struct {
	ID      string
	Since   time.Time
	Current bool
}

// Account lists what the user of a session has agreed to and where he is signed in.
func (e *Engine) Account(ctx context.Context, s *Session) (*Account, error) {
	now := millis(e.now())
	grants, err := e.store.GrantsOf(ctx, s.User.ID, now)
	if err != nil {
		return nil, fault("grants", err)
	}
	consents, err := e.store.ConsentsOf(ctx, s.User.ID)
	if err != nil {
		return nil, fault("consents", err)
	}
	sessions, err := e.store.SessionsOf(ctx, s.User.ID, now)
	if err != nil {
		return nil, fault("sessions", err)
	}
	account := &Account{User: s.User}
	apps := make(map[string]*App)
	add := func(clientID string, scope oauth.Scope, since, used store.Time) error {
		app, ok := apps[clientID]
		if !ok {
			client, found, err := e.store.Client(ctx, clientID)
			if err != nil {
				return fault("client", err)
			}
			if !found {
				return nil
			}
			app = &App{Client: &client.Client, Since: time.UnixMilli(since)}
			apps[clientID] = app
		}
		app.Scope = app.Scope.Union(scope)
		if at := time.UnixMilli(since); at.Before(app.Since) {
			app.Since = at
		}
		if at := time.UnixMilli(used); at.After(app.Used) {
			app.Used = at
		}
		return nil
	}
	for _, c := range consents {
		err = cmp.Or(err, add(c.ClientID, c.Scope, c.GivenAt, c.GivenAt))
	}
	for _, g := range grants {
		err = cmp.Or(err, add(g.ClientID, g.Scope, g.CreatedAt, max(g.RedeemedAt, g.RotatedAt)))
	}
	if err != nil {
		return nil, err
	}
	for _, app := range apps {
		account.Apps = append(account.Apps, *app)
	}
	slices.SortFunc(account.Apps, func(a, b App) int {
		return cmp.Or(cmp.Compare(a.Client.Name, b.Client.Name), cmp.Compare(a.Client.ID, b.Client.ID))
	})
	for _, x := range sessions {
		account.Sessions = append(account.Sessions, BrowserSession{
			ID: FormatSession(x.ID), Since: time.UnixMilli(x.AuthTime), Current: x.ID == s.ID,
		})
	}
	return account, nil
}

// WithdrawConsent takes back what the user of a session has let a client have, and
// ends the client's grants. It is no error if there was nothing.
func (e *Engine) WithdrawConsent(ctx context.Context, s *Session, clientID string, trace Trace) error {
	_, err := e.store.WithdrawConsent(ctx, store.WithdrawConsent{User: s.User.ID, ClientID: clientID, Now: millis(e.now()), Trace: trace})
	if err != nil {
		return fault("withdraw consent", err)
	}
	return nil
}

// EndSessionOf ends another session of the same user, by the id that Account tells.
// Refusal: access_denied.
func (e *Engine) EndSessionOf(ctx context.Context, s *Session, id string, trace Trace) error {
	refuse := func(reason string) error {
		return oauth.Refuse(oauth.AccessDenied, "session: "+reason, "There is no such session of yours.")
	}
	parsed, ok := parseSession(id)
	if !ok {
		return refuse("id malformed")
	}
	other, found, err := e.store.Session(ctx, parsed)
	switch {
	case err != nil:
		return fault("session", err)
	case !found || other.User != s.User.ID:
		return refuse("unknown, or another user's")
	}
	return e.EndSession(ctx, &Session{Session: other, User: s.User}, trace)
}
