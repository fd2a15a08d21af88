package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

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
	c.ValidateConnect = onlyPrimary
	connector := stdlib.GetConnector(*c)
	patient := c.Copy() // a migration may take as long as its tables are large
	patient.RuntimeParams["statement_timeout"] = "0"
	if err := migratePostgres(ctx, stdlib.GetConnector(*patient), cfg.Log); err != nil {
		return nil, err
	}
	if cfg.WrapConnector != nil {
		connector = cfg.WrapConnector(connector)
	}
	b := &postgresBackend{free: make(chan struct{}, postgresConns), wait: postgresWait, bound: postgresBound, log: cfg.Log, closing: make(chan struct{})}
	for range postgresConns {
		b.put(&conn{connector: connector, remote: true})
	}
	return b, nil
}

// onlyPrimary refuses a server that only follows another: what it shows may be old,
// and nothing can be written to it. Of several hosts the next one is tried.
func onlyPrimary(ctx context.Context, c *pgconn.PgConn) error {
	all, err := c.Exec(ctx, "SELECT pg_is_in_recovery()").ReadAll()
	if err != nil {
		return err
	}
	if len(all) != 1 || len(all[0].Rows) != 1 || string(all[0].Rows[0][0]) != "f" {
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
func migratePostgres(ctx context.Context, c driver.Connector, log *slog.Logger) (err error) {
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
	case version >= newest:
		return servable("the PostgreSQL database", version, newest, log)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate PostgreSQL: %w", err)
	}
	return nil
}
