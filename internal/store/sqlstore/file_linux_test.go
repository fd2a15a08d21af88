package sqlstore

import (
	"os"
	"path/filepath"
	"runtime"
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
