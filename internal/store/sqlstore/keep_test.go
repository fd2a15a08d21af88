package sqlstore

import (
	"bytes"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// What the previous program writes beside this one has not been retired.
func TestPreviousProgramsKey(t *testing.T) {
	for name, s := range map[string]*Store{"SQLite": fresh(t), "PostgreSQL": freshPostgres(t, "")} {
		err := s.db.write(t.Context(), func(q tx) error {
			_, err := q.exec(`INSERT INTO signing_key (issuer, purpose, algorithm, number, id, sealed, created_at, active_at)
				VALUES ($1, 'standard', 'ES256', 1, 'kid', $2, 1, 2)`, s.key, []byte{1})
			return err
		})
		if err != nil {
			t.Fatal(name, err)
		}
		keys, err := s.SigningKeys(t.Context())
		if err != nil || len(keys) != 1 || keys[0].RetiredAt != 0 {
			t.Errorf("%s: SigningKeys = %+v, %v", name, keys, err)
		}
	}
}

// A cursor is of one shape per table; another's is an early place and no panic.
func TestForeignCursor(t *testing.T) {
	for name, s := range map[string]*Store{"SQLite": fresh(t), "PostgreSQL": freshPostgres(t, "")} {
		for _, table := range store.Tables {
			for _, cursor := range [][]byte{{1}, bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{1}, 32), beyond} {
				if _, err := s.Purge(t.Context(), store.Purge{Table: table, Cursor: cursor, Limit: 1, Before: t0, Now: t0}); err != nil {
					t.Errorf("%s: Purge of %s from %x: %v", name, table, cursor, err)
				}
			}
		}
	}
}
