package engine

import (
	"context"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// TokenRequest is a token request (RFC 6749 §3.2) of parsed values.
type TokenRequest struct {
	Face      oauth.Face
	GrantType oauth.GrantType
	ClientID  string

	// Of authorization_code. RedirectURI is in the form that the code is bound
	// to; an empty CodeVerifier is one that was not sent.
	Code         string
	RedirectURI  string
	CodeVerifier oauth.CodeVerifier
	State        string // compared where the code is bound to one

	// Of refresh_token.
	RefreshToken string

	Shape Shape
	Trace Trace
}

// Shape is how a face wants the tokens of one exchange to look.
type Shape interface {
	// NeedsUser reports whether the tokens tell about the user; if not, no user
	// is read.
	NeedsUser() bool
	Draft(Issue) Drafts
}

// Issue is all that may enter a token: what the grant was born with, the user's
// claims, and time.
type Issue struct {
	Issuer    string
	Grant     *Grant
	Client    *oauth.Client
	User      *User // nil if not needed, or anonymous
	IssuedAt  time.Time
	ExpiresAt time.Time
	NewID     func() string // a fresh jti
}

// Drafts are the unsigned tokens of one exchange; ID is nil where there is none.
type Drafts struct {
	Access Draft
	ID     *Draft
}

// Draft is a token to be signed by the current key of a purpose and algorithm.
type Draft struct {
	Key    KeySpec
	Typ    string // header parameter
	KID    bool   // whether the header names the key
	Claims *jose.Claims
}

// Issued is what a successful exchange yields, after it has been made durable.
type Issued struct {
	AccessToken  string
	IDToken      string
	RefreshToken string
	ExpiresAt    time.Time // of the access token, whole seconds
	Lifetime     time.Duration
	Grant        *Grant
	Client       *oauth.Client
	Outcome      store.Outcome
}

// Token answers a token request. Refusals: invalid_client, unauthorized_client,
// unsupported_grant_type, invalid_grant; faults: temporarily_unavailable.
func (e *Engine) Token(ctx context.Context, req *TokenRequest) (*Issued, error) {
	client, judged, err := e.clientAt(ctx, req.Face, req.ClientID)
	if err != nil {
		return nil, err
	}
	issued, written, err := e.exchange(ctx, client, req)
	if err != nil {
		return nil, err
	}
	// The write has told of another configuration than the one that this request
	// was judged by: the client may be disabled since. What was written stays (a
	// retry gets the same), what would be answered is judged again.
	if written != judged {
		e.clients.forget()
		if _, err := e.client(ctx, req.Face, req.ClientID); err != nil {
			return nil, err
		}
	}
	return issued, nil
}

func (e *Engine) exchange(ctx context.Context, client *store.Client, req *TokenRequest) (*Issued, int64, error) {
	if !client.Allows(req.GrantType) {
		return nil, 0, oauth.Refuse(oauth.UnauthorizedClient, "grant type not allowed to client", "The client may not use this grant_type.")
	}
	switch req.GrantType {
	case oauth.AuthorizationCode:
		if client.AnonymousProfile {
			return e.redeemAnonymous(ctx, client, req)
		}
		return e.redeemCode(ctx, client, req)
	case oauth.RefreshToken:
		return e.refresh(ctx, client, req)
	}
	return nil, 0, oauth.Refuse(oauth.UnsupportedGrantType, "grant type", "The grant_type is not supported.")
}

// sign makes the tokens of an exchange, before the store is asked: nothing that
// the write decides enters them.
func (e *Engine) sign(ctx context.Context, client *store.Client, g *Grant, shape Shape, now time.Time) (*Issued, error) {
	lifetime := time.Duration(client.AccessTokenLifetime) * time.Second
	issue := Issue{
		Issuer: e.issuer, Grant: g, Client: &client.Client,
		IssuedAt: now, ExpiresAt: now.Add(lifetime).Truncate(time.Second),
	}
	var randFault error
	issue.NewID = func() string {
		id, err := e.newUUID()
		if err != nil {
			randFault = err
		}
		return id
	}
	if shape.NeedsUser() && g.User != (store.UserID{}) {
		u, found, err := e.store.User(ctx, g.User)
		if err != nil {
			return nil, fault("user", err)
		}
		if !found {
			return nil, oauth.Refuse(oauth.InvalidGrant, "user deleted", invalidGrant)
		}
		issue.User = &u
	}
	drafts := shape.Draft(issue)
	if randFault != nil {
		return nil, randFault
	}
	out := &Issued{ExpiresAt: issue.ExpiresAt, Lifetime: lifetime, Grant: g, Client: &client.Client}
	var err error
	if out.AccessToken, err = e.keys.sign(&drafts.Access, now); err != nil {
		return nil, err
	}
	if drafts.ID != nil {
		if out.IDToken, err = e.keys.sign(drafts.ID, now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// birthright reads what a grant was born with; nil if there is none.
func (e *Engine) birthright(ctx context.Context, id store.GrantID) (*Grant, error) {
	if b, ok := e.births.get(id); ok {
		return &b, nil
	}
	g, found, err := e.store.Grant(ctx, id)
	if err != nil {
		return nil, fault("grant", err)
	}
	if !found {
		return nil, nil
	}
	e.births.put(id, g.Birthright)
	return &g.Birthright, nil
}

const (
	invalidCode  = "The authorization code is not valid: it is unknown, expired, already used, or was issued to another client."
	invalidGrant = "The refresh token is not valid: it is unknown, expired, revoked, already replaced, or was issued to another client."
)

// reportEvery is how often the replays of one living grant are written down.
const reportEvery = time.Minute

// worthReport claims the report of a replay, so that of many at once one is
// written down.
func (e *Engine) worthReport(o store.Outcome, ended bool, id store.GrantID, now time.Time) bool {
	if o != store.Replayed || ended {
		return false
	}
	return e.reports.claim(id, now, func(last time.Time) bool {
		age := now.Sub(last)
		return age >= 0 && age < reportEvery
	})
}
