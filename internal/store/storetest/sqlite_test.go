package storetest_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, sqlite)
}

// Everything goes on in a file that the next version has migrated.
func TestSQLiteOfTheNextVersion(t *testing.T) {
	t.Parallel()
	storetest.RunStatements(t, sqliteWith(storetest.NextSchema...))
}

var sqlite = sqliteWith()

// sqliteWith makes files and runs statements on each before it is opened.
func sqliteWith(statements ...string) storetest.Backend {
	return storetest.Backend{New: func(t testing.TB, wrap func(driver.Connector) driver.Connector) storetest.Database {
		d := &sqliteFile{t: t, wrap: wrap, dir: tempDir(t)}
		empty, err := emptySQLite()
		if err == nil {
			err = os.WriteFile(d.path(), empty, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		run(t, "sqlite", d.path(), statements)
		d.open()
		return d
	}}
}

func run(t testing.TB, driver, address string, statements []string) {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// emptySQLite is a file that has been migrated already, once for all.
var emptySQLite = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "empty.db")
	db, err := sqlstore.Open(context.Background(), sqlstore.Config{Path: path})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// tempDir is in memory where that is to be had. A killed process leaves the same
// files there as on a disk, and only a power cut could tell the difference; but
// thousands of commits wait for no disk.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "storetest")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// sqliteFile is a database that one process may use, so its handles share one
// sqlstore.DB.
type sqliteFile struct {
	t    testing.TB
	wrap func(driver.Connector) driver.Connector
	dir  string
	boot int
	db   *sqlstore.DB
}

func (d *sqliteFile) path() string { return filepath.Join(d.dir, fmt.Sprint(d.boot, ".db")) }
func (d *sqliteFile) next() string { return filepath.Join(d.dir, fmt.Sprint(d.boot+1, ".db")) }

func (d *sqliteFile) open() {
	db, err := sqlstore.Open(d.t.Context(), sqlstore.Config{Path: d.path(), WrapConnector: d.wrap})
	if err != nil {
		d.t.Fatal(err)
	}
	d.db = db
	d.t.Cleanup(func() { _ = db.Close() })
}

func (d *sqliteFile) Store(issuer string) store.Store {
	hash := sha256.Sum256([]byte(issuer))
	s, _, err := d.db.Issuer(d.t.Context(), issuer, store.IssuerID(hash[:16]), [32]byte{1}, 1_800_000_000_000)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// Reopen opens a copy of the files as they are now, in the middle of whatever is
// being done to them: what a killed process would leave. (What a power cut
// would leave, it cannot tell.)
func (d *sqliteFile) Reopen() {
	dead := d.db
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(d.path() + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(d.next()+suffix, data, 0o600)
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
	old := d.path()
	d.boot++
	d.open()
	_ = dead.Close()
	_ = os.Remove(old)
}
