package sqlstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

func TestMain(m *testing.M) {
	os.Exit(postgres.Tests{All: m}.Run())
}

func server(t testing.TB) *postgres.Server {
	t.Helper()
	s, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newPostgres(t testing.TB) Config {
	t.Helper()
	url, err := server(t).NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return Config{URL: url}
}

// english is a PostgreSQL database that orders texts as people do, and not by their
// bytes.
func english(t testing.TB) Config {
	t.Helper()
	name := fmt.Sprintf("english_%x", sha256.Sum256([]byte(t.Name())))[:40]
	err := server(t).Exec(t.Context(), "postgres", "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
	if err != nil {
		t.Fatal(err)
	}
	return Config{URL: server(t).URL(name)}
}

func newSQLite(t testing.TB) Config {
	return Config{Path: filepath.Join(t.TempDir(), "moved.db")}
}

// dump is every row of a database as text, by the database's own words for values.
func dump(t testing.TB, cfg Config) map[string][]string {
	t.Helper()
	tables := tablesOf(t)
	s, all := raw(t, cfg), map[string][]string{}
	for i := range tables {
		rows := []string{}
		err := s.all(tables[i].all(), func(r *row) error {
			line := ""
			for _, v := range r.values {
				line += fmt.Sprintf("%T %x|", v, v)
			}
			rows = append(rows, line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		all[tables[i].name] = rows
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func count(rows map[string][]string) (n int64) {
	for table, r := range rows {
		if table != issuers {
			n += int64(len(r))
		}
	}
	return n
}

func move(t testing.TB, from, to Config) []Moved {
	t.Helper()
	moved, err := Move{batch: smallBatch, From: from, To: to}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func copiedBy(moved []Moved) (n int64) {
	for _, m := range moved {
		if m.Table != issuers { // which is written at each run
			n += m.Copied
		}
	}
	return n
}

// served opens the database as a server does.
func served(t testing.TB, cfg Config) error {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, name := range []string{"https://one.example", "https://two.example"} {
		s, _, err := db.Issuer(t.Context(), name, id16("issuer %s", name), [32]byte{1}, t0)
		if err != nil {
			return err
		}
		if s.id != id16("issuer %s", name) {
			return fmt.Errorf("%s has another id", name)
		}
	}
	return nil
}

// Each way between the two databases brings every row as it was, whatever the order
// of texts is, and the next run finds nothing left to do.
func TestMoveAllWays(t *testing.T) {
	first := filled(t)
	want := dump(t, first)
	from := first
	for _, to := range []Config{english(t), newPostgres(t), newSQLite(t), newSQLite(t)} {
		moved := move(t, from, to)
		if n := copiedBy(moved); n != count(want) {
			t.Errorf("%s to %s: %d rows were copied, want %d", from, to, n, count(want))
		}
		if d := cmp.Diff(want, dump(t, to)); d != "" {
			t.Fatalf("%s to %s (- source, + target):\n%s", from, to, d)
		}
		for _, m := range moved {
			if m.From.Rows != int64(len(want[m.Table])) || m.From != m.To {
				t.Errorf("%s to %s: told of %+v, want %d rows, alike", from, to, m, len(want[m.Table]))
			}
		}
		again := move(t, from, to)
		if n := copiedBy(again); n != 0 || len(again) != len(want) {
			t.Errorf("%s to %s: the second run copied %d rows and told of %d tables", from, to, n, len(again))
		}
		if err := served(t, to); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		from = to
	}
	if d := cmp.Diff(want, dump(t, first)); d != "" {
		t.Errorf("the source has changed:\n%s", d)
	}
}

// A move that ends in the middle, wherever that is, keeps servers away and goes on
// where it was.
func TestMoveGoesOn(t *testing.T) {
	source := filled(t)
	want := dump(t, source)
	cuts := []func(Step) bool{
		func(Step) bool { return true },
		func(s Step) bool { return s.Table == "consent" && s.Done > 0 },
		func(s Step) bool { return s.Table == "grant" && s.Done >= smallBatch },
		func(s Step) bool { return s.Table == "grant" && s.Done >= 2*smallBatch },
		func(s Step) bool { return s.Table == "user" },
		func(s Step) bool { return s.Table == "user_identifier" && s.Done >= smallBatch },
		func(s Step) bool { return s.Comparing },
		func(s Step) bool { return s.Comparing && s.Table == "user_identifier" },
	}
	for name, target := range map[string]func(testing.TB) Config{"SQLite": newSQLite, "PostgreSQL": english} {
		t.Run(name, func(t *testing.T) {
			to, before := target(t), int64(0)
			for k, cut := range cuts {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := Move{batch: smallBatch, From: source, To: to, Progress: func(s Step) {
					if cut(s) {
						cancel()
					}
				}}.Run(ctx)
				cancel()
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("cut %d: %v", k, err)
				}
				if err := served(t, to); !errors.Is(err, errHalfMoved) {
					t.Fatalf("cut %d: a server on half of the data: %v", k, err)
				}
				have := count(dump(t, to))
				if have < before {
					t.Errorf("cut %d: %d rows, and %d before", k, have, before)
				}
				before = have
			}
			// All is there, and no row is sent again: each table has its first step only.
			steps := 0
			moved, err := Move{batch: smallBatch, From: source, To: to, Progress: func(s Step) {
				if !s.Comparing {
					steps++
				}
			}}.Run(t.Context())
			if err != nil || before != count(want) || steps != len(moved)-1 {
				t.Errorf("%d of %d rows, and %d steps for %d tables: %v", before, count(want), steps, len(moved), err)
			}
			if d := cmp.Diff(want, dump(t, to)); d != "" {
				t.Errorf("(- source, + target):\n%s", d)
			}
			if err := served(t, to); err != nil {
				t.Error(err)
			}
		})
	}
}

// A statement that fails, or whose answer is lost, costs nothing but another run.
func TestMoveFails(t *testing.T) {
	source := filled(t)
	want := dump(t, source)
	for _, performed := range []bool{false, true} {
		to := newSQLite(t)
		for at := int64(4); ; at += 9 {
			f := new(faulty)
			f.arm(func(n int64, _ string) (bool, bool) { return n == at && !performed, n == at && performed })
			_, err := Move{batch: smallBatch, From: source, To: Config{Path: to.Path, WrapConnector: f.wrap}}.Run(t.Context())
			if err == nil {
				break
			}
			if !errors.Is(err, errDriver) || !strings.Contains(err.Error(), "the target sqlite:") {
				t.Fatalf("statement %d: %v", at, err)
			}
		}
		if d := cmp.Diff(want, dump(t, to)); d != "" {
			t.Errorf("(- source, + target):\n%s", d)
		}
	}
}

// What was changed at the source between two runs is there after the second.
func TestMoveOfASourceThatWentOn(t *testing.T) {
	source := filled(t)
	for _, to := range []Config{newSQLite(t), english(t)} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Move{batch: smallBatch, From: source, To: to, Progress: func(s Step) {
			if s.Table == "user" {
				cancel()
			}
		}}.Run(ctx)
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		run(t, source,
			`UPDATE "grant" SET generation = generation / 2 + 7`,
			`DELETE FROM audit WHERE sequence < 0`,
			`UPDATE issuer SET config_version = config_version + 1`,
			`UPDATE client SET metadata = metadata || 'x'`)
		move(t, source, to)
		if d := cmp.Diff(dump(t, source), dump(t, to)); d != "" {
			t.Errorf("%s (- source, + target):\n%s", to, d)
		}
	}
}

// A row that does not arrive as it was is found, and the target stays out of use
// until it is right.
func TestMoveFindsWhatDiffers(t *testing.T) {
	source := filled(t)
	for _, tt := range []struct{ name, change string }{
		{"another value", `UPDATE "grant" SET scope = scope || ' ' WHERE id = NEW.id AND issuer = NEW.issuer`},
		{"a row is lost", `DELETE FROM "grant" WHERE id = NEW.id AND issuer = NEW.issuer`},
		{"NULL for nothing", `UPDATE "grant" SET "user" = CASE WHEN "user" IS NULL THEN x'' END WHERE id = NEW.id AND issuer = NEW.issuer`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := newSQLite(t)
			if err := open(t, to.Path).Close(); err != nil {
				t.Fatal(err)
			}
			run(t, to, `CREATE TRIGGER wrong AFTER INSERT ON "grant" WHEN (SELECT count(*) FROM "grant") = 70 BEGIN `+tt.change+`; END`)
			for range 2 {
				moved, err := Move{batch: smallBatch, From: source, To: to}.Run(t.Context())
				if !errors.Is(err, ErrDiffers) || !strings.HasSuffix(err.Error(), "in grant") {
					t.Fatalf("%v, want %v in grant", err, ErrDiffers)
				}
				i := slices.IndexFunc(moved, func(m Moved) bool { return m.Table == "grant" })
				if i < 0 || moved[i].From == moved[i].To {
					t.Errorf("told of %+v", moved)
				}
				if err := served(t, to); !errors.Is(err, errHalfMoved) {
					t.Fatalf("a server on what is not right: %v", err)
				}
			}
			run(t, to, `DROP TRIGGER wrong`)
			move(t, source, to)
			if d := cmp.Diff(dump(t, source), dump(t, to)); d != "" {
				t.Errorf("(- source, + target):\n%s", d)
			}
		})
	}
}

// The tables and keys of PostgreSQL are those that a move knows.
func TestMoveKnowsEveryColumn(t *testing.T) {
	cfg := newPostgres(t)
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	have, kinds := map[string]string{}, map[string]string{"text": "TEXT", "bytea": "BLOB", "bigint": "BIGINT"}
	err = db.read(t.Context(), func(c tx) error {
		return c.all(`SELECT c.table_name::text, c.column_name::text, c.data_type::text, coalesce(k.ordinal_position, 0)::bigint
			FROM information_schema.columns c
			LEFT JOIN information_schema.table_constraints p ON p.table_name = c.table_name AND p.constraint_type = 'PRIMARY KEY'
			LEFT JOIN information_schema.key_column_usage k ON k.constraint_name = p.constraint_name AND k.column_name = c.column_name
			WHERE c.table_schema = current_schema() AND c.table_name <> 'tallystick_schema'`, func(r *row) error {
			table, column, kind := r.text(), r.text(), r.text()
			have[table+"."+column] = fmt.Sprint(kinds[kind], r.int())
			return r.err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	tables := tablesOf(t)
	want := map[string]string{}
	for i := range tables {
		for _, c := range tables[i].columns {
			want[tables[i].name+"."+c.name] = fmt.Sprint(c.kind, c.key)
		}
		if key := tables[i].key(); tables[i].name != issuers && (len(key) < 2 || key[0].name != "issuer") {
			t.Errorf("the key of %s is %v; want the issuer first", tables[i].name, key)
		}
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("(- known to a move, + PostgreSQL):\n%s", d)
	}
}
