//go:build scale

package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

const (
	// The one name of all nodes; the network leads it to them.
	issuerHost = "127.0.0.1:9"
	issuer     = "http://" + issuerHost

	masterKey = "tallystick-master-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
)

// node is a `tallystick dev` in a process of its own.
type node struct {
	dir, host string
	cmd       *exec.Cmd
	out       io.Reader
	log       string
	closed    chan struct{} // when the process has closed its output
	world     world
	ready     time.Duration // from its start to the first green readyz
}

// world is what of dev.json is used.
type world struct {
	User    struct{ Email, Password string }
	Clients struct {
		Web struct {
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
		}
	}
	Dressipi struct {
		ClientID string `json:"client_id"`
	}
}

var clickFirst = regexp.MustCompile(`Click first\s+http://(\S+)/dev`)

// start starts a node and waits until it is ready. All have one master key, so nodes on
// one database are replicas.
func start(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	n := &node{dir: dir, log: filepath.Join(t.TempDir(), "log"), closed: make(chan struct{})}
	n.cmd = exec.Command("tallystick", append([]string{"dev", "--listen", "127.0.0.1:0", "--issuer", issuer, "--data", dir}, args...)...)
	n.cmd.Env = append(os.Environ(), "TALLYSTICK_MASTER_KEY="+masterKey)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := n.spawn(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(os.Kill) })
	if err := n.await(began); err != nil {
		n.end(os.Kill)
		text, _ := os.ReadFile(n.log)
		t.Fatalf("%v\n%s", err, text)
	}
	return n
}

func (n *node) spawn() error {
	log, err := os.Create(n.log)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	n.cmd.Stderr = log
	if n.out, err = n.cmd.StdoutPipe(); err != nil {
		return err
	}
	started := make(chan error)
	starter() <- func() { started <- n.cmd.Start() }
	return <-started
}

// starter runs functions on one thread that lives as long as the test does:
// Pdeathsig is sent when the thread that has started the process ends.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// await reads the banner and dev.json, and asks until the node is ready.
func (n *node) await(began time.Time) error {
	lines := bufio.NewScanner(n.out)
	for n.host == "" && lines.Scan() {
		if m := clickFirst.FindStringSubmatch(lines.Text()); m != nil {
			n.host = m[1]
		}
	}
	go func() {
		defer close(n.closed)
		_, _ = io.Copy(io.Discard, n.out)
	}()
	if n.host == "" {
		return errors.New("the node ended before it was ready")
	}
	text, err := os.ReadFile(filepath.Join(n.dir, "dev.json"))
	if err == nil {
		err = json.Unmarshal(text, &n.world)
	}
	if err != nil {
		return err
	}
	n.ready, err = until(began, 30*time.Second, func() bool { return probe(n.host, "/readyz") == http.StatusOK })
	return err
}

// end sends a signal and waits for the end; the exit code is -1 for a killed process.
func (n *node) end(sig os.Signal) int {
	if n.cmd.ProcessState == nil {
		_ = n.cmd.Process.Signal(sig) // it may have ended by itself
		<-n.closed
		_ = n.cmd.Wait() // its error is the exit code
	}
	return n.cmd.ProcessState.ExitCode()
}

var prober = &http.Client{Timeout: 5 * time.Second}

// probe is the status of a GET; 0 for none.
func probe(host, path string) int {
	res, err := prober.Get("http://" + host + path)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// until asks every few milliseconds, and returns how long after began it held.
func until(began time.Time, patience time.Duration, holds func() bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			return time.Since(began), fmt.Errorf("not within %v", patience)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return time.Since(began), nil
}

// database makes an empty database on the shared PostgreSQL.
func database(t *testing.T) string {
	t.Helper()
	server, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	url, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}
