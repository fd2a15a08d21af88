package cli

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

func standard(all keysJSON, algorithm string) (keys []keyJSON) {
	for _, k := range all.Signing {
		if k.Purpose == "standard" && k.Algorithm == algorithm {
			keys = append(keys, k)
		}
	}
	return keys
}

func states(keys []keyJSON) (all []string) {
	for _, k := range keys {
		all = append(all, k.State)
	}
	return all
}

// Keys are shown, rotated and revoked beside a server that runs, on both databases,
// and nobody who holds a refresh token notices.
func TestKeys(t *testing.T) {
	for name, flags := range map[string][]string{"SQLite": nil, "PostgreSQL": {"--database", postgres.Database(t)}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			where := append([]string{"--data", dir}, flags...)
			p := start(t, dir, flags...)
			code, _ := p.authorize()
			a, _ := p.redeem(code)
			token := a.RefreshToken

			var all keysJSON
			tool(t, &all, append([]string{"key", "list"}, where...)...)
			es := standard(all, "ES256")
			if !slices.Equal(states(es), []string{"signs"}) || len(all.MAC) != 1 || all.MAC[0].State != "mints" {
				t.Fatalf("%+v", all)
			}
			if !strings.Contains(p.page(t, "/oauth2/jwks"), es[0].KID) {
				t.Errorf("%s is not in the JWK Set", es[0].KID)
			}

			var made keysJSON
			tool(t, &made, append([]string{"key", "rotate"}, where...)...)
			tool(t, &made, append([]string{"key", "rotate"}, where...)...) // one is on its way already
			tool(t, &all, append([]string{"key", "list"}, where...)...)
			es = standard(all, "ES256")
			if next := standard(made, "ES256"); !slices.Equal(states(es), []string{"signs", "published"}) || len(next) != 1 || next[0] != es[1] || len(made.MAC) != 0 {
				t.Fatalf("made %+v, have %+v", made, es)
			}

			tool(t, &made, append([]string{"key", "rotate", "--mac"}, where...)...)
			if len(made.Signing) != 0 || len(made.MAC) != 1 || made.MAC[0].Number != 2 || made.MAC[0].State != "published" {
				t.Errorf("made %+v", made)
			}

			var revoked revokedJSON
			tool(t, &revoked, append([]string{"key", "revoke", es[0].KID}, where...)...)
			tool(t, &all, append([]string{"key", "list"}, where...)...)
			after := standard(all, "ES256")
			if !slices.Equal(states(after), []string{"retired", "published", "signs"}) || revoked.Revoked != es[0].KID || revoked.Signs != after[2].KID {
				t.Errorf("%+v, and %+v", revoked, after)
			}
			// The server that runs follows, though it has seen nothing of it.
			for since := time.Now(); ; <-time.After(100 * time.Millisecond) {
				if set := p.page(t, "/oauth2/jwks"); strings.Contains(set, revoked.Signs) && !strings.Contains(set, es[0].KID) {
					break
				} else if time.Since(since) > 10*time.Second {
					t.Fatalf("ten seconds later the JWK Set is %s", set)
				}
			}
			if line := fails(t, append([]string{"key", "revoke", "nobody"}, where...)...); !strings.Contains(line, `there is no signing key "nobody"`) {
				t.Error(line)
			}

			// The next start knows them all from the first moment.
			p.End(os.Interrupt)
			p = start(t, dir, flags...)
			set := p.page(t, "/oauth2/jwks")
			if strings.Contains(set, es[0].KID) || !strings.Contains(set, es[1].KID) || !strings.Contains(set, revoked.Signs) {
				t.Errorf("the JWK Set is %s", set)
			}
			if a, ok := p.refresh(token); !ok || a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

// The operator's commands make no key and no database where there is none.
func TestKeyNeedsWhatThereIs(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	if line := fails(t, "key", "list", "--data", dir); !strings.Contains(line, "there is no database in sqlite:") {
		t.Error(line)
	}
	empty := postgres.Database(t)
	if line := fails(t, "key", "rotate", "--data", dir, "--database", empty); !strings.Contains(line, "there is no database in postgres://127.0.0.1:") {
		t.Error(line)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	start(t, dir).End(os.Interrupt)
	start(t, other).End(os.Interrupt)
	if line := fails(t, "key", "list", "--data", other, "--database", "sqlite:"+dir+"/tallystick.db"); !strings.Contains(line, "master.key: the master key does not fit") {
		t.Error(line)
	}
	if err := os.Remove(dir + "/master.key"); err != nil {
		t.Fatal(err)
	}
	if line := fails(t, "key", "list", "--data", dir); !strings.Contains(line, "master.key is missing") {
		t.Error(line)
	}
}
