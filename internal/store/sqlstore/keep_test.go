package sqlstore

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// A key is looked for in every part of the grants, the last one included.
func TestDropMACKeyLooksAtEveryPart(t *testing.T) {
	s := fresh(t)
	if out, err := s.AddMACKey(t.Context(), store.MACKey{Number: 2, Sealed: []byte{1}, CreatedAt: t0, ActiveAt: t0}); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	const n = 2*macKeyPart + macKeyPart/2
	var ids []store.GrantID
	err := s.db.write(t.Context(), func(q tx) error {
		for i := range n {
			g := birth("").Grant
			binary.BigEndian.PutUint64(g.ID[:], uint64(i+1))
			ids = append(ids, g.ID)
			if _, _, err := s.insert(q, &g); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, macKeyPart - 1, macKeyPart, n - 1} {
		set := func(key int64) {
			err := s.db.write(t.Context(), func(q tx) error {
				_, err := q.exec(`UPDATE "grant" SET mac_key = $2 WHERE id = $1`, ids[i][:], key)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		set(2)
		if out, err := s.DropMACKey(t.Context(), 2); err != nil || out != store.Taken {
			t.Errorf("DropMACKey = %v, %v; want taken, by grant %d", out, err, i)
		}
		set(1)
	}
	if out, err := s.DropMACKey(t.Context(), 2); err != nil || out != store.Done {
		t.Errorf("DropMACKey = %v, %v; want done", out, err)
	}
}

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
				if _, err := s.Purge(t.Context(), store.Purge{Table: table, Cursor: cursor, Limit: 1, Before: t0}); err != nil {
					t.Errorf("%s: Purge of %s from %x: %v", name, table, cursor, err)
				}
			}
		}
	}
}
