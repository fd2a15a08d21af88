//go:build e2e

package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tallystick/tallystick/internal/testkit"
)

// gopherSecret needs escaping in a Basic header (RFC 6749 §2.3.1), which x/oauth2
// does.
const gopherSecret = "a secret: 100% of it + some/more =?&"

// gophers are a web app, told of logouts at logoutURI, and a native app, whose port
// is whatever is free when it starts (RFC 8252 §7.3).
func gophers(logoutURI string) []metadata {
	return []metadata{{
		"client_id": "gopher", "client_secret": gopherSecret, "client_name": "Gopher",
		"redirect_uris":             []string{"https://gopher.example.com/callback"},
		"post_logout_redirect_uris": []string{"https://gopher.example.com/bye"},
		"backchannel_logout_uri":    logoutURI, "backchannel_logout_session_required": true,
	}, {
		"client_id": "gopher-native", "client_name": "Gopher on a desk", "application_type": "native",
		"redirect_uris": []string{"http://127.0.0.1/callback"},
	}}
}

// gopher is an app by coreos/go-oidc and golang.org/x/oauth2.
type gopher struct {
	t        *testing.T
	ctx      context.Context // carries the HTTP client, as both libraries want it
	provider *oidc.Provider
	browser  *testkit.Browser
	issuer   string
}

func newGopher(t *testing.T, dev devWorld, client *http.Client) *gopher {
	t.Helper()
	g := &gopher{t: t, ctx: oidc.ClientContext(t.Context(), client), browser: testkit.NewBrowser(t, client, dev.Issuer), issuer: dev.Issuer}
	var err error
	if g.provider, err = oidc.NewProvider(g.ctx, dev.Issuer); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gopher) verify(raw, audience string) *oidc.IDToken {
	g.t.Helper()
	token, err := g.provider.VerifierContext(g.ctx, &oidc.Config{ClientID: audience}).Verify(g.ctx, raw)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

// signIn goes from the authorization request to tokens, with code and PKCE.
func (g *gopher) signIn(app *oauth2.Config) (*oauth2.Token, *oidc.IDToken) {
	g.t.Helper()
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	way := g.browser.Complete(app.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), person("go-oidc"))
	if way.Answer == nil {
		g.t.Fatalf("no answer, but %s", way.End)
	}
	answer := way.Answer.Params
	if answer.Get("state") != state || answer.Get("iss") != g.issuer || answer.Get("error") != "" {
		g.t.Fatalf("answer: state unchanged %t, iss %q, error %q", answer.Get("state") == state, answer.Get("iss"), answer.Get("error"))
	}
	token, err := app.Exchange(g.ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		g.t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id := g.verify(raw, app.ClientID)
	if id.Nonce != nonce {
		g.t.Error("the ID token has another nonce")
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		g.t.Errorf("at_hash: %v", err)
	}
	return token, id
}

// refresh lets x/oauth2 find a token expired, and returns what it gets in its
// place.
func (g *gopher) refresh(app *oauth2.Config, token *oauth2.Token) (*oauth2.Token, error) {
	old := *token
	old.Expiry = time.Unix(1, 0)
	return app.TokenSource(g.ctx, &old).Token()
}

// use asks for userinfo and refreshes twice.
func (g *gopher) use(app *oauth2.Config, token *oauth2.Token, id *oidc.IDToken) *oauth2.Token {
	g.t.Helper()
	for range 2 {
		if who := g.verify(token.AccessToken, g.issuer); who.Subject != id.Subject {
			g.t.Errorf("the access token is about %q, the ID token about %q", who.Subject, id.Subject)
		}
		// go-oidc compares no subjects: OpenID Connect Core §5.3.2 leaves that to us.
		info, err := g.provider.UserInfo(g.ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			g.t.Fatal(err)
		}
		if info.Subject != id.Subject || info.Email != person("go-oidc").Username || !info.EmailVerified {
			g.t.Errorf("userinfo: %+v", info)
		}
		next, err := g.refresh(app, token)
		if err != nil {
			g.t.Fatal(err)
		}
		if next.AccessToken == token.AccessToken {
			g.t.Error("the refresh gave the same access token")
		}
		token = next
	}
	return token
}

// testGoOIDC is an app of each kind. logouts yields the logout tokens that the web
// app has been sent.
func testGoOIDC(t *testing.T, dev devWorld, client *http.Client, logouts <-chan string) {
	g := newGopher(t, dev, client)
	scopes := []string{oidc.ScopeOpenID, "email", "profile"}

	native := &oauth2.Config{ClientID: "gopher-native", Endpoint: g.provider.Endpoint(), RedirectURL: "http://127.0.0.1:49152/callback", Scopes: scopes}
	token, id := g.signIn(native)
	g.use(native, token, id)

	web := &oauth2.Config{ClientID: "gopher", ClientSecret: gopherSecret, Endpoint: g.provider.Endpoint(), RedirectURL: "https://gopher.example.com/callback", Scopes: scopes}
	token, id = g.signIn(web)
	last := g.use(web, token, id)

	var more struct {
		EndSession string `json:"end_session_endpoint"`
		Logout     bool   `json:"backchannel_logout_session_supported"`
		SID        string `json:"sid"`
	}
	if err := errors.Join(g.provider.Claims(&more), id.Claims(&more)); err != nil {
		t.Fatal(err)
	}
	if !more.Logout || more.SID == "" {
		t.Fatalf("back-channel logout with sid: supported %t, sid in the ID token %t", more.Logout, more.SID != "")
	}
	raw, _ := token.Extra("id_token").(string)
	g.browser.Open(more.EndSession + "?" + url.Values{
		"id_token_hint": {raw}, "post_logout_redirect_uri": {"https://gopher.example.com/bye"}, "state": {"see you"},
	}.Encode())
	if page := g.browser.ConfirmLogout(); page.Answer == nil || page.Answer.Params.Get("state") != "see you" {
		t.Fatalf("after the logout: %s", page)
	}
	if refusal := new(oauth2.RetrieveError); !errors.As(second(g.refresh(web, last)), &refusal) || refusal.ErrorCode != "invalid_grant" {
		t.Errorf("refresh after the logout: %v, want invalid_grant", refusal)
	}
	select {
	case raw := <-logouts:
		out, err := g.provider.VerifierContext(g.ctx, &oidc.Config{ClientID: web.ClientID}).VerifyLogout(g.ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		if out.SessionID != more.SID || out.Subject != id.Subject {
			t.Error("the logout token is about another session, or another user")
		}
	case <-time.After(10 * time.Second):
		t.Error("no logout token has come within 10 s")
	}

	const resource = "http://127.0.0.1:9/api"
	service := &clientcredentials.Config{
		ClientID: dev.Clients.Service.ID, ClientSecret: dev.Clients.Service.Secret, TokenURL: g.provider.Endpoint().TokenURL,
		Scopes: []string{"api:read"}, EndpointParams: url.Values{"resource": {resource}},
	}
	token, err := service.Token(g.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.verify(token.AccessToken, resource); got.Subject != service.ClientID || !slices.Equal(got.Audience, []string{resource}) {
		t.Errorf("client_credentials: sub %q, aud %q", got.Subject, got.Audience)
	}
}

func second[T any](_ T, err error) error { return err }

// newInbox takes logout tokens (Back-Channel Logout §2.5) for a client that is not
// running yet when the server must know its address.
func newInbox(t *testing.T) (logoutURI string, tokens <-chan string) {
	t.Helper()
	came := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		select {
		case came <- r.PostFormValue("logout_token"):
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/logout", came
}
