//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tallystick/tallystick/internal/testkit"
)

// metadata is a client as RFC 7591 §2 has it, with a client_id and, for some, a
// client_secret.
type metadata = map[string]any

// person is somebody that a test signs in by himself, so that nobody else's
// consent is taken for his.
func person(name string) testkit.Person {
	return testkit.Person{Username: name + "@example.com", Password: "a long word of " + name}
}

// seed writes what a server is to know beside the demo (--seed), and returns the
// path of the file.
func seed(t *testing.T, people []string, clients ...metadata) string {
	t.Helper()
	var users []metadata
	for _, name := range people {
		p := person(name)
		users = append(users, metadata{"email": p.Username, "password": p.Password, "name": "Ada by " + name})
	}
	return writeJSON(t, "seed.json", metadata{"clients": clients, "users": users})
}

// keyed is a client that authenticates by private_key_jwt, and the path of its
// private JWK.
func keyed(t *testing.T) (client metadata, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: private, KeyID: "the first", Algorithm: "ES256", Use: "sig"}
	return metadata{
		"client_id": "keyed", "client_name": "Keyed",
		"token_endpoint_auth_method": "private_key_jwt", "jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}},
		"redirect_uris":             []string{"https://keyed.example.com/callback"},
		"post_logout_redirect_uris": []string{"https://keyed.example.com/"},
		"grant_types":               []string{"authorization_code", "refresh_token", "client_credentials"},
		"scope":                     "openid profile email offline_access api:read",

		"id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "ES256",
	}, writeJSON(t, "keyed.jwk", jwk)
}

func writeJSON(t *testing.T, name string, v any) (path string) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
