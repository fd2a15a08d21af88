package engine_test

import (
	"cmp"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// asking is a good authorization request of the client, begun now.
func asking(t *testing.T, w *testkit.World, clientID, redirect, scope string) *engine.Authorization {
	t.Helper()
	d, err := w.Engine.Destination(t.Context(), oidc.Name, clientID, redirect, oauth.MatchRedirectURI)
	if err != nil {
		t.Fatal(err)
	}
	s, err := oauth.ParseScope(scope)
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := oauth.ParseCodeChallenge(testkit.Challenge, oauth.S256)
	if err != nil {
		t.Fatal(err)
	}
	return &engine.Authorization{
		Destination: d, RedirectURISent: true, Mode: oauth.ModeQuery, Scope: s, Challenge: &challenge, Nonce: "n", Begun: w.Clock.Now(),
	}
}

func signInAs(t *testing.T, w *testkit.World, former *engine.Session) *engine.Session {
	t.Helper()
	s, err := w.Engine.SignIn(t.Context(), testkit.Email, testkit.Password, former, from("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claimsOf(t *testing.T, s string) oauth.ClaimsRequest {
	t.Helper()
	c, err := oauth.ParseClaims(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJudge(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	first := asking(t, w, testkit.Web, testkit.WebCallback, "openid profile")
	session := signInAs(t, w, nil)
	if _, err := w.Engine.Authorize(ctx, first, session, true, from("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	age := func(n int64) *int64 { return &n }
	sub := engine.FormatUUID(w.User.ID)

	for _, tt := range []struct {
		name   string
		change func(*engine.Authorization)
		none   bool // without a session
		step   engine.Step
		code   oauth.ErrorCode
	}{
		{"the same again needs nobody", func(*engine.Authorization) {}, false, engine.StepDone, ""},
		{"less needs nobody", func(a *engine.Authorization) { a.Scope = "openid" }, false, engine.StepDone, ""},
		{"more scope is asked for", func(a *engine.Authorization) { a.Scope = "email openid profile" }, false, engine.StepConsent, ""},
		{"offline_access is asked for (OIDC Core §11)", func(a *engine.Authorization) { a.Scope = "offline_access openid" }, false, engine.StepConsent, ""},
		{"a resource is asked for (RFC 8707 §2)", func(a *engine.Authorization) { a.Resources = testkit.API }, false, engine.StepConsent, ""},
		{"a claim is asked for (OIDC Core §5.5)", func(a *engine.Authorization) { a.Claims = claimsOf(t, `{"userinfo":{"email":null}}`) }, false, engine.StepConsent, ""},
		{"a claim that the scope brings is not", func(a *engine.Authorization) { a.Claims = claimsOf(t, `{"id_token":{"name":null}}`) }, false, engine.StepDone, ""},
		{"nor one that is not about the user", func(a *engine.Authorization) {
			a.Claims = claimsOf(t, `{"id_token":{"auth_time":{"essential":true},"acr":null,"x":null}}`)
		}, false, engine.StepDone, ""},
		{"no session", func(*engine.Authorization) {}, true, engine.StepSignIn, ""},
		{"prompt=none without a session (§3.1.2.6)", func(a *engine.Authorization) { a.Prompt = oauth.PromptNone }, true, 0, oauth.LoginRequired},
		{"prompt=none with one", func(a *engine.Authorization) { a.Prompt = oauth.PromptNone }, false, engine.StepDone, ""},
		{"prompt=none without consent", func(a *engine.Authorization) { a.Prompt, a.Scope = oauth.PromptNone, "email openid" }, false, 0, oauth.ConsentRequired},
		{"prompt=login", func(a *engine.Authorization) { a.Prompt = oauth.PromptLogin }, false, engine.StepSignIn, ""},
		{"prompt=select_account", func(a *engine.Authorization) { a.Prompt = oauth.PromptSelectAccount }, false, engine.StepSignIn, ""},
		{"prompt=consent", func(a *engine.Authorization) { a.Prompt = oauth.PromptConsent }, false, engine.StepConsent, ""},
		{"max_age=0", func(a *engine.Authorization) { a.MaxAge = age(0) }, false, engine.StepSignIn, ""},
		{"max_age of less than the session", func(a *engine.Authorization) { a.MaxAge = age(59) }, false, engine.StepSignIn, ""},
		{"max_age of exactly the session", func(a *engine.Authorization) { a.MaxAge = age(60) }, false, engine.StepDone, ""},
		{"max_age that no clock has", func(a *engine.Authorization) { a.MaxAge = age(1 << 50) }, false, engine.StepDone, ""},
		{"max_age=0 with prompt=none", func(a *engine.Authorization) { a.MaxAge, a.Prompt = age(0), oauth.PromptNone }, false, 0, oauth.LoginRequired},
		{"the sub that is asked for (§5.5.1)", func(a *engine.Authorization) {
			a.Claims.IDToken = map[string]*oauth.ClaimRequest{"sub": {Value: json.RawMessage(`"` + sub + `"`)}}
		}, false, engine.StepDone, ""},
		{"another sub is asked for", func(a *engine.Authorization) {
			a.Claims.IDToken = map[string]*oauth.ClaimRequest{"sub": {Value: json.RawMessage(`"x"`)}}
		}, false, engine.StepSignIn, ""},
		{"another sub and prompt=none", func(a *engine.Authorization) {
			a.Prompt = oauth.PromptNone
			a.Claims.IDToken = map[string]*oauth.ClaimRequest{"sub": {Value: json.RawMessage(`"x"`)}}
		}, false, 0, oauth.LoginRequired},
		{"another sub after he has just signed in", func(a *engine.Authorization) {
			a.Begun = time.UnixMilli(session.AuthTime)
			a.Claims.IDToken = map[string]*oauth.ClaimRequest{"sub": {Value: json.RawMessage(`"x"`)}}
		}, false, 0, oauth.LoginRequired},
		{"a hint that is no ID token", func(a *engine.Authorization) { a.Hint = "x.y.z" }, false, 0, oauth.InvalidRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := asking(t, w, testkit.Web, testkit.WebCallback, "openid profile")
			tt.change(a)
			s := session
			if tt.none {
				s = nil
			}
			v, err := w.Engine.Judge(ctx, a, s)
			if code(err) != tt.code {
				t.Fatalf("%v, want %q", err, tt.code)
			}
			if err == nil && v.Step != tt.step {
				t.Errorf("step %d, want %d", v.Step, tt.step)
			}
		})
	}
}

func TestCheckAuthorization(t *testing.T) {
	w := testkit.NewWorld(t)
	for _, tt := range []struct {
		name   string
		change func(*engine.Authorization)
		want   oauth.ErrorCode
	}{
		{"good", func(*engine.Authorization) {}, ""},
		{"no challenge by a confidential client (RFC 9700 §2.1.1)", func(a *engine.Authorization) { a.Challenge = nil }, oauth.InvalidRequest},
		{"scope outside of the client's", func(a *engine.Authorization) { a.Scope = "admin openid" }, oauth.InvalidScope},
		{"the client's resource", func(a *engine.Authorization) { a.Resources = testkit.API }, ""},
		{"a resource on this machine, in dev", func(a *engine.Authorization) { a.Resources = "http://127.0.0.1:9/mcp" }, ""},
		{"the issuer itself", func(a *engine.Authorization) { a.Resources = testkit.Issuer }, ""},
		{"an unknown resource (RFC 8707 §2)", func(a *engine.Authorization) { a.Resources = "https://other.example/" }, oauth.InvalidTarget},
		{"one of two unknown", func(a *engine.Authorization) { a.Resources = testkit.API + " https://other.example/" }, oauth.InvalidTarget},
		{"essential acr that there is (OIDC Core §5.5.1.1)", func(a *engine.Authorization) {
			a.Claims = claimsOf(t, `{"id_token":{"acr":{"essential":true,"values":["2","1"]}}}`)
		}, ""},
		{"essential acr that there is not", func(a *engine.Authorization) {
			a.Claims = claimsOf(t, `{"id_token":{"acr":{"essential":true,"value":"2"}}}`)
		}, oauth.UnmetRequirements},
		{"voluntary acr that there is not", func(a *engine.Authorization) { a.Claims = claimsOf(t, `{"id_token":{"acr":{"value":"2"}}}`) }, ""},
	} {
		a := asking(t, w, testkit.Web, testkit.WebCallback, "openid")
		tt.change(a)
		if err := w.Engine.CheckAuthorization(a); code(err) != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	service, err := w.Engine.Destination(t.Context(), oidc.Name, testkit.Service, "", func(string, string) bool { return true })
	if err == nil {
		t.Errorf("a client without redirect URIs has a destination: %v", service)
	}
	par := testkit.StandardClient("pushes", w.Clock.Now().UnixMilli())
	par.AuthMethod, par.RedirectURIs, par.RequirePAR = oauth.AuthNone, []string{testkit.WebCallback}, true
	if err := w.Store.PutClient(t.Context(), par); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Second)
	a := asking(t, w, "pushes", testkit.WebCallback, "openid")
	if err := w.Engine.CheckAuthorization(a); code(err) != oauth.InvalidRequest {
		t.Errorf("require_par: %v", err)
	}
	a.Pushed = store.RequestID{1}
	if err := w.Engine.CheckAuthorization(a); err != nil {
		t.Errorf("require_par, pushed: %v", err)
	}
}

// bornOf is the grant that an authorization gives birth to.
func bornOf(t *testing.T, w *testkit.World, a *engine.Authorization, s *engine.Session) store.Grant {
	t.Helper()
	code, err := w.Engine.Authorize(t.Context(), a, s, true, from("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	g, found, err := w.Store.Grant(t.Context(), w.GrantOf(t, code))
	if err != nil || !found {
		t.Fatalf("grant: %v", err)
	}
	return g
}

func TestBirthright(t *testing.T) {
	w := testkit.NewWorld(t)
	s := signInAs(t, w, nil)
	lives := func(g store.Grant) int64 { return g.AbsoluteExpiresAt - g.CreatedAt }

	w.Clock.Advance(time.Second)
	g := bornOf(t, w, asking(t, w, testkit.Web, testkit.WebCallback, "openid profile"), s)
	if g.Session != s.ID || g.Browser != s.Browser || g.AuthTime != s.AuthTime || g.Nonce != "n" || g.AbsoluteExpiresAt != s.ExpiresAt || g.RedirectURI != testkit.WebCallback {
		t.Errorf("without offline_access: %+v", g)
	}
	w.Clock.Advance(time.Second)
	g = bornOf(t, w, asking(t, w, testkit.Web, testkit.WebCallback, "offline_access openid"), s)
	if g.Session != (store.SessionID{}) || g.AbsoluteExpiresAt != 0 || g.Browser != s.Browser || !g.Scope.Has("offline_access") {
		t.Errorf("with offline_access: %+v", g)
	}
	w.Clock.Advance(time.Second)
	a := asking(t, w, testkit.Web, testkit.WebCallback, "openid profile")
	a.Prompt = oauth.PromptNone
	if g = bornOf(t, w, a, s); lives(g) != 2*3600*1000 || g.Session != s.ID {
		t.Errorf("prompt=none: lives for %d", lives(g))
	}
	w.Clock.Advance(time.Second)
	a = asking(t, w, testkit.Web, testkit.WebCallback, "")
	a.RedirectURISent = false
	if g = bornOf(t, w, a, s); g.Scope != "address email phone profile" || g.RedirectURI != "" {
		t.Errorf("without a scope: %q, %q", g.Scope, g.RedirectURI)
	}
}

// What a user took back between the page and the birth is refused, and so is a
// birth in a session that has ended.
func TestAuthorizeAfterTheEnd(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	s := signInAs(t, w, nil)
	a := asking(t, w, testkit.Web, testkit.WebCallback, "openid")
	if _, err := w.Engine.Authorize(ctx, a, s, false, from("")); code(err) != oauth.InteractionRequired {
		t.Errorf("not agreed: %v", err)
	}
	if _, err := w.Engine.Authorize(ctx, a, s, true, from("")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Engine.Authorize(ctx, a, s, false, from("")); err != nil {
		t.Errorf("agreed before: %v", err)
	}
	if err := w.Engine.WithdrawConsent(ctx, s, testkit.Web, from("")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Engine.Authorize(ctx, a, s, false, from("")); code(err) != oauth.InteractionRequired {
		t.Errorf("withdrawn: %v", err)
	}
	if err := w.Engine.EndSession(ctx, s, from("")); err != nil {
		t.Fatal(err)
	}
	for _, scope := range []string{"openid", "offline_access openid"} {
		if _, err := w.Engine.Authorize(ctx, asking(t, w, testkit.Web, testkit.WebCallback, scope), s, true, from("")); code(err) != oauth.AccessDenied {
			t.Errorf("session ended, %s: %v", scope, err)
		}
	}
}

func TestPushedRequestIsSpentOnce(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	s := signInAs(t, w, nil)
	push := func() string {
		uri, err := w.Engine.Push(ctx, oidc.Name, engine.Credentials{ClientID: testkit.SPA}, from("192.0.2.1"), func(context.Context, *oauth.Client) ([]byte, error) {
			return []byte(`{"scope":"openid"}`), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return uri
	}
	uri := push()
	id, params, err := w.Engine.Pushed(ctx, testkit.SPA, uri)
	if err != nil || string(params) != `{"scope":"openid"}` {
		t.Fatalf("%s, %v", params, err)
	}
	if _, _, err := w.Engine.Pushed(ctx, testkit.Web, uri); code(err) != oauth.InvalidRequestURI {
		t.Errorf("another client's: %v", err)
	}
	a := asking(t, w, testkit.SPA, testkit.SPACallback, "openid")
	a.Pushed = id
	if _, err := w.Engine.Authorize(ctx, a, s, true, from("")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Engine.Authorize(ctx, a, s, true, from("")); code(err) != oauth.InvalidRequestURI {
		t.Errorf("again: %v", err)
	}
	if _, _, err := w.Engine.Pushed(ctx, testkit.SPA, uri); code(err) != oauth.InvalidRequestURI {
		t.Errorf("after its use: %v", err)
	}
	late := push()
	w.Clock.Advance(engine.PushedLifetime - time.Millisecond)
	if _, _, err := w.Engine.Pushed(ctx, testkit.SPA, late); err != nil {
		t.Errorf("in its last moment: %v", err)
	}
	w.Clock.Advance(time.Millisecond)
	if _, _, err := w.Engine.Pushed(ctx, testkit.SPA, late); code(err) != oauth.InvalidRequestURI {
		t.Errorf("expired: %v", err)
	}
	for _, junk := range []string{"", engine.PushedPrefix, engine.PushedPrefix + "tsp_x", "https://x.example/", late + "x", late[:len(late)-1]} {
		if _, _, err := w.Engine.Pushed(ctx, testkit.SPA, junk); code(err) != oauth.InvalidRequestURI {
			t.Errorf("%q: %v", junk, err)
		}
	}
}

// A pairwise subject is the same for one sector, another for another, and never
// the user's id (OpenID Connect Core §8.1).
func TestPairwiseSubjects(t *testing.T) {
	w := testkit.NewWorld(t)
	s := signInAs(t, w, nil)
	subjects := map[string]string{}
	for id, redirect := range map[string]string{
		"a": "https://one.example.com/a", "b": "https://one.example.com/b", "c": "https://two.example.com/c",
	} {
		c := testkit.StandardClient(id, w.Clock.Now().UnixMilli())
		c.RedirectURIs, c.SubjectType = []string{redirect}, oauth.SubjectPairwise
		if err := w.Store.PutClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(2 * time.Second)
		subjects[id] = bornOf(t, w, asking(t, w, id, redirect, "openid"), s).Subject
	}
	if subjects["a"] != subjects["b"] || subjects["a"] == subjects["c"] || subjects["a"] == engine.FormatUUID(w.User.ID) || len(subjects["a"]) != 43 {
		t.Errorf("%v", subjects)
	}
}

// Who may introspect: the client of the token, and the resource server that it is
// for; to everybody else it is not active (RFC 7662 §2.1, §4).
func TestIntrospectionIsForTheAudience(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	s := signInAs(t, w, nil)
	a := asking(t, w, testkit.Web, testkit.WebCallback, "openid")
	a.Resources = testkit.API
	code, err := w.Engine.Authorize(ctx, a, s, true, from(""))
	if err != nil {
		t.Fatal(err)
	}
	issued, err := w.Engine.Token(ctx, &engine.TokenRequest{
		Face: oidc.Name, GrantType: oauth.AuthorizationCode, Code: code, RedirectURI: testkit.WebCallback, CodeVerifier: testkit.Verifier,
		Credentials: engine.Credentials{ClientID: testkit.Web, Method: oauth.AuthSecretBasic, Secret: testkit.WebSecret}, Shape: bare{},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := w.Clock.Now().UnixMilli()
	for id, resources := range map[string][]string{testkit.API: nil, "gateway": {"https://other.example/", testkit.API}, "stranger": {"https://other.example/"}} {
		c := testkit.StandardClient(id, now)
		c.AuthMethod, c.GrantTypes, c.ResponseTypes = oauth.AuthSecretBasic, []oauth.GrantType{oauth.ClientCredentials}, nil
		c.IntrospectResources = resources
		if err := w.Store.PutClient(ctx, c); err != nil {
			t.Fatal(err)
		}
		if err := w.Engine.PutClientSecret(ctx, id, "s", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{testkit.Web: true, testkit.API: true, "gateway": true, "stranger": false, testkit.Web2: false, testkit.Service: false} {
		secret := map[string]string{testkit.Web: testkit.WebSecret, testkit.Web2: testkit.Web2Secret, testkit.Service: testkit.ServiceSecret}[id]
		caller, err := w.Engine.Authenticate(ctx, oidc.Name, engine.Credentials{ClientID: id, Method: oauth.AuthSecretBasic, Secret: cmp.Or(secret, "s")})
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		got, err := w.Engine.Introspect(ctx, oidc.Name, caller, issued.AccessToken)
		if err != nil || got.Active != want {
			t.Errorf("%s: active %v, want %v, %v", id, got.Active, want, err)
		}
	}
}

// bare is a shape with what introspection looks at.
type bare struct{}

func (bare) NeedsUser(*engine.Issue) bool { return false }

func (bare) Draft(i engine.Issue) engine.Drafts {
	c := jose.NewClaims()
	c.String("iss", i.Issuer)
	c.Strings("aud", i.Resources.URIs())
	c.String("client_id", i.Client.ID)
	c.String("gid", engine.GID(i.Grant))
	c.Int("exp", i.ExpiresAt.Unix())
	return engine.Drafts{Access: engine.Draft{Key: oidc.SigningKeys[0], Typ: engine.AccessTokenType, KID: true, Claims: c}}
}

// timed are the claims that every verification looks at.
func timed(i engine.Issue) *jose.Claims {
	c := jose.NewClaims()
	c.String("iss", i.Issuer)
	c.String("client_id", i.Client.ID)
	c.Int("exp", i.ExpiresAt.Unix())
	return c
}
