package store

import "context"

// Keeping is what keeps a database small and its nodes in step.
type Keeping interface {
	// Lease takes or prolongs the right to do what only one node must do at a time.
	// Done; Taken: another node has it. One that ends more than an hour after the end
	// that is asked for was taken by a clock that was wrong, and can be had at once.
	Lease(context.Context, Lease) (Outcome, error)
	// Purge deletes some of what nobody can refer to any more, in one short
	// transaction.
	Purge(context.Context, Purge) (Purged, error)
}

// Lease asks for a name until a time. The holder may ask again before it ends; a
// node that dies leaves it to the next when it has ended.
type Lease struct {
	Name   string
	Holder [16]byte // random per process
	Now    Time
	Until  Time
}

// Table is what a purge walks through.
type Table string

// The tables, in the order in which a lap goes through them.
const (
	TableGrants        Table = "grants"
	TableSessions      Table = "sessions"
	TableLinks         Table = "links"
	TableMails         Table = "mails"
	TableNotices       Table = "notices"
	TableRequests      Table = "requests"
	TableSpent         Table = "spent"
	TableRegistrations Table = "registrations" // users whose address was never confirmed
	TableClients       Table = "clients"       // that registered themselves and that nobody uses
	TableAudit         Table = "audit"
)

// Tables are all of them.
var Tables = []Table{
	TableGrants, TableSessions, TableLinks, TableMails, TableNotices, TableRequests, TableSpent, TableRegistrations, TableClients, TableAudit,
}

// Purge asks to look at the next Limit rows of a table, in the order of their key,
// and to delete those that nobody can refer to any more since before the time Before:
//
//	grants: revoked, expired (idle, absolute) or never redeemed, and the code expired in
//	    any case: an anonymous profile could be born of it once more. It stays while its
//	    browser is signed in, that is while a session of it has neither ended nor expired:
//	    its client is to be told when that ends. One without an idle and an absolute end
//	    stays until it is revoked
//	sessions: ended or expired. One stays while a grant that is not revoked hangs on it,
//	    expired or not, since that ends by it: the grant goes first
//	links: used or expired
//	mails, notices: sent, or given up (nothing left to try), by the time of birth
//	requests, spent: expired, used or not
//	registrations: users with something to confirm and without any identifier, by the time
//	    of birth; with all that DeleteUser deletes, and with their grants
//	clients: that registered themselves and have no grant, living or dead, no consent and
//	    no user who registered with them, by the time of birth; with all that is theirs.
//	    One that may have tokens for itself stays, since nothing here shows whether it
//	    does. Writes one audit event for each, and counts the config version up
//	audit: told
//
// Nothing else that is purged is told by the audit: it had ended before.
//
// A lap begins with no Cursor and ends where Purged has none.
type Purge struct {
	Table  Table
	Cursor []byte // from Purged; nil = the beginning
	Limit  int
	Before Time
	Now    Time
}

// Purged is what came of it.
type Purged struct {
	Deleted int
	Cursor  []byte // where to go on; nil = the end was reached
}
