//go:build scale

package torture

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// The disk under SQLite fills up under load and is freed: the node says 503 meanwhile,
// acknowledges nothing that is not on the disk, and goes on by itself.
func TestFullDisk(t *testing.T) {
	fills := size(1, 10)
	d := newDisk(t)
	n := start(t, d.dir)
	d.node = n
	clients, s := newClients(t, 8, newNetwork(n), n)
	var slowest time.Duration
	for fill := range fills {
		end := load(t, clients)
		acknowledge(t, s, 50)
		d.fill(t)
		full := func() bool { return probe(n.host, "/readyz") == http.StatusServiceUnavailable }
		if _, err := until(time.Now(), time.Minute, full); err != nil {
			t.Errorf("fill %d: readyz red: %v", fill, err)
		}
		before := s.unavailable.Load()
		if _, err := until(time.Now(), 10*time.Second, func() bool { return s.unavailable.Load() >= before+20 }); err != nil {
			t.Errorf("fill %d: no 503 while the disk is full: %v", fill, err)
		}
		for _, path := range []string{"/livez", "/.well-known/openid-configuration", "/oauth2/jwks"} {
			if got := probe(n.host, path); got != http.StatusOK {
				t.Errorf("fill %d: on a full disk %s answers %d, want 200", fill, path, got)
			}
		}
		d.free(t)
		back := recovered(t, n, s)
		slowest = max(slowest, back)
		within(t, fmt.Sprintf("fill %d: back", fill), back, 5*time.Second)
		end()
		audit(clients)
	}
	// Whatever was acknowledged is on the disk, not only in the process.
	n.End(os.Kill)
	n = start(t, d.dir)
	for _, c := range clients {
		c.net = newNetwork(n)
	}
	audit(clients)
	if code := n.End(os.Interrupt); code != 0 {
		t.Errorf("an interrupted node exits with %d, want 0", code)
	}
	if said := integrity(t, d.dir); said != "ok" {
		t.Errorf("integrity_check: %s", said)
	}
	if s.unanswered.Load() != 0 {
		t.Errorf("%d requests were not answered", s.unanswered.Load())
	}
	s.judge(t)
	summary.add(t, fmt.Sprintf("%d × %s filled and freed under %d clients, %d exchanges acknowledged", fills, d.what, len(clients), s.acknowledged.Load()),
		s.counts(), ms(slowest)+" from space to ready and serving")
}

func integrity(t *testing.T, dir string) (said string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "tallystick.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil {
		t.Fatal(err)
	}
	return said
}

// disk is a directory that can be made full. root mounts a small one; for everybody
// else the node may make no file larger than it is.
type disk struct {
	dir, what string
	node      *node // whose files are limited
	mounted   bool
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{dir: t.TempDir(), what: "the limit of file size"}
	if os.Geteuid() != 0 {
		return d
	}
	if err := syscall.Mount("tallystick", d.dir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Logf("no tmpfs: %v", err)
		return d
	}
	d.what, d.mounted = "a disk of 24 MB", true
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

func (d *disk) fill(t *testing.T) {
	t.Helper()
	if !d.mounted {
		d.limit(t, "4096") // below every file that there is
		return
	}
	f, err := os.Create(d.ballast())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
}

func (d *disk) free(t *testing.T) {
	t.Helper()
	if !d.mounted {
		d.limit(t, "unlimited")
		return
	}
	if err := os.Remove(d.ballast()); err != nil {
		t.Fatal(err)
	}
}

// limit sets the soft limit, which its owner may raise again.
func (d *disk) limit(t *testing.T, size string) {
	t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(d.node.PID()), "--fsize="+size+":").CombinedOutput()
	if err != nil {
		t.Fatalf("prlimit: %v: %s", err, out)
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
