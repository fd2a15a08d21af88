package cli

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// A node goes on when a newer one has brought the database to its schema, with every
// connection and prepared statement that it has, and new ones. It can be started again,
// but not on the schema after that.
func TestNewerSchemaBesideARunningNode(t *testing.T) {
	dir, address := t.TempDir(), postgres.Database(t)
	p := start(t, dir, "--database", address)
	code, _ := p.authorize()
	a, _ := p.redeem(code)
	refresh := func(when string) {
		t.Helper()
		for range 20 {
			next, ok := p.refresh(a.RefreshToken)
			if !ok || next.Status != 200 {
				t.Fatalf("%s: %d %s", when, next.Status, next.Body)
			}
			a = next
		}
	}
	refresh("before")
	waiting, _ := p.authorize()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range storetest.NextSchema {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		refresh(statement)
	}
	if b, ok := p.redeem(waiting); !ok || b.Status != 200 {
		t.Errorf("a code of before: %d %s", b.Status, b.Body)
	}
	if _, err := db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	// An answer may be lost with its connection; asked again, it is the same.
	for try := 0; ; try++ {
		if next, ok := p.refresh(a.RefreshToken); ok && next.Status == 200 {
			a = next
			break
		} else if try == 100 {
			t.Fatalf("by new connections: %d %s", next.Status, next.Body)
		}
	}
	refresh("by new connections")
	if code, ok := p.authorize(); !ok {
		t.Error("no new code")
	} else if b, ok := p.redeem(code); !ok || b.Status != 200 {
		t.Errorf("a new code: %d %s", b.Status, b.Body)
	}
	p.End(os.Interrupt)
	p = start(t, dir, "--database", address)
	refresh("started again")
	p.End(os.Interrupt)
	if _, err := db.Exec(storetest.NextSchema[len(storetest.NextSchema)-1]); err != nil {
		t.Fatal(err)
	}
	if line := refused(t, "--listen", "127.0.0.1:0", "--data", dir, "--database", address); !strings.Contains(line, "newer than this program's") {
		t.Error(line)
	}
}
