package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

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

func openPostgres(ctx context.Context, cfg Config) (*postgresBackend, error) {
	c, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		// Its text has the address in it, and so the password.
		return nil, errors.New("the PostgreSQL address is malformed; want postgres://user:password@host:5432/database")
	}
	for name, value := range map[string]string{
		"application_name": "tallystick", "statement_timeout": "5000", "lock_timeout": "4000",
		"idle_in_transaction_session_timeout": "10000",
	} {
		if c.RuntimeParams[name] == "" {
			c.RuntimeParams[name] = value
		}
	}
	// An answer is given for what is durable, and nothing reads what is not decided.
	c.RuntimeParams["synchronous_commit"] = "on"
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	if c.ConnectTimeout == 0 || c.ConnectTimeout > postgresWait {
		c.ConnectTimeout = postgresWait
	}
	connector := stdlib.GetConnector(*c, stdlib.OptionAfterConnect(onlyPrimary))
	if err := migratePostgres(ctx, connector); err != nil {
		return nil, err
	}
	if cfg.WrapConnector != nil {
		connector = cfg.WrapConnector(connector)
	}
	b := &postgresBackend{free: make(chan struct{}, postgresConns), wait: postgresWait, bound: postgresBound, log: cfg.Log, closing: make(chan struct{})}
	for range postgresConns {
		b.put(&conn{connector: connector})
	}
	return b, nil
}

// onlyPrimary refuses a server that only follows another: what it shows may be old,
// and nothing can be written to it.
func onlyPrimary(ctx context.Context, c *pgx.Conn) error {
	var recovers bool
	if err := c.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovers); err != nil {
		return err
	}
	if recovers {
		return errors.New("the PostgreSQL server is in recovery; want the primary")
	}
	return nil
}

// bytea is the migrations as PostgreSQL reads them.
type bytea struct{ fs.FS }

func (b bytea) Open(name string) (fs.File, error) {
	f, err := b.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	defer f.Close()
	text, err := fs.ReadFile(b.FS, name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	read := strings.NewReader(strings.ReplaceAll(string(text), " BLOB", " BYTEA"))
	return &textFile{Reader: read, info: info}, nil
}

type textFile struct {
	*strings.Reader
	info fs.FileInfo
}

func (f *textFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *textFile) Close() error               { return nil }

// migratePostgres brings the database to the newest schema. Of nodes that start
// together one does it; the others wait.
func migratePostgres(ctx context.Context, c driver.Connector) (err error) {
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // asks every second
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, bytea{sub},
		goose.WithTableName("tallystick_schema"), goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrate PostgreSQL: %w", err)
	}
	switch version, newest, err := p.GetVersions(ctx); {
	case err != nil:
		return fmt.Errorf("migrate PostgreSQL: %w", err)
	case version > newest:
		return fmt.Errorf("the PostgreSQL database has schema version %d, newer than this program's %d", version, newest)
	case version == newest:
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate PostgreSQL: %w", err)
	}
	return nil
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

// take finds a connection that is open.
func (b *postgresBackend) take(ctx context.Context) (*conn, error) {
	select {
	case <-b.closing:
		return nil, store.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("store: not begun: %w", err)
	}
	wait := time.NewTimer(b.wait)
	defer wait.Stop()
	select {
	case <-b.free:
	case <-b.closing:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("store: not begun: %w", ctx.Err())
	case <-wait.C:
		return nil, fmt.Errorf("%w: every connection to PostgreSQL is in use", store.ErrBusy)
	}
	b.mu.Lock()
	c := b.idle[len(b.idle)-1]
	b.idle = b.idle[:len(b.idle)-1]
	b.mu.Unlock()
	c.ctx, c.done = context.WithTimeout(background, b.bound)
	if err := c.reopen(); err != nil { //nolint:contextcheck // what has been begun does not end with the caller, see conn
		b.give(c)
		return nil, fmt.Errorf("store: connect: %w", err)
	}
	return c, nil
}

// reopen opens a connection that is not open or, as far as can be seen, dead.
func (c *conn) reopen() error {
	// The driver asks the server only after a second of silence.
	if r, ok := c.raw.(driver.SessionResetter); ok && r.ResetSession(c.ctx) != nil {
		_ = c.close()
	}
	return c.open()
}

func (b *postgresBackend) give(c *conn) {
	if c.failed != nil {
		_ = c.close() // the next one who takes it gets a new one
	}
	c.done()
	b.put(c)
}

func (b *postgresBackend) put(c *conn) {
	b.mu.Lock()
	b.idle = append(b.idle, c)
	b.mu.Unlock()
	b.free <- struct{}{}
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

// close waits for what is under way.
func (b *postgresBackend) close() error {
	var errs []error
	b.shut.Do(func() {
		close(b.closing)
		for range postgresConns {
			<-b.free
		}
		for _, c := range b.idle {
			errs = append(errs, c.close())
		}
	})
	return errors.Join(errs...)
}
