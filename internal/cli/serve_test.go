package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// served is a `tallystick serve` that runs on its own.
type served struct {
	*process
	url, metrics string
}

const settings = `
issuer: https://login.example.com
listen: 127.0.0.1:0
database: sqlite:DIR/t.db
master_key_file: DIR/master.key
clients: [DIR/clients.json]
tls: {mode: proxy, proxies: [127.0.0.1]}
metrics: {listen: "127.0.0.1:0"}
registration: {mode: token}
log: {level: debug}
`

const twoClients = `{"clients": [
	{"client_id": "one", "client_secret": "one-secret-of-more-than-32-characters", "grant_types": ["client_credentials"], "scope": "api"},
	{"client_id": "two", "client_secret": "two-secret-of-more-than-32-characters", "grant_types": ["client_credentials"], "scope": "api"}]}`

// serving starts it by the settings in dir and waits until it says that it is ready.
func serving(t *testing.T, dir string) *served {
	t.Helper()
	s := &served{process: clientOf(testkit.Launch(t, dir, exec.Command("tallystick", "serve", "--config", filepath.Join(dir, "t.yaml"))))}
	for range 6000 {
		for text := range strings.Lines(s.Log()) {
			if !strings.HasSuffix(text, "\n") {
				break // it is being written
			}
			var line struct{ Msg, Listen string }
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatalf("not a line of JSON: %s", text)
			}
			switch line.Msg {
			case "metrics":
				s.metrics = "http://" + line.Listen
			case "ready":
				s.url = "http://" + line.Listen
				return s
			}
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("the process is not ready:\n%s", s.Log())
	return nil
}

func (s *served) status(t *testing.T, r *http.Request) (int, bool) {
	t.Helper()
	res, err := s.client.Do(r)
	if err != nil {
		return 0, false
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Close
}

func (s *served) get(t *testing.T, url string) (int, bool) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.status(t, r)
}

func (s *served) authenticates(t *testing.T, client string) bool {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+"/oauth2/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	r.SetBasicAuth(client, client+"-secret-of-more-than-32-characters")
	status, _ := s.status(t, r)
	return status == http.StatusOK
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Production from the first start to the last: the file's clients come and go with the
// file, metrics have their own port, and a stop is told before it comes.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "t.yaml"), strings.ReplaceAll(settings, "DIR", dir))
	writeFile(t, filepath.Join(dir, "clients.json"), twoClients)
	s := serving(t, dir)
	for url, want := range map[string]int{s.url + "/readyz": 200, s.url + "/metrics": 404, s.metrics + "/metrics": 200} {
		if status, _ := s.get(t, url); status != want {
			t.Errorf("%s: %d, want %d", url, status, want)
		}
	}
	for _, client := range []string{"one", "two"} {
		if !s.authenticates(t, client) {
			t.Errorf("the client %s of the file cannot authenticate", client)
		}
	}
	second, err := exec.Command("tallystick", "serve", "--config", filepath.Join(dir, "t.yaml")).CombinedOutput()
	if err == nil || !strings.HasSuffix(string(second), "t.db is in use by another tallystick; stop it, or give both a PostgreSQL\n") {
		t.Errorf("a second server of one file: %v %s", err, second)
	}
	// An operator's tools work beside it.
	mails, err := exec.Command("tallystick", "mail", "--config", filepath.Join(dir, "t.yaml")).CombinedOutput()
	if err != nil || string(mails) != "The outbox is empty.\n" {
		t.Errorf("mail: %v %s", err, mails)
	}
	token, err := exec.Command("tallystick", "serve", "--config", filepath.Join(dir, "t.yaml"), "--initial-token", "1h").Output()
	if err != nil {
		t.Fatalf("--initial-token: %v", err)
	}
	for bearer, want := range map[string]int{strings.TrimSpace(string(token)): 201, "x": 401} {
		r, err := http.NewRequest(http.MethodPost, s.url+"/oauth2/register", strings.NewReader(`{"redirect_uris":["https://a.example/cb"]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+bearer)
		if status, _ := s.status(t, r); status != want {
			t.Errorf("register: %d, want %d", status, want)
		}
	}

	// The default notice is a second.
	if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for status := 200; status != 503; status, _ = s.get(t, s.url+"/readyz") {
		if status == 0 {
			t.Fatal("the port closed before readyz was red")
		}
	}
	if !s.authenticates(t, "one") {
		t.Error("it does not serve while it tells that it goes")
	}
	if code := s.End(syscall.Signal(0)); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := s.Log()
	if strings.Contains(log, "secret-of-more") || !strings.Contains(log, `"msg":"stopped"`) {
		t.Errorf("the log:\n%s", log)
	}

	// A client that stands in the file no more is disabled, until it is back.
	one, _, _ := strings.Cut(twoClients, ",\n\t{\"client_id\": \"two\"")
	for _, step := range []struct {
		file string
		two  bool
	}{{one + "]}", false}, {twoClients, true}} {
		writeFile(t, filepath.Join(dir, "clients.json"), step.file)
		s = serving(t, dir)
		if !s.authenticates(t, "one") || s.authenticates(t, "two") != step.two {
			t.Errorf("by the file %s: one %v, two %v", step.file, s.authenticates(t, "one"), s.authenticates(t, "two"))
		}
		if code := s.End(syscall.SIGINT); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}

	// A key that does not fit is told, and one that was just made is not left behind.
	writeFile(t, filepath.Join(dir, "master.key"), testkit.ReplicaKey+"\n")
	line, err := exec.Command("tallystick", "serve", "--config", filepath.Join(dir, "t.yaml")).CombinedOutput()
	if err == nil || !strings.Contains(string(line), "master.key: the master key does not fit this database") {
		t.Errorf("%v %s", err, line)
	}
}

// The second node of a PostgreSQL is told that it needs the first one's key, and has
// made none.
func TestServeNeedsTheKeyOfItsSiblings(t *testing.T) {
	dir, db := t.TempDir(), postgres.Database(t)
	replica(t, db, "https://login.example.com", "127.0.0.1:0").Ready(t)
	text := strings.Replace(strings.ReplaceAll(settings, "DIR", dir), "database: sqlite:"+dir+"/t.db", "database: "+db, 1)
	writeFile(t, filepath.Join(dir, "t.yaml"), strings.Replace(text, "clients: ["+dir+"/clients.json]", "", 1))
	line, err := exec.Command("tallystick", "serve", "--config", filepath.Join(dir, "t.yaml")).CombinedOutput()
	if err == nil || !strings.Contains(string(line), "master.key: the master key does not fit this database: it was made under another one; bring the key") {
		t.Errorf("%v %s", err, line)
	}
	if _, err := os.Stat(filepath.Join(dir, "master.key")); err == nil {
		t.Error("a key was left behind")
	}
	writeFile(t, filepath.Join(dir, "master.key"), testkit.ReplicaKey+"\n")
	s := serving(t, dir)
	if status, _ := s.get(t, s.url+"/readyz"); status != 200 {
		t.Errorf("with the key: readyz %d", status)
	}
}
