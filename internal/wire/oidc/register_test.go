package oidc_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	node "github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
)

func registering(mode engine.RegistrationMode) testkit.Option {
	return func(c *node.Config) { c.Registration.Mode = mode }
}

// registerWith posts a document as it is.
func registerWith(w *testkit.World, document, token string) testkit.Answer {
	r := httptest.NewRequest(http.MethodPost, "/oauth2/register", strings.NewReader(document))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return testkit.Send(w.Handler, r)
}

const aRegistration = `{"redirect_uris":["https://rp.example.org/cb"]}`

// Registration is closed unless the operator has opened it, and is not offered.
func TestClosedRegistration(t *testing.T) {
	w := testkit.NewWorld(t, registering(engine.RegistrationClosed))
	if a := registerWith(w, aRegistration, ""); a.Status != http.StatusForbidden || a.Error != "access_denied" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	a := testkit.Send(w.Handler, httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
	if a.Status != http.StatusOK || strings.Contains(a.Body, "registration_endpoint") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// RFC 7591 §3: with an initial access token of the operator, until it ends.
func TestRegistrationByToken(t *testing.T) {
	w := testkit.NewWorld(t, registering(engine.RegistrationByToken))
	token, err := w.Engine.NewInitialToken(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, token, challenge string) {
		t.Helper()
		if a := registerWith(w, aRegistration, token); a.Status != http.StatusUnauthorized || a.Error != "invalid_token" || a.Header.Get("WWW-Authenticate") != challenge {
			t.Errorf("%s: %d %v %s", what, a.Status, a.Header, a.Body)
		}
	}
	const scheme = `Bearer realm="tallystick"`
	refused("without", "", scheme)
	refused("with another", token+"A", scheme+`, error="invalid_token"`)
	a := registerWith(w, aRegistration, token)
	if a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	refused("with a registration access token", a.JSON().Text("registration_access_token"), scheme+`, error="invalid_token"`)
	w.Clock.Advance(time.Hour)
	refused("after its end", token, scheme+`, error="invalid_token"`)
}

// Whatever an operator decides cannot be had by asking; nothing is stored.
func TestPolicyIsTheOperators(t *testing.T) {
	w := testkit.NewWorld(t)
	before := w.Count(t, "client")
	for _, name := range oauth.PolicyNames() {
		for _, value := range []string{"true", "false", "null", "0", `"end"`} {
			a := registerWith(w, `{"redirect_uris":["https://rp.example.org/cb"],"`+name+`":`+value+`}`, "")
			if a.Status != http.StatusBadRequest || a.Error != "invalid_client_metadata" || !strings.Contains(a.Body, name) {
				t.Errorf("%s %s: %d %s", name, value, a.Status, a.Body)
			}
		}
	}
	if n := w.Count(t, "client"); n != before {
		t.Errorf("%d clients, want %d", n, before)
	}
	// In another spelling it is a name that means nothing.
	a := registerWith(w, `{"redirect_uris":["https://rp.example.org/cb"],"token_endpoint_auth_method":"none","Require_PKCE":false,"ACCESS_TOKEN_LIFETIME":1,"Redirect_URIs":["https://evil.example/"]}`, "")
	c, found, err := w.Store.Client(t.Context(), a.JSON().Text("client_id"))
	if err != nil || !found || !c.RequirePKCE || c.AccessTokenLifetime != oauth.PublicPolicy().AccessTokenLifetime || len(c.RedirectURIs) != 1 || c.RedirectURIs[0] != "https://rp.example.org/cb" {
		t.Errorf("%+v %t %v", c, found, err)
	}
	for _, name := range oauth.PolicyNames() {
		if a.JSON()[name] != nil {
			t.Errorf("the answer tells %s", name)
		}
	}
}

// Whatever is registered is refused in the endpoint's words, or comes back in a
// form that registers the same client again.
func FuzzRegistration(f *testing.F) {
	for _, seed := range []string{
		aRegistration, `{}`, `null`, `[]`, `{"redirect_uris":[null]}`, `{"redirect_uris":["com.example.app:/cb"],"token_endpoint_auth_method":"none"}`,
		`{"redirect_uris":["https://a.example/cb"],"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]},"token_endpoint_auth_method":"private_key_jwt"}`,
		`{"redirect_uris":["https://a.example/cb"],"client_name":"\ud800<b>","default_max_age":1e3,"contacts":["a"],"default_acr_values":["1"]}`,
		`{"redirect_uris":["https://a.example/cb"],"subject_type":"pairwise","scope":"openid  x"}`,
		`{"grant_types":["client_credentials"],"response_types":[]}`, `{"redirect_uris":["https://a.example/cb"],"jwks":null,"jwks_uri":"https://a.example/keys"}`,
		`{"redirect_uris":["https://a.example/cb"],"require_pkce":false}`, `{"redirect_uris":{"a":1}}`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	w := testkit.NewWorld(f)
	post := func(body []byte) testkit.Answer {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/register", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		return testkit.Send(w.Handler, r)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("sector_identifier_uri")) {
			return // it would be fetched
		}
		a := post(body)
		switch a.Status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if a.Error != "invalid_request" && a.Error != "invalid_client_metadata" && a.Error != "invalid_redirect_uri" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			return
		case http.StatusCreated:
		default:
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		first := a.JSON()
		again := post([]byte(a.Body))
		second := again.JSON()
		if again.Status != http.StatusCreated {
			t.Fatalf("%s\nagain: %d %s", a.Body, again.Status, again.Body)
		}
		for _, fresh := range []string{"client_id", "client_id_issued_at", "client_secret", "registration_access_token", "registration_client_uri"} {
			delete(first, fresh)
			delete(second, fresh)
		}
		one, _ := json.Marshal(first)
		two, _ := json.Marshal(second)
		if !bytes.Equal(one, two) {
			t.Errorf("%s\nagain: %s", one, two)
		}
		r := httptest.NewRequest(http.MethodDelete, "/oauth2/register/"+a.JSON().Text("client_id"), nil)
		r.Header.Set("Authorization", "Bearer "+a.JSON().Text("registration_access_token"))
		testkit.Send(w.Handler, r)
		r = httptest.NewRequest(http.MethodDelete, "/oauth2/register/"+again.JSON().Text("client_id"), nil)
		r.Header.Set("Authorization", "Bearer "+again.JSON().Text("registration_access_token"))
		if d := testkit.Send(w.Handler, r); d.Status != http.StatusNoContent {
			t.Errorf("delete: %d %s", d.Status, d.Body)
		}
	})
}
