package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// A client that nobody has looked at gets what everybody may have, and nothing
// without a user (RFC 7591 §2, §5).
func TestSelfRegisteredClientsAreNarrowed(t *testing.T) {
	w := testkit.NewWorld(t)
	e, err := engine.New(t.Context(), engine.Config{
		Store: w.Store, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now, Keys: oidc.SigningKeys,
		Registration: engine.Registration{Mode: engine.RegistrationOpen, RequirePKCE: true, Scope: "api:read"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		client oauth.Client
		scope  string
		want   oauth.ErrorCode
	}{
		{"nothing said", oauth.Client{RedirectURIs: []string{testkit.WebCallback}}, oauth.DefaultScope, ""},
		{"more than there is for it", oauth.Client{RedirectURIs: []string{testkit.WebCallback}, Scope: "openid admin api:read"}, "api:read openid", ""},
		{"nothing that there is for it", oauth.Client{RedirectURIs: []string{testkit.WebCallback}, Scope: "admin"}, "", oauth.InvalidClientMetadata},
		{"tokens without a user", oauth.Client{GrantTypes: []oauth.GrantType{oauth.ClientCredentials}, Scope: "api:read"}, "", oauth.InvalidClientMetadata},
	} {
		got, err := e.RegisterClient(t.Context(), oidc.Name, tt.client, "", from("192.0.2.1"))
		if code(err) != tt.want || err == nil && (got.Client.Scope != tt.scope || !got.Client.RequirePKCE) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	// The fragment of a request_uri is the hash of its content (OIDC Core §6.2).
	if _, err := w.Engine.RegisterClient(t.Context(), oidc.Name, oauth.Client{
		RedirectURIs: []string{testkit.WebCallback}, RequestURIs: []string{"https://a.example/r#abc"},
	}, "", from("192.0.2.1")); err != nil {
		t.Errorf("a request_uri with the hash of its content: %v", err)
	}
}

// Who may register: nobody, who has a token, anybody (RFC 7591 §3).
func TestRegistrationModes(t *testing.T) {
	w := testkit.NewWorld(t)
	in := func(m engine.RegistrationMode) *engine.Engine {
		e, err := engine.New(t.Context(), engine.Config{
			Store: w.Store, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now, Keys: oidc.SigningKeys,
			Registration: engine.Registration{Mode: m},
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	byToken := in(engine.RegistrationByToken)
	token, err := byToken.NewInitialToken(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	try := func(e *engine.Engine, token string) oauth.ErrorCode {
		_, err := e.RegisterClient(t.Context(), oidc.Name, oauth.Client{RedirectURIs: []string{testkit.WebCallback}}, token, from(""))
		return code(err)
	}
	for _, tt := range []struct {
		name  string
		e     *engine.Engine
		token string
		want  oauth.ErrorCode
	}{
		{"closed", in(engine.RegistrationClosed), "", oauth.AccessDenied},
		{"closed, with a token", in(engine.RegistrationClosed), token, oauth.AccessDenied},
		{"by token, without", byToken, "", oauth.InvalidToken},
		{"by token, altered", byToken, token[:len(token)-1] + "A", oauth.InvalidToken},
		{"by token", byToken, token, ""},
		{"open", in(engine.RegistrationOpen), "", ""},
	} {
		if got := try(tt.e, tt.token); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	w.Clock.Advance(time.Hour)
	if got := try(byToken, token); got != oauth.InvalidToken {
		t.Errorf("by token, expired: %q", got)
	}
}

// No access token outlives its grant, and its lifetime says so.
func TestAccessTokenEndsWithItsGrant(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	c := testkit.StandardClient(testkit.SPA, w.Clock.Now().UnixMilli())
	c.ID, c.RefreshAbsoluteLifetime = "short", 120
	if err := w.Store.PutClient(ctx, c); err != nil {
		t.Fatal(err)
	}
	s := signInAs(t, w, nil)
	code, err := w.Engine.Authorize(ctx, asking(t, w, "short", testkit.SPACallback, "offline_access openid"), s, true, from(""))
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(30 * time.Second)
	out, err := w.Engine.Token(ctx, &engine.TokenRequest{
		Face: oidc.Name, GrantType: oauth.AuthorizationCode, Code: code, RedirectURI: testkit.SPACallback, CodeVerifier: testkit.Verifier,
		Credentials: engine.Credentials{ClientID: "short"}, Shape: bare{},
	})
	if err != nil || out.Lifetime != 90*time.Second || !out.ExpiresAt.Equal(w.Clock.Now().Add(90*time.Second)) {
		t.Errorf("%v, %v, %v; want 90 s", out.Lifetime, out.ExpiresAt, err)
	}
}

// max_age counts at the birth as well: a page may have been open for long.
func TestMaxAgeIsHeldAtTheBirth(t *testing.T) {
	w := testkit.NewWorld(t)
	s := signInAs(t, w, nil)
	a := asking(t, w, testkit.Web, testkit.WebCallback, "openid")
	age := int64(30)
	a.MaxAge = &age
	w.Clock.Advance(80 * time.Second)
	if _, err := w.Engine.Authorize(t.Context(), a, s, true, from("")); err != nil {
		t.Errorf("within the grace: %v", err)
	}
	w.Clock.Advance(20 * time.Second)
	if _, err := w.Engine.Authorize(t.Context(), a, s, true, from("")); code(err) != oauth.InteractionRequired {
		t.Errorf("after it: %v", err)
	}
}

// An app that another may stand in for gets no code that its user has not just
// agreed to (RFC 8252 §8.6).
func TestNativeAppsAreAlwaysAskedFor(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	s := signInAs(t, w, nil)
	for _, redirect := range []string{"com.example.app:/cb", "http://127.0.0.1:51004/cb"} {
		a := asking(t, w, testkit.Native, redirect, "openid")
		if _, err := w.Engine.Authorize(ctx, a, s, true, from("")); err != nil {
			t.Fatal(err)
		}
		if v, err := w.Engine.Judge(ctx, a, s); err != nil || v.Step != engine.StepConsent {
			t.Errorf("%s, again: %+v, %v", redirect, v, err)
		}
		a.Prompt = oauth.PromptNone
		if _, err := w.Engine.Judge(ctx, a, s); code(err) != oauth.ConsentRequired {
			t.Errorf("%s, prompt=none: %v", redirect, err)
		}
	}
}

// One network cannot keep the others out of a public client's pushed requests.
func TestPushedRequestsOfANetwork(t *testing.T) {
	w := testkit.NewWorld(t)
	push := func(client, secret, ip string) oauth.ErrorCode {
		c := engine.Credentials{ClientID: client}
		if secret != "" {
			c.Method, c.Secret = oauth.AuthSecretPost, secret
		}
		_, err := w.Engine.Push(t.Context(), oidc.Name, c, from(ip), func(context.Context, *oauth.Client) ([]byte, error) { return []byte(`{}`), nil })
		return code(err)
	}
	for range 300 {
		if got := push(testkit.SPA, "", "192.0.2.1"); got != "" {
			t.Fatal(got)
		}
	}
	if got := push(testkit.SPA, "", "192.0.2.200"); got != oauth.TemporarilyUnavailable {
		t.Errorf("the same network: %q", got)
	}
	if got := push(testkit.SPA, "", "198.51.100.1"); got != "" {
		t.Errorf("another network: %q", got)
	}
	if got := push(testkit.Web, testkit.WebSecret, "192.0.2.1"); got != "" {
		t.Errorf("a client that proves who it is: %q", got)
	}
	w.Clock.Advance(time.Minute)
	if got := push(testkit.SPA, "", "192.0.2.1"); got != "" {
		t.Errorf("a minute later: %q", got)
	}
}

// A pushed request that is refused has used its assertion; a fault has not.
func TestPushSpendsTheAssertion(t *testing.T) {
	w := testkit.NewWorld(t)
	k := newKeyed(t, w, "keyed", nil)
	w.Clock.Advance(2 * time.Second)
	push := func(c engine.Credentials, verdict error) error {
		_, err := w.Engine.Push(t.Context(), oidc.Name, c, from(""), func(context.Context, *oauth.Client) ([]byte, error) { return []byte(`{}`), verdict })
		return err
	}
	refused := oauth.Refuse(oauth.InvalidScope, "x", "x")
	c := k.assertion(t, w.Clock.Now())
	if err := push(c, oauth.Unavailable("x", errors.New("x"))); code(err) != oauth.TemporarilyUnavailable {
		t.Fatal(err)
	}
	if err := push(c, refused); code(err) != oauth.InvalidScope {
		t.Errorf("after a fault: %v", err)
	}
	if err := push(c, refused); code(err) != oauth.InvalidClient {
		t.Errorf("after a refusal: %v", err)
	}
	c = k.assertion(t, w.Clock.Now())
	if err := push(c, nil); err != nil {
		t.Fatal(err)
	}
	if err := push(c, nil); code(err) != oauth.InvalidClient {
		t.Errorf("after a success: %v", err)
	}
}

// The sid of one browser is another to each client, and the one of the logout token
// is that of the ID tokens.
func TestSIDIsTheClientsOwn(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	now := w.Clock.Now().UnixMilli()
	seen := map[string]string{}
	s := signInAs(t, w, nil)
	for _, id := range []string{"one", "two"} {
		c := testkit.StandardClient(testkit.SPA, now)
		c.ID, c.BackchannelLogout = id, "http://127.0.0.1:1/"+id
		if err := w.Store.PutClient(ctx, c); err != nil {
			t.Fatal(err)
		}
		code, err := w.Engine.Authorize(ctx, asking(t, w, id, testkit.SPACallback, "openid"), s, true, from(""))
		if err != nil {
			t.Fatal(err)
		}
		shape := &sidShape{}
		if _, err := w.Engine.Token(ctx, &engine.TokenRequest{
			Face: oidc.Name, GrantType: oauth.AuthorizationCode, Code: code, RedirectURI: testkit.SPACallback, CodeVerifier: testkit.Verifier,
			Credentials: engine.Credentials{ClientID: id}, Shape: shape,
		}); err != nil {
			t.Fatal(err)
		}
		seen[id] = shape.sid
	}
	if seen["one"] == "" || seen["one"] == seen["two"] {
		t.Errorf("sids %v", seen)
	}
	if err := w.Engine.EndSession(ctx, s, from("")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	told := map[string]string{}
	err := w.Engine.DeliverNotices(ctx, func(i engine.LogoutIssue) engine.Draft {
		mu.Lock()
		defer mu.Unlock()
		told[i.Client.ID] = i.SID
		return oidc.LogoutToken(i)
	}, func(context.Context, engine.LogoutNotice) error { return nil })
	if err != nil || fmt.Sprint(told) != fmt.Sprint(seen) {
		t.Errorf("told %v, seen %v, %v", told, seen, err)
	}
}

type sidShape struct {
	bare
	sid string
}

func (s *sidShape) Draft(i engine.Issue) engine.Drafts {
	s.sid = i.SID
	return s.bare.Draft(i)
}

// A client that does not answer holds up nobody but itself, and is tried again
// later, ever more seldom, until it is given up.
func TestADeadClientHoldsUpNobody(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	for _, id := range []string{"dead", "well"} {
		c := testkit.StandardClient(testkit.SPA, w.Clock.Now().UnixMilli())
		c.ID, c.BackchannelLogout = id, "http://127.0.0.1:1/"+id
		if err := w.Store.PutClient(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		s := signInAs(t, w, nil)
		for _, id := range []string{"dead", "well"} {
			if _, err := w.Engine.Authorize(ctx, asking(t, w, id, testkit.SPACallback, "openid"), s, true, from("")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Engine.EndSession(ctx, s, from("")); err != nil {
			t.Fatal(err)
		}
	}
	wellTold := make(chan struct{})
	var mu sync.Mutex
	tries := map[string]int{}
	post := func(_ context.Context, n engine.LogoutNotice) error {
		mu.Lock()
		tries[n.URI]++
		if n.URI == "http://127.0.0.1:1/well" && tries[n.URI] == 3 {
			close(wellTold)
		}
		mu.Unlock()
		if n.URI == "http://127.0.0.1:1/dead" {
			<-wellTold // it answers after all of the others
			return errors.New("no answer")
		}
		return nil
	}
	if err := w.Engine.DeliverNotices(ctx, oidc.LogoutToken, post); err == nil {
		t.Error("the failure is not told")
	}
	if tries["http://127.0.0.1:1/well"] != 3 || tries["http://127.0.0.1:1/dead"] != 1 {
		t.Errorf("tries %v", tries)
	}
	for range 400 { // hours
		w.Clock.Advance(time.Hour)
		_ = w.Engine.DeliverNotices(ctx, oidc.LogoutToken, func(context.Context, engine.LogoutNotice) error {
			tries["later"]++
			return errors.New("no answer")
		})
	}
	due, err := w.Store.DueNotices(ctx, store.Time(1)<<60, 10)
	if err != nil || len(due) != 0 || tries["later"] != 3*12-1 {
		t.Errorf("%d are due for ever, after %d tries, %v", len(due), tries["later"], err)
	}
}
