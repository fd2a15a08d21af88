package store

// Outcome is what came of an intent. It is a value: it is committed.
type Outcome uint8

// The outcomes. Those up to Ahead are answered with tokens.
const (
	Done    Outcome = iota + 1 // written as asked
	Retried                    // the parent again inside its window: the same successor
	Ahead                      // the token is newer than the row: the store lost commits; served as a rotation

	Unknown  // no such row, or a token that this row never had
	Expired  // too late
	Spent    // the code was redeemed before, and this use proves nothing
	Replayed // a proven second use
	Revoked  // the grant has ended
	Refused  // the user may not sign in (any more): disabled, or a newer credential
	Taken    // the name belongs to somebody else
	Reused   // the client's assertion was used before; nothing else was looked at
)

var outcomes = [...]string{
	Done: "done", Retried: "retried", Ahead: "ahead", Unknown: "unknown", Expired: "expired",
	Spent: "spent", Replayed: "replayed", Revoked: "revoked", Refused: "refused", Taken: "taken", Reused: "reused",
}

func (o Outcome) String() string {
	if int(o) < len(outcomes) && outcomes[o] != "" {
		return outcomes[o]
	}
	return "outcome?"
}

// Served reports whether the outcome is answered with tokens.
func (o Outcome) Served() bool { return o == Done || o == Retried || o == Ahead }

// Trace is who asked, for the audit.
type Trace struct {
	RequestID string
	IP        string
}

// Birth asks for a grant with a row. First the user is told to have signed in,
// on condition that it is enabled and its credential still the one that was
// checked; without that, Refused. Likewise the session, if the grant has one: it
// must be the user's, unended and unexpired. Writes one audit event.
//
// A birth without a session is a sign-in of its own: it also forgets the failed
// guesses and remembers Address as known. Session is the one that is asked for
// where the grant itself does not end with it.
//
// Where the user has agreed just now, Consent is written; where he agreed before,
// it must still be there as it was seen, or else Refused. A pushed request must be
// unspent, or else Spent; it is spent, whatever its age: that is judged where it
// begins.
//
// A client that registered itself may unregister itself, or be purged, at any moment:
// with ClientMayGo it must be there, or else Refused, and whoever deletes it comes
// before the birth and refuses it, or after it and meets its grant.
type Birth struct {
	Grant             Grant
	Session           SessionID // zero = Grant.Session
	CredentialVersion int64
	Address           Hash     // zero = not told
	Consent           *Consent // nil: the face asks for none
	Agreed            bool     // Consent was given just now
	Request           RequestID
	ClientMayGo       bool
	// Most is how many living grants the user may have of the client, those among them
	// whose code can still be redeemed, and this one; the oldest beyond end, each with
	// an audit event. 0 = any number.
	Most  int
	Now   Time
	Trace Trace
}

// Spend asks to spend something that may be used once: the jti of a client's
// assertion (RFC 7523 §3). The zero value spends nothing.
type Spend struct {
	ID        Hash
	ExpiresAt Time // it can be forgotten then
	Now       Time
}

// PushRequest asks to keep an authorization request.
type PushRequest struct {
	Request   Request
	PerClient int // of the client's requests that are neither used nor expired
	Assertion Spend
	Now       Time
}

// RegisterClient asks for a new client. Secret is nil for one without. Writes one
// audit event.
type RegisterClient struct {
	Client Client
	Secret *ClientSecret
	Most   int // clients that registered themselves
	Now    Time
	Trace  Trace
}

// DeleteClient asks to erase a client. Writes one audit event, and one for each
// grant that it ends.
type DeleteClient struct {
	ClientID string
	Now      Time
	Trace    Trace
}

// WithdrawConsent asks to take back what a user has let a client have. Writes one
// audit event if there was a consent, and one for each grant that it ends.
type WithdrawConsent struct {
	User     UserID
	ClientID string
	Now      Time
	Trace    Trace
}

// AttemptNotice asks to try a notice. Attempts is what the worker has seen.
type AttemptNotice struct {
	Browser       SessionID
	ClientID      string
	Attempts      int64
	NextAttemptAt Time // should this worker die
}

// FinishNotice tells what came of an attempt.
type FinishNotice struct {
	Browser       SessionID
	ClientID      string
	Error         string // "" = told
	NextAttemptAt Time   // of a failed one; 0 = give up
	Now           Time
}

// Redeem asks to spend the code of a grant: it must be unspent, unexpired and
// the grant unrevoked, now. All else that binds a code has been checked: the
// birthright never changes. Writes one audit event.
//
// Done, or the first that is true of: Unknown, Revoked, Spent or Replayed (it was
// redeemed before, also if it has expired since), Expired (code, absolute).
type Redeem struct {
	Grant GrantID
	Now   Time
	// MACKey is the active key, IdleExpiresAt the end of the refresh token that
	// is born; 0 = never.
	MACKey        uint16
	IdleExpiresAt Time
	// Proven: this use passes every check of a first one and nobody but the
	// holder of the client's secret or verifier could have made it. Then a
	// second use is Replayed, otherwise Spent.
	Proven bool
	// EndOnReplay revokes the grant in the same transaction if Replayed.
	EndOnReplay bool
	// Report writes an audit event if Replayed, though the grant does not end.
	Report bool
	// Assertion is spent first of all, whatever comes of the rest; Reused if it was
	// spent before.
	Assertion Spend
	Trace     Trace
}

// Redeemed is what came of Redeem and RedeemAnonymous.
type Redeemed struct {
	Outcome       Outcome
	State         GrantState // the row's, as it is now; zero if Unknown
	Ended         bool       // this replay ended the grant; an earlier one has not
	ConfigVersion int64
}

// RedeemAnonymous asks to spend the code of a grant without a row by inserting
// it: the row is there or is not, so the insert is the gate. Writes one audit
// event.
//
// Done; Taken: the subject belongs to another profile (nothing happened; take
// another subject); Spent, Replayed or Revoked as for Redeem. Expired if there is
// no row and Now is not before the grant's CodeExpiresAt.
type RedeemAnonymous struct {
	Grant       Grant
	Now         Time
	Proven      bool
	EndOnReplay bool
	Report      bool
	Trace       Trace
}

// Rotate asks to use the refresh token of generation Presented, minted under
// PresentedKey. g is the row's generation. Revoked and Expired (idle, absolute)
// come before all else:
//
//	Presented = g, PresentedKey = the row's:
//	    rotating client, or PresentedKey ≠ ActiveKey → the row becomes g+1 under ActiveKey: Done
//	    otherwise → nothing is written, unless the idle life must be extended: Done
//	Presented = g, another key → Unknown
//	Presented = g−1, inside the window → no write but an extension: Retried
//	Presented = g−1 later, Presented < g−1 → Replayed; the grant ends if EndOnReplay
//	Presented > g, or the code not redeemed yet → the row becomes Presented+1 under ActiveKey,
//	    and the code redeemed Now: Ahead; one audit event
//
// The window is RetryWindow milliseconds since the rotation (0 = none, also for
// a clock that is behind), or without end if UntilUsed, and for a client that
// does not rotate: its rotations are the server's doing. A generation of
// 1<<32−1 is the last: Expired.
//
// An extension is a write of IdleExpiresAt, made only when less than 15/16 of
// IdleLife is left.
type Rotate struct {
	Grant        GrantID
	Presented    uint32
	PresentedKey uint16
	ActiveKey    uint16
	Now          Time
	IdleLife     int64 // milliseconds; 0 = no idle end
	Rotating     bool
	RetryWindow  int64 // milliseconds
	UntilUsed    bool
	EndOnReplay  bool
	Report       bool
	Assertion    Spend // as for Redeem
	Trace        Trace
}

// Rotated is what came of Rotate. The token to answer with is that of
// State.Generation under State.MACKey.
type Rotated struct {
	Outcome       Outcome
	State         GrantState // the row's, as it is now; zero if Unknown
	Ended         bool       // this replay ended the grant; an earlier one has not
	ConfigVersion int64
}

// End asks to revoke a grant. Writes one audit event if it was alive.
type End struct {
	Grant GrantID
	Why   Why
	Now   Time
	Trace Trace
}

// ExtendIdle reports whether an idle end must be written again: less than 15/16
// of the idle life is left, so that a retry or a refresh without rotation costs
// a write once in a sixteenth of the life, and daily use never expires.
func ExtendIdle(idleExpiresAt, now Time, idleLife int64) bool {
	return idleLife > 0 && idleExpiresAt-now < idleLife-idleLife/16
}

// IdleEnd is the idle end of a token that is used now; 0 = never.
func IdleEnd(now Time, idleLife int64) Time {
	if idleLife == 0 {
		return 0
	}
	return now + idleLife
}
