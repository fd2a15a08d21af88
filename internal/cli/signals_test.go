package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inDir writes the settings, and the clients, of a server in dir.
func inDir(t *testing.T, dir, clients string, change ...string) {
	t.Helper()
	text := strings.NewReplacer(change...).Replace(settings)
	writeFile(t, filepath.Join(dir, "t.yaml"), strings.ReplaceAll(text, "DIR", dir))
	writeFile(t, filepath.Join(dir, "clients.json"), clients)
}

// until waits for a line of the log.
func (s *served) until(t *testing.T, text string) {
	t.Helper()
	for range 2000 {
		if strings.Contains(s.Log(), text) {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("no %q in the log:\n%s", text, s.Log())
}

// SIGHUP, which many send for a reload, ends nothing: not the server, and not what is
// under way while it stops.
func TestHangup(t *testing.T) {
	dir := t.TempDir()
	inDir(t, dir, twoClients)
	s := serving(t, dir)
	hangup := func() {
		t.Helper()
		if err := syscall.Kill(s.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	s.until(t, "SIGHUP changes nothing")
	if !s.authenticates(t, "one") {
		t.Error("it does not serve any more")
	}
	if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.until(t, `"msg":"stopping"`)
	hangup()
	if code := s.End(syscall.Signal(0)); code != 0 || !strings.Contains(s.Log(), `"msg":"stopped"`) {
		t.Errorf("exit code %d:\n%s", code, s.Log())
	}
}

// Whoever reads the log may go without taking the server along.
func TestLogReaderGoes(t *testing.T) {
	dir := t.TempDir()
	inDir(t, dir, twoClients)
	s := serving(t, dir) // its settings, and a port that it knows
	s.End(os.Interrupt)
	address := strings.TrimPrefix(s.url, "http://")
	inDir(t, dir, twoClients, "listen: 127.0.0.1:0", "listen: "+address)
	cmd := exec.Command("tallystick", "serve", "--config", filepath.Join(dir, "t.yaml"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	for told, line := "", make([]byte, 4096); !strings.Contains(told, `"msg":"ready"`); {
		n, err := log.Read(line)
		if told += string(line[:n]); err != nil {
			t.Fatalf("%v: %s", err, told)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each has a line in the log
		if !s.authenticates(t, "one") {
			t.Fatal("it does not serve any more")
		}
	}
	err = cmd.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = cmd.Wait()
	}
	if ended = true; err != nil {
		t.Error(err)
	}
}

// A port that is taken is one line, and nothing else has begun to serve.
func TestPortIsTaken(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	inDir(t, dir, twoClients)
	inDir(t, other, twoClients, "listen: 127.0.0.1:0", "listen: "+strings.TrimPrefix(serving(t, dir).url, "http://"), "level: debug", "level: error")
	out, err := exec.Command("tallystick", "serve", "--config", filepath.Join(other, "t.yaml")).CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "tallystick: listen: 127.0.0.1:") || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("%v:\n%s", err, out)
	}
}

// The operator is told of a database that was not there, and of clients that go.
func TestServeTellsWhatItMakesAndEnds(t *testing.T) {
	dir := t.TempDir()
	inDir(t, dir, twoClients)
	s := serving(t, dir)
	s.End(os.Interrupt)
	for _, want := range []string{`"there is no database yet; a new one is made","database":"sqlite:` + dir + `/t.db"`, `"database":"sqlite:` + dir + `/t.db"}`} {
		if !strings.Contains(s.Log(), want) {
			t.Errorf("no %s in\n%s", want, s.Log())
		}
	}
	inDir(t, dir, `{"clients": []}`)
	s = serving(t, dir)
	s.End(os.Interrupt)
	for _, client := range []string{"one", "two"} {
		if want := `"this client stands in no file any more and is disabled","client":"` + client + `"`; !strings.Contains(s.Log(), want) {
			t.Errorf("no %s in\n%s", want, s.Log())
		}
	}
	if strings.Contains(s.Log(), "a new one is made") {
		t.Errorf("a new database?\n%s", s.Log())
	}
}
