package cli

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// A copy that is taken under load opens with the master key, which is not in it; and
// who has newer tokens than it knows is served (see also
// TestRestoredOlderCopyLogsNobodyOut in package server).
func TestBackupOfARunningServer(t *testing.T) {
	const clients = 4
	dir, restored := t.TempDir(), t.TempDir()
	p := start(t, dir)
	ledgers := make([]ledger, clients)
	for i := range ledgers {
		code, _ := p.authorize()
		a, _ := p.redeem(code)
		if ledgers[i].token = a.RefreshToken; ledgers[i].token == "" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	// Codes that are spent before the backup stay so.
	early, _ := p.authorize()
	if a, ok := p.redeem(early); !ok || a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}

	acknowledged := make(chan struct{}, clients)
	var load sync.WaitGroup
	for i := range ledgers {
		load.Go(func() { ledgers[i].work(p, acknowledged) })
	}
	for range 30 {
		<-acknowledged
	}
	go func() { // what comes after the 30 is not counted
		for range acknowledged {
		}
	}()
	var told backupJSON
	to := filepath.Join(restored, "tallystick.db")
	tool(t, &told, "backup", "--data", dir, "--to", to)
	if info, err := os.Stat(to); err != nil || info.Mode() != 0o600 || info.Size() != told.Bytes || told.MasterKey {
		t.Errorf("%v %v %+v", info, err, told)
	}
	if line := fails(t, "backup", "--data", dir, "--to", to); !strings.Contains(line, "is there already, and is not overwritten") {
		t.Error(line)
	}
	p.End(os.Kill)
	load.Wait()
	close(acknowledged)

	key, err := os.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	word := strings.TrimPrefix(strings.TrimSpace(string(key)), "tallystick-master-1:")
	secret, err := base64.RawURLEncoding.DecodeString(word)
	if err != nil || len(secret) != 32 {
		t.Fatalf("%d bytes, %v", len(secret), err)
	}
	copied, err := os.ReadFile(to)
	if err != nil || bytes.Contains(copied, secret) || bytes.Contains(copied, []byte(word)) {
		t.Errorf("the master key is in the copy (%v)", err)
	}

	// Without the key it is of no use.
	if line := refused(t, "--listen", "127.0.0.1:0", "--data", restored); !strings.Contains(line, "master.key is missing") {
		t.Error(line)
	}
	copyFile(t, filepath.Join(dir, "master.key"), filepath.Join(restored, "master.key"))
	p = start(t, restored)
	for i, l := range ledgers {
		token := l.token // it was acknowledged after the copy, most likely
		for range 2 {
			a, ok := p.refresh(token)
			if !ok || a.Status != 200 || a.RefreshToken == token {
				t.Fatalf("client %d: %d %s", i, a.Status, a.Body)
			}
			token = a.RefreshToken
		}
	}
	if a, ok := p.redeem(early); !ok || a.Status != 400 {
		t.Errorf("a code that was spent before: %d %s", a.Status, a.Body)
	}
}

// PostgreSQL's own dump is a backup, too: what it does not know is served as well.
func TestDumpOfPostgreSQL(t *testing.T) {
	dir, from, to := t.TempDir(), postgres.Database(t), postgres.Database(t)
	p := start(t, dir, "--database", from)
	code, _ := p.authorize()
	a, _ := p.redeem(code)
	dump := filepath.Join(dir, "dump")
	for _, args := range [][]string{
		{"pg_dump", "--format=custom", "--file=" + dump, from},
		{"pg_restore", "--exit-on-error", "--dbname=" + to, dump},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	token := a.RefreshToken
	for range 3 { // which the dump does not know
		a, _ := p.refresh(token)
		if token = a.RefreshToken; token == "" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	p.End(os.Interrupt)
	p = start(t, dir, "--database", to)
	if a, ok := p.refresh(token); !ok || a.Status != 200 || a.RefreshToken == token {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a, ok := p.redeem(code); !ok || a.Status != 400 {
		t.Errorf("a code that was spent: %d %s", a.Status, a.Body)
	}
}
