package oidc_test

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

// TestConformanceBasic is oidcc-basic-certification-test-plan with dynamic client
// registration, which is the variant that has all 38 modules.
func TestConformanceBasic(t *testing.T) {
	newPlan(t, "client_secret_basic", "").run(t, basicModules)
}

// TestConformanceBasicStatic is the same plan with clients that an operator has
// registered; the modules that register clients of their own do not apply.
func TestConformanceBasicStatic(t *testing.T) {
	p := newPlan(t, "client_secret_basic", "")
	p.static = true
	p.run(t, slices.DeleteFunc(slices.Clone(basicModules), func(m module) bool {
		return slices.Contains([]string{
			"oidcc-idtoken-signature", "oidcc-idtoken-unsigned",
			"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
		}, m.name)
	}))
}

// basicModules are in the order of the plan.
var basicModules = []module{
	{"oidcc-server", server},
	{"oidcc-response-type-missing", responseTypeMissing},
	{"oidcc-idtoken-signature", idTokenSignature},
	{"oidcc-idtoken-unsigned", idTokenUnsigned},
	{"oidcc-userinfo-get", userinfoBy((*testkit.RP).Userinfo)},
	{"oidcc-userinfo-post-header", userinfoBy((*testkit.RP).UserinfoPost)},
	{"oidcc-userinfo-post-body", userinfoBy((*testkit.RP).UserinfoForm)},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", succeedsWith(url.Values{"nonce": nil})},
	{"oidcc-scope-profile", scope("openid profile")},
	{"oidcc-scope-email", scope("openid email")},
	{"oidcc-scope-address", scope("openid address")},
	{"oidcc-scope-phone", scope("openid phone")},
	{"oidcc-scope-all", scope("openid profile email address phone")},
	{"oidcc-ensure-other-scope-order-succeeds", scope("email openid")},
	{"oidcc-display-page", succeedsWith(url.Values{"display": {"page"}})},
	{"oidcc-display-popup", succeedsWith(url.Values{"display": {"popup"}})},
	{"oidcc-prompt-login", promptLogin},
	{"oidcc-prompt-none-not-logged-in", promptNoneNotLoggedIn},
	{"oidcc-prompt-none-logged-in", promptNoneLoggedIn},
	{"oidcc-max-age-1", maxAge1},
	{"oidcc-max-age-10000", maxAge10000},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", succeedsWith(url.Values{"extra": {"foobar"}})},
	{"oidcc-id-token-hint", idTokenHint},
	{"oidcc-login-hint", loginHint},
	{"oidcc-ui-locales", uiLocales},
	{"oidcc-claims-locales", succeedsWith(url.Values{"claims_locales": {"se"}})},
	{"oidcc-ensure-request-with-acr-values-succeeds", acrValues},
	{"oidcc-codereuse", codeReuse},
	{"oidcc-codereuse-30seconds", codeReuseAfter30Seconds},
	{"oidcc-ensure-registered-redirect-uri", registeredRedirectURI},
	{"oidcc-ensure-post-request-succeeds", postRequest},
	{"oidcc-server-client-secret-post", serverClientSecretPost},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", requestURIUnsigned},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", requestUnsigned},
	{"oidcc-claims-essential", claimsEssential},
	{"oidcc-ensure-request-object-with-redirect-uri", requestObjectWithRedirectURI},
	{"oidcc-refresh-token", refreshToken},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", validPKCE},
}

func server(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	checkKeys(t, document(t, p.world, rp.Metadata.Text("jwks_uri")))
	a, j := p.authorize(t, rp, p.world.Browser(t), nil)
	if j.SignIns != 1 {
		t.Errorf("%d sign-in pages, want one", j.SignIns)
	}
	// RFC 6749 §10.10: at least 128 bits that nobody can guess.
	if code := j.Answer.Code(); len(code) < 22 || entropy(code) < 96 {
		t.Errorf("the code has %d characters and %.0f bits by Shannon", len(code), entropy(code))
	}
	s := p.exchange(t, rp, a, j)
	if s.Claims["at_hash"] == nil { // optional here (OIDC Core §3.1.3.6); ours has it
		t.Error("ID token: no at_hash")
	}
}

// entropy is Shannon's, in bits of the whole string.
func entropy(s string) (bits float64) {
	count := map[rune]float64{}
	for _, c := range s {
		count[c]++
	}
	n := float64(len(s))
	for _, k := range count {
		bits -= k * math.Log2(k/n)
	}
	return bits
}

func responseTypeMissing(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	_, j := rp.Authorize(t, p.world.Browser(t), p.who, p.ask(url.Values{"response_type": nil}))
	p.inMode(t, j.Answer)
	p.refused(t, j.Answer, "invalid_request") // RFC 6749 §3.1.1
	if j.SignIns != 0 {
		t.Error("the request was answered after a sign-in only")
	}
}

func idTokenSignature(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	s := p.signIn(t, rp, p.world.Browser(t), nil)
	header, _, err := rp.Verify(s.IDToken)
	if err != nil || header.Algorithm != "RS256" || header.KeyID == "" {
		t.Errorf("ID token: alg %s, kid %q, %v; want RS256 by default (OIDC Registration §2)", header.Algorithm, header.KeyID, err)
	}
}

// idTokenUnsigned: the suite skips the module where discovery does not list
// none. Then none cannot be had either.
func idTokenUnsigned(t *testing.T, p *plan) {
	d := document(t, p.world, "/.well-known/openid-configuration")
	if algs := d.Texts("id_token_signing_alg_values_supported"); slices.Contains(algs, "none") || !slices.Contains(algs, "RS256") {
		t.Errorf("discovery: id_token_signing_alg_values_supported %v", algs)
	}
	rp := testkit.NewRP(t, p.world.Client(), testkit.Issuer, p.world.Clock.Now)
	_, a := rp.Register(p.registration(t, testkit.Document{"id_token_signed_response_alg": "none"}), p.key)
	if a.Status != http.StatusBadRequest || a.Error != "invalid_client_metadata" {
		t.Errorf("register for alg none: %d %s", a.Status, a.Body)
	}
}

func userinfoBy(ask func(*testkit.RP, string) testkit.Answer) func(*testing.T, *plan) {
	return func(t *testing.T, p *plan) {
		rp := p.client(t, nil)
		s := p.signIn(t, rp, p.world.Browser(t), nil)
		userinfo(t, s, ask(rp, s.AccessToken))
	}
}

// succeedsWith runs the flow with something in the request that must not hurt.
func succeedsWith(more url.Values) func(*testing.T, *plan) {
	return func(t *testing.T, p *plan) {
		p.signIn(t, p.client(t, nil), p.world.Browser(t), more)
	}
}

func scope(wanted string) func(*testing.T, *plan) {
	return func(t *testing.T, p *plan) {
		rp := p.client(t, nil)
		for _, item := range strings.Fields(wanted) {
			if !slices.Contains(rp.Metadata.Texts("scopes_supported"), item) {
				t.Errorf("discovery: scopes_supported lacks %s", item)
			}
		}
		s := p.signIn(t, rp, p.world.Browser(t), url.Values{"scope": {wanted}})
		d := userinfo(t, s, rp.Userinfo(s.AccessToken))
		var want []string
		for _, item := range strings.Fields(wanted) {
			want = append(want, claimsOf[item]...)
		}
		for _, claim := range want {
			if d[claim] == nil {
				t.Errorf("userinfo: no %s (OIDC Core §5.4)", claim)
			}
		}
		for claim := range d {
			if !slices.Contains(want, claim) {
				t.Errorf("userinfo: %s, which %q does not ask for", claim, wanted)
			}
		}
		checkClaimTypes(t, d)
	}
}

// checkClaimTypes checks the types of the standard claims (OIDC Core §5.1).
func checkClaimTypes(t *testing.T, d testkit.Document) {
	t.Helper()
	for claim, v := range d {
		var ok bool
		switch claim {
		case "email_verified", "phone_number_verified":
			_, ok = v.(bool)
		case "updated_at":
			n, isNumber := v.(float64)
			ok = isNumber && n == math.Trunc(n) && n > 0 && n < 1e11 // seconds, not milliseconds
		case "address":
			_, ok = v.(map[string]any)
		case "birthdate":
			_, err := time.Parse(time.DateOnly, d.Text(claim))
			ok = err == nil
		default:
			_, ok = v.(string)
		}
		if !ok {
			t.Errorf("userinfo: %s is %v (%T)", claim, v, v)
		}
	}
}

func claimsEssential(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	s := p.signIn(t, rp, p.world.Browser(t), url.Values{"claims": {`{"userinfo":{"name":{"essential":true}}}`}})
	if d := userinfo(t, s, rp.Userinfo(s.AccessToken)); d["name"] == nil {
		t.Error("userinfo: no name, which was asked for as essential (OIDC Core §5.5.1)")
	}
	if s.Claims["name"] != nil {
		t.Error("ID token: has name, which was asked for in userinfo")
	}
}

func validPKCE(t *testing.T, p *plan) {
	more := url.Values{}
	if p.mode != "" {
		more.Set("response_mode", p.mode)
	}
	a, j := p.client(t, nil).Authorize(t, p.world.Browser(t), p.who, more)
	p.inMode(t, j.Answer)
	if a.Verifier == "" {
		t.Fatal("the request had no challenge")
	}
	a.Exchange(t, j)
}

func postRequest(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	a := rp.Begin(p.ask(nil))
	b.Post(rp.Endpoint("authorization"), a.Params)
	j := b.Finish(p.who)
	if j.Answer == nil {
		t.Fatalf("authorization: no answer; the page: %s", j.End)
	}
	a.Check(t, j.Answer)
	p.inMode(t, j.Answer)
	p.exchange(t, rp, a, j)
}

func serverClientSecretPost(t *testing.T, p *plan) {
	other := *p
	other.auth = "client_secret_post"
	rp := other.client(t, nil)
	if rp.AuthMethod != "client_secret_post" {
		t.Fatalf("registered for %s", rp.AuthMethod)
	}
	other.signIn(t, rp, p.world.Browser(t), nil)
}

func registeredRedirectURI(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	a := rp.Begin(p.ask(url.Values{"redirect_uri": {callback + "/" + testkit.Random()}}))
	errorPage(t, p.world.Browser(t).Open(a.URL()))
}
