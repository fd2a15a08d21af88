package store

import "github.com/tallystick/tallystick/internal/oauth"

// Hash is a SHA-256.
type Hash [32]byte

// Grant is one authorization: the one row that every token descends from.
type Grant struct {
	Birthright
	GrantState
}

// Birthright is what a grant is born with. It never changes and may be cached.
type Birthright struct {
	ID       GrantID
	ClientID string
	Subject  string // the sub of its tokens
	User     UserID // zero for an anonymous profile
	Scope    oauth.Scope
	Nonce    string
	AuthTime Time
	// Session is set only where the grant ends with it.
	Session SessionID
	// RedirectURI is what the code is bound to, in the form the face compares; ""
	// where the authorization request named none.
	RedirectURI string
	// CodeChallenge is what the code is bound to, if HasChallenge.
	CodeChallenge oauth.CodeChallenge
	HasChallenge  bool
	// StateHash is the SHA-256 of the state that the code is bound to; zero = none.
	StateHash Hash
	// Resources are what its access tokens are for (RFC 8707); empty = not said.
	Resources oauth.Resources
	// Claims is the claims parameter that it was asked for with (OIDC Core §5.5),
	// as canonical JSON; "" = none.
	Claims string
	// Browser is the browser that it was born in, also where it outlives the
	// session: ID tokens name it as sid. Zero where there was none.
	Browser SessionID

	CreatedAt         Time
	CodeExpiresAt     Time
	AbsoluteExpiresAt Time // 0 = never
}

// GrantState is what changes, each time by one conditional UPDATE.
type GrantState struct {
	RedeemedAt    Time
	Generation    uint32 // of the refresh token that is current
	MACKey        uint16 // number of the key that token was minted under
	RotatedAt     Time   // never decreases
	IdleExpiresAt Time   // 0 = never
	RevokedAt     Time
	RevokedWhy    Why
}

// Why says what ended a grant.
type Why string

// The ends of a grant.
const (
	WhyCodeReplayed    Why = "code replayed"
	WhyRefreshReplayed Why = "refresh token replayed"
	WhyRevoked         Why = "revoked"
	WhyUserDisabled    Why = "user disabled"
	WhyCredential      Why = "credential changed"
	WhySessionEnded    Why = "session ended"
	WhyUserDeleted     Why = "user deleted"
	WhyConsent         Why = "consent withdrawn"
	WhyClientDeleted   Why = "client deleted"
	WhyTooMany         Why = "too many grants"
)

// Client is a client as it is stored.
type Client struct {
	oauth.Client
	Face       oauth.Face
	Source     string // "file" (read-only to CLI and API), "dev", "api", SelfRegistered
	DisabledAt Time
	CreatedAt  Time
	UpdatedAt  Time
	// Secrets are read only, oldest first; see PutClientSecret.
	Secrets []ClientSecret
}

// SelfRegistered is the source of clients that came by dynamic registration.
const SelfRegistered = "registration"

// ClientSecret is one of the secrets that a client may authenticate with; several
// are alive while one takes the place of another.
type ClientSecret struct {
	ClientID  string
	Hash      Hash // see the engine; never the secret
	CreatedAt Time
	ExpiresAt Time // 0 = never
}

// Consent is what a user has let a client have.
type Consent struct {
	User      UserID
	ClientID  string
	Scope     oauth.Scope // all that was ever agreed to
	Resources oauth.Resources
	Claims    string // names of claims, sorted, separated by spaces
	GivenAt   Time   // the last time
}

// Request is an authorization request that was pushed (RFC 9126).
type Request struct {
	ID        RequestID
	ClientID  string
	Params    []byte // one JSON object of strings
	CreatedAt Time
	ExpiresAt Time // cannot be begun with later
	UsedAt    Time // a grant was born of it
}

// Notice is a logout that a client is to be told of (OpenID Connect Back-Channel
// Logout §2.5).
type Notice struct {
	Browser       SessionID // the sid of the client's ID tokens
	ClientID      string
	Subject       string // the sub of the client's ID tokens
	CreatedAt     Time
	NextAttemptAt Time // 0 = nothing left to try
	Attempts      int64
	SentAt        Time
	LastError     string // of the last attempt; never a secret
}

// APIKey lets a back end read (or write) what belongs to a client.
type APIKey struct {
	Hash      Hash // SHA-256 of the key, which has at least 128 random bits
	ClientID  string
	Access    string // "read" or "write"
	CreatedAt Time
}

// User is an account record.
type User struct {
	ID UserID
	// Identifiers are what the user may sign in with, normalised: lower-case
	// e-mail addresses and user names. Each is unique in the issuer.
	Identifiers []Identifier
	// Claims are the standard claims (OIDC Core §5.1) as one JSON object;
	// sub, email and email_verified are not among them.
	Claims            []byte
	Email             string // as the user wrote it
	EmailVerified     bool
	PasswordHash      string // PHC string; "" = cannot sign in by password
	CredentialVersion int64  // counts the changes of the password
	DisabledAt        Time
	CreatedAt         Time
	UpdatedAt         Time
	LastSignInAt      Time

	// Pending is the identifier that becomes the user's when he confirms it; "" =
	// there is nothing to confirm.
	Pending      string
	ClientID     string // that the user registered with; "" = made by an operator
	ReferralCode string // that the user may hand on; "" = none
	// Attributes are a face's own, as one JSON object (postal addresses and the
	// like).
	Attributes []byte

	GuessFailures int64 // failed guesses since the last success
	BlockedUntil  Time  // no guess is taken before, see TakeGuess
	KnownAddress  Hash  // of the last success
}

// Identifier is one name that finds a user.
type Identifier struct {
	Kind  string // "email" or "username"
	Value string // normalised
}

// Tenant is an organisation of users.
type Tenant struct {
	ID        TenantID
	Name      string
	CreatedAt Time
}

// Membership is a user's role in a tenant.
type Membership struct {
	Tenant     TenantID
	TenantName string // read only
	User       UserID
	Role       string // "admin", "member"
	CreatedAt  Time
}

// SigningKey is a sealed key that signs JWTs.
type SigningKey struct {
	Purpose   string // "standard", or the face that has a key of its own
	Algorithm string // JWS alg
	Number    int    // counts the rotations of (purpose, algorithm) from 1
	ID        string // kid
	Sealed    []byte
	CreatedAt Time
	ActiveAt  Time // signs from then on
	RetiredAt Time // neither signs nor verifies from then on; 0 = not said
}

// MACKey is a sealed key that tallies are minted under.
type MACKey struct {
	Number    uint16 // from 1
	Sealed    []byte
	CreatedAt Time
	ActiveAt  Time // mints from then on
}
