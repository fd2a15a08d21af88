package store

import "context"

// Keeping is what keeps a database small and its nodes in step.
type Keeping interface {
	// Lease takes or prolongs the right to do what only one node must do at a time.
	// Done; Taken: another node has it.
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
	TableAudit         Table = "audit"
)

// Tables are all of them.
var Tables = []Table{
	TableGrants, TableSessions, TableLinks, TableMails, TableNotices, TableRequests, TableSpent, TableRegistrations, TableAudit,
}

// Purge asks to look at the next Limit rows of a table, in the order of their key,
// and to delete those that ended before the time Before:
//
//	grants: revoked, expired (idle, absolute), or never redeemed and the code expired
//	sessions: ended or expired
//	links: used or expired
//	mails, notices: sent, or given up (nothing left to try), by the time of birth
//	requests, spent: expired
//	registrations: without any identifier, by the time of birth; with all that is theirs
//	audit: told
//
// A lap begins with no Cursor and ends where Purged has none.
type Purge struct {
	Table  Table
	Cursor []byte // from Purged; nil = the beginning
	Limit  int
	Before Time
}

// Purged is what came of it.
type Purged struct {
	Deleted int
	Cursor  []byte // where to go on; nil = the end was reached
	// MACKeys are the key numbers that the grants which are left name; of grants only.
	MACKeys []uint16
}
