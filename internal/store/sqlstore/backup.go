package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrPostgres says that a backup is for a SQLite file.
var ErrPostgres = errors.New("PostgreSQL has its own tools for backups: pg_dump, or pg_basebackup with archived WAL (docs/operations.md)")

// Backup writes a copy of a SQLite database, as it is at one moment, to a new file of
// mode 0600, while a server goes on with it or not. The file appears when it is
// complete, on disk and has been checked; one that is there already is never touched.
// It returns the size in bytes.
func Backup(ctx context.Context, cfg Config, to string) (size int64, err error) {
	if cfg.URL != "" {
		return 0, ErrPostgres
	}
	switch exists, err := Exists(cfg); { //nolint:contextcheck // the driver gets no context that can end, see conn
	case err != nil:
		return 0, err
	case !exists:
		return 0, fmt.Errorf("there is no database %s", filepath.Clean(cfg.Path))
	}
	// Said before the work; what decides is the link below.
	if _, err := os.Lstat(to); err == nil {
		return 0, fmt.Errorf("%s is there already, and is not overwritten", to)
	}
	dir := filepath.Dir(to)
	f, err := os.CreateTemp(dir, ".backup-*") // mode 0600; SQLite fills a file that is empty
	if err != nil {
		return 0, fmt.Errorf("the directory %s cannot be written: %w", dir, cause(err))
	}
	defer os.Remove(f.Name())
	defer os.Remove(f.Name() + "-journal") // which SQLite leaves on a disk that is full
	defer f.Close()
	if err := vacuumInto(ctx, cfg, f.Name()); err != nil {
		return 0, fmt.Errorf("copy %s: %w", filepath.Clean(cfg.Path), err)
	}
	if err := check(ctx, f.Name()); err != nil {
		return 0, fmt.Errorf("the copy of %s: %w", filepath.Clean(cfg.Path), err)
	}
	if err := f.Sync(); err != nil { // SQLite does not
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := os.Link(f.Name(), to); errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s is there already, and is not overwritten", to)
	} else if err != nil {
		return 0, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	return info.Size(), errors.Join(d.Sync(), d.Close())
}

// cause leaves out the path of a temporary file.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func vacuumInto(ctx context.Context, cfg Config, to string) error {
	// Not mode=ro: who closes the file last takes its log away, and can only so.
	return onFile(cfg, "mode=rw&_pragma=busy_timeout(5000)", func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "VACUUM INTO ?", to)
		return err
	})
}

// check reads every page of a file that nobody else has.
func check(ctx context.Context, path string) error {
	return onFile(Config{Path: path}, "mode=ro&immutable=1", func(db *sql.DB) error {
		var said string
		if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&said); err != nil {
			return err
		}
		if said != "ok" {
			return errors.New("is damaged: " + said)
		}
		return nil
	})
}

func onFile(cfg Config, params string, f func(*sql.DB) error) error {
	c, err := connector(cfg, filepath.Clean(cfg.Path), params)
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	return errors.Join(f(db), db.Close())
}
