//go:build scale

package storetest_test

import (
	"crypto/sha256"
	"database/sql/driver"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of what the rules do is to wait, for a server or a disk.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(postgres.Tests{All: m}.Run())
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	storetest.Run(t, postgreSQL)
}

// Everything goes on in a database that the next version has migrated.
func TestPostgreSQLOfTheNextVersion(t *testing.T) {
	t.Parallel()
	storetest.RunStatements(t, postgresWith(storetest.NextSchema...))
}

// What decides is the database's own: its locks, its isolation, its conflicts. So
// the suite must tell good from bad here, too, wherever that matters; and that the
// text of a condition is as it should be has been shown on SQLite.
func TestMutantsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	chosen := slices.Clone(lockMutants)
	for _, m := range slices.Concat(mutants, clientMutants, keepMutants) {
		switch {
		case m.in == theRotation && m.wrap == nil && m.hook == nil && strings.Contains(m.name, "any generation"),
			m.name == "redeems again", m.name == "goes ahead to the presented token", m.name == "ends again",
			m.name == "births for the disabled (CVE-2026-1609)", m.name == "overwrites a grant that is there",
			m.name == "spends again", m.name == "gives a lease to everybody", m.name == "purges users who have nothing to confirm",
			strings.Contains(m.name, ", then "), m.hook != nil:
			chosen = append(chosen, m)
		}
	}
	testMutants(t, postgreSQL, chosen)
}

// lockMutants are good as long as one writes at a time, as SQLite has it.
var lockMutants = []mutant{
	{name: "births for a client that it does not hold", in: theHoldOfClient, old: theHoldOfClient, new: `SELECT id FROM client`, caught: "client deleted: against births"},
	{name: "finds a client unused, then purges it", in: theClientsEnd, old: ` AND ` + theirGrant, new: ``, caught: "purge: of a client against births"},
	{name: "leaves a tenant that it does not hold", in: theHoldOfTenant, old: theHoldOfTenant, new: `SELECT id FROM tenant`, caught: "deletion: "},
	{name: "ends a browser without its owner", in: theHoldOfOwner, old: theHoldOfOwner, new: `SELECT id FROM "user"`, caught: "session: ended while others follow"},
	{name: "counts mails beside others", in: theQueue, old: theQueue, new: noConflict, caught: "outbox: 20 ask at once"},
	{name: "counts registrations beside others", in: theQueue, old: theQueue, new: noConflict, caught: "register: 20 at once"},
	{name: "does not count pushed requests", in: `INSERT INTO request`, old: `used_at = 0 AND expires_at > $8`, new: `used_at = 0 AND expires_at > $8 AND 1 = 0`, caught: "request: 20 that push at once"},
}

// What stands in the way of others, by what no other has.
const (
	theHoldOfOwner = `UPDATE "user" SET last_sign_in_at = last_sign_in_at`
	theQueue       = `ON CONFLICT (issuer, id) DO UPDATE SET expires_at = excluded.expires_at`
)

var postgreSQL = postgresWith()

// postgresWith makes databases and runs statements on each before it is used.
func postgresWith(statements ...string) storetest.Backend {
	return storetest.Backend{Again: &pgconn.PgError{Code: "40001"}, New: func(t testing.TB, wrap func(driver.Connector) driver.Connector) storetest.Database {
		url := postgres.Database(t)
		if len(statements) > 0 {
			db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url})
			if err == nil {
				err = db.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			run(t, "pgx", url, statements)
		}
		return &postgresDatabase{t: t, wrap: wrap, url: url}
	}}
}

// postgresDatabase is a database that two nodes use in turn.
type postgresDatabase struct {
	t     testing.TB
	wrap  func(driver.Connector) driver.Connector
	url   string
	nodes [2]*sqlstore.DB // nil: not started yet
	calls int
}

func (d *postgresDatabase) Store(issuer string) store.Store {
	hash := sha256.Sum256([]byte(issuer))
	d.calls++
	s, _, err := d.node(d.calls%2).Issuer(d.t.Context(), issuer, store.IssuerID(hash[:16]), [32]byte{1}, 1_800_000_000_000)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *postgresDatabase) node(i int) *sqlstore.DB {
	if d.nodes[i] == nil {
		db, err := sqlstore.Open(d.t.Context(), sqlstore.Config{URL: d.url, WrapConnector: d.wrap})
		if err != nil {
			d.t.Fatal(err)
		}
		d.nodes[i] = db
		d.t.Cleanup(func() { _ = db.Close() })
	}
	return d.nodes[i]
}

// Reopen is other processes on the same server, which start while the first ones
// are still in the middle of whatever they do.
func (d *postgresDatabase) Reopen() {
	dead := d.nodes
	d.nodes = [2]*sqlstore.DB{}
	d.node((d.calls + 1) % 2) // the next one that is asked for
	for _, db := range dead {
		if db != nil {
			_ = db.Close()
		}
	}
}
