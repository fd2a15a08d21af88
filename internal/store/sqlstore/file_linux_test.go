package sqlstore

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A directory that cannot be written is one line with the path, whoever runs the
// test: the superuser's licence to ignore permissions is given up for it.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "t.db")
	if os.Geteuid() == 0 {
		const nobody = 65534
		for _, p := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chown(p, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
		runtime.LockOSThread() // the identity is the thread's
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Config{Path: path})
	if err == nil {
		_ = db.Close()
	}
	if want := "open " + path + ": permission denied"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// A backup that finds no room leaves nothing behind, whenever that is.
func TestBackupFindsNoRoom(t *testing.T) {
	s, from := freshAt(t)
	for i := range 4 { // more than SQLite keeps in memory
		if err := s.db.write(t.Context(), s.tenant(strings.Repeat(fmt.Sprint(i), 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, room := range []uint64{0, 100, 4096, 100_000, 1 << 20, 3 << 20} {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		size, err := Backup(t.Context(), Config{Path: from}, filepath.Join(dir, "copy"))
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		left, unread := os.ReadDir(dir)
		if err == nil || unread != nil || len(left) != 0 {
			t.Errorf("room for %d: %d, %v; left behind: %v", room, size, err, left)
		}
	}
	works(t, s)
}
