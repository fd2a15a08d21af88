package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/server"
)

// dir is the data directory, held by this process alone.
type dir struct {
	root   string
	lock   *os.File
	master *seal.Master
}

func openDir(root, database string) (*dir, error) {
	d := &dir{root: absolute(root)}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be made: %s", d.root, plainPathError(err))
	}
	lock, err := os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be written: %s", d.root, plainPathError(err))
	}
	d.lock = lock
	// SQLite has one writer here; the kernel lets go of the lock if we are killed.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is in use by another tallystick; stop it, or choose another with --data", d.root)
		}
		return nil, fmt.Errorf("the data directory %s cannot be locked: %w", d.root, err)
	}
	// A dev.json of an earlier start would lead a script that waits for it to
	// the wrong port.
	if err := d.remove("dev.json"); err != nil {
		d.close()
		return nil, err
	}
	if d.master, err = d.masterKey(database); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// database is where the demo lives: in the directory, unless told otherwise.
func (d *dir) database(flag string) string {
	if flag != "" {
		return flag
	}
	return "sqlite:" + d.path("tallystick.db")
}

func (d *dir) masterKey(database string) (*seal.Master, error) {
	m, _, err := server.MasterKey(os.Getenv(server.MasterKeyVariable), d.path("master.key"), d.database(database))
	return m, err
}

// keyName says where the master key has come from.
func (d *dir) keyName() string {
	if os.Getenv(server.MasterKeyVariable) != "" {
		return server.MasterKeyVariable
	}
	return d.path("master.key")
}

func (d *dir) remove(name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the data directory %s cannot be written: %s", d.root, plainPathError(err))
	}
	return nil
}

func (d *dir) path(name string) string { return filepath.Join(d.root, name) }

func (d *dir) close() { _ = d.lock.Close() }

func (d *dir) writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.write(name, append(text, '\n'))
}

// write puts a file in place at once: whoever sees it sees all of it.
func (d *dir) write(name string, content []byte) error {
	tmp, err := os.CreateTemp(d.root, "."+name+"-*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %s", d.path(name), plainPathError(err))
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), d.path(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", d.path(name), errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
