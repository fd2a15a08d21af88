package userdocks

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	return wire.WriteJSON(w, status, envelope{Kind: kind, TotalItems: 1, ItemsLength: 1, Items: []any{item}})
}

type action struct {
	Action string `json:"action"`
	Method string `json:"method"`
	URL    string `json:"url"`
}

// nextAction sends the browser back to the app. The SDK needs code, service and
// client_id, and state for the app; redirect_uri is encoded once.
func nextAction(req codesRequest, code string) any {
	q := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	target := req.redirectURI + "?code=" + q(code) + "&state=" + q(req.state) +
		"&client_id=" + q(req.password.ClientID) + "&redirect_uri=" + q(req.redirectURI) +
		"&service=email&grant_type=authorization_code"
	return map[string]action{"nextAction": {Action: "httpRequest", Method: http.MethodGet, URL: target}}
}

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

func (shape) NeedsUser() bool { return true }

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
	for _, known := range []string{"en", "de"} {
		if requested == known {
			return known
		}
	}
	if locale, _, _ := strings.Cut(profileOf(u).Locale, "-"); locale != "" {
		return locale
	}
	return "en"
}

// claimsByScope is OIDC Core §5.4.
var claimsByScope = []struct{ scope, claims string }{
	{"profile", "name given_name family_name middle_name nickname preferred_username profile picture website gender birthdate zoneinfo locale updated_at"},
	{"address", "address"},
	{"phone", "phone_number phone_number_verified"},
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
	for _, group := range claimsByScope {
		if !scope.Has(group.scope) {
			continue
		}
		for name := range strings.FieldsSeq(group.claims) {
			if v, ok := claims[name]; ok {
				c.JSON(name, v)
			}
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

type user struct {
	UUID                string   `json:"uuid"`
	Email               string   `json:"email"`
	Sub                 string   `json:"sub"`
	Name                *string  `json:"name"`
	GivenName           *string  `json:"givenName"`
	FamilyName          *string  `json:"familyName"`
	MiddleName          *string  `json:"middleName"`
	Nickname            *string  `json:"nickname"`
	PreferredUsername   *string  `json:"preferredUsername"`
	Profile             *string  `json:"profile"`
	Picture             *string  `json:"picture"`
	Website             *string  `json:"website"`
	EmailVerified       bool     `json:"emailVerified"`
	Gender              *string  `json:"gender"`
	Birthdate           *string  `json:"birthdate"`
	Zoneinfo            *string  `json:"zoneinfo"`
	Locale              string   `json:"locale"`
	PhoneNumber         *string  `json:"phoneNumber"`
	PhoneNumberVerified bool     `json:"phoneNumberVerified"`
	IsDisabled          bool     `json:"isDisabled"`
	AppUUID             string   `json:"appUuid"`
	CreatedAt           string   `json:"createdAt"`
	UpdatedAt           string   `json:"updatedAt"`
	UserTags            []any    `json:"userTags"`
	TenantUUID          *string  `json:"tenantUuid"`
	Tenants             []tenant `json:"tenants"`
}

type tenant struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// userItem is the User of contract §A.5. tenants and tenantUuid are ours: the
// contract says only that the tenant is found by way of the user.
func userItem(a *engine.Account, appUUID string) (user, error) {
	u, c := &a.User, standardClaims{}
	if err := json.Unmarshal(u.Claims, &c); err != nil {
		return user{}, fmt.Errorf("claims of user %s: %w", engine.FormatUUID(u.ID), err)
	}
	id := engine.FormatUUID(u.ID)
	out := user{
		UUID: id, Email: u.Email, Sub: id,
		Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, MiddleName: c.MiddleName,
		Nickname: c.Nickname, PreferredUsername: c.PreferredUsername, Profile: c.Profile, Picture: c.Picture,
		Website: c.Website, EmailVerified: u.EmailVerified, Gender: c.Gender, Birthdate: c.Birthdate,
		Zoneinfo: c.Zoneinfo, Locale: language("", u), PhoneNumber: c.PhoneNumber, PhoneNumberVerified: c.PhoneNumberVerified,
		IsDisabled: u.DisabledAt != 0, AppUUID: appUUID,
		CreatedAt: isoTime(time.UnixMilli(u.CreatedAt)), UpdatedAt: isoTime(time.UnixMilli(u.UpdatedAt)),
		UserTags: []any{}, Tenants: []tenant{},
	}
	for _, m := range a.Memberships {
		out.Tenants = append(out.Tenants, tenant{UUID: engine.FormatUUID(m.Tenant), Name: m.TenantName, Role: m.Role})
	}
	if len(out.Tenants) > 0 {
		out.TenantUUID = &out.Tenants[0].UUID
	}
	return out, nil
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
