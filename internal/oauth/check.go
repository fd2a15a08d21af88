package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The algorithms of RFC 7518 §3.1, RFC 8037 and RFC 9864 that clients may name: what we
// sign with, and what we accept from them.
var (
	SigningAlgs       = []string{"RS256", "ES256"}
	ClientSigningAlgs = []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519"}
)

const (
	maxURIs = 50
	maxURI  = 2048
	maxText = 200
)

// Check joins everything that is wrong with a client that is to be registered,
// each a *MetadataError.
func (c *Client) Check() error {
	f := new(faults)
	if err := CheckClientID(c.ID); err != nil {
		f.bad("client_id", "%w", err)
	}
	c.checkMetadata(f)
	c.Policy.check(f)
	return errors.Join(f.errs...)
}

// CheckMetadata is Check for what a client says of itself before it has an id.
func (c *Client) CheckMetadata() error {
	f := new(faults)
	c.checkMetadata(f)
	return errors.Join(f.errs...)
}

// A MetadataError says which member of a client's metadata is wrong.
type MetadataError struct {
	Member string // by its JSON name
	Err    error
}

func (e *MetadataError) Error() string { return e.Member + ": " + e.Err.Error() }
func (e *MetadataError) Unwrap() error { return e.Err }

type faults struct{ errs []error }

func (f *faults) bad(member, format string, args ...any) {
	f.errs = append(f.errs, &MetadataError{member, fmt.Errorf(format, args...)})
}

func (c *Client) checkMetadata(f *faults) {
	c.checkRedirects(f)
	c.checkGrants(f)
	c.checkAuthentication(f)
	for _, texts := range []struct {
		member string
		values []string
	}{
		{"client_name", []string{c.Name}}, {"contacts", c.Contacts}, {"default_acr_values", c.DefaultACRValues},
		{"software_id", []string{c.SoftwareID}}, {"software_version", []string{c.SoftwareVersion}},
	} {
		if len(texts.values) > maxURIs || slices.ContainsFunc(texts.values, unfit) {
			f.bad(texts.member, "want at most %d bytes of text, without control characters", maxText)
		}
	}
	if c.ApplicationType != "" && c.ApplicationType != "web" && c.ApplicationType != "native" {
		f.bad("application_type", `want "web" or "native", got %.100q`, c.ApplicationType)
	}
	if _, err := ParseScope(c.Scope); err != nil {
		f.bad("scope", "%w", err)
	}
	uris := c.URIs()
	for _, member := range slices.Sorted(maps.Keys(uris)) {
		if err := checkWebURI(uris[member]); err != nil {
			f.bad(member, "%w", err)
		}
	}
	c.checkRequestURIs(f)
	if c.SubjectType != "" && c.SubjectType != SubjectPublic && c.SubjectType != SubjectPairwise {
		f.bad("subject_type", `want "public" or "pairwise", got %.100q`, c.SubjectType)
	}
	if c.SubjectType == SubjectPairwise {
		if _, err := c.Sector(); err != nil {
			f.bad("sector_identifier_uri", "%w", err)
		}
	}
	if c.DefaultMaxAge != nil && (*c.DefaultMaxAge < 0 || *c.DefaultMaxAge > maxLifetime) {
		f.bad("default_max_age", "want seconds, 0 or more, got %d", *c.DefaultMaxAge)
	}
}

// unfit: what a client says of itself stands on pages and on terminals.
func unfit(s string) bool { return len(s) > maxText || strings.ContainsFunc(s, unicode.IsControl) }

func (c *Client) checkRequestURIs(f *faults) {
	if len(c.RequestURIs) > maxURIs {
		f.bad("request_uris", "want at most %d", maxURIs)
		return
	}
	for _, u := range c.RequestURIs {
		// A fragment is the hash of the content (OIDC Core §6.2).
		address, hash, _ := strings.Cut(u, "#")
		err := checkWebURI(address)
		if err == nil && hash != "" && (!visible(hash) || strings.Contains(hash, "#") || len(u) > maxURI) {
			err = errors.New("want the base64url form of a hash as the fragment")
		}
		if err != nil {
			f.bad("request_uris", "%.100q: %w", u, err)
		}
	}
}

// URIs are the client's addresses by the name of their member: those that we
// fetch, and those that we show.
func (c *Client) URIs() map[string]string {
	all := map[string]string{
		"client_uri": c.URI, "logo_uri": c.LogoURI, "policy_uri": c.PolicyURI, "tos_uri": c.TermsURI,
		"jwks_uri": c.JWKSURI, "sector_identifier_uri": c.SectorIdentifierURI,
		"initiate_login_uri": c.InitiateLoginURI, "backchannel_logout_uri": c.BackchannelLogout,
	}
	for member, uri := range all {
		if uri == "" {
			delete(all, member)
		}
	}
	return all
}

// checkWebURI accepts what a browser or the fetcher may be sent to; the fetcher
// has rules of its own beside these.
func checkWebURI(s string) error {
	if len(s) > maxURI {
		return fmt.Errorf("want at most %d characters", maxURI)
	}
	if !visible(s) {
		return errors.New("want visible ASCII")
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || strings.Contains(s, "#") || !canonicalHost(strings.ToLower(u.Hostname())) || u.Port() != "" && !canonicalPort(u.Port()) {
		return errors.New("want an absolute URL like https://app.example.com/x, without user information and fragment")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return errors.New("want https; http is for loopback only")
	}
	return nil
}

func (c *Client) checkRedirects(f *faults) {
	for _, redirects := range []struct {
		member string
		uris   []string
	}{{"redirect_uris", c.RedirectURIs}, {"post_logout_redirect_uris", c.PostLogoutRedirectURIs}} {
		if len(redirects.uris) > maxURIs {
			f.bad(redirects.member, "want at most %d", maxURIs)
			continue
		}
		for _, u := range redirects.uris {
			err := CheckRedirectURI(u)
			switch {
			case u == URNAuto && !c.AnonymousProfile:
				err = errors.New("this is for clients of anonymous profiles")
			case privateUse(u) && !c.Public():
				err = errors.New("a private-use scheme is for public clients (RFC 8252 §7.1)")
			}
			if err != nil {
				f.bad(redirects.member, "%.100q: %w", u, err)
			}
		}
	}
	if c.Allows(AuthorizationCode) && len(c.RedirectURIs) == 0 {
		f.bad("redirect_uris", "want at least one, for the grant type authorization_code")
	}
}

func (c *Client) checkGrants(f *faults) {
	for _, g := range c.GrantTypes {
		if g != AuthorizationCode && g != RefreshToken && g != ClientCredentials {
			f.bad("grant_types", "%.100q is not supported", g)
			break
		}
	}
	if c.Allows(RefreshToken) && !c.Allows(AuthorizationCode) {
		f.bad("grant_types", "refresh_token needs authorization_code")
	}
	if c.Allows(ClientCredentials) && c.Public() {
		f.bad("grant_types", "client_credentials needs a client that authenticates (RFC 6749 §4.4)")
	}
	for _, t := range c.ResponseTypes {
		if t != "code" {
			f.bad("response_types", "%.100q is not supported, only code is", t)
			break
		}
	}
	if slices.Contains(c.ResponseTypes, "code") && !c.Allows(AuthorizationCode) {
		f.bad("response_types", "code needs the grant type authorization_code (RFC 7591 §2.1)")
	}
}

func (c *Client) checkAuthentication(f *faults) {
	if !slices.Contains(AuthMethods, c.AuthMethod) {
		f.bad("token_endpoint_auth_method", `want "client_secret_basic", "client_secret_post", "private_key_jwt" or "none", got %.100q`, c.AuthMethod)
	}
	hasJWKS := !absent(c.JWKS)
	switch {
	case hasJWKS && c.JWKSURI != "":
		f.bad("jwks", "want jwks or jwks_uri, not both (RFC 7591 §2)")
	case c.AuthMethod == AuthPrivateKeyJWT && !hasJWKS && c.JWKSURI == "":
		f.bad("jwks", "private_key_jwt needs jwks or jwks_uri")
	case hasJWKS && !keySet(c.JWKS):
		f.bad("jwks", "want a JWK Set with a key (RFC 7517 §5)")
	}
	for _, a := range []struct {
		member, value string
		allowed       []string
	}{
		{"token_endpoint_auth_signing_alg", c.AuthSigningAlg, ClientSigningAlgs},
		{"request_object_signing_alg", c.RequestObjectAlg, ClientSigningAlgs},
		{"id_token_signed_response_alg", c.IDTokenAlg, SigningAlgs},
		{"userinfo_signed_response_alg", c.UserinfoAlg, SigningAlgs},
	} {
		if a.value != "" && !slices.Contains(a.allowed, a.value) {
			f.bad(a.member, "want one of %s, got %.100q", strings.Join(a.allowed, ", "), a.value)
		}
	}
}

// keySet looks at the shape only; the keys are read where they verify.
func keySet(raw json.RawMessage) bool {
	set, ok := members(raw)
	var keys []json.RawMessage
	return ok && utf8.Valid(raw) && json.Unmarshal(set["keys"], &keys) == nil && len(keys) > 0
}

// Sector is the host, without a port, that the client's pairwise subjects are
// computed for (OpenID Connect Core §8.1).
func (c *Client) Sector() (string, error) {
	if c.SectorIdentifierURI != "" {
		u, err := url.Parse(c.SectorIdentifierURI)
		if err != nil || u.Hostname() == "" {
			return "", errors.New("want an absolute URL")
		}
		return strings.ToLower(u.Hostname()), nil
	}
	host := ""
	for _, r := range c.RedirectURIs {
		u, err := url.Parse(r)
		switch {
		case err != nil || u.Hostname() == "": // of a private-use scheme
		case host == "":
			host = u.Hostname()
		case host != u.Hostname():
			return "", errors.New("pairwise subjects of a client with redirect URIs on several hosts need it")
		}
	}
	if host == "" {
		return "", errors.New("pairwise subjects need a redirect URI with a host, or it")
	}
	return host, nil
}

func (p *Policy) check(f *faults) {
	if p.RefreshRetryWindow < 0 && p.RefreshRetryWindow != UntilUsed {
		f.bad("refresh_retry_window", "want 0 or more, or until_used")
	}
	if p.OnReplay != EndGrant && p.OnReplay != RefuseReplay {
		f.bad("on_replay", `want "end" or "refuse", got %.100q`, p.OnReplay)
	}
	if p.AccessTokenLifetime <= 0 || p.AccessTokenLifetime > maxLifetime {
		f.bad("access_token_lifetime", "want seconds, more than 0 and at most ten years, got %d", p.AccessTokenLifetime)
	}
	for _, life := range []struct {
		member  string
		seconds int64
	}{{"refresh_idle_lifetime", p.RefreshIdleLifetime}, {"refresh_absolute_lifetime", p.RefreshAbsoluteLifetime}} {
		if life.seconds < 0 || life.seconds > maxLifetime {
			f.bad(life.member, "want seconds, 0 = none, at most ten years, got %d", life.seconds)
		}
	}
	if p.AccessTokenAlg != "" && !slices.Contains(SigningAlgs, p.AccessTokenAlg) {
		f.bad("access_token_signed_response_alg", "want one of %s, got %.100q", strings.Join(SigningAlgs, ", "), p.AccessTokenAlg)
	}
	if _, err := ParseResources(p.Resources); err != nil {
		f.bad("resources", "%w", err)
	}
	if _, err := ParseResources(p.IntrospectResources); err != nil {
		f.bad("introspect_resources", "%w", err)
	}
}
