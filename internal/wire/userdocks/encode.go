package userdocks

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// envelope is what every success comes in (contract §A.0).
type envelope struct {
	Kind        string `json:"kind"`
	TotalItems  int    `json:"totalItems"`
	ItemsLength int    `json:"itemsLength"`
	Items       []any  `json:"items"`
}

func writeItem(w http.ResponseWriter, status int, kind string, item any) error {
	return writeItems(w, status, kind, 1, []any{item})
}

// writeItems writes a page of the total; items is not nil.
func writeItems(w http.ResponseWriter, status int, kind string, total int, items []any) error {
	return wire.WriteJSON(w, status, envelope{Kind: kind, TotalItems: total, ItemsLength: len(items), Items: items})
}

type action struct {
	Action string `json:"action"`
	Method string `json:"method"`
	URL    string `json:"url"`
}

// nextAction sends the browser back to the app.
func nextAction(req codesRequest, code string) any {
	target := callback(req.redirectURI, code, req.password.State, req.password.ClientID)
	return map[string]action{"nextAction": {Action: "httpRequest", Method: http.MethodGet, URL: target}}
}

// callback is the address of the app with what it asked for. The SDK needs code,
// service and client_id, and state for the app; redirect_uri is encoded once.
func callback(redirectURI, code, state, clientID string) string {
	return redirectURI + "?code=" + escape(code) + "&state=" + escape(state) +
		"&client_id=" + escape(clientID) + "&redirect_uri=" + escape(redirectURI) +
		"&service=email&grant_type=authorization_code"
}

// escape encodes for a query that is read by decodeURIComponent.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// item is the answer of POST /api/v1/tokens: exactly these six, always.
type item struct {
	AccessToken  string `json:"accessToken"`
	IDToken      string `json:"idToken"`
	ExpiresIn    string `json:"expiresIn"` // absolute, seconds since the epoch
	TokenType    string `json:"tokenType"`
	RedirectURI  string `json:"redirectUri"` // as a browser prints origin + pathname, less one slash
	RefreshToken string `json:"refreshToken"`
}

func tokensItem(i *engine.Issued) item {
	return item{
		AccessToken: i.AccessToken, IDToken: i.IDToken,
		ExpiresIn: strconv.FormatInt(i.ExpiresAt.Unix(), 10), TokenType: "Bearer",
		RedirectURI: i.Grant.RedirectURI, RefreshToken: i.RefreshToken,
	}
}

const (
	useAccess = "access"
	useID     = "id"
)

// shape is the JWTs of contract §C. nonce and language come from the request of
// this very exchange.
type shape struct {
	nonce    string
	language string
}

func (shape) NeedsUser(*engine.Issue) bool { return true }

func (s shape) Draft(i engine.Issue) engine.Drafts {
	access := s.claims(i, useAccess)
	// Documented, empty, and the one structural mark of an access token.
	access.Strings("psc", nil)
	access.String("gid", engine.GID(i.Grant))
	id := s.claims(i, useID)
	profileClaims(id, i.User, i.Grant.Scope)
	draft := func(c *jose.Claims) engine.Draft {
		// The header is exactly alg and typ; the server SDK refuses another typ.
		return engine.Draft{Key: SigningKey, Typ: "JWT", Claims: c}
	}
	idDraft := draft(id)
	return engine.Drafts{Access: draft(access), ID: &idDraft}
}

// claims are those that both tokens have.
func (s shape) claims(i engine.Issue, use string) *jose.Claims {
	c := jose.NewClaims()
	c.String("iss", Issuer)
	c.String("sub", i.Grant.Subject)
	c.String("aud", i.Client.ID) // one string: an array fails in both SDKs
	c.String("lng", language(s.language, i.User))
	c.String("jti", i.NewID())
	c.Int("iat", i.IssuedAt.Unix())
	c.Int("exp", i.ExpiresAt.Unix())
	if s.nonce != "" {
		c.String("nonce", s.nonce)
	}
	c.Int("auth_time", i.Grant.AuthTime/1000)
	c.Strings("scope", i.Grant.Scope.Tokens())
	c.String("token_use", use)
	return c
}

// language is the request's if it is one that there are texts in, else the
// user's.
func language(requested string, u *engine.User) string {
	if slices.Contains(languages, requested) {
		return requested
	}
	if locale, _, _ := strings.Cut(profileOf(u).Locale, "-"); locale != "" {
		return locale
	}
	return languages[0]
}

// languages are those that there are texts in; the first one is the default.
var languages = []string{"en", "de"}

// mailLanguage is the language of a tag (RFC 5646), if there are texts in it.
func mailLanguage(tag string) string {
	primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if slices.Contains(languages, primary) {
		return primary
	}
	return languages[0]
}

func profileClaims(c *jose.Claims, u *engine.User, scope oauth.Scope) {
	if u == nil {
		return
	}
	if scope.Has("email") {
		c.String("email", u.Email)
		c.Bool("email_verified", u.EmailVerified)
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(u.Claims, &claims) != nil {
		return
	}
	for _, name := range oauth.ClaimsOf(scope.Without("email")) {
		if v, ok := claims[name]; ok {
			c.JSON(name, v)
		}
	}
}

// standardClaims are those of a user's claims that the User object has a field
// for.
type standardClaims struct {
	Name                *string `json:"name"`
	GivenName           *string `json:"given_name"`
	FamilyName          *string `json:"family_name"`
	MiddleName          *string `json:"middle_name"`
	Nickname            *string `json:"nickname"`
	PreferredUsername   *string `json:"preferred_username"`
	Profile             *string `json:"profile"`
	Picture             *string `json:"picture"`
	Website             *string `json:"website"`
	Gender              *string `json:"gender"`
	Birthdate           *string `json:"birthdate"`
	Zoneinfo            *string `json:"zoneinfo"`
	Locale              string  `json:"locale"`
	PhoneNumber         *string `json:"phone_number"`
	PhoneNumberVerified bool    `json:"phone_number_verified"`
}

func profileOf(u *engine.User) (c standardClaims) {
	if u != nil {
		_ = json.Unmarshal(u.Claims, &c) // a claim of another type is as good as none
	}
	return c
}

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type appKey struct {
	UUID      string     `json:"uuid"`
	CreatedAt string     `json:"createdAt"`
	UpdatedAt string     `json:"updatedAt"`
	Type      appKeyType `json:"type"`
	Value     string     `json:"value"`
}

type appKeyType struct {
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
}

// keyItem is the appKeys item of contract §A.3. The whole answer must reach the
// server SDK in one piece (§C), so it stays small: one RSA-2048 key.
func keyItem(k engine.SigningKey) appKey {
	created := isoTime(k.CreatedAt)
	uuid := func(of string) string {
		sum := sha256.Sum256([]byte("userdocks " + of + "\x00" + k.ID))
		return engine.UUID([16]byte(sum[:16]))
	}
	return appKey{
		UUID: uuid("key"), CreatedAt: created, UpdatedAt: created, Value: string(k.PEM),
		Type: appKeyType{UUID: uuid("type"), Name: "public", CreatedAt: created, UpdatedAt: created},
	}
}
