// Package testkit is what tests of several packages share: a server on a real
// database with a clock in the test's hand, and a runner of dialogues. Only
// tests import it.
package testkit

import (
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// Clock is time in the test's hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts on a whole second.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// Now is the time that stands still until Advance.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the time on, or back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// The names of the world: its clients, keys and people.
const (
	Issuer = "https://as.example"

	Shop      = "shop@example" // anonymous Dressipi clients
	OtherShop = "other-shop"

	App          = "11111111-1111-1111-1111-111111111111" // Userdocks apps
	OtherApp     = "22222222-2222-2222-2222-222222222222"
	DisabledApp  = "33333333-3333-3333-3333-333333333333"
	AppCallback  = "https://app.example.com/callback"
	AppCallback2 = "https://app.example.com/second/" // registered with a slash
	AppRoot      = "https://app.example.com/"
	ReadKey      = "read-key"
	WriteKey     = "write-key"
	OtherReadKey = "other-read-key"
	DisabledKey  = "disabled-app-read-key"

	Email    = "ada@example.com"
	Password = "correct horse battery staple"
)

// World is a server on a database of its own, with clients of every face and a
// user.
type World struct {
	*server.Server
	Clock  *Clock
	Master *seal.Master
	Path   string // of the database
	User   store.User
}

// Option changes a world before it is made.
type Option func(*server.Config)

// LogTo sends the log somewhere; without it, it is thrown away.
func LogTo(w io.Writer) Option {
	return func(c *server.Config) {
		c.Log = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// InDatabase puts the world into an existing file, as another tenant of it.
func InDatabase(path, tenant string) Option {
	return func(c *server.Config) { c.Database, c.Tenant = path, tenant }
}

// NewWorld makes a world.
func NewWorld(t testing.TB, options ...Option) *World {
	t.Helper()
	dir := t.TempDir()
	clock := NewClock()
	master, err := seal.ReadOrCreate(filepath.Join(dir, "master.key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := server.Config{
		Database: filepath.Join(dir, "test.db"), Issuer: Issuer, Master: master, Now: clock.Now,
		Hasher: password.New(password.Params{Memory: 64, Time: 1, Threads: 1}, 0),
		Log:    slog.New(slog.DiscardHandler),
	}
	for _, o := range options {
		o(&c)
	}
	s, err := server.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	w := &World{Server: s, Clock: clock, Master: master, Path: c.Database}
	w.populate(t, c.Hasher)
	return w
}

func (w *World) populate(t testing.TB, hasher *password.Hasher) {
	t.Helper()
	ctx, now := t.Context(), w.Clock.Now().UnixMilli()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{Shop, OtherShop} {
		must(w.Store.PutClient(ctx, AnonymousClient(id, now)))
	}
	must(w.Store.PutClient(ctx, AppClient(App, now, AppCallback, AppCallback2, AppRoot)))
	must(w.Store.PutClient(ctx, AppClient(OtherApp, now, AppCallback, "http://localhost:3000/cb")))
	disabled := AppClient(DisabledApp, now, AppCallback)
	disabled.DisabledAt = now
	must(w.Store.PutClient(ctx, disabled))
	for _, k := range []store.APIKey{
		{Hash: sha256.Sum256([]byte(ReadKey)), ClientID: App, Access: "read"},
		{Hash: sha256.Sum256([]byte(WriteKey)), ClientID: App, Access: "write"},
		{Hash: sha256.Sum256([]byte(OtherReadKey)), ClientID: OtherApp, Access: "read"},
		{Hash: sha256.Sum256([]byte(DisabledKey)), ClientID: DisabledApp, Access: "read"},
	} {
		must(w.Store.PutAPIKey(ctx, k))
	}
	hash, err := hasher.Hash(ctx, Password)
	must(err)
	w.User = store.User{
		ID: store.UserID{0xaa, 6: 0x40, 8: 0x80}, Email: Email, EmailVerified: true, PasswordHash: hash, CredentialVersion: 1,
		Identifiers: []store.Identifier{{Kind: "email", Value: Email}},
		Claims:      []byte(`{"name":"Ada Lövelace","given_name":"Ada","locale":"en"}`),
		CreatedAt:   now, UpdatedAt: now,
	}
	out, err := w.Store.PutUser(ctx, w.User)
	must(err)
	if out != store.Done {
		t.Fatalf("put user: %v", out)
	}
	for i, other := range []store.User{
		{Email: "unverified@example.com"},
		{Email: "disabled@example.com", EmailVerified: true, DisabledAt: now},
	} {
		other.ID = store.UserID{0xcc, byte(i), 6: 0x40, 8: 0x80}
		other.PasswordHash, other.CredentialVersion, other.Claims = hash, 1, []byte(`{}`)
		other.Identifiers = []store.Identifier{{Kind: "email", Value: other.Email}}
		_, err := w.Store.PutUser(ctx, other)
		must(err)
	}
	must(w.Store.PutTenant(ctx, store.Tenant{ID: store.TenantID{0xbb, 6: 0x40, 8: 0x80}, Name: "Ada's", CreatedAt: now}))
	must(w.Store.PutMembership(ctx, store.Membership{Tenant: store.TenantID{0xbb, 6: 0x40, 8: 0x80}, User: w.User.ID, Role: "admin", CreatedAt: now}))
}

// AnonymousClient is a Dressipi client as `dev` has it.
func AnonymousClient(id string, now store.Time) store.Client {
	p := oauth.PublicPolicy()
	p.AnonymousProfile, p.RefreshRetryWindow, p.OnReplay = true, oauth.UntilUsed, oauth.RefuseReplay
	p.AccessTokenLifetime, p.RefreshIdleLifetime = 86400, 400*86400
	return store.Client{Face: dressipi.Name, Source: "dev", CreatedAt: now, UpdatedAt: now, Client: oauth.Client{
		ID: id, AuthMethod: oauth.AuthNone, RedirectURIs: []string{oauth.URNAuto},
		GrantTypes: []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken}, Policy: p,
	}}
}

// AppClient is a Userdocks app as `dev` has it.
func AppClient(id string, now store.Time, redirects ...string) store.Client {
	p := oauth.PublicPolicy()
	p.RequirePKCE, p.RefreshIdleLifetime = false, 86400
	return store.Client{Face: userdocks.Name, Source: "dev", CreatedAt: now, UpdatedAt: now, Client: oauth.Client{
		ID: id, AuthMethod: oauth.AuthNone, RedirectURIs: redirects, Scope: "email openid profile",
		GrantTypes: []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken}, Policy: p,
	}}
}

// PublicKeyPEM is the key that verifies the Userdocks face's tokens.
func (w *World) PublicKeyPEM(t testing.TB) string {
	t.Helper()
	k, err := w.Engine.SigningKey(userdocks.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(k.PEM)
}
