// Package store is the contract between the engine and a database: records,
// intents and outcomes. It knows no driver.
//
// One intent is one method and one transaction. A protocol outcome (Spent,
// Replayed, …) is a value and is committed; an error means that nothing that
// the intent asked for has happened, or, where it is ErrUnknownFate, that
// nobody can tell. The conditional write comes first and the diagnosis after:
// at most one caller sees the row change, whatever the isolation level, so no
// read may come before it.
package store

import (
	"context"
	"errors"

	"github.com/tallystick/tallystick/internal/oauth"
)

// Faults. Each is answered as temporarily unavailable; the client may try again.
var (
	// ErrBusy: too many intents are waiting; this one was not begun.
	ErrBusy = errors.New("store: busy")
	// ErrUnknownFate: the commit failed, or the caller's context ended while it
	// was under way, and whether it was made durable is not known. The intent may
	// be repeated: every one of them is conditional.
	ErrUnknownFate = errors.New("store: commit of unknown fate")
	// ErrClosed: the store is shut.
	ErrClosed = errors.New("store: closed")
)

// Time is Unix milliseconds; 0 = never, not set.
type Time = int64

// The ids are random, or hashes of something random; none is ever used again.
type (
	IssuerID  [16]byte
	GrantID   [16]byte
	UserID    [16]byte
	TenantID  [16]byte
	RequestID [16]byte
)

// Store is one issuer's part of a database. Every method is safe for concurrent
// use, by several processes too.
type Store interface {
	// Issuer is whose store it is.
	Issuer() IssuerID

	Grants
	Requests
	Clients
	Users
	Sessions
	Consents
	People
	Outbox
	Notices
	Keys
	Keeping

	// Ready reports whether the store can commit now; nil is yes.
	Ready(context.Context) error
}

// Grants are the intents of the protocol.
type Grants interface {
	// Grant reads a grant. found is false if there is none.
	Grant(ctx context.Context, id GrantID) (g Grant, found bool, err error)
	// Birth inserts a grant for a user who has just proved who he is. Done,
	// Refused, Taken (there is a grant of this id, so this is a repetition).
	Birth(context.Context, Birth) (Outcome, error)
	// RedeemCode spends the code of a grant.
	RedeemCode(context.Context, Redeem) (Redeemed, error)
	// RedeemAnonymous inserts a grant by the redemption of its code.
	RedeemAnonymous(context.Context, RedeemAnonymous) (Redeemed, error)
	// RotateRefresh uses a refresh token.
	RotateRefresh(context.Context, Rotate) (Rotated, error)
	// EndGrant revokes a grant. Done, Revoked (it was already), Unknown.
	EndGrant(context.Context, End) (Outcome, error)
	// GrantsOf lists a user's grants that are redeemed, not revoked and not
	// expired, oldest first.
	GrantsOf(ctx context.Context, user UserID, now Time) ([]Grant, error)
	// AuditOf lists what happened to a grant, oldest first; of the zero id, what is
	// about none. What two processes
	// tell of one millisecond has no order.
	AuditOf(context.Context, GrantID) ([]AuditEvent, error)
}

// Clients are the administrator's nouns of the protocol.
type Clients interface {
	// ConfigVersion counts the changes of clients and API keys.
	ConfigVersion(context.Context) (int64, error)
	Client(ctx context.Context, id string) (c Client, found bool, err error)
	// ClientsOf lists a face's clients by id.
	ClientsOf(context.Context, oauth.Face) ([]Client, error)
	// PutClient inserts or replaces a client and counts the config version up.
	PutClient(context.Context, Client) error
	APIKey(ctx context.Context, hash Hash) (k APIKey, found bool, err error)
	// PutAPIKey inserts or replaces an API key and counts the config version up.
	PutAPIKey(context.Context, APIKey) error
	// PutClientSecret inserts or replaces a secret by client and hash, and counts
	// the config version up. It does not ask whether there is such a client.
	PutClientSecret(context.Context, ClientSecret) error
	// DeleteClientSecret takes a secret away and counts the config version up.
	DeleteClientSecret(ctx context.Context, clientID string, hash Hash) error
	// RegisterClient inserts a client that registers itself. Done; Taken: there is
	// a client of this id; Refused: there are too many.
	RegisterClient(context.Context, RegisterClient) (Outcome, error)
	// DeleteClient erases a client with its secrets, API keys and consents, ends its
	// grants and counts the config version up. Done, Unknown. The grants of a client
	// that has very many end first, some thousands at a time: then consents may be gone
	// and grants have ended when it fails, and the client is there to be deleted again.
	DeleteClient(context.Context, DeleteClient) (Outcome, error)
}

// Requests are what clients send before or beside a grant.
type Requests interface {
	// PushRequest inserts a pushed authorization request. Done; Taken: there is one
	// of this id; Refused: PerClient of the client's are waiting. Those that are pushed
	// at the same moment need not see each other, and may go over it together.
	PushRequest(context.Context, PushRequest) (Outcome, error)
	Request(ctx context.Context, id RequestID) (r Request, found bool, err error)
	// Spend spends what may be used once. Done; Spent: it was used before.
	Spend(context.Context, Spend) (Outcome, error)
}

// Consents are what users have agreed to.
type Consents interface {
	Consent(ctx context.Context, user UserID, clientID string) (c Consent, found bool, err error)
	// ConsentsOf lists a user's consents by client id.
	ConsentsOf(context.Context, UserID) ([]Consent, error)
	// WithdrawConsent forgets a consent and ends every grant of the user for the
	// client. Done; Unknown: there was neither.
	WithdrawConsent(context.Context, WithdrawConsent) (Outcome, error)
}

// Notices are logouts that clients have not been told of yet. They come to be
// where sessions end; a client is told once for each browser.
type Notices interface {
	// DueNotices lists notices that are to be tried now, longest due first, at most
	// four of each client.
	DueNotices(ctx context.Context, now Time, limit int) ([]Notice, error)
	// AttemptNotice counts an attempt. Done; Taken: another worker has counted it.
	AttemptNotice(context.Context, AttemptNotice) (Outcome, error)
	// FinishNotice notes what came of an attempt.
	FinishNotice(context.Context, FinishNotice) error
}

// Users are the people.
type Users interface {
	User(ctx context.Context, id UserID) (u User, found bool, err error)
	// UserByIdentifier finds a user by a normalised e-mail address or user name.
	UserByIdentifier(ctx context.Context, value string) (u User, found bool, err error)
	// PutUser inserts a user, or replaces all of one but the times of birth and
	// sign-in. Taken if another user has one of its identifiers; then nothing
	// changes. A changed credential (CredentialVersion counted up) and a
	// DisabledAt end the user's grants in the same transaction, at UpdatedAt and
	// each with an audit event.
	PutUser(context.Context, User) (Outcome, error)
	// PutTenant inserts or replaces a tenant.
	PutTenant(context.Context, Tenant) error
	// PutMembership inserts or replaces a user's role in a tenant.
	PutMembership(context.Context, Membership) error
	// Memberships lists a user's tenants, oldest first.
	Memberships(context.Context, UserID) ([]Membership, error)
}

// Keys are kept sealed: the store never sees what is inside.
type Keys interface {
	SigningKeys(context.Context) ([]SigningKey, error)
	// AddSigningKey inserts a key. Taken if its (purpose, algorithm, number)
	// exists, for example since another node was first; then nothing changes.
	AddSigningKey(context.Context, SigningKey) (Outcome, error)
	// RetireSigningKey says from when on a key counts no more; the first that says
	// so holds, unless a later one says an earlier time. Done, Unknown.
	RetireSigningKey(ctx context.Context, id string, at Time) (Outcome, error)
	MACKeys(context.Context) ([]MACKey, error)
	// AddMACKey inserts a key. Taken if its number exists; then nothing changes.
	AddMACKey(context.Context, MACKey) (Outcome, error)
}
