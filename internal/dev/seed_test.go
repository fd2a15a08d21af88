package dev

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

func TestSeedDefaults(t *testing.T) {
	f, err := parseSeed([]byte(`{"clients":[
		{"client_id":"a","client_secret":"s","redirect_uris":["https://a.example/cb"]},
		{"client_id":"b","redirect_uris":["https://b.example/cb"],"require_pkce":false,"software_statement":"x","client_name#de":"B"},
		{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_post","redirect_uris":["https://c.example/cb"],
		 "require_pkce":false,"refresh_retry_window":"until_used","refresh_token_rotation":true,"on_replay":"refuse","id_token_profile_claims":true},
		{"client_id":"d","client_secret":"s","grant_types":["client_credentials"],"scope":"api"}
	],"users":[{"email":"Bo@example.com","password":"p","username":"Bo","given_name":"Bo","address":{"country":"DE"},"email_verified":false}]}`))
	if err != nil {
		t.Fatal(err)
	}
	type summary struct {
		method                            oauth.AuthMethod
		pkce, rotation, refresh, idClaims bool
		replay                            oauth.OnReplay
	}
	want := map[string]summary{
		"a": {oauth.AuthSecretBasic, true, false, true, false, oauth.EndGrant},
		"b": {oauth.AuthNone, true, true, true, false, oauth.EndGrant}, // a public client always needs PKCE
		"c": {oauth.AuthSecretPost, false, true, true, true, oauth.RefuseReplay},
		"d": {oauth.AuthSecretBasic, true, false, false, false, oauth.EndGrant},
	}
	for _, c := range f.clients {
		got := summary{c.AuthMethod, c.RequirePKCE, c.RefreshTokenRotation, c.Allows(oauth.RefreshToken), c.IDTokenProfileClaims, c.OnReplay}
		if got != want[c.ID] {
			t.Errorf("%s: %+v, want %+v", c.ID, got, want[c.ID])
		}
	}
	if got := strings.Join(f.unknown, " "); got != "clients[1].client_name#de clients[1].software_statement" {
		t.Errorf("unknown: %s", got)
	}
	u := f.users[0]
	var claims map[string]any
	if err := json.Unmarshal(u.claims, &claims); err != nil || u.Username != "Bo" || claims["given_name"] != "Bo" || len(claims) != 2 {
		t.Errorf("user %+v %s", u, u.claims)
	}
}

func TestSeedSaysWhatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"no JSON":                  {`x`, `want {"clients": [...], "users": [...]}`},
		"an array":                 {`[]`, `want {"clients"`},
		"a misspelt member":        {`{"client":[]}`, `"client"`},
		"something after it":       {`{} {}`, "nothing after it"},
		"no client_id":             {`{"clients":[{"redirect_uris":["https://a.example/cb"]}]}`, `client_id: want 1 to 255`},
		"two of one id":            {`{"clients":[{"client_id":"a","redirect_uris":["https://a.example/cb"]},{"client_id":"a","redirect_uris":["https://a.example/cb"]}]}`, `clients[1] "a": there is another one`},
		"a redirect URI":           {`{"clients":[{"client_id":"a","redirect_uris":["http://a.example/cb"]}]}`, `redirect_uris: "http://a.example/cb": a redirect URI must be https`},
		"no redirect URI":          {`{"clients":[{"client_id":"a"}]}`, "redirect_uris: want at least one"},
		"basic without a secret":   {`{"clients":[{"client_id":"a","token_endpoint_auth_method":"client_secret_basic","redirect_uris":["https://a.example/cb"]}]}`, "needs a client_secret"},
		"a secret for none":        {`{"clients":[{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"none","redirect_uris":["https://a.example/cb"]}]}`, "has no client_secret"},
		"an unknown method":        {`{"clients":[{"client_id":"a","token_endpoint_auth_method":"tls_client_auth","redirect_uris":["https://a.example/cb"]}]}`, "token_endpoint_auth_method: want"},
		"a policy of another type": {`{"clients":[{"client_id":"a","require_pkce":"no","redirect_uris":["https://a.example/cb"]}]}`, "require_pkce"},
		"a retry window":           {`{"clients":[{"client_id":"a","refresh_retry_window":"soon","redirect_uris":["https://a.example/cb"]}]}`, "refresh_retry_window"},
		"a private key in jwks":    {`{"clients":[{"client_id":"a","jwks":{"keys":[{"kty":"oct","k":"AAAA"}]},"redirect_uris":["https://a.example/cb"]}]}`, "jwks"},
		"an address":               {`{"users":[{"email":"a","password":"p"}]}`, `users[0]: email: want an address`},
		"no password":              {`{"users":[{"email":"a@example.com"}]}`, "password: want"},
		"an unknown claim":         {`{"users":[{"email":"a@example.com","password":"p","shoe_size":9}]}`, "shoe_size is no standard claim"},
		"two of one address":       {`{"users":[{"email":"a@example.com","password":"p"},{"email":"A@example.com","password":"p"}]}`, "another user's as well"},
		"all at once":              {`{"clients":[{"client_id":"a"}],"users":[{"email":"a","password":"p"}]}`, "users[0]"},
	} {
		_, err := parseSeed([]byte(tt.file))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := readSeed(filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.json")
	if err := os.WriteFile(big, bytes.Repeat([]byte(" "), maxSeed+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSeed(big); err == nil || !strings.Contains(err.Error(), "at most 1 MiB") {
		t.Errorf("a big file: %v", err)
	}
}

// What the file says is there after each start, and nothing is written twice.
func TestSeedIsApplied(t *testing.T) {
	dir := t.TempDir()
	master, err := seal.ReadOrCreate(filepath.Join(dir, "master.key"), bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.Open(t.Context(), server.Config{Database: filepath.Join(dir, "t.db"), Issuer: "http://127.0.0.1:1", Master: master, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	var log bytes.Buffer
	start := func(file string) error {
		f, err := parseSeed([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		_, err = seed(t.Context(), srv, master, "http://127.0.0.1:1", nil, f, slog.New(slog.NewTextHandler(&log, nil)))
		return err
	}
	const file = `{"clients":[{"client_id":"a","client_secret":"short","redirect_uris":["https://a.example/cb"]}],"users":[{"email":"bo@example.com","password":"p"}]}`
	if err := start(file); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "client_secret is short") || strings.Contains(log.String(), "=short") {
		t.Errorf("log: %s", log.String())
	}
	before, err := srv.Store.ConfigVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, found, err := srv.Store.UserByIdentifier(t.Context(), "bo@example.com")
	if err != nil || !found || !u.EmailVerified {
		t.Fatalf("user: %+v, %v", u, err)
	}
	if err := start(file); err != nil {
		t.Fatal(err)
	}
	if after, err := srv.Store.ConfigVersion(t.Context()); err != nil || after != before {
		t.Errorf("the second start wrote: config version %d, then %d, %v", before, after, err)
	}
	if again, _, err := srv.Store.UserByIdentifier(t.Context(), "bo@example.com"); err != nil || again.CredentialVersion != u.CredentialVersion {
		t.Errorf("the second start changed the user: %+v, %v", again, err)
	}
	authenticates := func(secret string) bool {
		_, err := srv.Engine.Authenticate(t.Context(), oidc.Name, engine.Credentials{ClientID: "a", Method: oauth.AuthSecretBasic, Secret: secret})
		return err == nil
	}
	if !authenticates("short") {
		t.Error("the client cannot authenticate")
	}
	if err := start(strings.Replace(file, "short", "another", 1)); err != nil {
		t.Fatal(err)
	}
	if authenticates("short") || !authenticates("another") {
		t.Error("a secret that the file has no more still counts, or the new one does not")
	}
	for _, clash := range []string{
		`{"clients":[{"client_id":"web","client_secret":"s","redirect_uris":["https://a.example/cb"]}]}`,
		`{"users":[{"email":"zoe@example.com","password":"p"}]}`,
	} {
		if err := start(clash); err == nil {
			t.Errorf("%s: taken", clash)
		}
	}
}
