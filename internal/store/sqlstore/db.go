// Package sqlstore keeps the contract of package store in SQL: one text for
// SQLite and PostgreSQL. What is decided is decided by the condition of
// an UPDATE or INSERT; a SELECT only says why.
package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/tallystick/tallystick/internal/store"
)

// Config says which database to open.
type Config struct {
	Path string // SQLite file
	URL  string // PostgreSQL, postgres://…; takes the place of Path
	// WrapConnector lets a test stand between the store and the driver; nil = none.
	WrapConnector func(driver.Connector) driver.Connector
	Log           *slog.Logger // nil = discard
}

// backend is a database that intents run on.
type backend interface {
	// write runs an intent in one transaction; it is durable when write returns. It
	// may run the intent several times, of which all but the last have come to nothing;
	// so may read.
	write(context.Context, func(tx) error) error
	// alone runs one statement, which changes one row or none, as a transaction of its
	// own and lets each see the row. ran is false where that would save nothing: then
	// nothing was done.
	alone(ctx context.Context, query string, each func(*row) error, args ...any) (ran bool, err error)
	// read runs statements that change nothing, outside of any transaction.
	read(context.Context, func(tx) error) error
	// ready reports whether a commit can be made; touch writes without changing.
	ready(ctx context.Context, touch func(tx) error) error
	close() error
}

// DB is a database of one or more issuers, open in this process.
type DB struct {
	backend
	node     int64 // of this process's audit events
	sequence atomic.Int64

	shut    sync.Once
	shutErr error
}

// Open opens a database, makes it if there is none, and brings it to the newest
// schema. One that the next version has brought to its own is served as it is. The
// error of a file that is not ours, or newer than that, is one line that says so;
// such a file is not touched.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b, err := openBackend(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var node [8]byte
	_, _ = rand.Read(node[:]) // never fails
	return &DB{backend: b, node: int64(binary.BigEndian.Uint64(node[:]) >> 1)}, nil
}

// servable refuses a schema that is newer than the next one. The next one only adds
// what this program can live with (docs/adr/0008), so that a node that fell over while
// newer ones take over, or that is to take their place again, can start.
func servable(what string, version, newest int64, log *slog.Logger) error {
	switch {
	case version > newest+1:
		return fmt.Errorf("%s has schema version %d, newer than this program's %d by more than one", what, version, newest)
	case version > newest:
		log.Warn("a newer version has migrated the database; this one goes on with it", "schema", version, "own", newest)
	}
	return nil
}

func openBackend(ctx context.Context, cfg Config) (backend, error) {
	if cfg.URL != "" {
		return openPostgres(ctx, cfg)
	}
	return openSQLite(ctx, cfg)
}

// Close finishes what is queued, commits it and leaves one file without a WAL.
// Whatever comes after is store.ErrClosed.
func (db *DB) Close() error {
	db.shut.Do(func() { db.shutErr = db.backend.close() })
	return db.shutErr
}

// Issuer finds an issuer by its name, or inserts it with the candidate's id and
// check. It returns the issuer's part of the database and the check that the row
// has: another one than the given means another master key.
func (db *DB) Issuer(ctx context.Context, name string, candidate store.IssuerID, check [32]byte, now store.Time) (*Store, [32]byte, error) {
	s, found := &Store{db: db}, check
	err := db.write(ctx, func(t tx) error {
		if _, err := t.exec(sqlInsertIssuer, candidate[:], name, check[:], now); err != nil {
			return err
		}
		r, err := t.one(sqlIssuerByName, name)
		if err != nil {
			return err
		}
		if r == nil {
			return nameless(t, candidate)
		}
		s.id, found = r.id(), r.hash()
		return r.err
	})
	if err != nil {
		return nil, [32]byte{}, fmt.Errorf("issuer %q: %w", name, err)
	}
	s.key = s.id[:]
	return s, found, nil
}

// Store is one issuer's part of a database.
type Store struct {
	db  *DB
	id  store.IssuerID
	key any // the id as the first argument of every statement
}

var _ store.Store = (*Store)(nil)

// Issuer is whose store it is.
func (s *Store) Issuer() store.IssuerID { return s.id }

// Ready reports whether the store can commit now. After a failure it writes a
// row as it is, until that can be committed.
func (s *Store) Ready(ctx context.Context) error {
	return s.db.ready(ctx, func(t tx) error {
		_, err := t.exec(sqlTouchIssuer, s.key)
		return err
	})
}

// Errors that undo an intent whose outcome they are.
var (
	errTaken   = errors.New("taken")
	errRefused = errors.New("refused")
	errSpent   = errors.New("spent")
)

// undone turns the error of an undone intent into its outcome.
func undone(err error) (store.Outcome, error) {
	switch {
	case errors.Is(err, errTaken):
		return store.Taken, nil
	case errors.Is(err, errRefused):
		return store.Refused, nil
	case errors.Is(err, errSpent):
		return store.Spent, nil
	case err != nil:
		return 0, err
	}
	return store.Done, nil
}

// errNoTime: 0 means never, so an intent at 0 would be lost in its own row.
var errNoTime = errors.New("store: an intent without a time")

func timed(t store.Time) error {
	if t <= 0 {
		return errNoTime
	}
	return nil
}
