package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Face names the wire dialect that a client speaks. A client belongs to exactly
// one; to the others it is unknown.
type Face string

// GrantType is a registered grant type.
type GrantType string

// The grant types of RFC 6749 §4.1, §4.4 and §6.
const (
	AuthorizationCode GrantType = "authorization_code"
	ClientCredentials GrantType = "client_credentials"
	RefreshToken      GrantType = "refresh_token"
)

// AuthMethod is how a client authenticates at the token endpoint (OpenID Connect
// Core §9).
type AuthMethod string

// The methods. AuthNone marks a public client (RFC 7591 §2).
const (
	AuthNone          AuthMethod = "none"
	AuthSecretBasic   AuthMethod = "client_secret_basic"
	AuthSecretPost    AuthMethod = "client_secret_post"
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
)

// AuthMethods are those that there are.
var AuthMethods = []AuthMethod{AuthSecretBasic, AuthSecretPost, AuthPrivateKeyJWT, AuthNone}

// SubjectType is how a user is called to a client (OpenID Connect Core §8).
type SubjectType string

// The subject types.
const (
	SubjectPublic   SubjectType = "public"
	SubjectPairwise SubjectType = "pairwise"
)

// Client is a registered client (RFC 6749 §2): its metadata by the names of
// RFC 7591 §2 and OpenID Connect Registration §2, and its policy by the project's.
// The JSON form is the same in seed files, in the database and on the wire.
type Client struct {
	ID                     string      `json:"client_id"`
	Name                   string      `json:"client_name,omitempty"`
	ApplicationType        string      `json:"application_type,omitempty"` // web or native; "" = web
	URI                    string      `json:"client_uri,omitempty"`
	LogoURI                string      `json:"logo_uri,omitempty"`
	PolicyURI              string      `json:"policy_uri,omitempty"`
	TermsURI               string      `json:"tos_uri,omitempty"`
	Contacts               []string    `json:"contacts,omitempty"`
	RedirectURIs           []string    `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string    `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []GrantType `json:"grant_types,omitempty"`
	ResponseTypes          []string    `json:"response_types,omitempty"`
	Scope                  string      `json:"scope,omitempty"`

	AuthMethod     AuthMethod      `json:"token_endpoint_auth_method,omitempty"`
	AuthSigningAlg string          `json:"token_endpoint_auth_signing_alg,omitempty"` // "" = any
	JWKSURI        string          `json:"jwks_uri,omitempty"`
	JWKS           json.RawMessage `json:"jwks,omitempty"`

	SubjectType         SubjectType `json:"subject_type,omitempty"` // "" = public
	SectorIdentifierURI string      `json:"sector_identifier_uri,omitempty"`
	IDTokenAlg          string      `json:"id_token_signed_response_alg,omitempty"` // "" = RS256
	UserinfoAlg         string      `json:"userinfo_signed_response_alg,omitempty"` // "" = not signed
	RequestObjectAlg    string      `json:"request_object_signing_alg,omitempty"`   // "" = any
	RequestURIs         []string    `json:"request_uris,omitempty"`

	// RequirePushed is the client's own wish (RFC 9126 §6); see Policy.RequirePAR.
	RequirePushed     bool     `json:"require_pushed_authorization_requests,omitempty"`
	DefaultMaxAge     *int64   `json:"default_max_age,omitempty"` // seconds
	RequireAuthTime   bool     `json:"require_auth_time,omitempty"`
	DefaultACRValues  []string `json:"default_acr_values,omitempty"`
	InitiateLoginURI  string   `json:"initiate_login_uri,omitempty"`
	BackchannelLogout string   `json:"backchannel_logout_uri,omitempty"`
	BackchannelSID    bool     `json:"backchannel_logout_session_required,omitempty"`

	SoftwareID      string `json:"software_id,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`

	Policy
}

// Policy is what an operator decides about a client; it is refused from open
// registration. Lifetimes are seconds, 0 = none.
type Policy struct {
	// RefreshTokenRotation: each use of a refresh token yields a new one.
	RefreshTokenRotation bool `json:"refresh_token_rotation"`
	// RefreshRetryWindow: how long the parent of the current refresh token may
	// be presented again, for the same successor.
	RefreshRetryWindow RetryWindow `json:"refresh_retry_window"`
	// OnReplay: what a proven replay does to the grant.
	OnReplay OnReplay `json:"on_replay"`
	// RequirePKCE: a code is born only with a challenge.
	RequirePKCE bool `json:"require_pkce"`
	// AnonymousProfile: codes are born without a user and without a row; the
	// subject is a profile that comes to be by redemption.
	AnonymousProfile bool `json:"anonymous_profile,omitempty"`
	// RequirePAR: authorization requests must be pushed first (RFC 9126 §5).
	RequirePAR bool `json:"require_par,omitempty"`
	// IDTokenProfileClaims: the claims of the granted scope stand in the ID token,
	// too, for clients that never ask userinfo.
	IDTokenProfileClaims bool `json:"id_token_profile_claims,omitempty"`
	// Resources are what the client may ask for access tokens for (RFC 8707),
	// beside those that are known to the whole issuer.
	Resources []string `json:"resources,omitempty"`
	// IntrospectResources are the resources that the client serves: it may introspect
	// every access token that is for one of them (RFC 7662 §2.1).
	IntrospectResources []string `json:"introspect_resources,omitempty"`
	// SilentCrossSite: pages of the client may embed a frame that renews tokens
	// by a cookie that other sites' frames get as well.
	SilentCrossSite bool `json:"silent_cross_site,omitempty"`

	// AccessTokenAlg signs the access tokens: "" = ES256, or RS256 for resource servers
	// that know no other.
	AccessTokenAlg string `json:"access_token_signed_response_alg,omitempty"`

	AccessTokenLifetime     int64 `json:"access_token_lifetime"`
	RefreshIdleLifetime     int64 `json:"refresh_idle_lifetime"`
	RefreshAbsoluteLifetime int64 `json:"refresh_absolute_lifetime"`
}

// CodeLifetime is how long an authorization code can be redeemed. RFC 6749
// §4.1.2 allows ten minutes; a client redeems at once.
const CodeLifetime = 60 * time.Second

// maxLifetime keeps what an operator writes within what can be reckoned with.
const maxLifetime = 10 * 365 * 24 * 3600

// PublicPolicy is the default of clients without a secret.
func PublicPolicy() Policy {
	return Policy{
		RefreshTokenRotation: true,
		RefreshRetryWindow:   RetryWindow(30 * time.Second),
		OnReplay:             EndGrant,
		RequirePKCE:          true,
		AccessTokenLifetime:  3600,
		RefreshIdleLifetime:  14 * 24 * 3600,
	}
}

// ConfidentialPolicy is the default of clients that authenticate: their refresh
// tokens are of no use to a thief, so they need not rotate.
func ConfidentialPolicy() Policy {
	p := PublicPolicy()
	p.RefreshTokenRotation = false
	return p
}

// DefaultPolicy is the policy of clients of an authentication method.
func DefaultPolicy(m AuthMethod) Policy {
	if m == AuthNone {
		return PublicPolicy()
	}
	return ConfidentialPolicy()
}

// DefaultScope is what a client may ask for that has not said.
const DefaultScope = "address email offline_access openid phone profile"

// Complete fills in what a client has left out of its metadata (RFC 7591 §2,
// OpenID Connect Registration §2), but for its policy. Refresh tokens are among the
// grant types, though RFC 7591 has the code alone: those of a client that never
// looks at them harm nobody.
func (c *Client) Complete() {
	if c.AuthMethod == "" {
		c.AuthMethod = AuthSecretBasic
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []GrantType{AuthorizationCode, RefreshToken}
	}
	if len(c.ResponseTypes) == 0 && c.Allows(AuthorizationCode) {
		c.ResponseTypes = []string{"code"}
	}
	if c.Scope == "" {
		c.Scope = DefaultScope
	}
}

// OnReplay says what a proven replay of a code or a refresh token does.
type OnReplay string

const (
	// EndGrant ends the grant: whoever holds its newest token, thief or owner,
	// is logged out (RFC 9700 §4.14.2).
	EndGrant OnReplay = "end"
	// RefuseReplay refuses the replay and reports it, and leaves the grant
	// alive, for clients that cannot recover from a dead refresh token.
	RefuseReplay OnReplay = "refuse"
)

// RetryWindow is how long after a rotation the parent token is still answered,
// with the same successor. UntilUsed has no end but the successor's first use:
// a thief who keeps step with the owner is then not seen.
type RetryWindow time.Duration

// UntilUsed is the retry window that ends by the successor's first use.
const UntilUsed RetryWindow = -1

const untilUsed = "until_used"

// MarshalJSON writes "30s" or "until_used".
func (w RetryWindow) MarshalJSON() ([]byte, error) {
	if w == UntilUsed {
		return json.Marshal(untilUsed)
	}
	return json.Marshal(time.Duration(w).String())
}

// UnmarshalJSON reads "30s" or "until_used".
func (w *RetryWindow) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New(`refresh_retry_window: want a duration like "30s", or "until_used"`)
	}
	if s == untilUsed {
		*w = UntilUsed
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf(`refresh_retry_window: want a duration like "30s", or "until_used", got %.100q`, s)
	}
	*w = RetryWindow(d)
	return nil
}

// Allows reports whether the client may use the grant type.
func (c *Client) Allows(g GrantType) bool { return slices.Contains(c.GrantTypes, g) }

// Public reports whether the client has nothing to authenticate with.
func (c *Client) Public() bool { return c.AuthMethod == AuthNone }

// HasSecret reports whether the client authenticates by a secret. Whether it stands
// in the header or in the body is the library's choice more often than the
// client's, and no difference to anybody: both are taken.
func (c *Client) HasSecret() bool { return c.AuthMethod.Secret() }

// Secret reports whether it is one of the two methods by a secret.
func (m AuthMethod) Secret() bool { return m == AuthSecretBasic || m == AuthSecretPost }

// CheckClientID accepts visible ASCII of 1 to 255 characters (RFC 6749 A.1
// would also take a space).
func CheckClientID(id string) error {
	if id == "" || len(id) > 255 {
		return errors.New("want 1 to 255 characters")
	}
	if !visible(id) {
		return errors.New("want visible ASCII only")
	}
	return nil
}

// MemberNames are the JSON names of a client's members, in their order.
func MemberNames() []string { return append(jsonNames(reflect.TypeFor[Client]()), PolicyNames()...) }

// PolicyNames are those of its policy, which is the operator's to say.
func PolicyNames() []string { return jsonNames(reflect.TypeFor[Policy]()) }

func jsonNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
