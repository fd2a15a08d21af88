package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
)

// TestConformanceDynamic is oidcc-dynamic-certification-test-plan for the
// response type code. The suite's clients name the token endpoint as the
// audience of their assertions, in all modules but the last one; ours name the
// issuer, which is the only audience that we accept.
func TestConformanceDynamic(t *testing.T) {
	newPlan(t, "private_key_jwt", "").run(t, []module{
		{"oidcc-idtoken-rs256", idTokenRS256},
		{"oidcc-idtoken-unsigned", idTokenUnsigned},
		{"oidcc-userinfo-rs256", userinfoRS256},
		{"oidcc-ensure-redirect-uri-in-authorization-request", redirectURIMissing},
		{"oidcc-redirect-uri-query-OK", redirectURIQueryOK},
		{"oidcc-redirect-uri-query-mismatch", redirectURIQueryMismatch},
		{"oidcc-redirect-uri-query-added", redirectURIQueryAdded},
		{"oidcc-redirect-uri-regfrag", redirectURIRegFrag},
		{"oidcc-discovery-endpoint-verification", discovery},
		{"oidcc-server", server},
		{"oidcc-registration-logo-uri", registrationLogoURI},
		{"oidcc-registration-policy-uri", registrationLink("policy_uri")},
		{"oidcc-registration-tos-uri", registrationLink("tos_uri")},
		{"oidcc-registration-jwks-uri", registrationJWKSURI},
		{"oidcc-registration-sector-uri", registrationSectorURI},
		{"oidcc-registration-sector-bad", registrationSectorBad},
		{"oidcc-server-rotate-keys", serverRotateKeys},
		{"oidcc-refresh-token-rp-key-rotation", refreshTokenRPKeyRotation},
		{"oidcc-request-uri-unsigned", requestURIUnsigned},
		{"oidcc-request-uri-signed-rs256", requestURISignedRS256},
		{"oidcc-ensure-request-object-with-redirect-uri", requestObjectWithRedirectURI},
		{"oidcc-refresh-token", refreshToken},
		{"oidcc-ensure-client-assertion-with-iss-aud-succeeds", assertionAudience},
	})
}

func idTokenRS256(t *testing.T, p *plan) {
	rp := p.client(t, testkit.Document{"id_token_signed_response_alg": "RS256"})
	if rp.IDTokenAlg != "RS256" {
		t.Errorf("register: id_token_signed_response_alg %q", rp.IDTokenAlg)
	}
	p.signIn(t, rp, p.world.Browser(t), nil) // checks alg and kid
}

func userinfoRS256(t *testing.T, p *plan) {
	rp := p.client(t, testkit.Document{"userinfo_signed_response_alg": "RS256"})
	if algs := rp.Metadata.Texts("userinfo_signing_alg_values_supported"); !slices.Contains(algs, "RS256") {
		t.Errorf("discovery: userinfo_signing_alg_values_supported %v", algs)
	}
	s := p.signIn(t, rp, p.world.Browser(t), nil)
	a := rp.Userinfo(s.AccessToken)
	if !isType(a, "application/jwt") { // OIDC Core §5.3.2
		t.Fatalf("userinfo: %d %s", a.Status, a.Header.Get("Content-Type"))
	}
	header, d, err := rp.Verify(a.Body)
	if err != nil || header.Algorithm != "RS256" {
		t.Fatalf("userinfo: alg %s, %v", header.Algorithm, err)
	}
	if d.Text("sub") != s.Claims.Text("sub") || d.Text("iss") != testkit.Issuer || d["nonce"] != nil {
		t.Errorf("userinfo: sub %q, iss %q, nonce %v", d.Text("sub"), d.Text("iss"), d["nonce"])
	}
	if d.Text("aud") != rp.ID && !slices.Contains(d.Texts("aud"), rp.ID) {
		t.Errorf("userinfo: aud %v, want %s in it", d["aud"], rp.ID)
	}
}

// The suite asks the operator to rotate, and compares the sets (OIDC Core §10.1.1).
func serverRotateKeys(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	before := p.signIn(t, rp, p.world.Browser(t), nil)
	old := kids(t, rp)
	made, err := p.world.Engine.RotateSigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	published := kids(t, rp)
	for _, kid := range append(old, made...) {
		if !slices.Contains(published, kid) {
			t.Errorf("%s is not in the new set", kid)
		}
	}
	if len(published) != len(old)+len(made) || len(made) == 0 {
		t.Errorf("%d keys, then %d; %d were made", len(old), len(published), len(made))
	}
	header, _, err := rp.Verify(before.IDToken)
	if err != nil || slices.Contains(made, header.KeyID) {
		t.Errorf("the ID token from before: kid %s, %v", header.KeyID, err)
	}
	p.world.Clock.Advance(engine.KeyLead)
	after := p.signIn(t, rp, p.world.Browser(t), nil)
	if header, _, err = rp.Verify(after.IDToken); err != nil || !slices.Contains(made, header.KeyID) {
		t.Errorf("the ID token from afterwards: kid %s, %v", header.KeyID, err)
	}
}

// kids are those of the JWK Set as it is answered now.
func kids(t *testing.T, rp *testkit.RP) (ids []string) {
	t.Helper()
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	a := rp.Call(http.MethodGet, rp.Metadata.Text("jwks_uri"), nil, nil)
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil || a.Status != http.StatusOK {
		t.Fatalf("jwks_uri: %d, %v", a.Status, err)
	}
	for _, k := range set.Keys {
		ids = append(ids, k.KID)
	}
	return ids
}

func redirectURIMissing(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	a := rp.Begin(p.ask(url.Values{"redirect_uri": nil}))
	errorPage(t, p.world.Browser(t).Open(a.URL())) // required with openid (OIDC Core §3.1.2.1)
}

func redirectURIQueryOK(t *testing.T, p *plan) {
	rp := p.client(t, testkit.Document{"redirect_uris": []string{callback + "?foo=bar"}})
	_, j := p.authorize(t, rp, p.world.Browser(t), nil)
	if j.Answer.Code() == "" || j.Answer.Params.Get("foo") != "bar" { // RFC 6749 §3.1.2: must be retained
		t.Errorf("authorization: answered with %v", j.Answer.Params)
	}
	p.signIn(t, rp, p.world.Browser(t), nil)
}

func redirectURIQueryMismatch(t *testing.T, p *plan) {
	rp := p.client(t, testkit.Document{"redirect_uris": []string{callback + "?foo=bar"}})
	a := rp.Begin(p.ask(url.Values{"redirect_uri": {callback + "?bar=foo"}}))
	errorPage(t, p.world.Browser(t).Open(a.URL()))
}

func redirectURIQueryAdded(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	a := rp.Begin(p.ask(url.Values{"redirect_uri": {callback + "?foo=bar"}}))
	errorPage(t, p.world.Browser(t).Open(a.URL()))
}

// registrationRefused checks that no client comes of a registration.
func (p *plan) registrationRefused(t *testing.T, more testkit.Document, code string) {
	t.Helper()
	before := p.world.Count(t, "client")
	rp := testkit.NewRP(t, p.world.Client(), testkit.Issuer, p.world.Clock.Now)
	_, a := rp.Register(p.registration(t, more), p.key)
	if a.Status != http.StatusBadRequest || a.Error != code || !isType(a, "application/json") { // OIDC Registration §3.3
		t.Errorf("register: %d %s %s; want %s", a.Status, a.Header.Get("Content-Type"), a.Body, code)
	}
	if n := p.world.Count(t, "client"); n != before {
		t.Errorf("%d clients, want %d as before", n, before)
	}
}

func redirectURIRegFrag(t *testing.T, p *plan) {
	p.registrationRefused(t, testkit.Document{"redirect_uris": []string{callback + "#foobar"}}, "invalid_redirect_uri")
}

func registrationLogoURI(t *testing.T, p *plan) {
	const logo = "https://logo.example.org/logo.png"
	rp := p.client(t, testkit.Document{"logo_uri": logo})
	page := p.world.Browser(t).Open(rp.Begin(p.ask(nil)).URL())
	if !page.AsksSignIn() || !slices.Contains(page.Images(), logo) {
		t.Errorf("the sign-in page has the images %q; %s", page.Images(), page)
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "https://logo.example.org") {
		t.Errorf("the sign-in page's policy keeps the logo out: %s", csp)
	}
}

func registrationLink(name string) func(*testing.T, *plan) {
	return func(t *testing.T, p *plan) {
		address := callback + "/" + name + ".html"
		rp := p.client(t, testkit.Document{name: address})
		page := p.world.Browser(t).Open(rp.Begin(p.ask(nil)).URL())
		if !page.AsksSignIn() || !slices.Contains(page.Links(), address) {
			t.Errorf("the sign-in page has the links %q; %s", page.Links(), page)
		}
	}
}

func registrationJWKSURI(t *testing.T, p *plan) {
	key := testkit.NewClientKey(t, "RS256")
	keys := serve(t, "application/json", asJSON(t, testkit.JWKS(key)))
	rp := p.client(t, testkit.Document{"jwks": nil, "jwks_uri": keys.URL})
	rp.Key = key
	p.signIn(t, rp, p.world.Browser(t), nil)
	if keys.hits.Load() == 0 {
		t.Error("the JWK Set was not fetched")
	}
}

func registrationSectorURI(t *testing.T, p *plan) {
	sector := serve(t, "application/json", asJSON(t, []string{callback, "https://other.example.org/cb"}))
	pairwise := testkit.Document{"subject_type": "pairwise", "sector_identifier_uri": sector.URL}
	rp := p.client(t, pairwise)
	if sector.hits.Load() == 0 {
		t.Error("the sector_identifier_uri was not fetched (OIDC Registration §5)")
	}
	// What the suite leaves out: two clients of the sector know the user under
	// one name, which is not the public one (OIDC Core §8.1).
	name := p.signIn(t, rp, p.world.Browser(t), nil).Claims.Text("sub")
	fellow := p.signIn(t, p.client(t, pairwise), p.world.Browser(t), nil).Claims.Text("sub")
	public := p.signIn(t, p.client(t, nil), p.world.Browser(t), nil).Claims.Text("sub")
	if name != fellow || name == public {
		t.Errorf("sub %q, of another client of the sector %q, public %q", name, fellow, public)
	}
}

func registrationSectorBad(t *testing.T, p *plan) {
	sector := serve(t, "application/json", asJSON(t, []string{"https://other.example.org/cb"}))
	p.registrationRefused(t, testkit.Document{"subject_type": "pairwise", "sector_identifier_uri": sector.URL}, "invalid_client_metadata")
	if sector.hits.Load() == 0 {
		t.Error("the sector_identifier_uri was not fetched (OIDC Registration §5)")
	}
}

func assertionAudience(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	a, j := p.authorize(t, rp, p.world.Browser(t), nil)
	for name, aud := range map[string]any{
		"the token endpoint":            rp.Endpoint("token"),
		"the token endpoint and us":     []string{rp.Endpoint("token"), testkit.Issuer},
		"somebody else":                 "https://other.example",
		"nobody":                        nil,
		"the issuer, spelt another way": testkit.Issuer + "/",
	} {
		assertion := rp.Assertion(testkit.Document{"aud": aud})
		refused := a.Redeem(j.Answer.Code(), url.Values{
			"client_id": {rp.ID}, "client_assertion": {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		})
		t.Run(name, func(t *testing.T) { tokenError(t, refused, "invalid_client") })
	}
	p.exchange(t, rp, a, j) // for the issuer, with the same code
}
