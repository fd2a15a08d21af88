package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/tallystick/tallystick/internal/oauth"
)

// The endpoints of the standard face that the walk goes to.
const (
	authorizePath = "/oauth2/authorize"
	jwksPath      = "/oauth2/jwks"
)

// signedOut is the state of a logout request: it brings the browser back to the
// last step (RP-Initiated Logout §3).
const signedOut = "signed-out"

// Positions in the walk of what has a page of its own.
const (
	atRequest  = 0
	atCallback = 1
	atLogout   = 9
)

// appWalk is a sign-in with OpenID Connect for an app that can keep a secret: ten
// steps, of which the browser takes two.
func appWalk() *walk {
	return &walk{
		Face: "app", Name: "Web app",
		keeps: []string{"code", "code_verifier", "nonce", "max_age", "asked_at", "access_token", "refresh_token", "id_token", "how"},
		steps: []step{
			atRequest:  {Slug: "request", Name: "Request", method: http.MethodGet, path: authorizePath, fields: askSignIn},
			atCallback: {Slug: "callback", Name: "Sign in"},
			{Slug: "token", Name: "Redeem", method: http.MethodPost, path: "/oauth2/token", carrier: inForm,
				fields: redeemAsApp, learn: learnOpenID, judge: judgeTokens},
			{Slug: "userinfo", Name: "Userinfo", method: http.MethodGet, path: "/oauth2/userinfo",
				fields: bearer, learn: learnNothing, judge: judgeUserinfo},
			{Slug: "refresh", Name: "Refresh", method: http.MethodPost, path: "/oauth2/token", carrier: inForm,
				fields: refreshAsApp, learn: learnOpenID, judge: judgeRefresh},
			{Slug: "introspect", Name: "Introspect", method: http.MethodPost, path: "/oauth2/introspect", carrier: inForm,
				fields: introspect, learn: learnNothing, judge: judgeActive(true, "is true: it was issued to this client, it has not expired, and its grant is alive")},
			{Slug: "revoke", Name: "Revoke", method: http.MethodPost, path: "/oauth2/revoke", carrier: inForm,
				fields: revoke, learn: learnNothing},
			{Slug: "inactive", Name: "Ask again", method: http.MethodPost, path: "/oauth2/introspect", carrier: inForm,
				fields: introspect, learn: learnNothing, judge: judgeActive(false, "is false, and nothing else is told")},
			{Slug: "replay", Name: "Once only", method: http.MethodPost, path: "/oauth2/token", carrier: inForm,
				fields: redeemAsApp, learn: learnOpenID, refused: true},
			atLogout: {Slug: "logout", Name: "Sign out", path: "/oauth2/logout", fields: signOut},
		},
	}
}

// basic authenticates the app (RFC 6749 §2.3.1: both halves are form-encoded
// before they are joined).
func basic(d *demo) param {
	pair := url.QueryEscape(d.Web) + ":" + url.QueryEscape(d.WebSecret)
	return param{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)), Header: true}
}

// pushed: the request goes to the server first, and the browser carries a handle
// of it (RFC 9126).
const pushed = "pushed"

// askSignIn draws the verifier, which stays, with its challenge, a state and a
// nonce, which are sent.
func askSignIn(d *demo, keep values) params {
	verifier := draw()
	sum := sha256.Sum256([]byte(verifier))
	return params{
		{Name: "code_verifier", Value: verifier, Kept: true},
		{Name: "code_challenge", Value: base64.RawURLEncoding.EncodeToString(sum[:])},
		{Name: "code_challenge_method", Value: oauth.S256},
		{Name: "response_type", Value: "code"},
		{Name: "client_id", Value: d.Web},
		{Name: "redirect_uri", Value: d.Issuer + AppCallback},
		{Name: "state", Value: rand.Text()},
		{Name: "nonce", Value: rand.Text()},
		{Name: "scope", Value: "openid profile email", Option: true},
		{Name: "prompt", Option: true, Choices: oneOf("none", "login", "consent", "select_account")},
		{Name: "max_age", Option: true},
		{Name: "response_mode", Option: true, Choices: oneOf(string(oauth.ModeQuery), string(oauth.ModeFormPost))},
		{Name: "how", Value: keep["how"], Kept: true, Option: true, Choices: []choice{{"", "in the URL"}, {pushed, pushed}}},
		{Name: "login_hint", Option: true},
		{Name: "claims", Option: true},
	}
}

// pushStep is the pushed variant of the first step: the same parameters in a
// form, and the client authenticates (RFC 9126 §2.1).
var pushStep = step{
	method: http.MethodPost, path: "/oauth2/par", carrier: inForm,
	fields: func(d *demo, keep values) params { return append(params{basic(d)}, askSignIn(d, keep)...) },
}

func redeemAsApp(d *demo, keep values) params {
	return params{
		basic(d),
		{Name: "grant_type", Value: string(oauth.AuthorizationCode)},
		{Name: "code", Value: keep["code"]},
		{Name: "redirect_uri", Value: d.Issuer + AppCallback},
		{Name: "code_verifier", Value: keep["code_verifier"]},
	}
}

func refreshAsApp(d *demo, keep values) params {
	return params{
		basic(d),
		{Name: "grant_type", Value: string(oauth.RefreshToken)},
		{Name: "refresh_token", Value: keep["refresh_token"]},
	}
}

func introspect(d *demo, keep values) params {
	return params{
		basic(d),
		{Name: "token", Value: keep["access_token"]},
		{Name: "token_type_hint", Value: "access_token"},
	}
}

func revoke(d *demo, keep values) params {
	return params{
		basic(d),
		{Name: "token", Value: keep["refresh_token"]},
		{Name: "token_type_hint", Value: "refresh_token"},
	}
}

// signOut is RP-Initiated Logout §2. It is posted, so that the ID token stays out
// of addresses.
func signOut(d *demo, keep values) params {
	return params{
		{Name: "id_token_hint", Value: keep["id_token"]},
		{Name: "post_logout_redirect_uri", Value: d.Issuer + AppPath},
		{Name: "state", Value: signedOut},
	}
}

func learnOpenID(body []byte) values {
	var a struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		IDToken      string `json:"id_token"`
	}
	if json.Unmarshal(body, &a) != nil {
		return nil
	}
	return values{"access_token": a.AccessToken, "refresh_token": a.RefreshToken, "id_token": a.IDToken}
}
