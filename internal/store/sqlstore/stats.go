package sqlstore

import "context"

// Load is how busy a database is at the moment.
type Load struct {
	Waiting     int // intents that wait for the one writer of a SQLite file
	Busy        int // connections that are in use
	Connections int // that there can be
}

// Load counts; it asks the database nothing.
func (db *DB) Load() (l Load) {
	switch b := db.backend.(type) {
	case *sqliteBackend:
		l.Waiting, l.Connections = len(b.queue), readers
		l.Busy = readers - len(b.readers)
	case *postgresBackend:
		l.Connections = postgresConns
		l.Busy = postgresConns - len(b.free)
	}
	return l
}

// Backlog is what waits to go out: mails, and logouts that clients are to be told of.
type Backlog struct {
	Mails   int64
	Notices int64
}

const sqlBacklog = `SELECT (SELECT count(*) FROM outbox WHERE issuer = $1 AND next_attempt_at <> 0),
	(SELECT count(*) FROM notice WHERE issuer = $1 AND next_attempt_at <> 0)`

// Backlog counts what is neither sent nor given up.
func (s *Store) Backlog(ctx context.Context) (b Backlog, err error) {
	all, err := list(ctx, s, sqlBacklog, func(r *row) Backlog { return Backlog{Mails: r.int(), Notices: r.int()} })
	if err == nil {
		b = all[0]
	}
	return b, err
}
