package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// freshAt is fresh, and where it is.
func freshAt(t testing.TB) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.db")
	s := issuer(t, open(t, path), "https://issuer.example")
	if out, err := s.PutUser(t.Context(), ann); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	return s, path
}

// A copy that is taken while writes go on is whole, and has every row that was
// committed before it was begun.
func TestBackupUnderLoad(t *testing.T) {
	s, path := freshAt(t)
	var committed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	for w := range 4 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				b := birth(fmt.Sprint(w, " ", n))
				if out, err := s.Birth(context.Background(), b); err != nil || out != store.Done {
					t.Error(out, err)
					return
				}
				if out, err := s.RedeemCode(context.Background(), redeem(b.Grant.ID)); err != nil || out.Outcome != store.Done {
					t.Error(out, err)
					return
				}
				committed.Add(1)
			}
		})
	}
	for round := range 4 {
		for goal := committed.Load() + 50; committed.Load() < goal && !t.Failed(); {
			if err := s.Ready(t.Context()); err != nil { // which waits for a turn of its own
				t.Fatal(err)
			}
		}
		before := committed.Load()
		to := filepath.Join(t.TempDir(), "copy.db")
		size, err := Backup(t.Context(), Config{Path: path}, to)
		if err != nil {
			t.Fatal(err)
		}
		after := committed.Load()
		info, err := os.Stat(to)
		if err != nil || info.Mode() != 0o600 || info.Size() != size {
			t.Fatalf("%v %v, want mode 0600 and %d bytes", info, err, size)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(to), "*")); err != nil || len(left) != 1 {
			t.Errorf("beside the copy there is %v", left)
		}
		c := open(t, to) // as a server does
		var n, half int64
		err = c.read(t.Context(), func(x tx) error {
			r, err := x.one(`SELECT count(*), (SELECT count(*) FROM "grant" g WHERE NOT EXISTS
				(SELECT 1 FROM audit a WHERE a.issuer = g.issuer AND a."grant" = g.id)) FROM "grant" WHERE redeemed_at <> 0`)
			if err != nil {
				return err
			}
			n, half = r.int(), r.int()
			return r.err
		})
		if err != nil {
			t.Fatal(err)
		}
		// Four more may be committed and not counted yet.
		if n < before || n > after+4 {
			t.Errorf("round %d: %d grants, want from %d to %d", round, n, before, after)
		}
		if half != 0 {
			t.Errorf("round %d: %d births are there by half", round, half)
		}
		copied, _, err := c.Issuer(t.Context(), "https://issuer.example", id16("x"), [32]byte{1}, t0)
		if err != nil || copied.id != s.id {
			t.Fatal(err)
		}
		if out, err := copied.RotateRefresh(t.Context(), refresh(birth("0 0").Grant.ID, 0)); err != nil || out.Outcome != store.Done {
			t.Errorf("round %d: a refresh on the copy: %v %v", round, out.Outcome, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		var said string
		db, err := sql.Open("sqlite", to)
		if err == nil {
			err = db.QueryRow("PRAGMA integrity_check").Scan(&said)
			db.Close()
		}
		if err != nil || said != "ok" {
			t.Errorf("round %d: integrity_check says %q, %v", round, said, err)
		}
	}
	if committed.Load() == 0 {
		t.Error("nothing was written meanwhile")
	}
}

// A database that nobody has open, also one that was left in the middle, is copied
// with what is in its log, and is left as it was.
func TestBackupOfALog(t *testing.T) {
	s, from := freshAt(t)
	id := born(t, s, "a")
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal"} { // as a kill leaves them
		b, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "killed.db"+suffix), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(dir, "copy.db")
	if _, err := Backup(t.Context(), Config{Path: filepath.Join(dir, "killed.db")}, to); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	for _, path := range []string{to, filepath.Join(dir, "killed.db")} {
		c := issuer(t, open(t, path), "https://issuer.example")
		if out, err := c.RotateRefresh(t.Context(), refresh(id, 0)); err != nil || out.Outcome != store.Done {
			t.Errorf("%s: %v %v", path, out.Outcome, err)
		}
	}
}

// What cannot be done is told in a line, and leaves nothing behind.
func TestBackupRefuses(t *testing.T) {
	s, path := freshAt(t)
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	link := filepath.Join(dir, "link")
	foreign := filepath.Join(dir, "foreign")
	for name, text := range map[string]string{kept: "do not touch", foreign: "something else than a database"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	to := filepath.Join(dir, "copy")
	for _, tt := range []struct {
		name string
		ctx  context.Context
		from Config
		to   string
		want string
	}{
		{"over another file", t.Context(), Config{Path: path}, kept, "kept is there already, and is not overwritten"},
		{"over a link", t.Context(), Config{Path: path}, link, "link is there already, and is not overwritten"},
		{"over itself", t.Context(), Config{Path: path}, path, "is there already, and is not overwritten"},
		{"into no directory", t.Context(), Config{Path: path}, filepath.Join(dir, "no", "copy"), "no cannot be written: no such file or directory"},
		{"of nothing", t.Context(), Config{Path: path + "x"}, to, "there is no database"},
		{"of another file", t.Context(), Config{Path: foreign}, to, "is not a SQLite database"},
		{"of PostgreSQL", t.Context(), Config{URL: "postgres://u:s3cret-word@h/x"}, to, "pg_dump"},
		{"given up", gone, Config{Path: path}, to, "context canceled"},
	} {
		_, err := Backup(tt.ctx, tt.from, tt.to)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret-word") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	hidden, err2 := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || err2 != nil || len(names) != 2 && len(names) != 3 || len(hidden) != 0 {
		t.Errorf("left behind: %v %v", names, hidden)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "do not touch" {
		t.Errorf("%q %v", text, err)
	}
	works(t, s)
}
