package sqlstore

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

// A client is deleted however many grants it has, in transactions of which none is
// long. One that fails leaves the client to be deleted again.
func TestClientOfManyGrants(t *testing.T) {
	const many = 2*endMost + 1
	for name, cfg := range map[string]Config{"SQLite": newSQLite(t), "PostgreSQL": newPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			tap := new(storetest.Tap)
			cfg.WrapConnector = tap.Connector
			s := furnished(t, cfg)
			in := store.DeleteClient{ClientID: birth("a").Grant.ClientID, Now: t0}
			if err := s.PutClient(t.Context(), store.Client{Client: oauth.Client{ID: in.ClientID}, Face: "oidc"}); err != nil {
				t.Fatal(err)
			}
			born(t, s, "a")
			id := map[string]string{"SQLite": "randomblob(16)", "PostgreSQL": "decode(md5(n::text), 'hex')"}[name]
			more := fmt.Sprintf(`WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < %d - 1)
				INSERT INTO "grant" (issuer, id, client_id, subject, "user", scope, nonce, auth_time, redirect_uri, code_challenge,
					created_at, code_expires_at, absolute_expires_at, redeemed_at, generation, mac_key, rotated_at, idle_expires_at, revoked_at, revoked_why, resources, claims)
				SELECT issuer, %s, client_id, subject, "user", scope, nonce, auth_time, redirect_uri, code_challenge,
					created_at, code_expires_at, absolute_expires_at, redeemed_at, generation, mac_key, rotated_at, idle_expires_at, revoked_at, revoked_why, resources, claims
				FROM "grant", i`, many, id)
			if err := s.db.write(t.Context(), func(q tx) error { _, err := q.exec(more); return err }); err != nil {
				t.Fatal(err)
			}
			count := func(what string) (n int64) {
				t.Helper()
				if err := s.db.read(t.Context(), func(q tx) error {
					r, err := q.one("SELECT count(*) FROM " + what)
					if err == nil {
						n = r.int()
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
				return n
			}
			commits := 0
			tap.Hook(func(kind storetest.Kind, sql string, perform func() error) error {
				if kind == storetest.Commit {
					commits++
				}
				if commits == 1 && sql == sqlHoldClient {
					return errors.New("no more")
				}
				return perform()
			})
			if out, err := s.DeleteClient(t.Context(), in); err == nil {
				t.Errorf("DeleteClient = %v, want an error", out)
			}
			tap.Hook(nil)
			if _, found, err := s.Client(t.Context(), in.ClientID); err != nil || !found {
				t.Errorf("Client: found = %v, %v", found, err)
			}
			if n := count(`"grant" WHERE revoked_at = 0`); n != many-endMost {
				t.Errorf("%d grants are alive after the first transaction", n)
			}
			if out, err := s.DeleteClient(t.Context(), in); err != nil || out != store.Done {
				t.Errorf("DeleteClient = %v, %v", out, err)
			}
			alive, told, names := count(`"grant" WHERE revoked_at = 0`), count("audit WHERE kind = 'grant.ended'"),
				count("(SELECT DISTINCT node, sequence FROM audit WHERE kind = 'grant.ended') x")
			if alive != 0 || told != many || names != many {
				t.Errorf("%d grants are alive, %d ends are told under %d names; want %d", alive, told, names, many)
			}
		})
	}
}
