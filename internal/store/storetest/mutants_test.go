package storetest_test

import (
	"database/sql/driver"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

// mutant is a store that is known to be bad: a suite that lets it pass proves
// nothing. Each breaks one thing that somebody has really shipped broken.
type mutant struct {
	name string
	// In the statements that contain in, old becomes new. Both must be found, or
	// the mutant has rotted.
	in, old, new string
	hook         func() storetest.Hook
	wrap         func(store.Store) store.Store
	// caught by the rules that have this in their name.
	caught string
}

// The statements, by what no other has.
const (
	theRotation = `UPDATE "grant" SET generation = generation + 1`
	theRedeem   = `UPDATE "grant" SET redeemed_at = $3`
	theAhead    = `UPDATE "grant" SET generation = $4`
	theEnd      = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
		WHERE issuer = $1 AND id = $2`
	theUsersEnd  = `AND "user" = $2 AND revoked_at = 0 RETURNING id`
	theInsert    = `INSERT INTO "grant"`
	theSignIn    = `UPDATE "user" SET last_sign_in_at = $3`
	theAudit     = `INSERT INTO audit`
	anything     = ` OR 1 = 1)`
	idleAlive    = `(idle_expires_at = 0 OR idle_expires_at > $6)`
	absAlive     = `(absolute_expires_at = 0 OR absolute_expires_at > $6)`
	redeemAlive  = `(absolute_expires_at = 0 OR absolute_expires_at > $3)`
	noConflict   = `ON CONFLICT DO NOTHING`
	notRevoked   = `revoked_at = 0`
	overwritten  = `ON CONFLICT (issuer, id) DO UPDATE SET redeemed_at = excluded.redeemed_at, mac_key = excluded.mac_key`
	anyIssuer    = `(issuer = $1` + anything
	thisIssuer   = `issuer = $1`
	notBackwards = `CASE WHEN rotated_at > $6 THEN rotated_at ELSE $6 END`
)

var mutants = []mutant{
	// Conditions of the three updates that decide.
	{name: "rotates any generation", in: theRotation, old: `generation = $3`, new: `(generation = $3` + anything, caught: "rotate: the parent inside the window"},
	{name: "rotates under any key", in: theRotation, old: `mac_key = $4`, new: `(mac_key = $4` + anything, caught: "rotate: the current generation under another key"},
	{name: "rotates what is not redeemed", in: theRotation, old: `redeemed_at <> 0`, new: `1 = 1`, caught: "rotate: ahead of a code that the store"},
	{name: "rotates the revoked", in: theRotation, old: notRevoked, new: `1 = 1`, caught: "rotate: every token of a revoked grant"},
	{name: "rotates after the idle end", in: theRotation, old: idleAlive, new: `1 = 1`, caught: "at the idle end"},
	{name: "rotates at the idle end", in: theRotation, old: `idle_expires_at > $6`, new: `idle_expires_at >= $6`, caught: "at the idle end"},
	{name: "rotates after the absolute end", in: theRotation, old: absAlive, new: `1 = 1`, caught: "at the absolute end"},
	{name: "rotates at the absolute end", in: theRotation, old: `absolute_expires_at > $6`, new: `absolute_expires_at >= $6`, caught: "at the absolute end"},
	{name: "rotates for any issuer", in: theRotation, old: thisIssuer, new: anyIssuer, caught: "issuer: what happens in one"},
	{name: "turns rotated_at back", in: theRotation, old: notBackwards, new: `$6`, caught: "rotated_at does not go back"},
	{name: "does not move the idle end", in: theRotation, old: `idle_expires_at = $7`, new: `idle_expires_at = idle_expires_at`, caught: "idle: a session that is used daily"},
	{name: "redeems again", in: theRedeem, old: `redeemed_at = 0`, new: `1 = 1`, caught: "redeem: a second use"},
	{name: "redeems after the code's end", in: theRedeem, old: `code_expires_at > $3`, new: `1 = 1`, caught: "redeem: expired at the code's end"},
	{name: "redeems at the code's end", in: theRedeem, old: `code_expires_at > $3`, new: `code_expires_at >= $3`, caught: "redeem: expired at the code's end"},
	{name: "redeems the revoked", in: theRedeem, old: notRevoked, new: `1 = 1`, caught: "redeem: revoked before"},
	{name: "redeems after the absolute end", in: theRedeem, old: redeemAlive, new: `1 = 1`, caught: "redeem: expired at the grant's absolute end"},
	{name: "redeems for any issuer", in: theRedeem, old: `WHERE ` + thisIssuer, new: `WHERE ` + anyIssuer, caught: "issuer: what happens in one"},
	{name: "leaves a code that is behind to be redeemed", in: theAhead, old: `CASE WHEN redeemed_at = 0 THEN $6 ELSE redeemed_at END`, new: `redeemed_at`, caught: "rotate: ahead of a code that the store"},
	{name: "goes ahead to the presented token", in: theAhead, old: `generation = $4`, new: `generation = $4 - 1`, caught: "rotate: ahead by one"},

	// Ends, births, inserts.
	{name: "ends again", in: theEnd, old: notRevoked, new: `1 = 1`, caught: "end: a second time"},
	{name: "ends for any issuer", in: theEnd, old: thisIssuer, new: anyIssuer, caught: "issuer: what happens in one"},
	{name: "ends nothing of a disabled user", in: theUsersEnd, old: notRevoked, new: `1 = 0`, caught: "user: disabled"},
	{name: "ends the grants of everybody", in: theUsersEnd, old: `"user" = $2`, new: `("user" = $2` + anything, caught: "user: a new credential"},
	{name: "ends the grants of another issuer's user", in: theUsersEnd, old: thisIssuer, new: anyIssuer, caught: "issuer: what happens in one"},
	{name: "forgets codes that are not redeemed (CVE-2023-2193)", in: theUsersEnd, old: notRevoked, new: `revoked_at = 0 AND redeemed_at <> 0`, caught: "user: disabled"},
	{name: "births for the disabled (CVE-2026-1609)", in: theSignIn, old: `disabled_at = 0`, new: `1 = 1`, caught: "birth: refused for a disabled user"},
	{name: "births after the password has changed", in: theSignIn, old: `credential_version = $4`, new: `(credential_version = $4` + anything, caught: "birth: refused if the password"},
	{name: "overwrites a grant that is there", in: theInsert, old: noConflict, new: overwritten, caught: "anonymous: a second use"},
	{name: "tells no audit", in: theAudit, old: `WHERE issuer = $1`, new: `WHERE 1 = 0 AND issuer = $1`, caught: "birth: a grant and its audit event"},
	{name: "overwrites a MAC key", in: `INSERT INTO mac_key`, old: noConflict, new: `ON CONFLICT (issuer, number) DO UPDATE SET sealed = excluded.sealed`, caught: "records: MAC keys"},
	{name: "overwrites a signing key", in: `INSERT INTO signing_key`, old: noConflict, new: `ON CONFLICT (issuer, purpose, algorithm, number) DO UPDATE SET sealed = excluded.sealed`, caught: "records: signing keys"},
	{name: "gives a name to the next who asks", in: `INSERT INTO user_identifier`, old: `WHERE user_identifier."user" = excluded."user"`, new: `, "user" = excluded."user"`, caught: "is taken"},
	{name: "does not count the config version", in: `UPDATE issuer SET config_version`, old: `config_version + 1`, new: `config_version`, caught: "records: a client"},
	{name: "reads any issuer's grant", in: `FROM "grant" WHERE issuer = $1 AND id = $2`, old: `WHERE issuer = $1`, new: `WHERE ` + anyIssuer, caught: "issuer: nothing of one"},
	{name: "finds any issuer's user", in: `FROM user_identifier WHERE issuer = $1 AND value = $2`, old: `FROM user_identifier WHERE issuer = $1`, new: `FROM user_identifier WHERE ` + anyIssuer, caught: "issuer: "},

	// Reading first and writing then: right, as long as nobody else is there.
	{name: "reads, then redeems (CVE-2026-1035)", in: theRedeem, old: `redeemed_at = 0`, new: `1 = 1`, wrap: readsThenRedeems, caught: "race: 200 codes"},
	{name: "reads, then rotates", in: theRotation, old: `generation = $3`, new: `(generation = $3` + anything, wrap: readsThenRotates, caught: "race: 200 refresh tokens × 20 uses inside"},
	{name: "reads, then rotates, without a window", in: theRotation, old: `generation = $3`, new: `(generation = $3` + anything, wrap: readsThenRotates, caught: "race: 200 refresh tokens × 20 uses without"},
	{name: "reads, then inserts", in: theInsert, old: noConflict, new: overwritten, wrap: readsThenInserts, caught: "race: 200 anonymous codes"},
	{name: "reads, then births", in: theSignIn, old: `disabled_at = 0`, new: `1 = 1`, wrap: readsThenBirths, caught: "race: a user disabled during births"},
	{name: "judges a retry by what was read before", wrap: servesFromMemory, caught: "race: once an end is acknowledged"},

	// Rules of the outcomes.
	{name: "mints a sibling for each retry", wrap: rotating(mintsSibling), caught: "rotate: a retry has the same successor"},
	{name: "answers a retry with the presented token", wrap: rotating(answersParent), caught: "rotate: a retry is minted"},
	{name: "has a window of one millisecond more", wrap: rotated(func(in *store.Rotate) { in.RetryWindow++ }), caught: "rotate: the parent at the window's end"},
	{name: "has no window", wrap: rotated(func(in *store.Rotate) { in.RetryWindow, in.UntilUsed = 0, false }), caught: "rotate: the parent inside the window"},
	{name: "has one window for all", wrap: rotated(func(in *store.Rotate) { in.UntilUsed = false }), caught: "rotate: the parent long after, until used"},
	{name: "has a window for the grandparent (django-oauth-toolkit #1617)", wrap: rotating(servesGrandparent), caught: "rotate: the grandparent"},
	{name: "does not end a replayed grant", wrap: rotated(func(in *store.Rotate) { in.EndOnReplay = false }), caught: "rotate: the parent at the window's end"},
	{name: "ends a replayed grant whatever the policy", wrap: rotated(func(in *store.Rotate) { in.EndOnReplay = true }), caught: "rotate: a replay is reported"},
	{name: "reports no replay", wrap: rotated(func(in *store.Rotate) { in.Report = false }), caught: "rotate: a replay is reported"},
	{name: "reports every replay", wrap: rotated(func(in *store.Rotate) { in.Report = true }), caught: "rotate: a replay that was reported"},
	{name: "keeps a retired key", wrap: rotated(func(in *store.Rotate) { in.ActiveKey = in.PresentedKey }), caught: "rotate: a retired key"},
	{name: "rotates for everybody", wrap: rotated(func(in *store.Rotate) { in.Rotating = true }), caught: "rotate: the current token of a client that does not"},
	{name: "extends nothing", wrap: rotated(func(in *store.Rotate) {
		if !in.Rotating {
			in.IdleLife = 0
		}
	}), caught: "idle: a session that is used daily"},
	{name: "does not end the grant of a replayed code", wrap: redeemed(func(in *store.Redeem) { in.EndOnReplay = false }), caught: "redeem: a second use that is proven"},
	{name: "ends a grant on a use that proves nothing", wrap: redeemed(func(in *store.Redeem) { in.Proven = true }), caught: "redeem: a use that proves nothing"},

	// Transactions and commits.
	{name: "commits each statement", hook: noTransactions, caught: "fault: a call fails, at every call of every intent"},
	{name: "commits each statement, and crashes", hook: noTransactions, caught: "fault: a crash after a call, at every call of a batch"},
	{name: "goes on without the audit", hook: swallows(storetest.Exec, theAudit), caught: "fault: a call fails, at every call of every intent"},
	{name: "takes a failed commit for one", hook: swallows(storetest.Commit, ""), caught: "fault: a call fails, at every call of a batch"},
	{name: "answers, then commits", hook: commitsLate, caught: "fault: what was acknowledged"},
}

func TestMutants(t *testing.T) {
	t.Parallel()
	testMutants(t, sqlite, slices.Concat(mutants, clientMutants, keepMutants))
}

// testMutants wants each to be caught on a kind of database.
func testMutants(t *testing.T, on storetest.Backend, mutants []mutant) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			var applied atomic.Bool
			tap := &storetest.Tap{Rewrite: func(sql string) string {
				if m.in == "" || !strings.Contains(sql, m.in) || !strings.Contains(sql, m.old) {
					return sql
				}
				applied.Store(true)
				return strings.Replace(sql, m.old, m.new, 1)
			}}
			if m.hook != nil {
				tap.Hook(m.hook())
			}
			bad := storetest.Backend{Again: on.Again, New: func(t testing.TB, wrap func(driver.Connector) driver.Connector) storetest.Database {
				d := on.New(t, func(c driver.Connector) driver.Connector { return tap.Connector(wrap(c)) })
				return wrapped{d, m.wrap}
			}}
			broken := storetest.Broken(t, bad, m.caught)
			if m.in != "" && !applied.Load() {
				t.Fatalf("no statement has %q and %q: the mutant has rotted", m.in, m.old)
			}
			if len(broken) == 0 {
				t.Fatalf("the rules %q let it pass", m.caught)
			}
			t.Logf("%d complaints, the first: %s", len(broken), broken[0])
		})
	}
}
