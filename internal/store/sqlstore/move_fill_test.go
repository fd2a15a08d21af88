package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// raw opens a database as a move does.
func raw(t testing.TB, cfg Config) *side {
	t.Helper()
	s, err := openSide(cfg, "the database")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

func run(t testing.TB, cfg Config, statements ...string) {
	t.Helper()
	s := raw(t, cfg)
	for _, q := range statements {
		if _, err := s.exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func tablesOf(t testing.TB) []table {
	t.Helper()
	s, err := newest()
	if err != nil {
		t.Fatal(err)
	}
	return s.tables
}

// columnsOf are the tables and the columns of them that can be NULL.
func columnsOf(t testing.TB) (tables []table, nullable map[string]bool) {
	t.Helper()
	tables, nullable = tablesOf(t), map[string]bool{}
	db := open(t, filepath.Join(t.TempDir(), "empty.db"))
	err := db.read(t.Context(), func(c tx) error {
		return c.all(`SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND c."notnull" = 0`,
			func(r *row) error { nullable[r.text()+"."+r.text()] = true; return r.err })
	})
	if err != nil {
		t.Fatal(err)
	}
	return tables, nullable
}

// A batch is smaller than in earnest, so that a few rows are several.
const manyRows, fewRows, smallBatch = 123, 7, 50

var original []byte

// filled is a SQLite database of two issuers with rows in every table, of all kinds
// of values that a column can have.
func filled(t testing.TB) Config {
	t.Helper()
	if original == nil {
		text, err := os.ReadFile(fill(t).Path)
		if err != nil {
			t.Fatal(err)
		}
		original = text
	}
	cfg := Config{Path: filepath.Join(t.TempDir(), "source.db")}
	if err := os.WriteFile(cfg.Path, original, 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func fill(t testing.TB) Config {
	t.Helper()
	cfg := Config{Path: filepath.Join(t.TempDir(), "source.db")}
	db := open(t, cfg.Path)
	ids := []any{bytesOf(issuer(t, db, "https://one.example")), bytesOf(issuer(t, db, "https://two.example"))}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables, nullable := columnsOf(t)
	s := raw(t, cfg)
	if _, err := s.exec("BEGIN"); err != nil {
		t.Fatal(err)
	}
	words := []string{"", "a", "B", "_", "é", "Z", "ß", "z", "\u202e😀", "-", "ä", "A b", "'quoted\" \\ $1 ?"}
	for i := range tables {
		tab := &tables[i]
		if tab.name == issuers {
			continue
		}
		n := fewRows
		if slices.Contains([]string{"grant", "user_identifier", "audit"}, tab.name) {
			n = manyRows
		}
		for k := range n {
			values := make([]any, len(tab.columns))
			for c, col := range tab.columns {
				h := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", tab.name, col.name, k))
				switch {
				case col.name == "issuer":
					values[c] = ids[h[0]%2]
				case nullable[tab.name+"."+col.name] && h[1]%2 == 0:
					values[c] = nil
				case col.kind == "TEXT":
					values[c] = words[int(h[2])%len(words)]
					if col.key > 0 || col.name == "subject" {
						values[c] = fmt.Sprintf("%s%x", values[c], h[:5])
					}
				case col.kind == "BIGINT":
					values[c] = int64(binary.BigEndian.Uint64(h[:])) >> (h[8] % 60)
					if h[9]%50 == 0 {
						values[c] = []int64{0, math.MaxInt64, math.MinInt64}[int(h[10])%3]
					}
				case col.key == 0 && h[3]%3 == 0:
					values[c] = []byte{}
				default:
					values[c] = h[:16]
				}
			}
			if _, err := s.exec(tab.insert(s.dialect, 1), values...); err != nil {
				t.Fatalf("%s: %v", tab.name, err)
			}
		}
	}
	if _, err := s.exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func bytesOf(s *Store) []byte { return s.id[:] }
