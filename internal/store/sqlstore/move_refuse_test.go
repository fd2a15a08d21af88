package sqlstore

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tallystick/tallystick/internal/store"
)

// inUse is a database of ours that is open, with an issuer and a user.
func inUse(t testing.TB, cfg Config, name string) *DB {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if out, err := issuer(t, db, name).PutUser(t.Context(), ann); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	return db
}

// What a move refuses, it says in one line, and it has changed nothing.
func TestMoveRefuses(t *testing.T) {
	source := filled(t)
	ours := func(cfg Config) Config {
		if err := inUse(t, cfg, "https://other.example").Close(); err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	half := func(cfg Config) Config {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := (Move{batch: smallBatch, From: source, To: cfg, Progress: func(Step) { cancel() }}).Run(ctx); err == nil {
			t.Fatal("it was not ended")
		}
		return cfg
	}
	orphan := func(cfg Config) Config {
		ours(cfg)
		run(t, cfg, `DELETE FROM issuer`)
		return cfg
	}
	used := func(cfg Config) Config {
		move(t, source, cfg)
		run(t, cfg, `UPDATE "grant" SET generation = 1`)
		return cfg
	}
	other := func(cfg Config) Config {
		run(t, cfg, `CREATE TABLE theirs (id TEXT)`)
		return cfg
	}
	older := func(cfg Config) Config {
		ours(cfg)
		run(t, cfg, `DELETE FROM tallystick_schema WHERE version_id > 2`)
		return cfg
	}
	newer := func(cfg Config) Config {
		ours(cfg)
		run(t, cfg, `UPDATE tallystick_schema SET version_id = 99999 WHERE version_id = (SELECT max(version_id) FROM tallystick_schema)`)
		return cfg
	}
	file := newSQLite(t)
	link := filepath.Join(filepath.Dir(source.Path), ".", filepath.Base(source.Path))
	for _, tt := range []struct {
		name     string
		from, to Config
		want     string
	}{
		{"no source", Config{Path: file.Path + "x"}, file, "there is no database in the source sqlite:"},
		{"an empty source", newPostgres(t), file, "there is no database in the source postgres://127.0.0.1:"},
		{"a source of another program", other(newPostgres(t)), file, "tables of another program"},
		{"a source that is half of a move", half(newSQLite(t)), file, "is the target of another move"},
		{"an older source", older(newSQLite(t)), file, "has schema version 2 and this program has"},
		{"a newer source", newer(newPostgres(t)), file, "has schema version 99999, newer than"},
		{"itself", source, Config{Path: link}, "are the same database"},
		{"another issuer, SQLite", source, ours(newSQLite(t)), "holds another issuer's data; a move needs an empty database"},
		{"another issuer, PostgreSQL", source, ours(newPostgres(t)), "holds another issuer's data; a move needs an empty database"},
		{"rows of nobody", source, orphan(newPostgres(t)), "holds rows of no known issuer in the table audit"},
		{"half of another move", ours(newSQLite(t)), half(newSQLite(t)), "holds another issuer's data"},
		{"used since", source, used(newSQLite(t)), "holds this issuer already and has been used since; nothing was changed"},
		{"a target of another program", source, other(newPostgres(t)), "tables of another program"},
		{"an older target", source, older(newPostgres(t)), "has schema version 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := contents(t, tt.to)
			_, err := Move{batch: smallBatch, From: tt.from, To: tt.to}.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, tt.want)
			}
			if d := cmp.Diff(before, contents(t, tt.to)); d != "" {
				t.Errorf("the target has changed:\n%s", d)
			}
		})
	}
}

// contents is what is in a database, nil if there is none of ours.
func contents(t *testing.T, cfg Config) map[string][]string {
	t.Helper()
	if exists, err := Exists(cfg); err != nil || !exists {
		return nil
	}
	return dump(t, cfg)
}

// Who uses a database is not bypassed: what he would write later were lost.
func TestMoveOfWhatIsInUse(t *testing.T) {
	for name, cfg := range map[string]Config{"SQLite": newSQLite(t), "PostgreSQL": newPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := inUse(t, cfg, "https://one.example")
			if err := intrude(cfg); err != nil { // which is possible until the move
				t.Fatal(err)
			}
			to := newSQLite(t)
			if _, err := (Move{batch: smallBatch, From: cfg, To: to}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use by another") {
				t.Errorf("a source in use: %v", err)
			}
			if exists, err := Exists(to); exists || err != nil {
				t.Errorf("the target was made: %v", err)
			}
			if out, err := issuer(t, db, "https://one.example").PutUser(t.Context(), ann); err != nil || out != store.Done {
				t.Errorf("who uses it was disturbed: %v, %v", out, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			// While it is moved, nobody else can write to it, or to the target.
			entered := false
			_, err := Move{batch: smallBatch, From: cfg, To: to, Progress: func(s Step) {
				if s.Table != "user" || entered {
					return
				}
				entered = true
				for _, c := range []Config{cfg, to} {
					if err := intrude(c); err == nil {
						t.Errorf("%s could be written in the middle of a move", c)
					}
				}
			}}.Run(t.Context())
			if err != nil || !entered {
				t.Error(err)
			}
		})
	}
}

// intrude writes as another process does, but does not wait for its turn.
func intrude(cfg Config) error {
	c := &conn{}
	if cfg.URL != "" {
		cfg.URL += "&lock_timeout=50"
		p, err := pgx.ParseConfig(cfg.URL)
		if err != nil {
			return err
		}
		c.connector = stdlib.GetConnector(*p)
	} else {
		var err error
		if c.connector, err = connector(cfg, cfg.Path, "_pragma=busy_timeout(50)"); err != nil {
			return err
		}
	}
	if err := c.open(); err != nil {
		return err
	}
	_, err := c.exec(`UPDATE issuer SET config_version = config_version + 1`)
	_ = c.close()
	return err
}

// The text of an error and of a table has no password in it.
func TestMoveTellsNoPassword(t *testing.T) {
	const address = "postgres://ann:s3cret-word@127.0.0.1:1/x?sslmode=disable"
	cfg, err := Locate(address)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.String(); got != "postgres://127.0.0.1:1/x" {
		t.Error(got)
	}
	if _, err := (Move{batch: smallBatch, From: cfg, To: newSQLite(t)}).Run(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret-word") {
		t.Error(err)
	}
	for _, bad := range []string{"", "sqlite:", "mysql://ann:s3cret-word@h/x", "postgres://ann:s3cret%zz@h/x", "/a/path"} {
		if _, err := Locate(bad); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
