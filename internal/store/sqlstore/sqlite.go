package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/tallystick/tallystick/internal/store"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// applicationID marks a SQLite file as ours: "Tsti".
const applicationID = 0x54737469

// readers is how many reads can run at once. A read is a look-up by key in
// memory, nearly always, so there is no more to gain than there are cores.
const readers = 4

//go:embed migrations/*.sql
var migrations embed.FS

// sqliteBackend is a SQLite file: one writer, and a few connections that can
// only read and never wait for it, nor it for them (WAL).
type sqliteBackend struct {
	*writer
	readers chan *conn
	closing chan struct{}
}

func openSQLite(ctx context.Context, cfg Config) (*sqliteBackend, error) {
	path := filepath.Clean(cfg.Path)
	empty, err := claimFile(path)
	if err != nil {
		return nil, err
	}
	// A commit is durable when it returns: synchronous=FULL, in WAL mode one
	// fsync for each. busy_timeout is for other processes, a command or a backup.
	const pragmas = "_pragma=busy_timeout(5000)&_pragma=synchronous(full)"
	write, err := connector(cfg, path, pragmas)
	if err != nil {
		return nil, err
	}
	read, err := connector(cfg, path, pragmas+"&mode=ro&_pragma=query_only(true)")
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, write, path, empty, cfg.Log); err != nil {
		return nil, err
	}
	c := &conn{connector: write}
	if err := c.open(); err != nil { //nolint:contextcheck // the driver gets no context that can end, see conn
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	b := &sqliteBackend{writer: newWriter(c, cfg.Log), readers: make(chan *conn, readers), closing: make(chan struct{})} //nolint:contextcheck // the driver gets no context that can end, see conn
	for range readers {
		b.readers <- &conn{connector: read}
	}
	return b, nil
}

func connector(cfg Config, path, params string) (driver.Connector, error) {
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	c, err := sqlite.NewConnector("file:" + escaped + "?" + params)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if cfg.WrapConnector != nil {
		c = cfg.WrapConnector(c)
	}
	return c, nil
}

// claimFile makes the file, for nobody but its owner, or looks whether it is
// ours. It reads the header by itself: to open a foreign database with SQLite
// could already change it.
func claimFile(path string) (empty bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var header [100]byte // https://sqlite.org/fileformat2.html §1.3
	switch _, err := io.ReadFull(f, header[:]); {
	case err == io.EOF:
		return true, nil
	case err == io.ErrUnexpectedEOF, err == nil && string(header[:16]) != "SQLite format 3\x00":
		return false, fmt.Errorf("%s is not a SQLite database", path)
	case err != nil:
		return false, err
	}
	if binary.BigEndian.Uint32(header[68:]) != applicationID {
		return false, fmt.Errorf("%s is a SQLite database of another program", path)
	}
	return false, nil
}

// migrate marks an empty file and brings it to the newest schema.
func migrate(ctx context.Context, c driver.Connector, path string, empty bool, log *slog.Logger) (err error) {
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if empty {
		// The mark comes first and by a rollback journal, so that it is in the
		// file itself before anything else is.
		if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
	}
	var mode string
	switch err := db.QueryRowContext(ctx, "PRAGMA journal_mode = wal").Scan(&mode); {
	case err != nil:
		return fmt.Errorf("open %s: %w", path, err)
	case mode != "wal":
		return fmt.Errorf("open %s: its file system has no shared memory for SQLite's WAL", path)
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub,
		goose.WithTableName("tallystick_schema"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate %s: %w", path, err)
	}
	switch version, newest, err := p.GetVersions(ctx); {
	case err != nil:
		return fmt.Errorf("migrate %s: %w", path, err)
	case version >= newest:
		return servable(path, version, newest, log)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", path, err)
	}
	return nil
}

// alone leaves it to write: what commits together waits for the disk once.
func (*sqliteBackend) alone(context.Context, string, func(*row) error, ...any) (bool, error) {
	return false, nil
}

// read runs f on a connection that sees what has been committed. Only waiting
// for the connection ends with ctx.
func (b *sqliteBackend) read(ctx context.Context, f func(tx) error) error {
	select {
	case <-b.closing:
		return store.ErrClosed
	default:
	}
	var c *conn
	select {
	case c = <-b.readers:
	case <-b.closing:
		return store.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("store: not read: %w", ctx.Err())
	}
	defer func() {
		if c.failed != nil {
			_ = c.close() // the next reader gets a new one; what failed is told already
		}
		b.readers <- c
	}()
	if err := c.open(); err != nil { //nolint:contextcheck // the driver gets no context that can end, see conn
		return fmt.Errorf("store: connect: %w", err)
	}
	if err := f(c); err != nil {
		return fmt.Errorf("store: read: %w", err)
	}
	return nil
}

// close commits what has been accepted and leaves one file, without a WAL.
func (b *sqliteBackend) close() error {
	b.writer.close()
	close(b.closing)
	var errs []error
	for range readers {
		c := <-b.readers
		errs = append(errs, c.close())
	}
	c := b.writer.conn
	if c.raw != nil {
		c.failed = nil
		_, err := c.exec("PRAGMA wal_checkpoint(TRUNCATE)")
		errs = append(errs, err, c.close())
	}
	return errors.Join(errs...)
}

// isConstraint tells a violated constraint, which is the program's fault, from
// what is the database's.
func isConstraint(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlitelib.SQLITE_CONSTRAINT
}
