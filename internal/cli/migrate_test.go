package cli

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// tool runs a command that is to be done, and reads what it prints as JSON.
func tool(t *testing.T, into any, args ...string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("tallystick", append(args, "--json")...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, out, &stderr)
	}
}

// fails runs a command that is to fail, and returns its last line.
func fails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("tallystick", args...).CombinedOutput()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	last := lines[len(lines)-1]
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != exitFailed || !strings.HasPrefix(last, "tallystick: ") {
		t.Errorf("%v: %v, want exit code %d\n%s", args, err, exitFailed, out)
	}
	return last
}

// userdocks sends what testkit has made for a handler to the process.
func (p *process) userdocks(t *testing.T, r *http.Request) testkit.Answer {
	t.Helper()
	out, err := http.NewRequest(r.Method, p.World.Issuer+r.URL.RequestURI(), r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = r.Header
	res, err := p.client.Do(out)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Read(res.StatusCode, res.Header, string(body))
}

// page reads what anybody can.
func (p *process) page(t *testing.T, path string) string {
	t.Helper()
	res, err := p.client.Get(p.World.Issuer + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	return string(body)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Everybody who is signed in stays so, there and back: refresh tokens of both faces,
// a browser's session, an ID of a key that verifiers have cached.
func TestMigrateLogsNobodyOut(t *testing.T) {
	dir, back := t.TempDir(), t.TempDir()
	file, pg := "sqlite:"+filepath.Join(dir, "tallystick.db"), postgres.Database(t)
	p := start(t, dir, "--client-redirect", testkit.AppCallback)
	address := strings.TrimPrefix(p.World.Issuer, "http://")
	code, _ := p.authorize()
	profile, ok := p.redeem(code)
	if !ok || profile.RefreshToken == "" {
		t.Fatalf("%d %s", profile.Status, profile.Body)
	}
	spent := code
	outstanding := p.userdocks(t, testkit.UserdocksCodes(p.World.Userdocks.AppUUID, p.World.User.Email, p.World.User.Password))
	if outstanding.Code == "" {
		t.Fatalf("%d %s", outstanding.Status, outstanding.Body)
	}
	browser := testkit.NewBrowser(t, p.client, p.World.Issuer)
	browser.Open("/account")
	browser.SignIn(p.World.User.Email, p.World.User.Password)
	keys := p.page(t, "/oauth2/jwks")

	if line := fails(t, "migrate", "--from", file, "--to", pg); !strings.Contains(line, "is in use by another program; stop it first") {
		t.Errorf("a source in use: %s", line)
	}
	if code := p.End(os.Interrupt); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	token := profile.RefreshToken
	check := func(p *process, first bool) {
		t.Helper()
		if got := p.page(t, "/oauth2/jwks"); got != keys {
			t.Errorf("the JWK Set was\n%s\nand is\n%s", keys, got)
		}
		a, ok := p.refresh(token)
		if !ok || a.Status != 200 || a.RefreshToken == token {
			t.Fatalf("a refresh token: %d %s", a.Status, a.Body)
		}
		token = a.RefreshToken
		if a, ok := p.redeem(spent); !ok || a.Status != 400 {
			t.Errorf("a code that was spent: %d %s", a.Status, a.Body)
		}
		if page := browser.Open("/account"); page.AsksSignIn() || page.IsError() {
			t.Errorf("the session is gone:\n%s", page)
		}
		if !first {
			return
		}
		// A code that was under way is good once.
		if a := p.userdocks(t, testkit.UserdocksRedeem(p.World.Userdocks.AppUUID, outstanding.Code)); a.Status != 201 {
			t.Errorf("a code that was not redeemed: %d %s", a.Status, a.Body)
		}
	}

	var moved movedJSON
	tool(t, &moved, "migrate", "--from", file, "--to", pg)
	if !moved.Same || len(moved.Tables) < 15 || strings.Contains(moved.To, "@") {
		t.Errorf("%+v", moved)
	}
	p = start(t, dir, "--listen", address, "--database", pg)
	check(p, true)
	if line := fails(t, "migrate", "--from", pg, "--to", "sqlite:"+filepath.Join(back, "tallystick.db")); !strings.Contains(line, "in use by another tallystick") {
		t.Errorf("a source in use: %s", line)
	}
	p.End(os.Interrupt)
	// What is at the target now is newer than the source.
	if line := fails(t, "migrate", "--from", file, "--to", pg); !strings.Contains(line, "has been used since; nothing was changed") {
		t.Errorf("again: %s", line)
	}

	tool(t, &moved, "migrate", "--from", pg, "--to", "sqlite:"+filepath.Join(back, "tallystick.db"))
	copyFile(t, filepath.Join(dir, "master.key"), filepath.Join(back, "master.key"))
	p = start(t, back, "--listen", address)
	check(p, false)
}

// A move that is killed again and again goes on where it was, and ends as one that
// was not.
func TestMigrateKilled(t *testing.T) {
	const rows = 60_000
	dir, pg := t.TempDir(), postgres.Database(t)
	start(t, dir).End(os.Interrupt)
	path := filepath.Join(dir, "tallystick.db")
	source, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = source.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			INSERT INTO audit SELECT id, randomblob(16), i, i, i, 'redeem', 'client', NULL, '', hex(randomblob(13)), '' FROM issuer, n`, rows)
	}
	if err = errors.Join(err, source.Close()); err != nil {
		t.Fatal(err)
	}
	target, err := sql.Open("pgx", pg)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	there := func() (n int64) {
		_ = target.QueryRow("SELECT count(*) FROM audit").Scan(&n) // no such table yet
		return n
	}
	move := []string{"migrate", "--from", "sqlite:" + path, "--to", pg}
	before := int64(0)
	for kill := range int64(3) {
		cmd := exec.Command("tallystick", move...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			ended <- cmd.Wait()
			close(ended)
		}()
		for there() < (kill+1)*rows/5 {
			if len(ended) > 0 {
				t.Fatalf("it ended before it was killed: %v", <-ended)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for range ended { // it was killed
		}
		if n := there(); n <= before || n >= rows {
			t.Fatalf("kill %d at %d rows, after %d", kill, n, before)
		} else {
			before = n
		}
		if line := refused(t, "--listen", "127.0.0.1:0", "--data", dir, "--database", pg); !strings.Contains(line, "the data is half moved") {
			t.Errorf("dev on half of the data: %s", line)
		}
	}
	var moved movedJSON
	tool(t, &moved, move...)
	for _, m := range moved.Tables {
		// The server may have been in the middle of one more batch when we counted.
		if m.Table == "audit" && (m.Copied == 0 || m.Copied > m.Rows-before || m.Rows < rows) {
			t.Errorf("%d of %d rows were copied at last, and %d were there", m.Copied, m.Rows, before)
		}
		if !m.Same {
			t.Errorf("%+v", m)
		}
	}
	tool(t, &moved, move...)
	for _, m := range moved.Tables {
		if m.Copied != 0 || !m.Same {
			t.Errorf("once more: %+v", m)
		}
	}
}

// A terminal has a bar, anything else has lines.
func TestProgress(t *testing.T) {
	steps := []sqlstore.Step{
		{Table: "audit", Of: 3, All: 1003},
		{Table: "audit", Done: 3, Of: 3, All: 1003},
		{Table: "client", All: 1003},
		{Table: "grant", Of: 1000, All: 1003},
		{Table: "grant", Done: 500, Of: 1000, All: 1003},
		{Table: "grant", Done: 1000, Of: 1000, All: 1003},
		{Comparing: true, Table: "audit", Of: 3, All: 1003},
		{Comparing: true, Table: "audit", Done: 3, Of: 3, All: 1003},
	}
	var lines, terminal bytes.Buffer
	plain, bar := progressOn(&lines), progressOn(&terminal)
	bar.onTerm = true
	for _, s := range steps {
		plain.step(s)
		bar.step(s)
	}
	plain.end()
	bar.end()
	if got, want := lines.String(), "copy audit: 3 rows\ncopy grant: 1000 rows\ncompare audit: 3 rows\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, want := range []string{"copy    grant", "(1003/1003)", "100%", "compare audit", "\n"} {
		if !strings.Contains(terminal.String(), want) {
			t.Errorf("no %q in %q", want, terminal.String())
		}
	}
}
