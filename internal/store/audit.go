package store

// AuditKind is what happened. Adding one is a visible change: the kinds are
// stored, and operators search for them.
type AuditKind string

// The kinds. An ordinary refresh is none of them: it is told by the row's
// generation, so that storage grows with logins and not with refreshes.
const (
	AuditBirth       AuditKind = "grant.birth"
	AuditRedemption  AuditKind = "code.redeemed"
	AuditReplay      AuditKind = "grant.replayed" // refused and reported, the grant lives
	AuditEnd         AuditKind = "grant.ended"
	AuditAhead       AuditKind = "grant.ahead" // the store had lost commits
	AuditUserChanged AuditKind = "user.changed"
	AuditClient      AuditKind = "client.changed"
	AuditConsent     AuditKind = "consent.withdrawn"
)

// AuditEvent is one line of the audit, written in the transaction of the intent
// that it tells of. Node and Sequence name it: a node counts its own events, so
// that the audit makes nobody wait for another.
type AuditEvent struct {
	Node     int64 // random per process
	Sequence int64
	At       Time
	Kind     AuditKind
	Grant    GrantID // zero where it is about no grant
	ClientID string
	User     UserID
	Reason   string // never a secret
	Trace    Trace
}
