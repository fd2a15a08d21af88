package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// TokenRequest is a token request (RFC 6749 §3.2) of parsed values.
type TokenRequest struct {
	Face      oauth.Face
	GrantType oauth.GrantType
	Credentials

	// Of authorization_code. RedirectURI is in the form that the code is bound
	// to; an empty CodeVerifier is one that was not sent.
	Code         string
	RedirectURI  string
	CodeVerifier oauth.CodeVerifier
	State        string // compared where the code is bound to one

	// Of refresh_token.
	RefreshToken string

	// Scope and Resources ask for less than there could be; "" is all of it.
	Scope     oauth.Scope
	Resources oauth.Resources

	Shape Shape
	Trace Trace
}

// Shape is how a face wants the tokens of one exchange to look.
type Shape interface {
	// NeedsUser reports whether the tokens of the issue tell about the user; if
	// not, no user is read.
	NeedsUser(*Issue) bool
	Draft(Issue) Drafts
}

// Issue is all that may enter a token: what the grant was born with, the user's
// claims, and time.
type Issue struct {
	Issuer    string
	Grant     *Grant // nil where the client acts for itself
	Client    *oauth.Client
	User      *User // nil if not needed, or anonymous
	Subject   string
	SID       string          // names the browser to this client; "" where there was none
	Scope     oauth.Scope     // of this access token
	Resources oauth.Resources // that it is for; "" = not said
	IssuedAt  time.Time
	ExpiresAt time.Time
	NewID     func() string // a fresh jti
}

// Drafts are the unsigned tokens of one exchange; ID is nil where there is none.
type Drafts struct {
	Access Draft
	ID     *Draft
	// ATHash puts the hash of the access token into the ID token (OpenID Connect
	// Core §3.1.3.6).
	ATHash bool
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
	RefreshToken string    // "" if the client may have none
	ExpiresAt    time.Time // of the access token, whole seconds
	Lifetime     time.Duration
	Scope        oauth.Scope // of the access token
	Grant        *Grant      // nil where the client acts for itself
	Client       *oauth.Client
	Outcome      store.Outcome
}

// Token answers a token request. Refusals: invalid_client, unauthorized_client,
// unsupported_grant_type, invalid_grant, invalid_scope, invalid_target; faults:
// temporarily_unavailable.
func (e *Engine) Token(ctx context.Context, req *TokenRequest) (*Issued, error) {
	caller, err := e.authenticate(ctx, req.Face, req.Credentials)
	if err != nil {
		return nil, err
	}
	issued, written, err := e.exchange(ctx, caller, req)
	// A refused exchange has used the client's assertion, too; a fault has not. One
	// that was used before tells nothing else.
	if err == nil || !oauth.AsError(err).Fault() {
		if spent := e.spend(ctx, caller); spent != nil {
			return nil, spent
		}
	}
	if err != nil {
		return nil, err
	}
	// The write has told of another configuration than the one that this request
	// was judged by: the client may be disabled since. What was written stays (a
	// retry gets the same), what would be answered is judged again.
	if written != 0 && written != caller.judged {
		if err := e.again(ctx, req, caller); err != nil {
			return nil, err
		}
	}
	return issued, nil
}

// exchange also tells the config version at its write; 0 if there was none.
func (e *Engine) exchange(ctx context.Context, caller *Caller, req *TokenRequest) (*Issued, int64, error) {
	client := caller.client
	switch req.GrantType {
	case oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials:
	default:
		return nil, 0, oauth.Refuse(oauth.UnsupportedGrantType, "grant type", "The grant_type is not supported.")
	}
	if !client.Allows(req.GrantType) {
		return nil, 0, oauth.Refuse(oauth.UnauthorizedClient, "grant type not allowed to client", "The client may not use this grant_type.")
	}
	switch req.GrantType {
	case oauth.AuthorizationCode:
		if client.AnonymousProfile {
			return e.redeemAnonymous(ctx, caller, req)
		}
		return e.redeemCode(ctx, caller, req)
	case oauth.RefreshToken:
		return e.refresh(ctx, caller, req)
	}
	issued, err := e.clientCredentials(ctx, client, req)
	return issued, 0, err
}

// narrowed is the scope and the resources of a request within what a grant has,
// and within what the client may have today.
func (e *Engine) narrowed(client *store.Client, g *Grant, req *TokenRequest) (oauth.Scope, oauth.Resources, error) {
	scope, resources := g.Scope, g.Resources
	if req.Scope != "" {
		if !req.Scope.Within(g.Scope) {
			return "", "", oauth.Refuse(oauth.InvalidScope, "scope wider than the grant's", "The scope is more than was granted.")
		}
		scope = req.Scope
	}
	if req.Resources != "" {
		// The issuer is in every grant; what else the user has not been asked for, at the
		// authorization request, cannot be had here.
		if !req.Resources.Within(g.Resources.Union(oauth.Resources(e.issuer))) {
			return "", "", oauth.Refuse(oauth.InvalidTarget, "resource outside of the grant", "The resource is none of those that were granted.")
		}
		resources = req.Resources
	}
	if err := e.checkResources(client, resources); err != nil {
		return "", "", err
	}
	if string(scope) == client.Scope || scope == "" {
		return scope, resources, nil
	}
	return scope.Common(scopeOf(client)), resources, nil
}

// scopeOf is all that a client may ask for. It was looked at when the client was
// stored.
func scopeOf(client *store.Client) oauth.Scope {
	scope, err := oauth.ParseScope(client.Scope)
	if err != nil {
		return ""
	}
	return scope
}

// sign makes the tokens of an exchange, before the store is asked: nothing that
// the write decides enters them. g is nil where the client acts for itself.
func (e *Engine) sign(ctx context.Context, client *store.Client, g *Grant, scope oauth.Scope, resources oauth.Resources, shape Shape, now time.Time) (*Issued, error) {
	lifetime := time.Duration(client.AccessTokenLifetime) * time.Second
	issue := Issue{
		Issuer: e.issuer, Grant: g, Client: &client.Client, Subject: client.ID, Scope: scope, Resources: resources,
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
	if g != nil {
		issue.Subject, issue.SID = g.Subject, e.sid(client.ID, g.Browser)
		// No token outlives its grant.
		if end := time.UnixMilli(g.AbsoluteExpiresAt).Truncate(time.Second); g.AbsoluteExpiresAt != 0 && end.Before(issue.ExpiresAt) {
			issue.ExpiresAt = end
			lifetime = max(end.Sub(now), 0)
		}
		if g.User != (store.UserID{}) && shape.NeedsUser(&issue) {
			u, found, err := e.store.User(ctx, g.User)
			if err != nil {
				return nil, fault("user", err)
			}
			if !found {
				return nil, oauth.Refuse(oauth.InvalidGrant, "user deleted", invalidGrant)
			}
			issue.User = &u
		}
	}
	drafts := shape.Draft(issue)
	if randFault != nil {
		return nil, randFault
	}
	out := &Issued{ExpiresAt: issue.ExpiresAt, Lifetime: lifetime, Scope: scope, Grant: g, Client: &client.Client}
	var err error
	if out.AccessToken, err = e.keys.sign(&drafts.Access, now); err != nil {
		return nil, err
	}
	if drafts.ID != nil {
		if drafts.ATHash {
			drafts.ID.Claims.String("at_hash", atHash(out.AccessToken))
		}
		if out.IDToken, err = e.keys.sign(drafts.ID, now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// atHash is the left half of the hash that the algorithm's name tells, which is
// SHA-256 for all of ours.
func atHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
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
