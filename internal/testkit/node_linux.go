package testkit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Node is a server in a process of its own. The test binary is its command, too
// (testscript.Main).
type Node struct {
	Dir string // its data directory
	// What follows is known when it is Ready.
	Banner string  // what it has printed, but for the last line
	URL    string  // where the process itself listens
	World  DevJSON // zero for what is not `tallystick dev`

	cmd    *exec.Cmd
	log    string
	banner chan string
	closed chan struct{} // when the process has closed its output
}

// DevJSON is what tests use of dev.json.
type DevJSON struct {
	Issuer string
	User   struct{ Email, Password, Sub string }

	Clients struct {
		Web, SPA struct {
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
		}
	}
	Userdocks struct {
		APIURI      string `json:"api_uri"`
		AppUUID     string `json:"app_uuid"`
		RedirectURI string `json:"redirect_uri"`
		ReadAPIKey  string `json:"read_api_key"`
		WriteAPIKey string `json:"write_api_key"`
		User        struct{ Email, Password string }
	}
	Dressipi struct {
		BaseURI        string `json:"base_uri"`
		ClientID       string `json:"client_id"`
		SecondClientID string `json:"second_client_id"`
	}
}

// ReplicaKey is the master key of all replicas.
const ReplicaKey = "tallystick-master-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

// Dev is the command `tallystick dev`, on any port unless args say which.
func Dev(dir string, args ...string) *exec.Cmd {
	return exec.Command("tallystick", append([]string{"dev", "--listen", "127.0.0.1:0", "--data", dir}, args...)...)
}

// Replica is Dev under the ReplicaKey: of several on one database, each is as good as
// the other.
func Replica(dir string, args ...string) *exec.Cmd {
	c := Dev(dir, args...)
	c.Env = append(os.Environ(), "TALLYSTICK_MASTER_KEY="+ReplicaKey)
	return c
}

// Launch starts a node and does not wait until it is Ready. It ends with the test.
func Launch(t testing.TB, dir string, cmd *exec.Cmd) *Node {
	t.Helper()
	n := &Node{Dir: dir, cmd: cmd, log: filepath.Join(t.TempDir(), "log"), banner: make(chan string, 1), closed: make(chan struct{})}
	// Should the test die, the node goes, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(n.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	cmd.Stderr = log
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	go n.read(out)
	t.Cleanup(func() { n.End(os.Kill) })
	return n
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

// read takes the banner, whose last line says how to stop, and drops what follows.
func (n *Node) read(out io.Reader) {
	defer close(n.closed)
	var banner strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "Stop ") {
		banner.WriteString(lines.Text() + "\n")
	}
	n.banner <- banner.String()
	_, _ = io.Copy(io.Discard, out)
}

var listens = regexp.MustCompile(`Click first\s+(https?://\S+)/dev`)

// Ready waits for the banner of a node that was launched, which it prints when it is
// ready to serve.
func (n *Node) Ready(t testing.TB) {
	t.Helper()
	n.Banner = <-n.banner
	m := listens.FindStringSubmatch(n.Banner)
	if m == nil {
		n.End(os.Kill)
		t.Fatalf("the node ended before it was ready:\n%s%s", n.Banner, n.Log())
	}
	n.URL = m[1]
	text, err := os.ReadFile(filepath.Join(n.Dir, "dev.json"))
	if err == nil {
		err = json.Unmarshal(text, &n.World)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Log is what the node has logged so far.
func (n *Node) Log() string {
	text, _ := os.ReadFile(n.log) // it was made before the process
	return string(text)
}

// PID is the id of its process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// End sends a signal, unless the node has ended already, and waits for its end. The
// exit code is -1 for a killed process: nothing is finished, nothing is written.
func (n *Node) End(sig os.Signal) int {
	if n.cmd.ProcessState == nil {
		_ = n.cmd.Process.Signal(sig) // it may have ended by itself
		<-n.closed
		_ = n.cmd.Wait() // its error is the exit code
	}
	return n.cmd.ProcessState.ExitCode()
}
