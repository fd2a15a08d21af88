// Package postgres starts private PostgreSQL servers for tests: on loopback, in a
// directory of their own, as the user postgres where the test runs as root.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running PostgreSQL.
type Server struct {
	bin, dir string
	port     int
	durable  bool
	cred     *syscall.Credential // nil: as we are
	process  *exec.Cmd
	ended    chan struct{}
	names    atomic.Int64
}

// Start makes a new server. durable: it waits for the disk as in production;
// otherwise it is as fast as it can be, and only a power cut tells the difference.
func Start(durable bool) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	base := ""
	if !durable {
		if _, err := os.Stat("/dev/shm"); err == nil {
			base = "/dev/shm"
		}
	}
	dir, err := os.MkdirTemp(base, "tallystick-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, durable: durable}
	if err := s.owner(); err != nil {
		return nil, err
	}
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.Boot()
}

// binaries is where initdb and postgres are.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed; `make tools` installs it (Debian: postgresql)")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// owner gives the directory to postgres: the server refuses to run as root.
func (s *Server) owner() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(s.dir, int(uid), int(gid))); err != nil {
		return err
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	// Should the test die, the server goes, too.
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGQUIT}
	return c
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Boot starts the server again after a Stop or a Crash.
func (s *Server) Boot() error {
	args := []string{"-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", s.dir,
		"-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "log_min_messages=fatal", "-c", "max_wal_size=256MB"}
	if !s.durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	s.process = s.command("postgres", args...)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.process.Stdout, s.process.Stderr = log, log
	if err := startOnThread(s.process); err != nil {
		return errors.Join(err, log.Close())
	}
	_ = log.Close() // the server has its own
	process, ended := s.process, make(chan struct{})
	s.ended = ended
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	for range 300 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		c, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			err = c.Close(ctx)
			cancel()
			return err
		}
		cancel()
		select {
		case <-ended:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL has ended: %s", text)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("PostgreSQL does not answer")
}

// URL is the address of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// NewDatabase makes an empty database and returns its address.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprint("t", s.names.Add(1))
	return s.URL(name), s.Exec(ctx, "postgres", "CREATE DATABASE "+name)
}

// Exec runs a statement in a database.
func (s *Server) Exec(ctx context.Context, database, sql string) error {
	c, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, sql)
	return errors.Join(err, c.Close(ctx))
}

// Crash ends the server at once and unasked: what a kill of the postmaster and its
// children leaves (pg_ctl stop -m immediate).
func (s *Server) Crash() error { return s.end(syscall.SIGQUIT) }

// Stop ends the server and removes it.
func (s *Server) Stop() error {
	return errors.Join(s.end(syscall.SIGINT), os.RemoveAll(s.dir))
}

func (s *Server) end(signal syscall.Signal) error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("PostgreSQL does not end")
	}
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared is one server for all tests of a process, whose TestMain runs them as Tests.
func Shared() (*Server, error) {
	shared.once.Do(func() { shared.server, shared.err = Start(false) })
	return shared.server, shared.err
}

// Database makes an empty database on the shared server and returns its address.
func Database(t testing.TB) string {
	t.Helper()
	server, err := Shared()
	if err != nil {
		t.Fatal(err)
	}
	url, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Tests are the tests of a package, a *testing.M. When they have run, the shared server
// ends.
type Tests struct{ All interface{ Run() int } }

// Run returns the exit code.
func (t Tests) Run() int {
	code := t.All.Run()
	if err := StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// StopShared ends the shared server if there is one.
func StopShared() error {
	if shared.server == nil {
		return nil
	}
	return shared.server.Stop()
}

// startOnThread: Pdeathsig is of the thread that started the process, not of the
// whole one, so that thread is kept.
func startOnThread(c *exec.Cmd) error {
	started := make(chan error)
	go startAndStay(c, started)
	return <-started
}

func startAndStay(c *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	started <- c.Start()
	select {} // the thread lives as long as the test does
}
