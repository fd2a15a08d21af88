package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Lock keeps a second server from a SQLite file: it has one writer. PostgreSQL is for
// any number of them, and needs no lock. The kernel lets go of it with the process.
func Lock(database string) (io.Closer, error) {
	path := databaseOf(Config{Database: database}).Path
	if path == "" {
		return io.NopCloser(nil), nil
	}
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("the database %s cannot be made: %w", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the database %s is in use by another tallystick; stop it, or give both a PostgreSQL", path)
		}
		return nil, fmt.Errorf("the database %s cannot be locked: %w", path, err)
	}
	return f, nil
}
