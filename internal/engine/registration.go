package engine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// Registration says who may register clients (RFC 7591 §3).
type Registration struct {
	Mode RegistrationMode
	// RequirePKCE is the require_pkce of confidential clients that register
	// themselves; public ones always need it.
	RequirePKCE bool
	// Scope is what they may ask for beside oauth.DefaultScope; what they name more is
	// left out. AnyScope lets them name what they like: for dev.
	Scope    oauth.Scope
	AnyScope bool
	// ClientCredentials lets them have tokens for themselves, without any user.
	ClientCredentials bool
}

// RegistrationMode is closed unless something else is said.
type RegistrationMode uint8

// The modes.
const (
	RegistrationClosed  RegistrationMode = iota
	RegistrationByToken                  // with an initial access token
	RegistrationOpen                     // anybody
)

// mostRegistered is how many clients may have registered themselves: a stranger
// must not fill the database.
const mostRegistered = 10_000

// maxRegistered is the size of what one of them may say of itself, in bytes.
const maxRegistered = 16 << 10

// RegistrationMode is who may register clients.
func (e *Engine) RegistrationMode() RegistrationMode { return e.policy.registration.Mode }

// Registered is a client that has registered itself.
type Registered struct {
	Client      *oauth.Client
	CreatedAt   time.Time
	Secret      string // "" for one without, and where it is read again: it is not kept
	AccessToken string // to read and delete the registration with
}

func refuseMetadata(reason, description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidClientMetadata, reason, description)
}

// RegisterClient stores a client that describes itself. What it has left out gets
// the defaults of RFC 7591 §2 and OpenID Connect Registration §2; its policy is
// ours. token is the initial access token, "" if it has none. Refusals:
// access_denied (registration is closed), invalid_token, invalid_redirect_uri,
// invalid_client_metadata, temporarily_unavailable (too many, or too many from the
// network).
func (e *Engine) RegisterClient(ctx context.Context, face oauth.Face, c oauth.Client, token string, trace Trace) (*Registered, error) {
	if err := e.mayRegister(ctx, token); err != nil {
		return nil, err
	}
	c.Complete()
	c.Policy = oauth.DefaultPolicy(c.AuthMethod)
	if !c.Public() {
		c.RequirePKCE = e.policy.registration.RequirePKCE
	}
	if err := e.narrowRegistration(&c); err != nil {
		return nil, err
	}
	if err := e.checkRegistration(ctx, &c); err != nil {
		return nil, err
	}
	secret, id, err := e.newSecret()
	if err != nil {
		return nil, err
	}
	now := e.now()
	c.ID = FormatUUID(id)
	in := store.RegisterClient{
		Client: store.Client{Client: c, Face: face, Source: store.SelfRegistered, CreatedAt: millis(now), UpdatedAt: millis(now)},
		Most:   mostRegistered, Now: millis(now), Trace: trace,
	}
	out := &Registered{Client: &c, CreatedAt: now}
	if c.HasSecret() {
		if out.Secret, err = e.NewSecret(); err != nil {
			return nil, err
		}
		in.Secret = &store.ClientSecret{ClientID: c.ID, Hash: e.secretHash(c.ID, out.Secret), CreatedAt: millis(now)}
	}
	ring := e.keys.ring(now)
	if out.AccessToken, err = ring.Mint(tally.Registration, tally.Tally{Key: ring.Active(), Secret: secret}); err != nil {
		return nil, fault("mint registration access token", err)
	}
	if e.policy.registration.Mode == RegistrationOpen {
		if err := e.takeBirth(trace.IP); err != nil {
			return nil, err
		}
	}
	outcome, err := e.store.RegisterClient(ctx, in)
	switch {
	case err != nil:
		if e.policy.registration.Mode == RegistrationOpen {
			e.returnBirth(ctx, trace.IP)
		}
		return nil, fault("register client", err)
	case outcome != store.Done:
		return nil, &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Reason: "register client: " + outcome.String(), RetryAfter: time.Hour,
			Description: "There are too many clients that registered themselves. Please ask the operator.",
		}
	}
	return out, nil
}

// narrowRegistration keeps a client that nobody has looked at to what everybody may
// have (RFC 7591 §2: the server may replace what is asked for).
func (e *Engine) narrowRegistration(c *oauth.Client) error {
	policy := e.policy.registration
	if c.Allows(oauth.ClientCredentials) && !policy.ClientCredentials {
		return refuseMetadata("client_credentials", "grant_types: client_credentials is not for clients that register themselves.")
	}
	scope, err := oauth.ParseScope(c.Scope)
	if err != nil || policy.AnyScope {
		return nil // a faulty scope is told by the check of all
	}
	if scope = scope.Common(oauth.Scope(oauth.DefaultScope).Union(policy.Scope)); scope == "" {
		return refuseMetadata("scope", "scope: none of it is for clients that register themselves.")
	}
	c.Scope = string(scope)
	return nil
}

func (e *Engine) mayRegister(ctx context.Context, token string) error {
	switch e.policy.registration.Mode {
	case RegistrationOpen:
		return nil
	case RegistrationByToken:
		return e.checkInitialToken(ctx, token)
	}
	return oauth.Refuse(oauth.AccessDenied, "registration is closed", "Clients cannot register themselves here. Please ask the operator.")
}

// NewInitialToken makes a token that its holder can register clients with until it
// ends.
func (e *Engine) NewInitialToken(lifetime time.Duration) (string, error) {
	secret, _, err := e.newSecret()
	if err != nil {
		return "", err
	}
	now := e.now()
	ring := e.keys.ring(now)
	end := binary.BigEndian.AppendUint64(nil, uint64(millis(now.Add(lifetime))))
	token, err := ring.Mint(tally.InitialAccess, tally.Tally{Key: ring.Active(), Secret: secret, Body: end})
	if err != nil {
		return "", fault("mint initial access token", err)
	}
	return token, nil
}

func (e *Engine) checkInitialToken(ctx context.Context, token string) error {
	refuse := func(reason string) *oauth.Error {
		return oauth.Refuse(oauth.InvalidToken, "initial access token: "+reason, "An initial access token of the operator is needed to register a client.")
	}
	t, err := e.verify(ctx, tally.InitialAccess, token)
	if err != nil {
		return artefactError(err, token, refuse)
	}
	if uint64(millis(e.now())) >= binary.BigEndian.Uint64(t.Body) {
		return refuse("expired")
	}
	return nil
}

func (e *Engine) checkRegistration(ctx context.Context, c *oauth.Client) error {
	c.ID = "unborn" // so that the check has something to look at
	err := c.Check()
	c.ID = ""
	if err != nil {
		code, what := oauth.InvalidClientMetadata, err.Error()
		if m, ok := errors.AsType[*oauth.MetadataError](err); ok { // the first
			what = m.Error()
			if m.Member == "redirect_uris" {
				code = oauth.InvalidRedirectURI
			}
		}
		return oauth.Refuse(code, "metadata: "+err.Error(), "The client metadata is not valid: "+what)
	}
	if text, err := json.Marshal(c); err != nil || len(text) > maxRegistered {
		return refuseMetadata("metadata too large", "The client metadata must be at most 16 KiB.")
	}
	if len(c.JWKS) > 0 {
		if _, err := jose.ParseKeySet(c.JWKS); err != nil {
			return refuseMetadata("jwks", "jwks: "+err.Error())
		}
	}
	// All that we would fetch, and not only what is fetched first.
	fetched := append([]string{c.JWKSURI, c.SectorIdentifierURI, c.BackchannelLogout}, c.RequestURIs...)
	for _, uri := range fetched {
		// The fragment of a request_uri is the hash of its content (OIDC Core §6.2).
		if uri, _, _ = strings.Cut(uri, "#"); uri == "" {
			continue
		}
		if err := e.fetch.Check(uri); err != nil {
			return refuseMetadata("address: "+err.Error(), uri+" "+err.Error()+".")
		}
	}
	if c.SectorIdentifierURI != "" {
		return e.checkSector(ctx, c)
	}
	return nil
}

// checkSector sees that all of a client's redirect URIs are in the file that its
// sector_identifier_uri names (OpenID Connect Registration §5): who can write it
// has joined those hosts into one sector.
func (e *Engine) checkSector(ctx context.Context, c *oauth.Client) error {
	body, err := e.fetch.Get(ctx, c.SectorIdentifierURI, "application/json")
	if err != nil {
		return refuseMetadata("sector_identifier_uri: "+err.Error(), "sector_identifier_uri: it cannot be fetched")
	}
	var listed []string
	if err := jose.Unmarshal(body, &listed); err != nil {
		return refuseMetadata("sector_identifier_uri: content", "sector_identifier_uri: it must hold a JSON array of redirect URIs")
	}
	for _, uri := range c.RedirectURIs {
		if !slices.Contains(listed, uri) {
			return refuseMetadata("sector_identifier_uri: redirect URI not listed", "sector_identifier_uri: it does not list "+uri)
		}
	}
	return nil
}

// registration finds the client of a registration access token, which must be the
// one that is asked for. Refusal: invalid_token.
func (e *Engine) registration(ctx context.Context, face oauth.Face, clientID, token string) (*store.Client, error) {
	refuse := func(reason string) *oauth.Error {
		return oauth.Refuse(oauth.InvalidToken, "registration access token: "+reason, "The registration access token is not valid for this client.")
	}
	t, err := e.verify(ctx, tally.Registration, token)
	if err != nil {
		return nil, artefactError(err, token, refuse)
	}
	if FormatUUID(e.grantID(t.Secret)) != clientID {
		return nil, refuse("of another client")
	}
	c, found, err := e.store.Client(ctx, clientID)
	switch {
	case err != nil:
		return nil, fault("client", err)
	case !found || c.Face != face || c.Source != store.SelfRegistered:
		return nil, refuse("client gone")
	}
	return &c, nil
}

// RegisteredClient reads a registration (RFC 7592 §2.1).
func (e *Engine) RegisteredClient(ctx context.Context, face oauth.Face, clientID, token string) (*Registered, error) {
	c, err := e.registration(ctx, face, clientID, token)
	if err != nil {
		return nil, err
	}
	return &Registered{Client: &c.Client, CreatedAt: time.UnixMilli(c.CreatedAt), AccessToken: token}, nil
}

// UnregisterClient erases a client that asks for it (RFC 7592 §2.3); its grants
// end.
func (e *Engine) UnregisterClient(ctx context.Context, face oauth.Face, clientID, token string, trace Trace) error {
	if _, err := e.registration(ctx, face, clientID, token); err != nil {
		return err
	}
	if _, err := e.store.DeleteClient(ctx, store.DeleteClient{ClientID: clientID, Now: millis(e.now()), Trace: trace}); err != nil {
		return fault("delete client", err)
	}
	e.clients.forget()
	return nil
}
