//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tallystick-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "tallystick")
		build := exec.Command("go", "build", "-o", binary, "../cmd/tallystick")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build ../cmd/tallystick: %v\n%s", err, out)
			return 1
		}
		if _, err := os.Stat("node_modules/.package-lock.json"); err != nil {
			fmt.Fprintln(os.Stderr, "the clients are not installed: run `make e2e`, or `npm ci --ignore-scripts` in this folder")
			return 1
		}
		return m.Run()
	}())
}

// redirects are registered beside dev's own, as userdocks.mjs expects them.
var redirects = []string{
	"https://plain.example.com/callback",
	"https://slash.example.com/callback/",
	"https://root.example.com",
}

func TestUserdocksSDK(t *testing.T) {
	t.Parallel()
	var args []string
	for _, uri := range redirects {
		args = append(args, "--client-redirect", uri)
	}
	runScript(t, "userdocks.mjs", startDev(t, args...), nil)
}

func TestDressipiSDK(t *testing.T) {
	t.Parallel()
	dir := startDev(t, "--tls")
	runScript(t, "dressipi.mjs", dir, nil, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+filepath.Join(dir, "ca.pem"))
	})
}

// startDev starts `tallystick dev` on a port of its choice and returns its data
// directory once dev.json is there. When the test ends, the process is asked to
// stop, must do so with exit code 0, and must have printed no bearer artefact:
// one of the SDKs puts its tokens into URLs.
func startDev(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var out bytes.Buffer // read only after the process has ended
	cmd := exec.Command(binary, append([]string{"dev", "--listen", "127.0.0.1:0", "--data", dir}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := stop(cmd.Process, syscall.SIGINT, exited); err != nil {
			t.Errorf("tallystick dev, asked to stop: %v", err)
		}
		if bearer.MatchString(out.String()) {
			t.Error("tallystick dev printed a bearer artefact")
		}
		if t.Failed() {
			t.Logf("tallystick dev printed:\n%s", bearer.ReplaceAllString(out.String(), "[bearer]"))
		}
	})

	deadline := time.After(30 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		_, err := os.Stat(filepath.Join(dir, "dev.json"))
		if err == nil {
			return dir
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case err := <-exited:
			exited <- nil // for the cleanup: it has stopped, and why is told here
			t.Fatalf("tallystick dev ended before it was ready: %v", err)
		case <-deadline:
			t.Fatal("tallystick dev wrote no dev.json within 30 s")
		case <-poll.C:
		}
	}
}

// stop sends p a signal and waits for its end, which it forces after 10 s.
func stop(p *os.Process, by syscall.Signal, exited <-chan error) error {
	if err := p.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-exited:
		return err
	case <-time.After(10 * time.Second):
		return errors.Join(errors.New("still running after 10 s"), p.Kill(), <-exited)
	}
}

// bearer matches a tally (a kind, an underscore, 72 characters) and a JWT.
var bearer = regexp.MustCompile(`[a-z]+_[A-Za-z0-9_-]{72}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// runScript runs a script, which prints a line per step and fails at the first
// false expectation. Its arguments are dev.json and args.
func runScript(t *testing.T, script, dir string, args []string, with ...func(*exec.Cmd)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{script, filepath.Join(dir, "dev.json")}, args...)...)
	cmd.Env = os.Environ()
	for _, change := range with {
		change(cmd)
	}
	out, err := cmd.CombinedOutput()
	t.Logf("node %s\n%s", script, out)
	if err != nil {
		t.Fatalf("node %s: %v", script, err)
	}
}
