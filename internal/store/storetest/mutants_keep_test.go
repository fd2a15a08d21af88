package storetest_test

import (
	"context"
	"slices"

	"github.com/tallystick/tallystick/internal/store"
)

// The statements of keeping, by what no other has.
const (
	theLease        = `INSERT INTO lease`
	theGrantsPurge  = `DELETE FROM "grant" WHERE issuer = $1 AND id > $3`
	theSessionPurge = `DELETE FROM session WHERE issuer = $1 AND id > $3`
	theLinkPurge    = `DELETE FROM link WHERE issuer = $1 AND id > $3`
	theMailPurge    = `DELETE FROM outbox WHERE issuer = $1 AND id > $3`
	theNoticePurge  = `DELETE FROM notice`
	theUserPurge    = `DELETE FROM "user" WHERE issuer = $1 AND id > $3`
	theAuditPurge   = `DELETE FROM audit`
	theirGrants     = `DELETE FROM "grant" WHERE issuer = $1 AND "user" = $2`
	theSpentPurge   = `DELETE FROM spent`
	theClientPurge  = `SELECT id, metadata FROM client`
	theClientsEnd   = `DELETE FROM client WHERE issuer = $1 AND id = $2 AND NOT EXISTS`
	theirGrant      = `NOT EXISTS (SELECT 1 FROM "grant" g WHERE g.issuer = $1 AND g.client_id = client.id)`
	theirUser       = `NOT EXISTS (SELECT 1 FROM "user" u WHERE u.issuer = $1 AND u.client_id = client.id)`
	theirConsent    = `NOT EXISTS (SELECT 1 FROM consent c WHERE c.issuer = $1 AND c.client_id = client.id)`
	theHoldOfClient = `UPDATE client SET updated_at = updated_at`
	theHoldOfTenant = `UPDATE tenant SET created_at = created_at`
	theEmptyTenant  = `DELETE FROM tenant`
	theRetirement   = `UPDATE signing_key SET retired_at`
	theOldest       = `ORDER BY created_at DESC, id DESC LIMIT`
	ofItsPart       = `id <= $4`
	upToTheEnd      = `(id <= $4` + anything
)

var keepMutants = []mutant{
	// Leases.
	{name: "believes a clock that was wrong", in: theLease, old: `lease.expires_at > $6`, new: `lease.expires_at > $6 AND 1 = 0`, caught: "lease: taken by a clock"},
	{name: "takes a lease from a clock that is ahead by less", in: theLease, old: `lease.expires_at > $6`, new: `lease.expires_at >= $6`, caught: "lease: taken by a clock"},
	{name: "gives a lease to everybody", in: theLease, old: `lease.expires_at <= $5`, new: `(lease.expires_at <= $5` + anything, caught: "lease: one node"},
	{name: "gives a lease to the next after its end only", in: theLease, old: `lease.expires_at <= $5`, new: `lease.expires_at < $5`, caught: "lease: one node"},
	{name: "does not prolong a lease", in: theLease, old: `lease.holder = excluded.holder OR`, new: ``, caught: "lease: one node"},
	{name: "forgets who has a lease", in: theLease, old: `holder = excluded.holder,`, new: `holder = lease.holder,`, caught: "lease: one node"},

	// What is purged.
	{name: "purges what is used until now", in: theGrantsPurge, old: `idle_expires_at < $2`, new: `idle_expires_at <= $2`, caught: "purge: of grants, what ended"},
	{name: "purges what has no idle end", in: theGrantsPurge, old: `idle_expires_at <> 0 AND`, new: ``, caught: "purge: of grants, what ended"},
	{name: "purges what has no absolute end", in: theGrantsPurge, old: `absolute_expires_at <> 0 AND`, new: ``, caught: "purge: of grants, what ended"},
	{name: "purges what is not revoked", in: theGrantsPurge, old: `revoked_at <> 0 AND`, new: ``, caught: "purge: of grants, what ended"},
	{name: "purges all that is revoked", in: theGrantsPurge, old: `AND revoked_at < $2`, new: ``, caught: "purge: of grants, what ended"},
	{name: "purges a code that can be redeemed", in: theGrantsPurge, old: `code_expires_at < $2`, new: `1 = 1`, caught: "purge: of grants, what ended"},
	{name: "purges nothing that was never redeemed", in: theGrantsPurge, old: `redeemed_at = 0`, new: `1 = 0`, caught: "purge: of grants, what ended"},
	{name: "forgets whom to tell of a logout", in: theGrantsPurge, old: `AND NOT EXISTS`, new: `OR EXISTS`, caught: "purge: of grants, a client is told"},
	{name: "keeps grants for a session that has expired", in: theGrantsPurge, old: `s.expires_at >= $2`, new: `1 = 1`, caught: "purge: of grants and sessions that hang"},
	{name: "purges what its part does not have", in: theGrantsPurge, old: ofItsPart, new: upToTheEnd, caught: "purge: of grants, what ended"},
	{name: "purges any issuer's grants", in: theGrantsPurge, old: `WHERE ` + thisIssuer, new: `WHERE ` + anyIssuer, caught: "purge: of grants, what ended"},
	{name: "forgets by what a grant ends", in: theSessionPurge, old: `g.revoked_at = 0`, new: `1 = 0`, caught: "purge: of sessions, the grants of one"},
	{name: "keeps sessions of which all has ended", in: theSessionPurge, old: `g.revoked_at = 0`, new: `1 = 1`, caught: "purge: of sessions, what ended"},
	{name: "purges sessions that are open", in: theSessionPurge, old: `ended_at <> 0 AND`, new: ``, caught: "purge: of sessions, what ended"},
	{name: "purges links that are not used", in: theLinkPurge, old: `used_at <> 0 AND`, new: ``, caught: "purge: of links"},
	{name: "purges mails that are to be sent", in: theMailPurge, old: `next_attempt_at = 0`, new: `1 = 1`, caught: "purge: of mails"},
	{name: "purges logouts that are to be told", in: theNoticePurge, old: `next_attempt_at = 0`, new: `1 = 1`, caught: "purge: of notices"},
	{name: "purges a browser's notices by one client's", in: theNoticePurge, old: `(browser, client_id) <= ($5, $6)`, new: `(browser, $6) <= ($5, $6)`, caught: "purge: of notices, also one"},
	{name: "forgets at its end what was spent", in: theSpentPurge, old: `expires_at < $2`, new: `expires_at <= $2`, caught: "purge: of spent"},
	{name: "purges users who have a name", in: theUserPurge, old: `AND NOT EXISTS`, new: `OR EXISTS`, caught: "purge: of registrations"},
	{name: "purges users who have nothing to confirm", in: theUserPurge, old: `pending <> ''`, new: `1 = 1`, caught: "purge: of registrations"},
	{name: "purges the young", in: theUserPurge, old: `created_at < $2`, new: `1 = 1`, caught: "purge: of registrations"},
	{name: "leaves the grants of a registration", in: theirGrants, old: thisUser, new: thisUser + noneOfThem, caught: "purge: a registration goes"},
	{name: "deletes everybody's grants with a registration", in: theirGrants, old: thisUser, new: anyUser, caught: "purge: a registration goes"},
	{name: "purges all of the audit", in: theAuditPurge, old: `at < $2`, new: `1 = 1`, caught: "purge: of audit"},
	{name: "purges more of the audit than its part", in: theAuditPurge, old: `<= ($6, $7, $8)`, new: `<= ($6, $7, $8 + 9)`, caught: "purge: of the audit, also one"},

	{name: "purges the clients of operators", in: theClientPurge, old: `source = $5`, new: `(source = $5` + anything, caught: "purge: of clients, what ended"},
	{name: "purges clients that are young", in: theClientPurge, old: `created_at < $2`, new: `1 = 1`, caught: "purge: of clients, what ended"},
	{name: "purges clients that have grants", in: theirGrant, old: theirGrant, new: `1 = 1`, caught: "purge: of clients, what ended"},
	{name: "purges clients that have a consent", in: theirConsent, old: theirConsent, new: `1 = 1`, caught: "purge: of clients, what ended"},
	{name: "purges clients that have a user", in: theirUser, old: theirUser, new: `1 = 1`, caught: "purge: of clients, what ended"},
	{name: "leaves a tenant that nobody is in", in: theEmptyTenant, old: thisIssuer, new: thisIssuer + noneOfThem, caught: "purge: a registration goes"},
	{name: "deletes a tenant that somebody is in", in: theEmptyTenant, old: `AND NOT EXISTS`, new: `OR EXISTS`, caught: "deletion: a tenant goes"},
	{name: "joins a tenant that is gone", in: theHoldOfTenant, old: `id = $2`, new: `(id = $2` + anything, caught: "register: by invitation"},

	// Births of what may go.
	{name: "births for a client that is gone", in: theHoldOfClient, old: `id = $2`, new: `(id = $2` + anything, caught: "birth: of a client that may go"},
	{name: "births for another issuer's client", in: theHoldOfClient, old: thisIssuer, new: anyIssuer, caught: "birth: of a client that may go"},
	{name: "reads the client, then births", wrap: readsClientThenBirths, caught: "client deleted: against births"},

	// Keys that end.
	{name: "lets the last retirement hold", in: theRetirement, old: `retired_at > $3`, new: `(retired_at > $3` + anything, caught: "signing key: retired"},
	{name: "lets the first retirement hold", in: theRetirement, old: `OR retired_at > $3`, new: ``, caught: "signing key: retired"},
	{name: "retires any issuer's key", in: theRetirement, old: thisIssuer, new: anyIssuer, caught: "signing key: retired"},

	// The cap.
	{name: "ends the newest", in: theOldest, old: `created_at DESC, id DESC`, new: `created_at, id`, caught: "birth: at the cap, the oldest"},
	{name: "ends one too many", in: theOldest, old: `OFFSET $7`, new: `OFFSET $7 - 1`, caught: "birth: at the cap, the oldest"},
	{name: "ends itself", in: theOldest, old: `id <> $6`, new: `(id <> $6` + anything, caught: "birth: the new one"},
	{name: "counts the grants of every client", in: theOldest, old: `client_id = $5`, new: `(client_id = $5` + anything, caught: "birth: a cap counts"},
	{name: "counts no codes", in: theOldest, old: `OR code_expires_at > $3`, new: ``, caught: "birth: a cap counts"},
	{name: "counts codes that have expired", in: theOldest, old: `code_expires_at > $3`, new: `code_expires_at >= $3`, caught: "birth: a cap counts"},
	{name: "counts the idle", in: theOldest, old: `idle_expires_at > $3`, new: `idle_expires_at >= $3`, caught: "birth: a cap counts"},
	{name: "counts the expired", in: theOldest, old: `absolute_expires_at > $3`, new: `absolute_expires_at >= $3`, caught: "birth: a cap counts"},
	{name: "counts, then births", wrap: countsThenBirths, caught: "birth: 20 at once at the cap"},
}

func readsClientThenBirths(s store.Store) store.Store {
	return badBirth{s, func(ctx context.Context, s store.Store, in store.Birth) (store.Outcome, error) {
		if in.ClientMayGo {
			if _, found, err := s.Client(ctx, in.Grant.ClientID); err != nil || !found {
				return store.Refused, err
			}
			in.ClientMayGo = false
		}
		return s.Birth(ctx, in)
	}}
}

// countsThenBirths makes room by what it has read.
func countsThenBirths(s store.Store) store.Store {
	return badBirth{s, func(ctx context.Context, s store.Store, in store.Birth) (store.Outcome, error) {
		most := in.Most
		in.Most = 0
		if most > 0 {
			all, err := s.GrantsOf(ctx, in.Grant.User, in.Now)
			if err != nil {
				return 0, err
			}
			all = slices.DeleteFunc(all, func(g store.Grant) bool { return g.ClientID != in.Grant.ClientID })
			for len(all) >= most {
				if _, err := s.EndGrant(ctx, store.End{Grant: all[0].ID, Why: store.WhyTooMany, Now: in.Now, Trace: in.Trace}); err != nil {
					return 0, err
				}
				all = all[1:]
			}
		}
		return s.Birth(ctx, in)
	}}
}
