package cli

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
)

// process is a `tallystick dev` that runs on its own, and a client of it.
type process struct {
	*testkit.Node
	client *http.Client
}

// start runs dev and waits for its banner.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := clientOf(testkit.Launch(t, dir, testkit.Dev(dir, args...)))
	p.Ready(t)
	return p
}

func clientOf(n *testkit.Node) *process {
	return &process{n, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// send posts to the Dressipi face; ok is false if no whole answer came.
func (p *process) send(method, path string, q url.Values) (a testkit.Answer, ok bool) {
	r, err := http.NewRequest(method, p.World.Dressipi.BaseURI+path+"?"+q.Encode(), nil)
	if err != nil {
		return a, false
	}
	res, err := p.client.Do(r)
	if err != nil {
		return a, false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return a, false
	}
	return testkit.Read(res.StatusCode, res.Header, string(body)), true
}

func (p *process) authorize() (string, bool) {
	a, ok := p.send("GET", "/oauth/authorize", url.Values{
		"redirect_uri": {oauth.URNAuto}, "response_type": {"code"}, "client_id": {p.World.Dressipi.ClientID}, "state": {"s"},
		"code_challenge_method": {oauth.S256}, "code_challenge": {testkit.Challenge},
	})
	return a.Code, ok && a.Code != ""
}

func (p *process) redeem(code string) (testkit.Answer, bool) {
	return p.send("POST", "/oauth/token", url.Values{
		"redirect_uri": {oauth.URNAuto}, "grant_type": {"authorization_code"}, "client_id": {p.World.Dressipi.ClientID},
		"code": {code}, "code_verifier": {testkit.Verifier},
	})
}

func (p *process) refresh(token string) (testkit.Answer, bool) {
	return p.send("POST", "/oauth/token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {p.World.Dressipi.ClientID}, "refresh_token": {token},
	})
}

// ledger is what a client has been told, and must be able to rely on.
type ledger struct {
	token   string   // the newest refresh token that was acknowledged
	pending string   // a code whose redemption was sent and not answered
	spent   []string // codes whose redemption was acknowledged
}

// Promises 1, 2 and 4 against kill -9: whatever was acknowledged before the
// process died is true after it, no code is redeemed twice, and a client whose
// answer was lost gets on by asking again.
func TestKilledUnderLoad(t *testing.T) {
	const kills, clients = 8, 16
	dir := t.TempDir()
	p := start(t, dir)
	ledgers := make([]ledger, clients)
	for i := range ledgers {
		code, _ := p.authorize()
		a, ok := p.redeem(code)
		if !ok || a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		ledgers[i].token = a.RefreshToken
	}
	for round := range kills {
		// The moment is drawn by the count of what was acknowledged, so that it
		// falls into the load whatever the machine's speed.
		acknowledged := make(chan struct{}, clients)
		var load sync.WaitGroup
		for i := range ledgers {
			load.Go(func() { ledgers[i].work(p, acknowledged) })
		}
		for range 40 + 60*round {
			<-acknowledged
		}
		p.End(os.Kill)
		stopped := make(chan struct{})
		go func() { load.Wait(); close(stopped) }()
		for drained := false; !drained; {
			select {
			case <-acknowledged:
			case <-stopped:
				drained = true
			}
		}

		p = start(t, dir)
		for i := range ledgers {
			ledgers[i].audit(t, p, round)
		}
	}
	if code := p.End(os.Interrupt); code != 0 {
		t.Errorf("an interrupted server exits with %d, want 0", code)
	}
}

// work refreshes and redeems until the server is gone.
func (l *ledger) work(p *process, acknowledged chan<- struct{}) {
	for {
		a, ok := p.refresh(l.token)
		if !ok {
			return
		}
		if a.Status == 200 {
			l.token = a.RefreshToken
			acknowledged <- struct{}{}
		}
		code, ok := p.authorize()
		if !ok {
			return
		}
		l.pending = code
		if a, ok = p.redeem(code); !ok {
			return
		}
		l.pending = ""
		if a.Status == 200 {
			l.spent = append(l.spent, code)
			acknowledged <- struct{}{}
		}
	}
}

func (l *ledger) audit(t *testing.T, p *process, round int) {
	t.Helper()
	a, ok := p.refresh(l.token)
	if !ok || a.Status != 200 {
		t.Errorf("kill %d: an acknowledged refresh token is refused: %d %s", round, a.Status, a.Body)
	} else {
		l.token = a.RefreshToken
	}
	for _, code := range l.spent {
		if a, ok := p.redeem(code); !ok || a.Status != 400 {
			t.Errorf("kill %d: a redeemed code was redeemed again: %d %s", round, a.Status, a.Body)
		}
	}
	l.spent = nil
	if l.pending == "" {
		return
	}
	// Its fate is unknown to the client; it may be redeemed now, or may have been
	// before, but not more than once from now on.
	redeemed := 0
	for range 3 {
		if a, ok := p.redeem(l.pending); ok && a.Status == 200 {
			redeemed++
		}
	}
	if redeemed > 1 {
		t.Errorf("kill %d: a code was redeemed %d times", round, redeemed)
	}
	l.pending = ""
}

// What is printed for pasting is pasted, as it is, into a POSIX shell.
func TestPrintedExchangesCanBePasted(t *testing.T) {
	for _, flags := range [][]string{nil, {"--tls"}} {
		p := start(t, filepath.Join(t.TempDir(), "with a space"), flags...)
		for _, face := range []string{"Dressipi face", "Userdocks face"} {
			_, block, ok := strings.Cut(p.Banner, face)
			if !ok {
				t.Fatalf("no %s in the banner:\n%s", face, p.Banner)
			}
			_, block, _ = strings.Cut(block, "\n")
			block, _, _ = strings.Cut(block, "\n\n")
			out, err := exec.Command("sh", "-c", block).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %v: %v\n%s\n%s", face, flags, err, block, out)
			}
			if a := testkit.Read(0, nil, string(out)); a.AccessToken == "" || a.RefreshToken == "" {
				t.Errorf("%s %v:\n%s\nprinted %s", face, flags, block, out)
			}
		}
	}
}

// refused runs dev where it must not start, and returns its one line.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("tallystick", append([]string{"dev"}, args...)...).CombinedOutput()
	line := strings.TrimSuffix(string(out), "\n")
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 1 || strings.Contains(line, "\n") || !strings.HasPrefix(line, "tallystick: ") {
		t.Errorf("%v: %v, want exit code 1 and one line, got:\n%s", args, err, out)
	}
	return line
}

func TestWhereDevMustNotStart(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	p := start(t, dir)
	address := strings.TrimPrefix(p.World.Issuer, "http://")
	if line := refused(t, "--listen", address, "--data", other); !strings.Contains(line, address+" is taken by another program") {
		t.Errorf("a taken port: %s", line)
	}
	if left, err := os.ReadDir(other); err != nil || len(left) != 0 {
		t.Errorf("a start that failed has left %v, %v", left, err)
	}
	if line := refused(t, "--listen", "127.0.0.1:0", "--data", dir); !strings.Contains(line, "is in use by another tallystick") {
		t.Errorf("a directory in use: %s", line)
	}
	// The running one was not disturbed.
	if _, err := os.Stat(filepath.Join(dir, "dev.json")); err != nil {
		t.Error(err)
	}
	if _, ok := p.authorize(); !ok {
		t.Error("the running server does not answer any more")
	}
	p.End(os.Interrupt)

	start(t, other).End(os.Interrupt)
	key, err := os.ReadFile(filepath.Join(other, "master.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "master.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	line := refused(t, "--listen", "127.0.0.1:0", "--data", dir)
	if !strings.Contains(line, "master.key: the master key does not fit this database") {
		t.Errorf("a foreign master key: %s", line)
	}
	if strings.Contains(line, strings.TrimSpace(string(key))) {
		t.Error("the line shows the key")
	}
	if line := refused(t, "--listen", "127.0.0.1:0", "--data", "/proc/nowhere"); !strings.Contains(line, "the data directory /proc/nowhere cannot be made") {
		t.Errorf("a directory that cannot be made: %s", line)
	}
}

// The same user and clients come back, with their secrets, on another port.
func TestWorldComesBack(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	before := p.World
	if code := p.End(os.Interrupt); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p = start(t, dir)
	after := p.World
	if after.Issuer == before.Issuer {
		t.Log("the same port was drawn twice")
	}
	for _, w := range []*testkit.DevJSON{&before, &after} {
		w.Issuer, w.Userdocks.APIURI, w.Userdocks.RedirectURI, w.Dressipi.BaseURI = "", "", "", ""
	}
	if before != after {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if before.User.Sub == "" || before.Userdocks.WriteAPIKey == "" || before.Dressipi.SecondClientID == "" {
		t.Errorf("dev.json lacks something: %+v", before)
	}
	info, err := os.Stat(filepath.Join(dir, "dev.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("dev.json has mode %v, %v; want 0600", info.Mode(), err)
	}
}
