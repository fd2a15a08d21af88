package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// The tests of this and the other conformance_*_test.go files are named after
// the modules of the OpenID Foundation's conformance suite, one each, and check
// what the module of that name checks; docs/conformance.md lists them.

// plan runs modules as the suite does: against one server, each with a browser
// of its own and, with the plan's client authentication, a client that it
// registers before and deletes afterwards.
type plan struct {
	world *testkit.World
	auth  string // token_endpoint_auth_method
	mode  string // response_mode; "" is left to the server
	key   *testkit.ClientKey
	who   testkit.Person
	// static: the clients are an operator's, who has registered them by hand.
	static bool
}

type module struct {
	name string
	run  func(*testing.T, *plan)
}

const callback = "https://rp.example.org/cb"

func newPlan(t *testing.T, auth, mode string) *plan {
	t.Helper()
	p := &plan{world: testkit.NewWorld(t), auth: auth, mode: mode, key: testkit.NewClientKey(t, "RS256")}
	p.key.ID = "" // as the suite has it, but for its jwks_uri
	p.who = putPerson(t, p.world)
	return p
}

func (p *plan) run(t *testing.T, modules []module) {
	t.Helper()
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) { m.run(t, p) })
	}
}

// claimsOf are the claims that each scope asks for (OIDC Core §5.4).
var claimsOf = map[string][]string{
	"openid": {"sub"},
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":          {"email", "email_verified"},
	"address":        {"address"},
	"phone":          {"phone_number", "phone_number_verified"},
	"offline_access": nil,
}

// putPerson puts a user with every standard claim into the world.
func putPerson(t *testing.T, w *testkit.World) testkit.Person {
	t.Helper()
	now := w.Clock.Now().UnixMilli()
	out, err := w.Store.PutUser(t.Context(), store.User{
		ID: store.UserID{0xdd, 6: 0x40, 8: 0x80}, Email: "grace@example.com", EmailVerified: true,
		PasswordHash: w.User.PasswordHash, CredentialVersion: 1, CreatedAt: now, UpdatedAt: now,
		Identifiers: []store.Identifier{{Kind: "email", Value: "grace@example.com"}, {Kind: "username", Value: "grace"}},
		Claims: []byte(`{"name":"Grace Brewster Hopper","given_name":"Grace","middle_name":"Brewster","family_name":"Hopper",
			"nickname":"Amazing Grace","preferred_username":"grace","profile":"https://grace.example.com/",
			"picture":"https://grace.example.com/me.png","website":"https://grace.example.com/","gender":"female",
			"birthdate":"1906-12-09","zoneinfo":"America/New_York","locale":"en-US",
			"phone_number":"+1 (202) 555-0143","phone_number_verified":true,
			"address":{"street_address":"1 Navy Yard","locality":"Washington","postal_code":"20374","country":"US"}}`),
	})
	if err != nil || out != store.Done {
		t.Fatalf("put user: %v %v", out, err)
	}
	return testkit.Person{Username: "grace@example.com", Password: testkit.Password}
}

// registration is the document that the suite registers its clients with.
func (p *plan) registration(t *testing.T, more testkit.Document) testkit.Document {
	d := testkit.Document{
		"client_name": t.Name(), "redirect_uris": []string{callback}, "contacts": []string{"certification@oidf.example"},
		"grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": p.auth, "jwks": bareKeys(p.key),
	}
	maps.Copy(d, more)
	return d
}

// bareKeys is a JWK Set with no more than RFC 7517 §4 asks of a key, and alg.
func bareKeys(k *testkit.ClientKey) jose.JSONWebKeySet {
	set := testkit.JWKS(k)
	set.Keys[0].Use = ""
	return set
}

// client registers a client, which is deleted when the test is over; more
// replaces metadata.
func (p *plan) client(t *testing.T, more testkit.Document) *testkit.RP {
	t.Helper()
	if p.static {
		return p.staticClient(t, more)
	}
	asked := p.registration(t, more)
	rp, a := testkit.NewRP(t, p.world.Client(), testkit.Issuer, p.world.Clock.Now).Register(asked, p.key)
	if rp == nil || !isType(a, "application/json") || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Fatalf("register: %d %v %s", a.Status, a.Header, a.Body)
	}
	t.Cleanup(func() {
		if a := rp.Unregister(); a.Status != http.StatusNoContent { // RFC 7592 §2.3
			t.Errorf("unregister: %d %s", a.Status, a.Body)
		}
	})
	_, expires := rp.Registration["client_secret_expires_at"].(float64) // required with a secret (OIDC Registration §3.2)
	if secret := strings.HasPrefix(p.auth, "client_secret_"); rp.ID == "" || (rp.Secret != "") != secret || expires != secret {
		t.Fatalf("register: client_id %q, a secret %t, its end %t, for %s", rp.ID, rp.Secret != "", expires, p.auth)
	}
	for name := range asked { // RFC 7591 §3.2.1
		if diff := cmp.Diff(asJSON(t, asked[name]), asJSON(t, rp.Registration[name])); asked[name] != nil && name != "jwks" && diff != "" {
			t.Errorf("register: %s is not what was asked for: %s", name, diff)
		}
	}
	return rp
}

// staticClient puts a client into the store as an operator would, who lets it go
// without PKCE.
func (p *plan) staticClient(t *testing.T, more testkit.Document) *testkit.RP {
	t.Helper()
	var c oauth.Client
	if err := json.Unmarshal([]byte(asJSON(t, p.registration(t, more))), &c); err != nil {
		t.Fatal(err)
	}
	c.ID, c.Policy = testkit.Random(), oauth.DefaultPolicy(c.AuthMethod)
	c.RequirePKCE, c.Scope = false, "address email offline_access openid phone profile"
	secret, err := p.world.Engine.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	now := p.world.Clock.Now().UnixMilli()
	client := store.Client{Client: c, Face: oidc.Name, Source: "test", CreatedAt: now, UpdatedAt: now}
	if err := p.world.Store.PutClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if err := p.world.Engine.PutClientSecret(t.Context(), c.ID, secret, time.Time{}); err != nil {
		t.Fatal(err)
	}
	rp := p.world.RP(t, c.ID, secret, callback)
	rp.AuthMethod, rp.Key = p.auth, p.key
	return rp
}

// ask is a request as the suite sends it: without PKCE, in the plan's response
// mode.
func (p *plan) ask(more url.Values) url.Values {
	v := testkit.With(testkit.NoPKCE, more)
	if p.mode != "" {
		v.Set("response_mode", p.mode)
	}
	return v
}

// authorize sends the person through a request up to an answer in the right mode.
func (p *plan) authorize(t *testing.T, rp *testkit.RP, b *testkit.Browser, more url.Values) (*testkit.Attempt, *testkit.Journey) {
	t.Helper()
	a, j := rp.Authorize(t, b, p.who, p.ask(more))
	p.inMode(t, j.Answer)
	return a, j
}

func (p *plan) inMode(t *testing.T, answer *testkit.Authorization) {
	t.Helper()
	want := p.mode
	if want == "" {
		want = "query" // OAuth 2.0 Multiple Response Types §2.1
	}
	if answer.Mode != want {
		t.Errorf("authorization: the answer is in %s, want %s", answer.Mode, want)
	}
	if want == "form_post" && answer.To.RawQuery != "" {
		t.Errorf("authorization: the query of the form's action is %q, want none", answer.To.RawQuery)
	}
}

// signIn runs a code flow to its end, userinfo with it.
func (p *plan) signIn(t *testing.T, rp *testkit.RP, b *testkit.Browser, more url.Values) *testkit.Session {
	t.Helper()
	a, j := p.authorize(t, rp, b, more)
	return p.exchange(t, rp, a, j)
}

func (p *plan) exchange(t *testing.T, rp *testkit.RP, a *testkit.Attempt, j *testkit.Journey) *testkit.Session {
	t.Helper()
	s := a.Exchange(t, j)
	if s.Claims == nil {
		t.Fatal("token: no ID token (OIDC Core §3.1.3.3)")
	}
	if strings.Trim(a.Params.Get("scope"), " ") == "openid" {
		// What the scope does not ask for is not in the ID token (OIDC Core §5.4).
		for _, claim := range append(claimsOf["profile"], claimsOf["email"]...) {
			if _, there := s.Claims[claim]; there {
				t.Errorf("ID token: has %s, which was not asked for", claim)
			}
		}
	}
	if u := rp.Userinfo(s.AccessToken); u.Status != http.StatusOK {
		t.Errorf("userinfo: %d %s", u.Status, u.Body)
	}
	return s
}

// userinfo checks an answer of the endpoint: JSON about the ID token's subject
// (OIDC Core §5.3.2).
func userinfo(t *testing.T, s *testkit.Session, u testkit.Answer) testkit.Document {
	t.Helper()
	if u.Status != http.StatusOK || !isType(u, "application/json") {
		t.Fatalf("userinfo: %d %s %s", u.Status, u.Header.Get("Content-Type"), u.Body)
	}
	d := u.JSON()
	if d.Text("sub") == "" || d.Text("sub") != s.Claims.Text("sub") {
		t.Errorf("userinfo: sub %q, want that of the ID token, %q", d.Text("sub"), s.Claims.Text("sub"))
	}
	return d
}

func isType(a testkit.Answer, want string) bool {
	got, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	return got == want
}

// errorText is what error_description and error_uri may hold (RFC 6749 §4.1.2.1).
var errorText = regexp.MustCompile(`^[\x20\x21\x23-\x5b\x5d-\x7e]*$`)

// refused checks an error response of the authorization endpoint (OIDC Core
// §3.1.2.6); its state and iss have been checked.
func (p *plan) refused(t *testing.T, answer *testkit.Authorization, codes ...string) {
	t.Helper()
	if !slices.Contains(codes, answer.Error()) {
		t.Errorf("authorization: error %q, want one of %q", answer.Error(), codes)
	}
	for name := range answer.Params {
		if !slices.Contains([]string{"error", "error_description", "error_uri", "state", "iss"}, name) {
			t.Errorf("authorization: an error response with %s", name)
		}
	}
	if !errorText.MatchString(answer.Params.Get("error_description")) {
		t.Errorf("authorization: error_description %q has characters that it must not have", answer.Params.Get("error_description"))
	}
}

// errorPage checks that a request that cannot be answered to the client ends on
// a page (RFC 6749 §4.1.2.1).
func errorPage(t *testing.T, p *testkit.Page) {
	t.Helper()
	if p.Answer != nil || !p.IsError() || p.Status != http.StatusBadRequest {
		t.Errorf("want an error page with 400; got %s", p)
	}
}

// tokenError checks an error of the token endpoint (RFC 6749 §5.2).
func tokenError(t *testing.T, a testkit.Answer, code string) {
	t.Helper()
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	if a.Status != status || a.Error != code || !isType(a, "application/json") {
		t.Errorf("token: %d %s %s; want %d %s", a.Status, a.Header.Get("Content-Type"), a.Body, status, code)
	}
	if !errorText.MatchString(a.JSON().Text("error_description")) {
		t.Errorf("token: error_description %q has characters that it must not have", a.JSON().Text("error_description"))
	}
}

// document fetches JSON that anybody may read.
func document(t *testing.T, w *testkit.World, path string) testkit.Document {
	t.Helper()
	rp := &testkit.RP{HTTP: w.Client()}
	a := rp.Call(http.MethodGet, path, nil, nil)
	if a.Status != http.StatusOK || a.JSON() == nil {
		t.Fatalf("GET %s: %d %s", path, a.Status, a.Body)
	}
	return a.JSON()
}

// checkKeys checks the JWK Set: valid public keys, each with an id of its own
// (RFC 7517 §4.5, OIDC Core §10.1), one for RS256 among them. It returns the ids.
func checkKeys(t *testing.T, set testkit.Document) (ids []string) {
	t.Helper()
	list, _ := set["keys"].([]any)
	var rs256 bool
	for _, entry := range list {
		k, _ := entry.(map[string]any)
		jwk := testkit.Document(k)
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if jwk[private] != nil {
				t.Errorf("JWKS: a key with %s (RFC 7518 §6.3.2)", private)
			}
		}
		for _, number := range []string{"n", "e", "x", "y"} {
			if _, err := base64.RawURLEncoding.DecodeString(jwk.Text(number)); err != nil {
				t.Errorf("JWKS: %s: %v", number, err)
			}
		}
		id := jwk.Text("kid")
		if id == "" || slices.Contains(ids, id) {
			t.Errorf("JWKS: kid %q is empty or twice", id)
		}
		ids = append(ids, id)
		rs256 = rs256 || jwk.Text("kty") == "RSA" && (jwk["alg"] == nil || jwk.Text("alg") == "RS256") && (jwk["use"] == nil || jwk.Text("use") == "sig")
	}
	if !rs256 {
		t.Errorf("JWKS: no key for RS256: %v", set)
	}
	return ids
}

// sameSignIn checks that two ID tokens tell of one sign-in.
func sameSignIn(t *testing.T, first, second *testkit.Session) {
	t.Helper()
	for _, claim := range []string{"sub", "auth_time"} {
		if diff := cmp.Diff(first.Claims[claim], second.Claims[claim]); diff != "" {
			t.Errorf("ID tokens: %s differs (-first +second): %s", claim, diff)
		}
	}
}

// laterSignIn checks that the second ID token tells of a later sign-in.
func laterSignIn(t *testing.T, first, second *testkit.Session) {
	t.Helper()
	if a, b := first.Claims.Int("auth_time"), second.Claims.Int("auth_time"); b <= a || a == 0 {
		t.Errorf("ID tokens: auth_time %d, then %d; want a later one", a, b)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
