package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Face names the wire dialect that a client speaks. A client belongs to exactly
// one; to the others it is unknown.
type Face string

// GrantType is a registered grant type.
type GrantType string

// The grant types of RFC 6749 §4.1 and §6.
const (
	AuthorizationCode GrantType = "authorization_code"
	RefreshToken      GrantType = "refresh_token"
)

// AuthMethod is how a client authenticates at the token endpoint.
type AuthMethod string

// AuthNone marks a public client (RFC 7591 §2).
const AuthNone AuthMethod = "none"

// Client is a registered client (RFC 6749 §2): its metadata by the names of
// RFC 7591 §2, and its policy by the project's. The JSON form is the same in
// seed files, in the database and on the wire.
type Client struct {
	ID           string      `json:"client_id"`
	Name         string      `json:"client_name,omitempty"`
	LogoURI      string      `json:"logo_uri,omitempty"`
	PolicyURI    string      `json:"policy_uri,omitempty"`
	TermsURI     string      `json:"tos_uri,omitempty"`
	RedirectURIs []string    `json:"redirect_uris,omitempty"`
	GrantTypes   []GrantType `json:"grant_types,omitempty"`
	AuthMethod   AuthMethod  `json:"token_endpoint_auth_method,omitempty"`
	Scope        string      `json:"scope,omitempty"`
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
	// SilentCrossSite: pages of the client may embed a frame that renews tokens
	// by a cookie that other sites' frames get as well.
	SilentCrossSite bool `json:"silent_cross_site,omitempty"`

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
		return fmt.Errorf(`refresh_retry_window: want a duration like "30s", or "until_used", got %q`, s)
	}
	*w = RetryWindow(d)
	return nil
}

// Allows reports whether the client may use the grant type.
func (c *Client) Allows(g GrantType) bool { return slices.Contains(c.GrantTypes, g) }

// Check joins everything that is wrong with a client that is to be registered.
func (c *Client) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := CheckClientID(c.ID); err != nil {
		errs = append(errs, err)
	}
	for _, u := range c.RedirectURIs {
		if err := CheckRedirectURI(u); err != nil {
			bad("redirect_uris: %q: %w", u, err)
		}
		if u == URNAuto && !c.AnonymousProfile {
			bad("redirect_uris: %q is for clients of anonymous profiles", u)
		}
	}
	for _, g := range c.GrantTypes {
		if g != AuthorizationCode && g != RefreshToken {
			bad("grant_types: %q is not supported", g)
		}
	}
	if c.AuthMethod != AuthNone {
		bad(`token_endpoint_auth_method: want "none", got %q`, c.AuthMethod)
	}
	if _, err := ParseScope(c.Scope); err != nil {
		bad("scope: %w", err)
	}
	if c.OnReplay != EndGrant && c.OnReplay != RefuseReplay {
		bad(`on_replay: want "end" or "refuse", got %q`, c.OnReplay)
	}
	if c.AccessTokenLifetime <= 0 || c.AccessTokenLifetime > maxLifetime {
		bad("access_token_lifetime: want seconds, more than 0 and at most ten years, got %d", c.AccessTokenLifetime)
	}
	for name, seconds := range map[string]int64{"refresh_idle_lifetime": c.RefreshIdleLifetime, "refresh_absolute_lifetime": c.RefreshAbsoluteLifetime} {
		if seconds < 0 || seconds > maxLifetime {
			bad("%s: want seconds, 0 = none, at most ten years, got %d", name, seconds)
		}
	}
	return errors.Join(errs...)
}

// CheckClientID accepts visible ASCII of 1 to 255 characters (RFC 6749 A.1
// would also take a space).
func CheckClientID(id string) error {
	if id == "" || len(id) > 255 {
		return errors.New("client_id: want 1 to 255 characters")
	}
	for i := range len(id) {
		if id[i] <= 0x20 || id[i] >= 0x7f {
			return errors.New("client_id: want visible ASCII only")
		}
	}
	return nil
}
