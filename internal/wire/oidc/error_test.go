package oidc_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

// Security case 159: when the store cannot answer, nobody is told that something
// was done, and nothing is told of the fault.
func TestStoreFaultIsPassing(t *testing.T) {
	b := newBack(t)
	s := b.signIn(t, b.web, nil)
	attempt, code := b.code(t, b.web, nil)
	public := b.signIn(t, b.spa, nil)
	pushed := b.web.Begin(nil)
	registered := b.Register(t, nil, nil)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]testkit.Answer{
		"a code": attempt.Redeem(code, nil), "a refresh": b.web.Refresh(s.RefreshToken, nil), "a public refresh": b.spa.Refresh(public.RefreshToken, nil),
		"userinfo": b.web.Userinfo(s.AccessToken), "introspection": b.web.Introspect(s.AccessToken), "introspection of a refresh token": b.web.Introspect(s.RefreshToken),
		"revocation": b.web.Revoke(s.RefreshToken), "revocation of an access token": b.web.Revoke(s.AccessToken),
		"a push": pushed.Push(), "registration": registerWith(b.World, aRegistration, ""),
		"a registration": registered.ReadRegistration(), "a deletion": registered.Unregister(),
	} {
		if a.Status != http.StatusServiceUnavailable || a.Error != "temporarily_unavailable" || a.Header.Get("Retry-After") == "" ||
			a.Header.Get("WWW-Authenticate") != "" || a.AccessToken+a.RefreshToken != "" {
			t.Errorf("%s: %d %v %s", name, a.Status, a.Header, a.Body)
		}
		if strings.Contains(a.Body, "sql") || strings.Contains(a.Body, "closed") {
			t.Errorf("%s: the answer tells of the fault: %s", name, a.Body)
		}
	}
}

// Whatever goes through the back channel, the log holds nothing that could be
// presented, and leads from a refusal to its reason.
func TestLogHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	b := newBack(t, testkit.LogTo(&log))
	s := b.signIn(t, b.web, offlineScope)
	attempt, code := b.code(t, b.spa, nil)
	signer := b.signer(t, "ES256")
	assertion := signer.Assertion(nil)
	by := url.Values{"client_assertion": {assertion}, "client_assertion_type": {assertionType}}
	signer.ClientCredentials(by)
	signer.ClientCredentials(by)
	refused := attempt.Redeem(code, url.Values{"code_verifier": {testkit.Verifier}})
	first := attempt.Redeem(code, nil)
	attempt.Redeem(code, nil)
	b.web.Introspect(s.AccessToken)
	b.web.Userinfo(s.AccessToken)
	b.web.Call(http.MethodGet, b.web.Endpoint("userinfo")+"?access_token="+s.AccessToken, nil, nil)
	b.web.UserinfoForm(s.AccessToken + "x")
	pushed := b.web.Begin(nil)
	pushed.Push()
	registered := b.Register(t, nil, nil)
	registered.ReadRegistration()
	b.web.Call(http.MethodPost, b.web.Endpoint("token")+"?refresh_token="+s.RefreshToken, nil, nil)
	secrets := map[string]string{
		"code": code, "verifier": attempt.Verifier, "wrong verifier": testkit.Verifier, "access token": s.AccessToken, "ID token": s.IDToken,
		"refresh token": s.RefreshToken, "public refresh token": first.RefreshToken, "assertion": assertion, "client secret": testkit.WebSecret,
		"registered secret": registered.Secret, "registration access token": registered.Registration.Text("registration_access_token"),
		"request_uri": pushed.Handle, "signature": s.AccessToken[strings.LastIndex(s.AccessToken, "."):],
	}
	// A client that mixes up its fields.
	for _, secret := range secrets {
		mixed := testkit.RP{HTTP: b.web.HTTP, Metadata: b.web.Metadata, ID: secret, Secret: secret, AuthMethod: "client_secret_basic"}
		mixed.Refresh("x", nil)
		mixed.AuthMethod = "client_secret_post"
		mixed.Introspect("x")
		mixed.Token(url.Values{"grant_type": {secret}, "scope": {secret}, secret: {secret}})
	}
	b.web.Revoke(s.RefreshToken)
	text := log.String()
	for name, secret := range secrets {
		if secret == "" || strings.Contains(text, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	for _, line := range []string{
		`"endpoint":"/oauth2/token"`, `"client":"spa"`, `"reason":"verifier: does not match the challenge"`, `"reason":"code: replayed"`, `"reason":"assertion: used before"`,
		refused.Header.Get("X-Request-Id"),
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the log does not tell %s", line)
		}
	}
}

// Whatever stands in the body of a token request is refused as RFC 6749 §5.2 says,
// never by a fault; what is sent twice or in two ways changes nothing.
func FuzzToken(f *testing.F) {
	for _, seed := range []struct{ authorization, body string }{
		{"", ""}, {basic(testkit.Service, testkit.ServiceSecret), "grant_type=client_credentials"},
		{basic(testkit.Service, testkit.ServiceSecret), "grant_type=client_credentials&scope=api:read&resource=http://127.0.0.1/&resource=x"},
		{"", "grant_type=authorization_code&client_id=spa&code=tsc_x&code_verifier=" + testkit.Verifier + "&redirect_uri=" + testkit.SPACallback},
		{"", "grant_type=refresh_token&client_id=spa&refresh_token=tsr_x&scope=openid"}, {"Basic Og==", "grant_type=password"},
		{"", "client_id=web&client_assertion=a.b.c&client_assertion_type=" + assertionType + "&grant_type=refresh_token&refresh_token=x"},
		{"bearer x", "grant_type=refresh_token&refresh_token=%00"}, {basic(testkit.Web, "x"), "client_id=spa&grant_type=%ff"}, {"", "a=1&a=2;&%"},
	} {
		f.Add(seed.authorization, seed.body)
	}
	w := testkit.NewWorld(f)
	f.Fuzz(func(t *testing.T, authorization, body string) {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		a := testkit.Send(w.Handler, r)
		switch a.Status {
		case http.StatusOK: // the service client may
			if a.AccessToken == "" || a.RefreshToken != "" || !strings.Contains(body, "client_credentials") {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		case http.StatusUnauthorized:
			if a.Error != "invalid_client" || a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if a.Error == "" || a.Error == "server_error" || a.AccessToken != "" || !errorText.MatchString(a.JSON().Text("error_description")) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		default:
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}
