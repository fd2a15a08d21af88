package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// seedFile is what --seed adds to the demo: clients of the standard face and users.
type seedFile struct {
	clients []seedClient
	users   []seedUser
	unknown []string // members that mean nothing here, with where they stand
}

type seedClient struct {
	oauth.Client
	secret string
}

type seedUser struct {
	Email    string
	Password string
	Username string
	claims   []byte
}

const maxSeed = 1 << 20

// readSeed reads the whole file and joins everything that is wrong with it, so that
// nothing is applied of a file that is not right.
func readSeed(path string) (*seedFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--seed %s: %s", path, plainPathError(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSeed+1))
	if err != nil {
		return nil, fmt.Errorf("--seed %s: %s", path, plainPathError(err))
	}
	if len(text) > maxSeed {
		return nil, fmt.Errorf("--seed %s: want at most 1 MiB", path)
	}
	seed, err := parseSeed(text)
	if err != nil {
		return nil, fmt.Errorf("--seed %s: %w", path, err)
	}
	return seed, nil
}

func parseSeed(text []byte) (*seedFile, error) {
	var raw struct {
		Clients []json.RawMessage `json:"clients"`
		Users   []json.RawMessage `json:"users"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf(`want {"clients": [...], "users": [...]}: %w`, err)
	}
	if dec.More() {
		return nil, errors.New("want one JSON object and nothing after it")
	}
	seed := new(seedFile)
	var errs []error
	ids, names := map[string]bool{}, map[string]bool{}
	for i, member := range raw.Clients {
		c, unknown, err := parseSeedClient(member)
		if err == nil && ids[c.ID] {
			err = errors.New("there is another one of this client_id")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("clients[%d] %q: %w", i, c.ID, err))
			continue
		}
		for _, name := range unknown {
			seed.unknown = append(seed.unknown, fmt.Sprintf("clients[%d].%s", i, name))
		}
		ids[c.ID] = true
		seed.clients = append(seed.clients, c)
	}
	for i, member := range raw.Users {
		u, err := parseSeedUser(member)
		for _, name := range []string{engine.NormaliseIdentifier(u.Email), engine.NormaliseIdentifier(u.Username)} {
			if err == nil && name != "" && names[name] {
				err = fmt.Errorf("%s is another user's as well", name)
			}
			names[name] = true
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d]: %w", i, err))
			continue
		}
		seed.users = append(seed.users, u)
	}
	return seed, errors.Join(errs...)
}

// parseSeedClient reads RFC 7591 metadata with an id, a secret and policy names. What
// is left out gets the defaults that a client of its kind has.
func parseSeedClient(text json.RawMessage) (c seedClient, unknown []string, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return c, nil, errors.New("want an object")
	}
	var own struct {
		ID     string           `json:"client_id"`
		Secret string           `json:"client_secret"`
		Method oauth.AuthMethod `json:"token_endpoint_auth_method"`
		JWKS   json.RawMessage  `json:"jwks"`
		URI    string           `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &own); err != nil {
		return c, nil, err
	}
	c.ID = own.ID
	if own.Method == "" {
		switch {
		case own.Secret != "":
			own.Method = oauth.AuthSecretBasic
		case own.URI != "" || len(own.JWKS) > 0:
			own.Method = oauth.AuthPrivateKeyJWT
		default:
			own.Method = oauth.AuthNone
		}
	}
	c.Policy = oauth.DefaultPolicy(own.Method)
	if err := json.Unmarshal(text, &c.Client); err != nil {
		return c, nil, err
	}
	c.AuthMethod, c.secret = own.Method, own.Secret
	c.Complete()
	if c.Public() {
		c.RequirePKCE = true // whatever the file says
	}
	switch {
	case c.HasSecret() && c.secret == "":
		return c, nil, fmt.Errorf("%s needs a client_secret", c.AuthMethod)
	case !c.HasSecret() && c.secret != "":
		return c, nil, fmt.Errorf("a client of the method %s has no client_secret", c.AuthMethod)
	}
	if len(c.JWKS) > 0 {
		if _, err := jose.ParseKeySet(c.JWKS); err != nil {
			return c, nil, fmt.Errorf("jwks: %w", err)
		}
	}
	known := knownMembers()
	for name := range members {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return c, unknown, c.Check()
}

// knownMembers are the names of a client's members that mean something here.
func knownMembers() []string {
	return append(oauth.MemberNames(), "client_secret")
}

// parseSeedUser reads a user; what is not one of its own members is a standard claim
// (OpenID Connect Core §5.1).
func parseSeedUser(text json.RawMessage) (u seedUser, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return u, errors.New("want an object")
	}
	for name, to := range map[string]*string{"email": &u.Email, "password": &u.Password, "username": &u.Username} {
		if raw, ok := members[name]; ok && json.Unmarshal(raw, to) != nil {
			return u, fmt.Errorf("%s: want a string", name)
		}
		delete(members, name)
	}
	delete(members, "email_verified") // who stands in the file can sign in
	for name := range members {
		if !slices.Contains(oauth.StandardClaims(), name) {
			return u, fmt.Errorf("%s is no standard claim; want email, password, username and the claims of OpenID Connect Core §5.1", name)
		}
	}
	if err := engine.CheckEmail(u.Email); err != nil {
		return u, fmt.Errorf("email: want an address like name@example.com, got %q", u.Email)
	}
	if u.Password == "" || len(u.Password) > password.MaxLength {
		return u, errors.New("password: want 1 to 1024 bytes")
	}
	if strings.ContainsFunc(u.Username, func(r rune) bool { return r <= ' ' || r == '@' || r == 0x7f }) || len(u.Username) > 64 {
		return u, errors.New("username: want at most 64 characters without spaces and @")
	}
	u.claims, err = json.Marshal(members)
	return u, err
}

// apply puts the file's clients and users into the store; what is there as the file
// has it is left alone.
func (f *seedFile) apply(ctx context.Context, master *seal.Master, s *seeder, log *slog.Logger) error {
	for _, name := range f.unknown {
		log.Warn("--seed: this member means nothing here and is ignored", "member", name)
	}
	for _, c := range f.clients {
		if len(c.secret) > 0 && len(c.secret) < 32 {
			log.Warn("--seed: this client_secret is short; 32 random characters cannot be guessed", "client", c.ID)
		}
		if have, found, err := s.store.Client(ctx, c.ID); err != nil {
			return err
		} else if found && have.Source == "dev" {
			return fmt.Errorf("--seed: the client_id %q is one of the demo's own", c.ID)
		}
		s.client(store.Client{Face: oidc.Name, Source: "file", Client: c.Client})
		if c.HasSecret() {
			s.secret(c.ID, c.secret)
		}
	}
	for _, u := range f.users {
		s.seeded(ctx, master, u)
	}
	return s.err
}

// seeded makes a user of the file, or sets him right.
func (s *seeder) seeded(ctx context.Context, master *seal.Master, u seedUser) {
	if s.err != nil {
		return
	}
	name := engine.NormaliseIdentifier(u.Email)
	id := store.UserID(engine.UUIDBits([16]byte(master.Derive("seed user "+name, 16))))
	have, found, err := s.store.User(ctx, id)
	if err != nil {
		s.err = err
		return
	}
	hasher := password.New(password.Default(), 0)
	want := store.User{
		ID: id, Email: u.Email, EmailVerified: true, Claims: u.claims,
		Identifiers:  []store.Identifier{{Kind: "email", Value: name}},
		PasswordHash: have.PasswordHash, CredentialVersion: have.CredentialVersion, Attributes: have.Attributes,
		KnownAddress: engine.Network("127.0.0.1"), CreatedAt: s.now, UpdatedAt: s.now,
	}
	if u.Username != "" {
		want.Identifiers = append(want.Identifiers, store.Identifier{Kind: "username", Value: engine.NormaliseIdentifier(u.Username)})
	}
	if ok, err := hasher.Verify(ctx, have.PasswordHash, u.Password); !found || err != nil || !ok {
		if want.PasswordHash, s.err = hasher.Hash(ctx, u.Password); s.err != nil {
			return
		}
		want.CredentialVersion++
	} else if have.DisabledAt == 0 && bytes.Equal(have.Claims, want.Claims) && slices.Equal(have.Identifiers, want.Identifiers) {
		return
	}
	out, err := s.store.PutUser(ctx, want)
	if err == nil && out != store.Done {
		err = fmt.Errorf("the user %s cannot be made: the address or the user name is somebody else's", u.Email)
	}
	s.err = err
}
