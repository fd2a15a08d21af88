package seed

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
)

func TestSeedDefaults(t *testing.T) {
	f, err := parse([]byte(`{"clients":[
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
	for _, c := range f.Clients {
		got := summary{c.AuthMethod, c.RequirePKCE, c.RefreshTokenRotation, c.Allows(oauth.RefreshToken), c.IDTokenProfileClaims, c.OnReplay}
		if got != want[c.ID] {
			t.Errorf("%s: %+v, want %+v", c.ID, got, want[c.ID])
		}
	}
	if got := strings.Join(f.Unknown, " "); got != "clients[1].client_name#de clients[1].software_statement" {
		t.Errorf("unknown: %s", got)
	}
	u := f.Users[0]
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
		_, err := parse([]byte(tt.file))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.json")
	if err := os.WriteFile(big, bytes.Repeat([]byte(" "), maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(big); err == nil || !strings.Contains(err.Error(), "at most 1 MiB") {
		t.Errorf("a big file: %v", err)
	}
}
