package store

import "context"

// The ids of what people leave behind.
type (
	SessionID [16]byte
	LinkID    [16]byte
	MailID    [16]byte
)

// Sessions are browsers' sign-ins.
type Sessions interface {
	// OpenSession inserts a session for a user who has just proved who he is.
	// Done, or Refused as for Birth.
	OpenSession(context.Context, OpenSession) (Outcome, error)
	Session(ctx context.Context, id SessionID) (s Session, found bool, err error)
	// EndSession ends a session, with all that the user has signed in before in
	// the same browser, and the grants that end with them. Done, Revoked (it had
	// ended already), Unknown.
	EndSession(context.Context, EndSession) (Outcome, error)
	// SessionsOf lists a user's sessions that have neither ended nor expired, oldest
	// first.
	SessionsOf(ctx context.Context, user UserID, now Time) ([]Session, error)
}

// People are the intents of a user's own life.
type People interface {
	// Register inserts a user with its tenant and its mail.
	Register(context.Context, Register) (Registered, error)
	// UseLink spends a mail link.
	UseLink(context.Context, UseLink) (UsedLink, error)
	// Link reads a mail link. found is false if there is none.
	Link(ctx context.Context, id LinkID) (l Link, found bool, err error)
	// TakeGuess counts a guess at a password before it is checked, so that
	// parallel guesses cannot share one allowance. Done; Refused: too soon.
	TakeGuess(context.Context, TakeGuess) (Outcome, error)
	// ReturnGuess takes one back that was not looked at.
	ReturnGuess(context.Context, UserID) error
	// UpdateProfile replaces a user's claims and attributes. Done; Taken: they
	// are no longer those that were seen; Unknown.
	UpdateProfile(context.Context, UpdateProfile) (Outcome, error)
	// DeleteUser erases a user and all that is his, with the tenants that nobody else is
	// in, and ends his grants. Done, Unknown. His id and names are free of him at once.
	DeleteUser(context.Context, DeleteUser) (Outcome, error)
	// UsersOf lists the users that registered with a client, oldest first, and
	// counts them all. referralCode "" is any.
	UsersOf(ctx context.Context, clientID, referralCode string, offset, limit int) (page []User, total int, err error)
	Tenant(ctx context.Context, id TenantID) (t Tenant, found bool, err error)
	// Members lists a tenant's memberships, oldest first.
	Members(ctx context.Context, id TenantID) ([]Membership, error)
}

// Outbox holds mails until they are sent. It never holds a link: that is made
// in the transaction that counts the attempt to send it.
type Outbox interface {
	// RequestMail puts a mail into the outbox for a user found by Mail.Recipient.
	// Done; Unknown: no such user; Refused: PerHour of them were asked for
	// within the last hour.
	RequestMail(context.Context, RequestMail) (Outcome, error)
	// DueMails lists mails that are to be tried now, longest due first.
	DueMails(ctx context.Context, now Time, limit int) ([]Mail, error)
	// AttemptMail counts an attempt and makes its link. Done; Taken: another
	// worker has counted it.
	AttemptMail(context.Context, AttemptMail) (Outcome, error)
	// FinishMail notes what came of an attempt: Error "" is sent, which drops
	// the recipient.
	FinishMail(context.Context, FinishMail) error
	// Mails lists what is in the outbox, newest first, for the operator.
	Mails(ctx context.Context, limit int) ([]Mail, error)
}

// Session is a browser's sign-in.
type Session struct {
	ID SessionID
	// Browser is the id of the first of a user's sign-ins in one browser; each
	// later one has it, too, so that they end together.
	Browser   SessionID
	User      UserID
	AuthTime  Time
	CreatedAt Time
	ExpiresAt Time
	EndedAt   Time
}

// OpenSession asks for a session. Its first write is that of Birth: the user has
// signed in, if it is enabled and its credential the one that was checked; it
// also forgets the failed guesses and remembers Address as known.
//
// Former is the session that the browser had, zero if none. If it is the user's
// own, the new one takes its place: the new one gets its Browser, and the former
// opens nothing more, but the grants that hang on it live. If it is somebody
// else's, it ends with its grants: who signs in must not leave another signed in
// behind him.
type OpenSession struct {
	Session           Session // Browser is filled in
	Former            SessionID
	CredentialVersion int64
	Address           Hash // of the network that the user signed in from; zero = not told
	Now               Time
	Trace             Trace
}

// EndSession asks to end a session.
type EndSession struct {
	Session SessionID
	Now     Time
	Trace   Trace
}

// Register asks for a new account. A user who registers has no name yet: his
// address, User.Pending, becomes his when he confirms it, so that what somebody
// registers with the address of another changes nothing for that one, and each
// mail confirms what it was sent for. Two cases are not errors and look alike
// from outside:
//
//	the address is nobody's → user, tenant or membership, and Mail: Done
//	it is somebody's already → MailIfTaken only: Taken
//
// Refused: Invitation names no tenant; then nothing happened. If PerHour mails of
// the template went to the address within the last hour, nothing happens, and the
// outcome is the same.
type Register struct {
	User        User
	Tenant      Tenant   // made with the user as admin, unless Invitation is set
	Invitation  TenantID // join this one as member
	Mail        Mail
	MailIfTaken Mail
	PerHour     int
	Now         Time
	Trace       Trace
}

// Registered is what came of it.
type Registered struct {
	Outcome Outcome
	User    UserID // of the account that is there now; zero if Refused
}

// Link is what a mail link stands for.
type Link struct {
	ID       LinkID
	Purpose  Purpose
	User     UserID
	ClientID string
	// CredentialVersion is the user's when the link was made: a link is good for
	// the password that it was made for, and no later one.
	CredentialVersion int64
	CreatedAt         Time
	ExpiresAt         Time
	UsedAt            Time
}

// Purpose is what a link is for.
type Purpose string

// The purposes; also the names of mails' templates.
const (
	PurposeConfirm Purpose = "confirm" // verify an e-mail address
	PurposeReset   Purpose = "reset"   // choose a new password
	PurposeTaken   Purpose = "taken"   // a mail without a link: "you have an account already"
)

// UseLink asks to spend a link: it must be of the client and the purpose,
// unused, unexpired, and its credential version the user's. Then, in the same
// transaction:
//
//	confirm: the address is verified, and becomes the user's name
//	reset: PasswordHash replaces the password, which ends the user's grants and
//	    sessions; the address is verified, since the mail has arrived
//
// Done, Spent, Expired, Unknown (also: another client's, another purpose's),
// Refused (the user is disabled, or has another credential since, or the address
// has become somebody else's: then the link is not spent).
type UseLink struct {
	Link         LinkID
	Purpose      Purpose
	ClientID     string
	PasswordHash string // of reset
	Now          Time
	Trace        Trace
}

// UsedLink is what came of it.
type UsedLink struct {
	Outcome Outcome
	User    UserID // zero unless Done
}

// TakeGuess asks for a guess at a user's password. It is allowed if the user has
// fewer than Free failures, or BlockedUntil has passed, or Address is the one of
// the last success. It counts one failure (which the success takes back) and
// writes BlockedUntil.
type TakeGuess struct {
	User         UserID
	Address      Hash
	Free         int64
	BlockedUntil Time // the new one
	Now          Time
}

// UpdateProfile asks to replace what a user tells about himself, on condition
// that it is still what was seen: of two changes at once none is lost.
type UpdateProfile struct {
	User           UserID
	SeenClaims     []byte
	SeenAttributes []byte
	Claims         []byte
	Attributes     []byte
	Now            Time
	Trace          Trace
}

// DeleteUser asks to erase a user.
type DeleteUser struct {
	User  UserID
	Now   Time
	Trace Trace
}

// Mail is a mail to be sent, or one that was.
type Mail struct {
	ID            MailID
	Template      Purpose
	Recipient     string // "" once it is sent
	Address       Hash   // SHA-256 of the recipient, normalised; what is counted by
	Language      string
	User          UserID
	ClientID      string
	CreatedAt     Time
	NextAttemptAt Time
	Attempts      int64
	SentAt        Time
	LastError     string // of the last attempt; never a secret
}

// RequestMail asks for a mail to whoever has the address Mail.Recipient
// (normalised); Mail.User and the recipient's spelling are filled in.
type RequestMail struct {
	Mail    Mail
	PerHour int // mails of this template to this address
	Now     Time
}

// AttemptMail asks to try a mail. Attempts is what the worker has seen.
type AttemptMail struct {
	Mail          MailID
	Attempts      int64
	NextAttemptAt Time  // should this worker die
	Link          *Link // nil for a mail without a link; CredentialVersion is filled in
}

// FinishMail tells what came of an attempt.
type FinishMail struct {
	Mail          MailID
	Error         string // "" = sent
	NextAttemptAt Time   // of a failed one; 0 = give up
	Now           Time
}
