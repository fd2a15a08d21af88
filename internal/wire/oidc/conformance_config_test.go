package oidc_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
)

// TestConformanceConfig is oidcc-config-certification-test-plan.
func TestConformanceConfig(t *testing.T) {
	(&plan{world: testkit.NewWorld(t)}).run(t, []module{
		{"oidcc-discovery-endpoint-verification", discovery},
	})
}

// discovery checks the document of OIDC Discovery §3.
func discovery(t *testing.T, p *plan) {
	rp := &testkit.RP{HTTP: p.world.Client()}
	const path = testkit.Issuer + "/.well-known/openid-configuration" // §4
	a := rp.Call(http.MethodGet, path, nil, nil)
	if a.Status != http.StatusOK || !isType(a, "application/json") {
		t.Fatalf("GET %s: %d %s", path, a.Status, a.Header.Get("Content-Type"))
	}
	d := a.JSON()
	if d.Text("issuer") != testkit.Issuer { // §4.3, byte by byte
		t.Errorf("issuer %q", d.Text("issuer"))
	}
	for _, name := range []string{
		"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "registration_endpoint", "end_session_endpoint",
		"introspection_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint",
	} {
		checkEndpoint(t, name, d.Text(name))
	}
	for name, v := range d { // whatever else there is
		if s, ok := v.(string); ok && (strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri")) {
			checkEndpoint(t, name, s)
		}
	}
	for name, wanted := range map[string][]string{
		"subject_types_supported":                          {"public", "pairwise"},
		"id_token_signing_alg_values_supported":            {"RS256"},
		"userinfo_signing_alg_values_supported":            {"RS256"},
		"request_object_signing_alg_values_supported":      {"RS256"},
		"scopes_supported":                                 {"openid", "profile", "email", "address", "phone", "offline_access"},
		"claims_supported":                                 append(slices.Concat(claimsOf["profile"], claimsOf["email"]), "sub", "address"),
		"grant_types_supported":                            {"authorization_code", "refresh_token"},
		"response_modes_supported":                         {"query", "fragment", "form_post"},
		"token_endpoint_auth_methods_supported":            {"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": {"RS256", "ES256"},
		"code_challenge_methods_supported":                 {"S256"},
	} {
		for _, one := range wanted {
			if !slices.Contains(d.Texts(name), one) {
				t.Errorf("%s lacks %s: %v", name, one, d[name])
			}
		}
	}
	// The suite wants id_token, id_token token and the implicit grant, too, when
	// the module runs in the dynamic plan (§3: "Dynamic OpenID Providers MUST
	// support"). OAuth 2.1 §10.1 has taken them away, and so do we.
	if diff := cmp.Diff([]string{"code"}, d.Texts("response_types_supported")); diff != "" {
		t.Errorf("response_types_supported (-want +got): %s", diff)
	}
	for _, name := range []string{
		"claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported", "require_request_uri_registration",
		"authorization_response_iss_parameter_supported",
	} {
		if d[name] != true {
			t.Errorf("%s is %v, want true", name, d[name])
		}
	}
	checkKeys(t, document(t, p.world, d.Text("jwks_uri")))

	// RFC 8414 §3 has the same under its own name.
	if diff := cmp.Diff(d, document(t, p.world, testkit.Issuer+"/.well-known/oauth-authorization-server")); diff != "" {
		t.Errorf("oauth-authorization-server differs (-openid-configuration): %s", diff)
	}
}

func checkEndpoint(t *testing.T, name, address string) {
	t.Helper()
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		t.Errorf("%s is %q, want an https URL", name, address)
	}
}
