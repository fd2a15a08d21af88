package sqlstore

import (
	"context"
	"errors"
	"time"
)

// Now is the time by the database's own clock, which is the same for every node. A
// SQLite file has no other clock than this machine's.
func (db *DB) Now(ctx context.Context) (now time.Time, err error) {
	if _, ok := db.backend.(*postgresBackend); !ok {
		return time.Now(), nil //nolint:forbidigo // it is what was asked for
	}
	err = db.read(ctx, func(t tx) error {
		r, err := t.one("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
		if err != nil {
			return err
		}
		if r == nil {
			return errors.New("the database does not tell the time")
		}
		now = time.UnixMicro(r.int())
		return r.err
	})
	return now, err
}
