package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

func mustExec(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that is not ours is refused in one line, and stays as it is.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		make func(path string)
		want string // after the path
	}{
		{"text", func(p string) { _ = os.WriteFile(p, bytes.Repeat([]byte("text"), 100), 0o600) }, " is not a SQLite database"},
		{"short", func(p string) { _ = os.WriteFile(p, []byte("x"), 0o600) }, " is not a SQLite database"},
		{"foreign", func(p string) { mustExec(t, p, "CREATE TABLE grant_ (id)") }, " is a SQLite database of another program"},
		{"foreign-wal", func(p string) {
			mustExec(t, p, "PRAGMA journal_mode=wal", "PRAGMA application_id=7", "CREATE TABLE a (id)")
		}, " is a SQLite database of another program"},
		{"newer", func(p string) {
			_ = open(t, p).Close()
			mustExec(t, p, "INSERT INTO tallystick_schema (version_id, is_applied) VALUES (1000, 1)")
		}, " has schema version 1000, newer than this program's 4 by more than one"},
	} {
		path := filepath.Join(dir, tt.name)
		tt.make(path)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), Config{Path: path})
		if err == nil {
			_ = db.Close()
		}
		if err == nil || err.Error() != path+tt.want {
			t.Errorf("%s: %v, want PATH%s", tt.name, err, tt.want)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the file has changed (%v)", tt.name, err)
		}
		beside, err := filepath.Glob(path + "-[ws]*")
		if err != nil || len(beside) != 0 {
			t.Errorf("%s: left behind %v (%v)", tt.name, beside, err)
		}
	}
}

// A program serves the schema of the version after it, and says so, but no later one.
func TestSchemaOfTheNextVersion(t *testing.T) {
	for name, cfg := range map[string]Config{"SQLite": newSQLite(t), "PostgreSQL": newPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			const next = `INSERT INTO tallystick_schema (version_id, is_applied) SELECT max(version_id) + 1, true FROM tallystick_schema`
			for ahead, want := range []struct{ err, log string }{
				{"", ""}, {"", "level=WARN"}, {"newer than this program's 4 by more than one", ""},
			} {
				if ahead > 0 {
					run(t, cfg, next)
				}
				log.Reset()
				db, err := Open(t.Context(), cfg)
				if err == nil {
					works(t, issuer(t, db, "https://issuer.example"))
					err = db.Close()
				}
				if got := fmt.Sprint(err); (err == nil) != (want.err == "") || !strings.Contains(got, want.err) && err != nil {
					t.Errorf("%d ahead: %v, want %q", ahead, err, want.err)
				}
				if said := log.String(); (said == "") != (want.log == "") || !strings.Contains(said, want.log) {
					t.Errorf("%d ahead: it said %q, want %q", ahead, said, want.log)
				}
			}
		})
	}
}

// A path that cannot be a database is one line with the path.
func TestUnusablePaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		want error
	}{
		{dir, syscall.EISDIR},
		{filepath.Join(dir, "missing", "t.db"), syscall.ENOENT},
		{filepath.Join(file, "t.db"), syscall.ENOTDIR},
	} {
		_, err := Open(t.Context(), Config{Path: tt.path})
		want := (&os.PathError{Op: "open", Path: tt.path, Err: tt.want}).Error()
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory#c%41&ü.db")
	s := issuer(t, open(t, path), "a")
	if err := s.db.write(t.Context(), s.tenant("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if again := issuer(t, open(t, path), "a"); !present(t, again, "x") {
		t.Error("it is not in the file of that name")
	} else if err := again.db.Close(); err != nil {
		t.Error(err)
	}
	if beside, err := os.ReadDir(filepath.Dir(path)); err != nil || len(beside) != 1 {
		t.Errorf("beside it: %v (%v)", beside, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want it for its owner only", info.Mode(), err)
	}
}

// A start that was killed right after the file was made does not stop the next.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	works(t, issuer(t, open(t, path), "a"))
}

func TestIssuer(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "t.db"))
	a, check, err := db.Issuer(t.Context(), "a", store.IssuerID{1}, [32]byte{1}, t0)
	if err != nil || a.Issuer() != (store.IssuerID{1}) || check != [32]byte{1} {
		t.Fatalf("first: %v, %v, %v", a.Issuer(), check, err)
	}
	again, check, err := db.Issuer(t.Context(), "a", store.IssuerID{2}, [32]byte{2}, t0)
	if err != nil || again.Issuer() != a.Issuer() || check != [32]byte{1} {
		t.Errorf("again: %v, %v, %v; want the row's id and check", again.Issuer(), check, err)
	}
	if s, _, err := db.Issuer(t.Context(), "b", store.IssuerID{1}, [32]byte{1}, t0); err == nil {
		t.Errorf("another name with an id that is in use: %v, want an error", s.Issuer())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if s, _, err := db.Issuer(canceled, "c", store.IssuerID{3}, [32]byte{}, t0); err == nil {
		t.Errorf("canceled: %v, want an error", s)
	}
}

// What an answer promises rests on these.
func TestConnections(t *testing.T) {
	s := fresh(t)
	setting := func(t tx, name string) string {
		r, err := t.one("PRAGMA " + name)
		if err != nil || r == nil {
			return fmt.Sprint(err)
		}
		return fmt.Sprint(r.values[0])
	}
	var mode, sync string
	if err := s.db.write(t.Context(), func(t tx) error {
		mode, sync = setting(t, "journal_mode"), setting(t, "synchronous")
		return nil
	}); err != nil || mode != "wal" || sync != "2" {
		t.Errorf("journal_mode %s, synchronous %s (%v); want wal and 2, which is FULL", mode, sync, err)
	}
	if err := s.db.read(t.Context(), s.tenant("x")); err == nil || present(t, s, "x") {
		t.Errorf("a write among the reads: %v, want an error", err)
	}
}
