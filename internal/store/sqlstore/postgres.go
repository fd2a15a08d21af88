package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallystick/tallystick/internal/store"
)

const (
	postgresConns = 16              // of a node
	postgresWait  = 5 * time.Second // for a connection
	postgresTries = 12              // which is about two seconds
	postgresBound = 5 * time.Second // of an intent with all its tries, should nobody answer nor hang up
	postgresPing  = time.Second     // for a connection that nobody has used lately
)

// postgresBackend is a PostgreSQL database, the same for every node.
type postgresBackend struct {
	free        chan struct{} // holds as many as there are connections that nobody uses
	mu          sync.Mutex
	idle        []*conn // those connections, open or not; the last that was used is the next
	wait, bound time.Duration

	log     *slog.Logger
	closing chan struct{}
	shut    sync.Once
	fault   atomic.Pointer[error] // why the database failed last; nil once it could be written again
}

// write runs an intent in a transaction. It may run several times, but what the
// earlier runs did is undone: an intent must not change what it was given.
func (b *postgresBackend) write(ctx context.Context, intent func(tx) error) error {
	err := b.tries(ctx, func(end context.Context) (again bool, err error) { return b.attempt(ctx, end, intent) })
	b.note(err)
	return err
}

// tries tries until it need not be tried again, until it is too late, or until there
// have been enough. The error is that of the last one.
func (b *postgresBackend) tries(ctx context.Context, one func(end context.Context) (again bool, err error)) (err error) {
	end, done := context.WithTimeout(background, b.bound)
	defer done()
	for try := range postgresTries {
		if try > 0 && pause(ctx, end, try) != nil {
			break
		}
		var again bool
		if again, err = one(end); !again { //nolint:contextcheck // what has been begun does not end with the caller, see conn
			break
		}
	}
	return err
}

// attempt reports whether the intent did not happen and may be tried again: the
// server undid it for another's sake (40001, 40P01), or the connection was lost
// before the commit was sent.
func (b *postgresBackend) attempt(ctx, end context.Context, intent func(tx) error) (again bool, err error) {
	c, err := b.take(ctx, end)
	if err != nil {
		return lost(err), err
	}
	defer b.give(c)
	if _, err := c.exec("BEGIN"); err != nil { //nolint:contextcheck // the driver gets no context that can end, see conn
		return retriable(err) || lost(err), fmt.Errorf("store: begin: %w", err)
	}
	c.event = nil
	done := false
	defer func() { //nolint:contextcheck // the driver gets no context that can end, see conn
		if !done { // also where the intent panics
			c.undo()
		}
	}()
	if err = intent(c); c.failed != nil {
		err = c.failed // whatever the intent has made of it
		return retriable(err) || lost(err), fmt.Errorf("store: %w", err)
	}
	if err != nil {
		return false, err
	}
	// Which transaction it is, so that its fate can be asked for should the answer to
	// the commit be lost.
	sent, err := transaction(c) //nolint:contextcheck // the driver gets no context that can end, see conn
	if err != nil {
		return retriable(err) || lost(err), fmt.Errorf("store: %w", err)
	}
	done = true
	if _, err = c.exec("COMMIT"); err == nil { //nolint:contextcheck // the driver gets no context that can end, see conn
		return false, nil
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && !lost(err) {
		c.undo() //nolint:contextcheck // the driver gets no context that can end, see conn
		return retriable(e), fmt.Errorf("store: commit: %w", err)
	}
	return b.fate(ctx, c, sent, err)
}

// commit is a transaction that is about to be committed.
type commit struct {
	xid string // "" if it has written nothing
	// life is the server's, from one crash to the next: a crash may lose a commit that
	// nobody was told of, and give its id to another transaction. It is the time since
	// which statistics are kept, since those do not outlive a crash.
	life string
}

const sqlTransaction = `SELECT COALESCE(pg_current_xact_id_if_assigned()::text, ''),
	COALESCE((SELECT stats_reset::text FROM pg_stat_wal), '')`

func transaction(c *conn) (commit, error) {
	r, err := c.one(sqlTransaction)
	if err != nil {
		return commit{}, err
	}
	sent := commit{r.text(), r.text()}
	return sent, r.err
}

// alone runs a statement as a transaction of its own: one round trip instead of
// four. If its answer is lost nobody can tell whether it was performed.
func (b *postgresBackend) alone(ctx context.Context, query string, each func(*row) error, args ...any) (ran bool, err error) {
	err = b.tries(ctx, func(end context.Context) (again bool, err error) { return b.tryAlone(ctx, end, query, each, args) })
	b.note(err)
	return true, err
}

func (b *postgresBackend) tryAlone(ctx, end context.Context, query string, each func(*row) error, args []any) (again bool, err error) {
	c, err := b.take(ctx, end)
	if err != nil {
		return lost(err), err
	}
	defer b.give(c)
	if _, err := c.prepare(query, args); err != nil { //nolint:contextcheck // the driver gets no context that can end, see conn
		return retriable(err) || lost(err), fmt.Errorf("store: %w", err)
	}
	r, err := c.one(query, args...) //nolint:contextcheck // the driver gets no context that can end, see conn
	switch e, ok := errors.AsType[*pgconn.PgError](err); {
	case ok && !lost(err):
		return retriable(e), fmt.Errorf("store: %w", err)
	case err != nil && pgconn.SafeToRetry(err):
		return true, fmt.Errorf("store: %w", err)
	case err == nil && r != nil:
		err = each(r)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", store.ErrUnknownFate, err)
	}
	return false, nil
}

// undo leaves the connection outside of any transaction, or closed.
func (c *conn) undo() {
	c.failed = nil
	if _, err := c.exec("ROLLBACK"); err != nil {
		_ = c.close()
	}
	c.failed = nil
}

// fate asks what became of a transaction whose commit was not answered. It asks on
// the connection that is at hand, made anew: when the server restarts, everybody
// asks at once, and nobody may wait for another's.
func (b *postgresBackend) fate(ctx context.Context, c *conn, sent commit, cause error) (again bool, err error) {
	if sent.xid == "" {
		return false, nil // there was nothing to commit
	}
	end, done := context.WithTimeout(background, b.bound)
	defer done()
	c.ctx = end
	for try := range postgresTries {
		_ = c.close()
		if pause(ctx, end, try) != nil {
			break
		}
		if c.open() != nil { //nolint:contextcheck // what has been begun does not end with the caller, see conn
			continue
		}
		switch happened, known, err := sent.happened(c); { //nolint:contextcheck // as above
		case err != nil:
			continue
		case known && happened:
			return false, nil
		case known:
			return true, fmt.Errorf("store: commit: %w", cause)
		}
		break
	}
	return false, fmt.Errorf("%w: %w", store.ErrUnknownFate, cause)
}

var errInProgress = errors.New("the transaction is still in progress")

// happened reports whether it was committed, if that can be known.
func (sent commit) happened(c *conn) (happened, known bool, err error) {
	status, life, err := sent.status(c)
	switch {
	case err != nil:
		return false, false, err
	case status == "in progress":
		return false, false, errInProgress
	case status == "aborted":
		return false, true, nil
	case status == "committed" && life == sent.life:
		return true, true, nil
	case c.event == nil:
		return false, false, nil
	}
	// The id is of another transaction by now, or may be: what this one has written
	// tells.
	r, err := c.one(sqlEventExists, c.event...)
	return r != nil, err == nil, err
}

// status is that of the transaction, and the life that the server is in now.
func (sent commit) status(c *conn) (status, life string, err error) {
	r, err := c.one(`SELECT COALESCE(pg_xact_status($1::text::xid8), ''), COALESCE((SELECT stats_reset::text FROM pg_stat_wal), '')`, sent.xid)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "22023" {
		return "aborted", "", nil // not given out yet: the server has forgotten it
	}
	switch {
	case err != nil:
		return "", "", err
	case r == nil:
		return "", "", errors.New("sqlstore: no status")
	}
	status, life = r.text(), r.text()
	return status, life, r.err
}

// pause waits longer each time, so that two that are in one another's way come
// apart, and a server that restarts has come back.
func pause(ctx, end context.Context, try int) error {
	t := time.NewTimer(min(time.Millisecond<<try, 250*time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-end.Done():
		return end.Err()
	case <-t.C:
		return nil
	}
}

// once runs statements outside of any transaction: each is one of its own.
func (b *postgresBackend) once(ctx, end context.Context, f func(tx) error) error {
	c, err := b.take(ctx, end)
	if err != nil {
		return err
	}
	defer b.give(c)
	err = f(c)
	if c.failed != nil {
		return c.failed
	}
	return err
}

// read runs statements that change nothing.
func (b *postgresBackend) read(ctx context.Context, f func(tx) error) error {
	err := b.tries(ctx, func(end context.Context) (again bool, err error) {
		// A connection may have died while nobody used it.
		err = b.once(ctx, end, f)
		return lost(err) || retriable(err), err
	})
	if err != nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrBusy) {
		return fmt.Errorf("store: read: %w", err)
	}
	return err
}

// retriable: the server itself says that the transaction did nothing and that
// another try may do better.
func retriable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

// lost: the connection broke, could not be made, or the server is ending it.
func lost(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08")
	}
	_, dial := errors.AsType[*pgconn.ConnectError](err)
	return dial || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || pgconn.SafeToRetry(err)
}

// note remembers whether the database can be written.
func (b *postgresBackend) note(err error) {
	switch e, ok := errors.AsType[*pgconn.PgError](err); {
	case err == nil, errors.Is(err, errTaken), errors.Is(err, errRefused), errors.Is(err, errSpent):
		b.fault.Store(nil)
	case ok && strings.HasPrefix(e.Code, "23"), errors.Is(err, context.Canceled), errors.Is(err, errContention):
		// A constraint is the program's fault; the others are nobody's.
	default:
		if b.fault.Swap(&err) == nil {
			b.log.Error("the database cannot be written", "err", err)
		}
	}
}

// ready reports whether a commit can be made: after a failure by trying one that
// changes nothing, else by a look whether the server answers.
func (b *postgresBackend) ready(ctx context.Context, touch func(tx) error) error {
	if b.fault.Load() != nil {
		return b.write(ctx, touch)
	}
	return b.read(ctx, func(t tx) error {
		_, err := t.one("SELECT 1::bigint")
		return err
	})
}
