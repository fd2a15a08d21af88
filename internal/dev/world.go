package dev

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/seed"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/wire/demo"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// world is dev.json: what a script needs to know. Scripts are written against
// its names.
type world struct {
	Issuer    string         `json:"issuer"`
	User      userWorld      `json:"user"`
	Clients   clientsWorld   `json:"clients"`
	Userdocks userdocksWorld `json:"userdocks"`
	Dressipi  dressipiWorld  `json:"dressipi"`
	Mailbox   string         `json:"mailbox"`
}

type userWorld struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Sub      string `json:"sub"`
}

type clientsWorld struct {
	Web     clientWorld `json:"web"`
	SPA     clientWorld `json:"spa"`
	Service clientWorld `json:"service"`
}

type clientWorld struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"`
	RedirectURI  string `json:"redirect_uri,omitempty"`
}

type userdocksWorld struct {
	APIURI      string      `json:"api_uri"`
	LoginURI    string      `json:"login_uri"`
	SDKURI      string      `json:"sdk_uri"`
	AppUUID     string      `json:"app_uuid"`
	RedirectURI string      `json:"redirect_uri"`
	ReadAPIKey  string      `json:"read_api_key"`
	WriteAPIKey string      `json:"write_api_key"`
	User        credentials `json:"user"`
}

// signIn is the hosted page as the SDK would open it.
func (u userdocksWorld) signIn() string {
	return u.LoginURI + "?client_id=" + u.AppUUID + "&type=signIn&redirect_uri=" + u.RedirectURI
}

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type dressipiWorld struct {
	BaseURI        string `json:"base_uri"`
	ClientID       string `json:"client_id"`
	SecondClientID string `json:"second_client_id"`
}

const demoEmail = "zoe@example.com"

// demoClaims are all that a scope can ask for, so that each shows something.
const demoClaims = `{"name":"Zoë Kerbholz","given_name":"Zoë","family_name":"Kerbholz","middle_name":"Ada",` +
	`"nickname":"Zo","preferred_username":"zoe","profile":"https://example.com/zoe","picture":"https://example.com/zoe.png",` +
	`"website":"https://zoe.example.com","gender":"female","birthdate":"1990-12-10","zoneinfo":"Europe/Berlin","locale":"en",` +
	`"phone_number":"+49 30 901820","phone_number_verified":true,` +
	`"address":{"formatted":"Kerbgasse 1\n10178 Berlin\nGermany","street_address":"Kerbgasse 1","locality":"Berlin","postal_code":"10178","country":"Germany"}}`

// populate puts the demo user and clients into the store. Everything about them
// follows from the master key, so they are the same at the next start and on
// every replica; what is there already is left alone.
func populate(ctx context.Context, srv *server.Server, master *seal.Master, issuer string, redirects []string, more *seed.File, log *slog.Logger) (*world, error) {
	text := func(purpose string, size int) string {
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(master.Derive("dev "+purpose, size)))
	}
	secret := func(purpose string) string { return text(purpose, 20) }
	id := func(purpose string) [16]byte {
		return engine.UUIDBits([16]byte(master.Derive("dev "+purpose, 16)))
	}
	user := id("user")
	word := secret("password")[:16]
	w := &world{
		Issuer: issuer,
		User: userWorld{
			Email: demoEmail, Sub: engine.FormatUUID(user),
			Password: strings.Join([]string{word[:4], word[4:8], word[8:12], word[12:]}, "-"),
		},
		Mailbox:  issuer + MailboxPath,
		Dressipi: dressipiWorld{BaseURI: issuer, ClientID: "demo-boutique", SecondClientID: "second-boutique"},
	}
	w.Userdocks = userdocksWorld{
		APIURI: issuer, LoginURI: issuer + userdocks.LoginPath, SDKURI: issuer, AppUUID: engine.FormatUUID(id("app")), RedirectURI: issuer + "/dev/userdocks/callback",
		ReadAPIKey: "udr_" + secret("read key"), WriteAPIKey: "udw_" + secret("write key"),
		User: credentials{w.User.Email, w.User.Password},
	}
	w.Clients = clientsWorld{
		Web:     clientWorld{"web", text("web secret", 32), issuer + demo.AppCallback},
		SPA:     clientWorld{"spa", "", issuer + demo.SPACallback},
		Service: clientWorld{"service", text("service secret", 32), ""},
	}
	now := srv.Engine.Now().UnixMilli()
	s := seeder{&seed.Writer{Ctx: ctx, Store: srv.Store, Engine: srv.Engine, Now: now}}
	s.user(user, w.User.Password, w.Userdocks.AppUUID, store.Tenant{ID: id("tenant"), Name: "Kerbholz & Daughters", CreatedAt: now})
	s.Client(userdocksApp(w.Userdocks, redirects))
	s.apiKey(w.Userdocks.AppUUID, w.Userdocks.ReadAPIKey, engine.Read)
	s.apiKey(w.Userdocks.AppUUID, w.Userdocks.WriteAPIKey, engine.Write)
	s.Client(boutique(w.Dressipi.ClientID, "Demo boutique"))
	s.Client(boutique(w.Dressipi.SecondClientID, "Second boutique"))
	for _, c := range standardClients(w.Clients, issuer, redirects) {
		s.Client(c)
	}
	s.Secret(w.Clients.Web.ClientID, w.Clients.Web.ClientSecret)
	s.Secret(w.Clients.Service.ClientID, w.Clients.Service.ClientSecret)
	if s.Err != nil {
		return nil, s.Err
	}
	if err := s.File(more, log); err != nil {
		return nil, fmt.Errorf("--seed: %w", err)
	}
	for _, u := range more.Users {
		s.User(master, u)
	}
	return w, s.Err
}

func userdocksApp(u userdocksWorld, redirects []string) store.Client {
	policy := oauth.PublicPolicy()
	policy.RequirePKCE = false // the SDK knows no PKCE
	policy.SilentCrossSite = true
	policy.AccessTokenLifetime = 60 * 60
	policy.RefreshIdleLifetime = 1440 * 60
	return store.Client{Face: userdocks.Name, Source: "dev", Client: oauth.Client{
		ID: u.AppUUID, Name: "Demo app", AuthMethod: oauth.AuthNone,
		RedirectURIs: append([]string{u.RedirectURI}, redirects...),
		GrantTypes:   []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken},
		Scope:        "email openid profile",
		Policy:       policy,
	}}
}

// standardClients are the demo clients of the standard face. The further redirect
// URIs are those of somebody's program that tries it, who may also want to come back
// there, or to its first page, after a logout.
func standardClients(w clientsWorld, issuer string, redirects []string) []store.Client {
	after := func(own string) []string {
		all := append([]string{own}, redirects...)
		for _, r := range redirects {
			if o := oauth.Origin(r); o != "" {
				all = append(all, o, o+"/")
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	web := oauth.Client{
		ID: w.Web.ClientID, Name: "Demo web app", URI: issuer + demo.AppPath, AuthMethod: oauth.AuthSecretBasic,
		RedirectURIs:           append([]string{w.Web.RedirectURI}, redirects...),
		PostLogoutRedirectURIs: after(issuer + demo.AppPath),
		BackchannelLogout:      issuer + demo.AppLogout, BackchannelSID: true,
	}
	spa := oauth.Client{
		ID: w.SPA.ClientID, Name: "Demo browser app", URI: issuer + demo.SPAPath, AuthMethod: oauth.AuthNone,
		RedirectURIs:           append([]string{w.SPA.RedirectURI}, redirects...),
		PostLogoutRedirectURIs: after(issuer + demo.SPAPath),
	}
	service := oauth.Client{
		ID: w.Service.ClientID, Name: "Demo service", AuthMethod: oauth.AuthSecretBasic,
		GrantTypes: []oauth.GrantType{oauth.ClientCredentials}, Scope: "api:read api:write",
	}
	var all []store.Client
	for _, c := range []oauth.Client{web, spa, service} {
		c.Complete()
		c.Policy = oauth.DefaultPolicy(c.AuthMethod)
		all = append(all, store.Client{Face: oidc.Name, Source: "dev", Client: c})
	}
	return all
}

// boutique is a client of the anonymous class: its installs cannot recover from
// a dead refresh token, so theirs live long and a replay ends nothing.
func boutique(id, name string) store.Client {
	policy := oauth.PublicPolicy()
	policy.AnonymousProfile = true
	policy.RefreshRetryWindow = oauth.UntilUsed
	policy.OnReplay = oauth.RefuseReplay
	policy.AccessTokenLifetime = 24 * 60 * 60
	policy.RefreshIdleLifetime = 400 * 24 * 60 * 60
	return store.Client{Face: dressipi.Name, Source: "dev", Client: oauth.Client{
		ID: id, Name: name, AuthMethod: oauth.AuthNone, RedirectURIs: []string{oauth.URNAuto},
		GrantTypes: []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken},
		Policy:     policy,
	}}
}

// seeder adds what only the demo has.
type seeder struct{ *seed.Writer }

func (s *seeder) apiKey(clientID, key string, access engine.Access) {
	if s.Err != nil {
		return
	}
	k := store.APIKey{Hash: sha256.Sum256([]byte(key)), ClientID: clientID, Access: string(access), CreatedAt: s.Now}
	have, found, err := s.Store.APIKey(s.Ctx, k.Hash)
	if err != nil {
		s.Err = err
	} else if !found || have.ClientID != clientID || have.Access != k.Access {
		s.Err = s.Store.PutAPIKey(s.Ctx, k)
	}
}

// user makes the demo user, or sets him right: dev.json must not lie about the
// password.
func (s *seeder) user(id store.UserID, word, app string, tenant store.Tenant) {
	if s.Err != nil {
		return
	}
	hasher := password.New(password.Default(), 0)
	u, found, err := s.Store.User(s.Ctx, id)
	if err != nil {
		s.Err = err
		return
	}
	if found && u.DisabledAt == 0 && u.EmailVerified && u.ClientID == app {
		if ok, err := hasher.Verify(s.Ctx, u.PasswordHash, word); err == nil && ok {
			s.member(id, tenant)
			return
		}
	}
	hash, err := hasher.Hash(s.Ctx, word)
	if err != nil {
		s.Err = err
		return
	}
	_, err = s.Store.PutUser(s.Ctx, store.User{
		ID: id, Email: demoEmail, EmailVerified: true,
		Identifiers:  []store.Identifier{{Kind: "email", Value: demoEmail}},
		PasswordHash: hash, CredentialVersion: u.CredentialVersion + 1, ClientID: app,
		// He has been here before, so that nobody else's guesses slow him.
		KnownAddress: engine.Network("127.0.0.1"),
		Claims:       []byte(demoClaims),
		CreatedAt:    s.Now, UpdatedAt: s.Now,
	})
	if s.Err = err; err == nil {
		s.member(id, tenant)
	}
}

func (s *seeder) member(id store.UserID, tenant store.Tenant) {
	have, err := s.Store.Memberships(s.Ctx, id)
	if err != nil || len(have) > 0 {
		s.Err = err
		return
	}
	if s.Err = s.Store.PutTenant(s.Ctx, tenant); s.Err == nil {
		s.Err = s.Store.PutMembership(s.Ctx, store.Membership{Tenant: tenant.ID, User: id, Role: "admin", CreatedAt: s.Now})
	}
}
