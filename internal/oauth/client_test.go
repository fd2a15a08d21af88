package oauth

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientID(t *testing.T) {
	for _, good := range []string{"a", "shop@example", strings.Repeat("a", 255), "11111111-1111-1111-1111-111111111111"} {
		if err := CheckClientID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a b", "a\x00", "a\x7f", "é", "\xff", strings.Repeat("a", 256)} {
		if err := CheckClientID(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestClientMethods(t *testing.T) {
	c := validClient()
	if !c.Allows(AuthorizationCode) || !c.Allows(RefreshToken) || c.Allows(ClientCredentials) || c.Allows("") {
		t.Errorf("a client of %q allows others", c.GrantTypes)
	}
	for _, m := range append([]AuthMethod{""}, AuthMethods...) {
		c.AuthMethod = m
		if c.Public() != (m == "none") { // RFC 7591 §2
			t.Errorf("a client that authenticates by %q is public: %v", m, c.Public())
		}
		if secret := m == "client_secret_basic" || m == "client_secret_post"; c.HasSecret() != secret || m.Secret() != secret {
			t.Errorf("a client that authenticates by %q has a secret: %v, %v", m, c.HasSecret(), m.Secret())
		}
	}
}

func TestComplete(t *testing.T) {
	const all = "address email offline_access openid phone profile"
	for _, tt := range []struct {
		name       string
		said, want Client
	}{
		{"nothing said (RFC 7591 §2)", Client{}, Client{
			AuthMethod: AuthSecretBasic, GrantTypes: []GrantType{AuthorizationCode, RefreshToken}, ResponseTypes: []string{"code"}, Scope: all,
		}},
		{"client_credentials alone has no response type", Client{GrantTypes: []GrantType{ClientCredentials}}, Client{
			AuthMethod: AuthSecretBasic, GrantTypes: []GrantType{ClientCredentials}, Scope: all,
		}},
		{"what was said stays", Client{AuthMethod: AuthNone, GrantTypes: []GrantType{AuthorizationCode}, Scope: "a"}, Client{
			AuthMethod: AuthNone, GrantTypes: []GrantType{AuthorizationCode}, ResponseTypes: []string{"code"}, Scope: "a",
		}},
		{"what was said wrongly, too", Client{AuthMethod: "x", GrantTypes: []GrantType{"x"}, ResponseTypes: []string{"x"}, Scope: `"`}, Client{
			AuthMethod: "x", GrantTypes: []GrantType{"x"}, ResponseTypes: []string{"x"}, Scope: `"`,
		}},
		{"everything said", fullClient(), fullClient()},
	} {
		c := tt.said
		c.Complete()
		if diff := cmp.Diff(tt.want, c); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	least := Client{RedirectURIs: []string{"https://a.example/cb"}}
	if least.Complete(); least.CheckMetadata() != nil {
		t.Errorf("a client that says where it is cannot be registered: %v", least.CheckMetadata())
	}
	if scope, err := ParseScope(DefaultScope); err != nil || scope != DefaultScope {
		t.Errorf("the default scope is not canonical: %q, %v", scope, err)
	}
}

// The names and defaults are promised to operators.
func TestPolicyDefaults(t *testing.T) {
	public := Policy{
		RefreshTokenRotation: true, RefreshRetryWindow: RetryWindow(30 * time.Second), OnReplay: "end", RequirePKCE: true,
		AccessTokenLifetime: 3600, RefreshIdleLifetime: 1_209_600,
	}
	confidential := public
	confidential.RefreshTokenRotation = false
	for m, want := range map[AuthMethod]Policy{
		AuthNone: public, AuthSecretBasic: confidential, AuthSecretPost: confidential, AuthPrivateKeyJWT: confidential,
	} {
		if diff := cmp.Diff(want, DefaultPolicy(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", m, diff)
		}
	}
	if diff := cmp.Diff(public, PublicPolicy()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(confidential, ConfidentialPolicy()); diff != "" {
		t.Error(diff)
	}
}

// fullClient has every member.
func fullClient() Client {
	age := int64(0)
	return Client{
		ID: "c", Name: "Shop", ApplicationType: "web", URI: "https://a.example", LogoURI: "https://a.example/logo",
		PolicyURI: "https://a.example/privacy", TermsURI: "https://a.example/terms", Contacts: []string{"ops@a.example"},
		RedirectURIs: []string{"https://a.example/cb"}, PostLogoutRedirectURIs: []string{"https://a.example/bye"},
		GrantTypes: []GrantType{AuthorizationCode, RefreshToken, ClientCredentials}, ResponseTypes: []string{"code"}, Scope: "openid",
		AuthMethod: AuthPrivateKeyJWT, AuthSigningAlg: "ES256", JWKS: json.RawMessage(`{"keys":[{"kty":"EC"}]}`),
		SubjectType: SubjectPairwise, SectorIdentifierURI: "https://a.example/sector", IDTokenAlg: "ES256", UserinfoAlg: "RS256",
		RequestObjectAlg: "EdDSA", RequestURIs: []string{"https://a.example/request#hash"},
		RequirePushed: true, DefaultMaxAge: &age, RequireAuthTime: true, DefaultACRValues: []string{"1"}, InitiateLoginURI: "https://a.example/login",
		BackchannelLogout: "https://a.example/logout", BackchannelSID: true, SoftwareID: "shop", SoftwareVersion: "2",
		Policy: Policy{
			RefreshTokenRotation: true, RefreshRetryWindow: UntilUsed, OnReplay: RefuseReplay, RequirePKCE: true, AnonymousProfile: true,
			RequirePAR: true, IDTokenProfileClaims: true, Resources: []string{"https://api.example.com/"}, IntrospectResources: []string{"https://mine.example.com/"}, SilentCrossSite: true, AccessTokenAlg: "RS256",
			AccessTokenLifetime: 60, RefreshIdleLifetime: 120, RefreshAbsoluteLifetime: 180,
		},
	}
}

// The JSON form is in databases, in files and on the wire: names, values and
// order must not change.
func TestClientJSON(t *testing.T) {
	const minimal = `{"client_id":"c","redirect_uris":["https://a.example/cb"],"grant_types":["authorization_code","refresh_token"],` +
		`"scope":"openid","token_endpoint_auth_method":"none","refresh_token_rotation":true,"refresh_retry_window":"30s",` +
		`"on_replay":"end","require_pkce":true,"access_token_lifetime":3600,"refresh_idle_lifetime":1209600,"refresh_absolute_lifetime":0}`
	const full = `{"client_id":"c","client_name":"Shop","application_type":"web","client_uri":"https://a.example",` +
		`"logo_uri":"https://a.example/logo","policy_uri":"https://a.example/privacy","tos_uri":"https://a.example/terms",` +
		`"contacts":["ops@a.example"],"redirect_uris":["https://a.example/cb"],"post_logout_redirect_uris":["https://a.example/bye"],` +
		`"grant_types":["authorization_code","refresh_token","client_credentials"],"response_types":["code"],"scope":"openid",` +
		`"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"ES256","jwks_uri":"https://a.example/keys",` +
		`"jwks":{"keys":[{"kty":"EC"}]},"subject_type":"pairwise","sector_identifier_uri":"https://a.example/sector",` +
		`"id_token_signed_response_alg":"ES256","userinfo_signed_response_alg":"RS256","request_object_signing_alg":"EdDSA",` +
		`"request_uris":["https://a.example/request#hash"],"require_pushed_authorization_requests":true,"default_max_age":0,"require_auth_time":true,"default_acr_values":["1"],` +
		`"initiate_login_uri":"https://a.example/login","backchannel_logout_uri":"https://a.example/logout",` +
		`"backchannel_logout_session_required":true,"software_id":"shop","software_version":"2","refresh_token_rotation":true,` +
		`"refresh_retry_window":"until_used","on_replay":"refuse","require_pkce":true,"anonymous_profile":true,"require_par":true,` +
		`"id_token_profile_claims":true,"resources":["https://api.example.com/"],"introspect_resources":["https://mine.example.com/"],"silent_cross_site":true,` +
		`"access_token_signed_response_alg":"RS256","access_token_lifetime":60,` +
		`"refresh_idle_lifetime":120,"refresh_absolute_lifetime":180}`
	all := fullClient()
	all.JWKSURI = "https://a.example/keys" // beside jwks, which Check refuses
	for _, v := range []reflect.Value{reflect.ValueOf(all), reflect.ValueOf(all.Policy)} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s is not in the full client", v.Type().Field(i).Name)
			}
		}
	}
	for want, c := range map[string]Client{minimal: validClient(), full: all} {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		var back Client
		if err := json.Unmarshal(text, &back); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("read back (-was +is):\n%s", diff)
		}
	}
	text, names := full, MemberNames()
	for i, name := range names {
		_, rest, ok := strings.Cut(text, `"`+name+`":`)
		if !ok {
			t.Fatalf("%q is not the %dth member", name, i)
		}
		text = rest
	}
	if policy := PolicyNames(); !slices.Equal(names[len(names)-len(policy):], policy) || policy[0] != "refresh_token_rotation" {
		t.Errorf("the policy's names are %q", policy)
	}
}

func TestRetryWindowJSON(t *testing.T) {
	for in, want := range map[string]RetryWindow{`"30s"`: RetryWindow(30 * time.Second), `"0s"`: 0, `"1m30s"`: RetryWindow(90 * time.Second), `"until_used"`: UntilUsed} {
		var w RetryWindow
		if err := json.Unmarshal([]byte(in), &w); err != nil || w != want {
			t.Errorf("%s: %v, %v", in, w, err)
		}
		if out, err := json.Marshal(w); err != nil || string(out) != in {
			t.Errorf("%s is written as %s, %v", in, out, err)
		}
	}
	for _, bad := range []string{`30`, `"30"`, `"-1s"`, `"-1ns"`, `""`, `"for ever"`, `"UNTIL_USED"`, `"9999999h"`, `null`, `{}`} {
		var w RetryWindow
		if err := json.Unmarshal([]byte(bad), &w); err == nil || w != 0 {
			t.Errorf("%s was accepted as %v", bad, w)
		}
	}
}
