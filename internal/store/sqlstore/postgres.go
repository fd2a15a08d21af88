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
	postgresConns = 16               // of a node
	postgresWait  = 5 * time.Second  // for a connection
	postgresTries = 12               // which is about two seconds
	postgresBound = 15 * time.Second // of an intent, should the server neither answer nor hang up
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
	var err error
	for try := range postgresTries {
		if try > 0 && pause(ctx, try) != nil {
			break
		}
		var again bool
		if again, err = b.attempt(ctx, intent); !again {
			break
		}
	}
	b.note(err)
	return err
}

// attempt reports whether the intent did not happen and may be tried again: the
// server undid it for another's sake (40001, 40P01), or the connection was lost
// before the commit was sent.
func (b *postgresBackend) attempt(ctx context.Context, intent func(tx) error) (again bool, err error) {
	c, err := b.take(ctx)
	if err != nil {
		return lost(err), err
	}
	defer b.give(c)
	if _, err := c.exec("BEGIN"); err != nil { //nolint:contextcheck // the driver gets no context that can end, see conn
		return retriable(err) || lost(err), fmt.Errorf("store: begin: %w", err)
	}
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
	xid, err := transaction(c) //nolint:contextcheck // the driver gets no context that can end, see conn
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
	return c.fate(ctx, xid, err)
}

// transaction names the transaction; "" if it has written nothing.
func transaction(c *conn) (string, error) {
	r, err := c.one("SELECT COALESCE(pg_current_xact_id_if_assigned()::text, '')")
	if err != nil {
		return "", err
	}
	xid := r.text()
	return xid, r.err
}

// alone runs a statement as a transaction of its own: one round trip instead of
// four. If its answer is lost nobody can tell whether it was performed.
func (b *postgresBackend) alone(ctx context.Context, query string, each func(*row) error, args ...any) (ran bool, err error) {
	for try := range postgresTries {
		if try > 0 && pause(ctx, try) != nil {
			break
		}
		var again bool
		if again, err = b.tryAlone(ctx, query, each, args); !again {
			break
		}
	}
	b.note(err)
	return true, err
}

func (b *postgresBackend) tryAlone(ctx context.Context, query string, each func(*row) error, args []any) (again bool, err error) {
	c, err := b.take(ctx)
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
func (c *conn) fate(ctx context.Context, xid string, cause error) (again bool, err error) {
	if xid == "" {
		return false, nil // there was nothing to commit
	}
	for try := range postgresTries {
		_ = c.close()
		if pause(ctx, try) != nil {
			break
		}
		if c.open() != nil { //nolint:contextcheck // what has been begun does not end with the caller, see conn
			continue
		}
		r, err := c.one("SELECT COALESCE(pg_xact_status($1::text::xid8), '')", xid) //nolint:contextcheck // as above
		if err != nil || r == nil {
			continue
		}
		switch r.text() {
		case "committed":
			return false, nil
		case "aborted":
			return true, fmt.Errorf("store: commit: %w", cause)
		}
	}
	return false, fmt.Errorf("%w: %w", store.ErrUnknownFate, cause)
}

// pause waits longer each time, so that two that are in one another's way come
// apart, and a server that restarts has come back.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(min(time.Millisecond<<try, 250*time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// once runs statements outside of any transaction: each is one of its own.
func (b *postgresBackend) once(ctx context.Context, f func(tx) error) error {
	c, err := b.take(ctx)
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
	var err error
	for try := range postgresTries {
		if try > 0 && pause(ctx, try) != nil {
			break
		}
		// A connection may have died while nobody used it.
		if err = b.once(ctx, f); err == nil || !lost(err) && !retriable(err) {
			break
		}
	}
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
