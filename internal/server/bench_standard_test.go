package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// The exchange through the standard face, by a client that authenticates with a
// secret. With openid there are two signatures: access token and ID token.

func BenchmarkStandardRedeemES256Parallel(b *testing.B) {
	benchmark(b, standardRedeem(jose.ES256), inFlight)
}
func BenchmarkStandardRedeemRS256Parallel(b *testing.B) {
	benchmark(b, standardRedeem(jose.RS256), inFlight)
}
func BenchmarkStandardRefreshES256(b *testing.B) { benchmark(b, standardRefresh(jose.ES256), 1) }
func BenchmarkStandardRefreshES256Parallel(b *testing.B) {
	benchmark(b, standardRefresh(jose.ES256), inFlight)
}
func BenchmarkStandardRefreshRS256Parallel(b *testing.B) {
	benchmark(b, standardRefresh(jose.RS256), inFlight)
}
func BenchmarkClientCredentialsES256Parallel(b *testing.B) {
	benchmark(b, clientCredentials(jose.ES256), inFlight)
}
func BenchmarkClientCredentialsRS256Parallel(b *testing.B) {
	benchmark(b, clientCredentials(jose.RS256), inFlight)
}
func BenchmarkIntrospectParallel(b *testing.B) { benchmark(b, introspect(), inFlight) }

const benchSecret = "a secret of the benchmark's own client"

// benchClient rotates, so that a refresh writes, and signs everything by alg.
func benchClient(b *testing.B, w *testkit.World, alg jose.Alg) {
	b.Helper()
	c := testkit.StandardClient(testkit.Web, w.Clock.Now().UnixMilli())
	c.ID, c.IDTokenAlg, c.AccessTokenAlg, c.RefreshTokenRotation = "bench", string(alg), string(alg), true
	c.GrantTypes = append(c.GrantTypes, oauth.ClientCredentials)
	c.Scope = "api offline_access openid profile"
	if err := w.Store.PutClient(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	if err := w.Engine.PutClientSecret(b.Context(), "bench", benchSecret, time.Time{}); err != nil {
		b.Fatal(err)
	}
}

func tokenRequest(path string, form url.Values) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("bench", url.QueryEscape(benchSecret))
	return r
}

// authorize gives birth to a grant and returns its code.
func authorize(b *testing.B, w *testkit.World) func() string {
	b.Helper()
	ctx := b.Context()
	d, err := w.Engine.Destination(ctx, oidc.Name, "bench", testkit.WebCallback, oauth.MatchRedirectURI)
	if err != nil {
		b.Fatal(err)
	}
	challenge, err := oauth.ParseCodeChallenge(testkit.Challenge, oauth.S256)
	if err != nil {
		b.Fatal(err)
	}
	s, err := w.Engine.SignIn(ctx, person(b, w), testkit.Password, nil, engine.Trace{IP: "192.0.2.1"})
	if err != nil {
		b.Fatal(err)
	}
	return func() string {
		code, err := w.Engine.Authorize(ctx, &engine.Authorization{
			Destination: d, RedirectURISent: true, Scope: "offline_access openid profile", Challenge: &challenge, Begun: w.Clock.Now(),
		}, s, true, engine.Trace{})
		if err != nil {
			b.Error(err)
		}
		return code
	}
}

func redeemRequest(code string) *http.Request {
	return tokenRequest("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testkit.WebCallback}, "code_verifier": {testkit.Verifier},
	})
}

func standardRedeem(alg jose.Alg) load {
	return load{alg, 2, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		benchClient(b, w, alg)
		code := authorize(b, w)
		return func() testkit.Answer {
			w.Clock.Advance(time.Millisecond)
			return testkit.Send(w.Handler, redeemRequest(code()))
		}
	}, 200}
}

func standardRefresh(alg jose.Alg) load {
	return load{alg, 2, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		benchClient(b, w, alg)
		token := testkit.Send(w.Handler, redeemRequest(authorize(b, w)())).RefreshToken
		return func() testkit.Answer {
			a := testkit.Send(w.Handler, tokenRequest("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}))
			token = a.RefreshToken
			return a
		}
	}, 200}
}

func clientCredentials(alg jose.Alg) load {
	return load{alg, 1, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		benchClient(b, w, alg)
		return func() testkit.Answer {
			return testkit.Send(w.Handler, tokenRequest("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}))
		}
	}, 200}
}

func introspect() load {
	return load{jose.ES256, 0, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		benchClient(b, w, jose.ES256)
		token := testkit.Send(w.Handler, redeemRequest(authorize(b, w)())).AccessToken
		return func() testkit.Answer {
			return testkit.Send(w.Handler, tokenRequest("/oauth2/introspect", url.Values{"token": {token}}))
		}
	}, 200}
}
