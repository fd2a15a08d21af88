package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// posix says whether permission bits mean something and a directory can be
// synced.
const posix = runtime.GOOS != "windows"

// ReadOrCreate reads the master key in the file at path. If there is no such
// file, it writes a new key there, mode 0600, complete and on disk before the
// name exists; of several processes that do so at once, all return the key of
// the first. The directory must exist.
//
// A file that others may read, or that holds anything but one key, is refused
// with one line that names the path and what would be right.
func ReadOrCreate(path string, rand io.Reader) (*Master, error) {
	m, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	m, err = create(rand)
	if err != nil {
		return nil, err
	}
	err = publish(path, m.text())
	if errors.Is(err, fs.ErrExist) { // somebody was faster
		return read(path)
	}
	if err != nil {
		return nil, fmt.Errorf("master key %s: %w", path, err)
	}
	return m, nil
}

func read(path string) (*Master, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, not of what the name means now
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("master key %s: not a regular file", path)
	}
	if perm := info.Mode().Perm(); posix && perm&0o077 != 0 {
		return nil, fmt.Errorf("master key %s: mode %04o lets others at it; want 0600 (chmod 600 %[1]s)", path, perm)
	}
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	m, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("master key %s: %s", path, want)
	}
	return m, nil
}

// publish makes text appear at path at once, or fails with fs.ErrExist. A
// rename would replace the key of a faster process; a link does not.
func publish(path, text string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	if !posix {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
