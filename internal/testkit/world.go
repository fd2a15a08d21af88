// Package testkit is what tests of several packages share: a server on a real
// database with a clock in the test's hand, and a runner of dialogues. Only
// tests import it.
package testkit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
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

	App           = "11111111-1111-1111-1111-111111111111" // Userdocks apps
	OtherApp      = "22222222-2222-2222-2222-222222222222"
	DisabledApp   = "33333333-3333-3333-3333-333333333333"
	AppCallback   = "https://app.example.com/callback"
	AppCallback2  = "https://app.example.com/second/" // registered with a slash
	AppRoot       = "https://app.example.com/"
	ReadKey       = "read-key"
	WriteKey      = "write-key"
	OtherReadKey  = "other-read-key"
	OtherWriteKey = "other-write-key"
	DisabledKey   = "disabled-app-read-key"

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

// OtherTenantOf puts the world into another's database, under the same master
// key, as another tenant of it.
func OtherTenantOf(w *World) Option {
	return func(c *server.Config) { c.Database, c.Master, c.Tenant = w.Path, w.Master, "other" }
}

// NoLog throws lines away.
func NoLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

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
		Hasher: cheapHasher(), Log: NoLog(),
	}
	for _, o := range options {
		o(&c)
	}
	w := open(t, c, clock)
	w.populate(t, c.Hasher)
	return w
}

// NewWorldOf opens a copy of a world's database: the same issuer under the same
// clock.
func NewWorldOf(t testing.TB, w *World, path string) *World {
	t.Helper()
	c := server.Config{Database: path, Issuer: Issuer, Master: w.Master, Now: w.Clock.Now, Hasher: cheapHasher(), Log: NoLog()}
	again := open(t, c, w.Clock)
	again.User = w.User
	return again
}

// cheapHasher spends no time on what no test is about.
func cheapHasher() *password.Hasher {
	return password.New(password.Params{Memory: 64, Time: 1, Threads: 1}, 0)
}

func open(t testing.TB, c server.Config, clock *Clock) *World {
	t.Helper()
	s, err := server.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &World{Server: s, Clock: clock, Master: c.Master, Path: c.Database}
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
		{Hash: sha256.Sum256([]byte(OtherWriteKey)), ClientID: OtherApp, Access: "write"},
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
		CreatedAt:   now, UpdatedAt: now, ClientID: App,
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
		other.ClientID, other.CreatedAt, other.UpdatedAt = App, now, now
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

// Mails delivers what is due in the outbox, and returns it in the order in which
// it was sent.
func (w *World) Mails(t testing.TB) (sent []engine.Mail) {
	t.Helper()
	err := w.Engine.DeliverMail(t.Context(), func(_ context.Context, m engine.Mail) error {
		sent = append(sent, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// Count counts the rows of a table, whoever's they are.
func (w *World) Count(t testing.TB, table string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", w.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM "`+table+`"`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// GrantOf is the grant of a refresh token.
func (w *World) GrantOf(t testing.TB, refreshToken string) store.GrantID {
	t.Helper()
	_, enc, _ := strings.Cut(refreshToken, "_")
	raw, err := base64.RawURLEncoding.DecodeString(enc)
	if err != nil || len(raw) < 18 {
		t.Fatalf("not a refresh token: %v", err)
	}
	return store.GrantID(tally.Issuer(w.Store.Issuer()).ID(tally.Secret(raw[2:18])))
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
