package dev

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/seed"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

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
		path := filepath.Join(dir, "seed.json")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := seed.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = populate(t.Context(), srv, master, "http://127.0.0.1:1", nil, f, slog.New(slog.NewTextHandler(&log, nil)))
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
