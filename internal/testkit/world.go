// Package testkit is what tests of several packages share: a server on a real
// database with a clock in the test's hand, and a runner of dialogues. Only
// tests import it.
package testkit

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
	"github.com/tallystick/tallystick/internal/wire/oidc"
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

	// Clients of the standard face.
	Web           = "web" // client_secret_basic
	WebSecret     = "web-secret-of-more-than-32-characters"
	WebCallback   = "https://web.example.com/callback"
	WebSignedOut  = "https://web.example.com/signed-out"
	Web2          = "web2"
	Web2Secret    = "web2-secret-of-more-than-32-characters"
	Web2Callback  = "https://second.example.com/callback"
	SPA           = "spa" // public
	SPACallback   = "https://spa.example.com/callback"
	Native        = "native"  // public, on loopback
	Service       = "service" // client_credentials
	ServiceSecret = "service-secret-of-more-than-32-characters"
	API           = "https://api.example.com/" // a resource that Web and SPA may ask for

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

// OnPostgreSQL makes the world in an empty database there.
func OnPostgreSQL(address string) Option {
	return func(c *server.Config) { c.Database = address }
}

// NoLog throws lines away.
func NoLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// NewWorld makes a world. All begin as copies of one: what takes time is finding RSA
// keys, and no test is about that.
func NewWorld(t testing.TB, options ...Option) *World {
	t.Helper()
	first := template()
	if first.err != nil {
		t.Fatal(first.err)
	}
	clock := NewClock()
	c := config(filepath.Join(t.TempDir(), "test.db"), first.master, clock)
	for _, o := range options {
		o(&c)
	}
	fresh := c.Tenant != "" || strings.HasPrefix(c.Database, "postgres:") // no copy is made there
	if !fresh {
		if err := os.WriteFile(c.Database, first.database, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := open(t, c, clock)
	if fresh {
		if err := w.populate(t.Context(), c.Hasher); err != nil {
			t.Fatal(err)
		}
	}
	w.User = adaUser(w.Clock.Now().UnixMilli(), first.hash)
	return w
}

// NewMaster makes a master key that no world has.
func NewMaster(t testing.TB) *seal.Master {
	t.Helper()
	m, err := seal.ReadOrCreate(filepath.Join(t.TempDir(), "stranger.key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func config(path string, master *seal.Master, clock *Clock) server.Config {
	return server.Config{
		Database: path, Issuer: Issuer, Master: master, Now: clock.Now, Hasher: cheapHasher(), Log: NoLog(), Mail: new(mail.Mailbox),
		Registration: engine.Registration{Mode: engine.RegistrationOpen, AnyScope: true, ClientCredentials: true}, Loopback: true,
	}
}

// original is the world that all others are copies of.
type original struct {
	master   *seal.Master
	database []byte
	hash     string // of Password
	err      error
}

var template = sync.OnceValue(func() (o original) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "tallystick-world-")
	if err != nil {
		return original{err: err}
	}
	defer os.RemoveAll(dir)
	if o.master, o.err = seal.ReadOrCreate(filepath.Join(dir, "master.key"), rand.Reader); o.err != nil {
		return o
	}
	clock := NewClock()
	c := config(filepath.Join(dir, "first.db"), o.master, clock)
	s, err := server.Open(ctx, c)
	if err != nil {
		return original{err: err}
	}
	w := &World{Server: s, Clock: clock}
	err = errors.Join(w.populate(ctx, c.Hasher), s.Close())
	o.hash = w.User.PasswordHash
	o.database, o.err = os.ReadFile(c.Database)
	o.err = errors.Join(err, o.err)
	return o
})

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

// populate fills an empty world, and returns the first error.
func (w *World) populate(ctx context.Context, hasher *password.Hasher) (failed error) {
	now := w.Clock.Now().UnixMilli()
	must := func(err error) { failed = cmp.Or(failed, err) }
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
	for id, secret := range map[string]string{Web: WebSecret, Web2: Web2Secret, Service: ServiceSecret, SPA: "", Native: ""} {
		c := StandardClient(id, now)
		must(c.Check())
		must(w.Store.PutClient(ctx, c))
		if secret != "" {
			must(w.Engine.PutClientSecret(ctx, id, secret, time.Time{}))
		}
	}
	hash, err := hasher.Hash(ctx, Password)
	must(err)
	w.User = adaUser(now, hash)
	out, err := w.Store.PutUser(ctx, w.User)
	must(err)
	if out != store.Done {
		must(fmt.Errorf("put user: %v", out))
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
	return failed
}

// adaUser is the world's user.
func adaUser(now store.Time, hash string) store.User {
	return store.User{
		ID: store.UserID{0xaa, 6: 0x40, 8: 0x80}, Email: Email, EmailVerified: true, PasswordHash: hash, CredentialVersion: 1,
		Identifiers: []store.Identifier{{Kind: "email", Value: Email}},
		Claims:      []byte(`{"name":"Ada Lövelace","given_name":"Ada","locale":"en"}`),
		CreatedAt:   now, UpdatedAt: now, ClientID: App,
	}
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

// StandardClient is one of the world's clients of the standard face.
func StandardClient(id string, now store.Time) store.Client {
	c := oauth.Client{ID: id, AuthMethod: oauth.AuthNone}
	switch id {
	case Web:
		c.Name, c.AuthMethod, c.RedirectURIs = "Web", oauth.AuthSecretBasic, []string{WebCallback}
		c.PostLogoutRedirectURIs = []string{WebSignedOut}
	case Web2:
		c.Name, c.AuthMethod, c.RedirectURIs = "Second web", oauth.AuthSecretPost, []string{Web2Callback}
	case SPA:
		c.Name, c.RedirectURIs = "SPA", []string{SPACallback}
	case Native:
		c.Name, c.ApplicationType, c.RedirectURIs = "Native", "native", []string{"http://127.0.0.1/cb", "com.example.app:/cb"}
	case Service:
		c.AuthMethod, c.GrantTypes, c.Scope = oauth.AuthSecretBasic, []oauth.GrantType{oauth.ClientCredentials}, "api:read api:write"
	}
	c.Complete()
	c.Policy = oauth.DefaultPolicy(c.AuthMethod)
	if id == Web || id == SPA {
		c.Resources = []string{API}
	}
	return store.Client{Face: oidc.Name, Source: "dev", CreatedAt: now, UpdatedAt: now, Client: c}
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

// Notices tells clients of the logouts that are due.
func (w *World) Notices(t testing.TB) {
	t.Helper()
	if err := w.Engine.DeliverNotices(t.Context(), oidc.LogoutToken, w.PostLogout); err != nil {
		t.Error(err)
	}
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
