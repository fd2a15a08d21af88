package sqlstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// Locate reads the one string that says where a database is: sqlite:PATH or
// postgres://…. Its error does not repeat it: it may hold a password.
func Locate(address string) (Config, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok && path != "" {
		return Config{Path: path}, nil
	}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		if _, err := pgx.ParseConfig(address); err == nil {
			return Config{URL: address}, nil
		}
	}
	return Config{}, errors.New("want sqlite:PATH or postgres://user:password@host:5432/name, with special characters of the password percent-encoded")
}

// String is where the database is, without user and password.
func (c Config) String() string {
	if c.URL == "" {
		return "sqlite:" + filepath.Clean(c.Path)
	}
	p, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return "postgres://"
	}
	return fmt.Sprintf("postgres://%s:%d/%s", p.Host, p.Port, p.Database)
}

// dialect is where the two databases read differently.
type dialect struct {
	postgres bool
}

// mark is the n-th parameter. SQLite would look a name such as $9999 up among all
// others, each time.
func (d dialect) mark(n int) string {
	if d.postgres {
		return fmt.Sprint("$", n)
	}
	return "?"
}

func (d dialect) ordered(c column) string {
	if d.postgres && c.kind == "TEXT" {
		return quote(c.name) + ` COLLATE "C"`
	}
	return quote(c.name)
}

// side is one of the two databases of a move, by one connection, which keeps others
// from it.
type side struct {
	*conn
	dialect
	what string // for errors
}

// moveName is how a move calls itself to PostgreSQL.
const moveName = "tallystick-migrate"

// moveLock is the advisory lock that keeps two moves to one database apart.
const moveLock = 0x54737469

func openSide(cfg Config, what string) (s *side, err error) {
	s = &side{conn: &conn{}, dialect: dialect{postgres: cfg.URL != ""}, what: what + " " + cfg.String()}
	if s.postgres {
		s.connector, err = moveConnector(cfg)
	} else {
		// This mode lets nobody else have the file open, not even to read it.
		s.connector, err = connector(cfg, filepath.Clean(cfg.Path), "mode=rw&_pragma=busy_timeout(2000)&_pragma=synchronous(full)&_pragma=locking_mode(exclusive)")
	}
	if err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, s.explain(err)
	}
	return s, nil
}

func moveConnector(cfg Config) (driver.Connector, error) {
	c, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, errors.New("the PostgreSQL address is malformed") // its own text has the password in it
	}
	for name, value := range map[string]string{
		"application_name": moveName, "statement_timeout": "0", "lock_timeout": "10000",
		"idle_in_transaction_session_timeout": "0", "synchronous_commit": "on", "default_transaction_isolation": "read committed",
	} {
		c.RuntimeParams[name] = value
	}
	if c.ConnectTimeout == 0 || c.ConnectTimeout > postgresWait {
		c.ConnectTimeout = postgresWait
	}
	c.ValidateConnect = onlyPrimary
	connector := stdlib.GetConnector(*c)
	if cfg.WrapConnector != nil {
		connector = cfg.WrapConnector(connector)
	}
	return connector, nil
}

// explain names the side, and says in words what can be done about it.
func (s *side) explain(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code()&0xff == sqlitelib.SQLITE_BUSY {
		return fmt.Errorf("%s is in use by another program; stop it first", s.what)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" {
		return fmt.Errorf("%s is in use by another program; stop it first", s.what)
	}
	return fmt.Errorf("%s: %w", s.what, err)
}

// Exists reports whether there is a database of ours; one of another program is an
// error. It makes and changes nothing.
func Exists(cfg Config) (exists bool, err error) {
	if cfg.URL == "" {
		path := filepath.Clean(cfg.Path)
		if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			return false, nil
		}
		_, err := claimFile(path)
		return err == nil, err
	}
	s, err := openSide(cfg, "the database")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	ours, err := s.number("SELECT count(*) FROM pg_class WHERE oid = to_regclass('tallystick_schema')")
	if err != nil || ours == 1 {
		return ours == 1, err
	}
	others, err := s.number("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
	if err == nil && others > 0 {
		err = fmt.Errorf("%s holds tables of another program", s.what)
	}
	return false, err
}

// hold keeps everybody else from the source as long as the move takes, and sees that
// nobody would go on with it later: what he wrote then would be lost.
func (s *side) hold(tables []table) error {
	if !s.postgres {
		_, err := s.exec("BEGIN IMMEDIATE")
		return s.explain(err)
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = quote(t.name)
	}
	for _, q := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "LOCK TABLE " + strings.Join(names, ", ") + " IN SHARE MODE"} {
		if _, err := s.exec(q); err != nil {
			return s.explain(err)
		}
	}
	n, err := s.number(`SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'tallystick'`)
	if err == nil && n > 0 {
		err = fmt.Errorf("%s is in use by another tallystick (%d connections); stop it first", s.what, n)
	}
	return err
}

// claim keeps another move from the target. Servers are kept from it by the names
// of its issuers.
func (s *side) claim() error {
	q := "SELECT pg_advisory_lock(" + fmt.Sprint(moveLock) + ")"
	if !s.postgres {
		q = "BEGIN IMMEDIATE"
	}
	_, err := s.exec(q)
	if err == nil && !s.postgres {
		_, err = s.exec("COMMIT") // the file stays locked
	}
	return s.explain(err)
}

// number reads one number.
func (s *side) number(query string) (int64, error) {
	r, err := s.one(query)
	if err != nil {
		return 0, s.explain(err)
	}
	return r.int(), r.err
}

// together runs f in one transaction.
func (s *side) together(f func() error) error {
	if _, err := s.exec("BEGIN"); err != nil {
		return s.explain(err)
	}
	if err := f(); err != nil {
		s.undo()
		return err
	}
	_, err := s.exec("COMMIT")
	return s.explain(err)
}
