package testkit_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

const issuer = "https://as.example"

// provider serves discovery and the keys of an issuer, and tells the token
// requests that it gets.
func provider(t *testing.T, keys ...*testkit.ClientKey) (*testkit.RP, *http.Request) {
	t.Helper()
	got := new(http.Request)
	write := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, testkit.Document{
			"issuer": issuer, "jwks_uri": issuer + "/jwks", "token_endpoint": issuer + "/token",
			"authorization_endpoint": issuer + "/authorize?tenant=a", "registration_endpoint": issuer + "/register",
		})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { write(w, testkit.JWKS(keys...)) })
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		*got = *r
		write(w, testkit.Document{"access_token": "at", "id_token": "it"})
	})
	rp := testkit.NewRP(t, testkit.HandlerClient(mux), issuer, testkit.NewClock().Now)
	rp.ID, rp.RedirectURI = "client", "https://rp.example/cb"
	return rp, got
}

func TestRPValidatesIDTokens(t *testing.T) {
	key, second, stranger := testkit.NewClientKey(t, "ES256"), testkit.NewClientKey(t, "RS256"), testkit.NewClientKey(t, "ES256")
	rp, _ := provider(t, key, second)
	rp.IDTokenAlg = "ES256"
	now := rp.Now().Unix()
	good := testkit.Document{
		"iss": issuer, "aud": "client", "sub": "ada", "nonce": "n", "iat": now, "exp": now + 60, "auth_time": now - 5, "acr": "1",
		"at_hash": "sda5G2fCr6XjIpiNlGJjjQ", // left half of SHA-256("at"), base64url
	}
	checks := testkit.IDTokenChecks{Nonce: "n", AccessToken: "at", MaxAge: 10 * time.Second, ACR: []string{"1"}}
	for name, c := range map[string]struct {
		change testkit.Document
		by     *testkit.ClientKey
		want   string // "" is valid
	}{
		"valid":                             {nil, key, ""},
		"one audience of several, with azp": {testkit.Document{"aud": []string{"x", "client"}, "azp": "client"}, key, ""},
		"§3.1.3.7 (2) iss":                  {testkit.Document{"iss": issuer + "/"}, key, "iss"},
		"§3.1.3.7 (3) aud":                  {testkit.Document{"aud": "other"}, key, "aud"},
		"§3.1.3.7 (4) no azp":               {testkit.Document{"aud": []string{"x", "client"}}, key, "several"},
		"§3.1.3.7 (5) azp":                  {testkit.Document{"azp": "other"}, key, "azp"},
		"§3.1.3.7 (6) signature":            {nil, stranger, "kid"},
		"§3.1.3.7 (7) alg":                  {nil, second, "alg"},
		"§3.1.3.7 (9) exp":                  {testkit.Document{"exp": now}, key, "exp"},
		"§3.1.3.7 (10) iat":                 {testkit.Document{"iat": now + 1}, key, "iat"},
		"§3.1.3.7 (11) nonce":               {testkit.Document{"nonce": "m"}, key, "nonce"},
		"§3.1.3.7 (12) acr":                 {testkit.Document{"acr": "0"}, key, "acr"},
		"§3.1.3.7 (13) auth_time":           {testkit.Document{"auth_time": now - 11}, key, "auth_time"},
		"§3.1.3.7 (13) no auth_time":        {testkit.Document{"auth_time": nil}, key, "auth_time"},
		"§3.1.3.8 at_hash":                  {testkit.Document{"at_hash": "xxxx"}, key, "at_hash"},
		"§2 sub":                            {testkit.Document{"sub": ""}, key, "sub"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := testkit.Document{}
			for k, v := range good {
				claims[k] = v
			}
			for k, v := range c.change {
				claims[k] = v
			}
			got, err := rp.ValidateIDToken(c.by.Sign(claims, nil), checks)
			switch {
			case c.want == "" && (err != nil || got.Text("sub") != "ada"):
				t.Errorf("claims %v, error %v", got, err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
	for name, token := range map[string]string{"alg none": testkit.Unsigned(good), "no JWT": "x.y"} {
		if _, err := rp.ValidateIDToken(token, checks); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRPAuthenticates(t *testing.T) {
	rp, got := provider(t)
	rp.Secret, rp.Key = "a:b%c+d e", testkit.NewClientKey(t, "ES256")
	rp.ID = "client@example"
	for _, c := range []struct{ method, authorization, client, secret string }{
		{"none", "", "client@example", ""},
		// RFC 6749 §2.3.1 with Appendix B: client%40example:a%3Ab%25c%2Bd+e
		{"client_secret_basic", "Basic Y2xpZW50JTQwZXhhbXBsZTphJTNBYiUyNWMlMkJkK2U=", "", ""},
		{"client_secret_post", "", "client@example", "a:b%c+d e"},
		{"private_key_jwt", "", "client@example", ""},
	} {
		as := *rp
		as.AuthMethod = c.method
		if a := as.ClientCredentials(url.Values{"scope": {"x"}}); a.AccessToken != "at" || a.IDToken != "it" {
			t.Errorf("%s: answer %+v", c.method, a)
		}
		f := got.PostForm
		if got.Header.Get("Authorization") != c.authorization || f.Get("client_id") != c.client || f.Get("client_secret") != c.secret ||
			f.Has("client_assertion") != (c.method == "private_key_jwt") || f.Get("grant_type") != "client_credentials" || f.Get("scope") != "x" {
			t.Errorf("%s: Authorization %q, form %v", c.method, got.Header.Get("Authorization"), f)
		}
	}
}

func TestRPBeginsAttempts(t *testing.T) {
	rp, _ := provider(t)
	a, b := rp.Begin(nil), rp.Begin(testkit.With(testkit.NoPKCE, url.Values{"nonce": nil, "prompt": {"none"}}))
	if a.Params.Get("state") == b.Params.Get("state") || a.Params.Get("code_challenge") == "" || a.Verifier == "" {
		t.Errorf("first attempt %v", a.Params)
	}
	if b.Verifier != "" || b.Params.Has("code_challenge") || b.Params.Has("nonce") || b.Params.Get("prompt") != "none" {
		t.Errorf("second attempt %v", b.Params)
	}
	if u := a.URL(); !strings.HasPrefix(u, issuer+"/authorize?tenant=a&") {
		t.Errorf("the endpoint's own query is lost: %s", u)
	}
}
