package demo_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/demo"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

const appSecret = "demo-secret-of-more-than-32-characters"

// visit is somebody at the app of a real server, on a real address, for that is
// where the server posts its logout tokens to.
type visit struct {
	*testkit.Browser
	t      *testing.T
	world  *testkit.World
	issuer string
}

func newVisit(t *testing.T) *visit {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	issuer := "http://" + ts.Listener.Addr().String()
	w := testkit.NewWorld(t, func(c *server.Config) { c.Issuer = issuer })
	client := oauth.Client{
		ID: "demo", Name: "Demo web app", AuthMethod: oauth.AuthSecretBasic, RedirectURIs: []string{issuer + demo.AppCallback},
		PostLogoutRedirectURIs: []string{issuer + demo.AppPath}, BackchannelLogout: issuer + demo.AppLogout, BackchannelSID: true,
	}
	client.Complete()
	client.Policy = oauth.DefaultPolicy(client.AuthMethod)
	now := w.Clock.Now().UnixMilli()
	if err := w.Store.PutClient(t.Context(), store.Client{Face: oidc.Name, Source: "dev", CreatedAt: now, UpdatedAt: now, Client: client}); err != nil {
		t.Fatal(err)
	}
	if err := w.Engine.PutClientSecret(t.Context(), client.ID, appSecret, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for pattern, h := range demo.Handlers(demo.Config{
		Target: w.Handler, Base: issuer, Issuer: issuer, Curl: "curl", Web: client.ID, WebSecret: appSecret, Now: w.Clock.Now,
	}) {
		w.Handle(pattern, h)
	}
	ts.Config.Handler = w.Handler
	ts.Start()
	t.Cleanup(ts.Close)
	return &visit{Browser: testkit.NewBrowser(t, w.Client(), issuer), t: t, world: w, issuer: issuer}
}

var markup = regexp.MustCompile(`<[^>]*>`)

// text is what the page says.
func (v *visit) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(markup.ReplaceAllString(v.Page.Body, " "))), " ")
}

func (v *visit) wants(status int, texts ...string) {
	v.t.Helper()
	if v.Page.Status != status {
		v.t.Errorf("status %d, want %d", v.Page.Status, status)
	}
	for _, want := range texts {
		if !strings.Contains(v.text(), want) {
			v.t.Errorf("the page lacks %q:\n%s", want, v.text())
		}
	}
}

// next presses the step's button; what a client compares must hold.
func (v *visit) next(typed ...string) {
	v.t.Helper()
	v.Press("step-submit", typed...)
	if strings.Contains(v.text(), "Does not hold:") {
		v.t.Errorf("a check does not hold:\n%s", v.text())
	}
}

// ask begins a walk with these options and follows the browser to its answer.
func (v *visit) ask(who testkit.Person, typed ...string) {
	v.t.Helper()
	v.Open(v.issuer + demo.AppPath)
	v.next(typed...)
	i := slices.IndexFunc(v.Page.Links(), func(to string) bool { return strings.HasPrefix(to, v.issuer+"/oauth2/authorize?") })
	if i < 0 {
		v.t.Fatalf("no link to the server:\n%s", v.text())
	}
	v.Open(v.Page.Links()[i])
	v.Finish(who)
}

func TestAppWalksTheServer(t *testing.T) {
	v := newVisit(t)
	v.ask(testkit.Ada)
	v.wants(200, "GET /dev/app/callback", "all of it holds", "3. Redeem")
	v.next()
	v.wants(200, "200 OK", "The ID token, decoded", `"alg" : "RS256"`, "Holds: signature", "Holds: nonce", "Holds: at_hash", "Holds: typ", `"typ" : "at+jwt"`)
	if n := strings.Count(v.text(), "OIDC Core §3.1.3.7 ("); n != 12 {
		t.Errorf("%d steps of OIDC Core §3.1.3.7, want 13 in 12 rows", n)
	}
	v.next()
	v.wants(200, `"sub" :`, `"name" : "Ada Lövelace"`, "Holds: sub")
	v.next()
	v.wants(200, "is the one from before", "is that of the first ID token", "is still that of the password")
	v.next()
	v.wants(200, `"active" : true`, "Holds: active")
	v.next()
	v.wants(200, "The grant has ended", "200 OK")
	v.next()
	v.wants(200, `"active" : false`, "Holds: active")
	v.next()
	v.wants(200, "Once, and no more", "400 Bad Request", `"error" : "invalid_grant"`, "10. Sign out")
	v.next()
	if !v.Page.AsksLogout() {
		t.Fatalf("no question: %s", v.Page)
	}
	v.ConfirmLogout()
	v.wants(200, "Signed out, and back at the app", "?state =signed-out", "No logout token yet")
	v.world.Notices(t)
	v.Open(v.issuer + demo.AppPath + "?state=signed-out")
	v.wants(200, "The last logout token", "http://schemas.openid.net/event/backchannel-logout", `"typ" : "logout+jwt"`)
	// The walk begins anew, and the answer of before is worth nothing.
	v.Open(v.issuer + demo.AppPath)
	v.wants(200, "1. Request", "The last logout token")
}

func TestAppAsksTheServerOtherwise(t *testing.T) {
	v := newVisit(t)
	v.ask(testkit.Ada, "prompt", "none")
	v.wants(200, "login_required", "may be shown", "The walk ends here")
	v.ask(testkit.Person{Username: testkit.Email, Password: testkit.Password, Cancel: true})
	v.wants(200, "access_denied", "The person said no")
	v.ask(testkit.Person{Username: testkit.Email, Password: testkit.Password, Deny: true})
	v.wants(200, "access_denied", "The person said no")
	v.ask(testkit.Ada, "scope", "openid nonsense")
	v.wants(200, "invalid_scope", "does not like it")
	v.ask(testkit.Ada, "code_challenge_method", "plain")
	v.wants(200, "invalid_request", "does not like it")

	// By PAR, with a password that is asked for again, and a claim in the ID token.
	v.ask(testkit.Ada, "keep.how", "pushed", "prompt", "login", "max_age", "60", "claims", `{"id_token":{"email":null}}`)
	v.wants(200, "all of it holds")
	v.next()
	v.wants(200, "Holds: auth_time is at most 60 seconds before the request", `"email" : "ada@example.com"`)

	v.Open(v.issuer + demo.AppPath)
	v.next("keep.how", "pushed", "scope", "openid nonsense")
	v.wants(200, "Not pushed", "400 Bad Request", "request_id=")
}

func TestAppTakesAFormPost(t *testing.T) {
	v := newVisit(t)
	v.ask(testkit.Ada, "response_mode", "form_post")
	form := url.Values{}
	for _, name := range []string{"code", "state", "iss"} {
		form.Set(name, v.Page.Value(name))
	}
	if v.Page.URL.Path == demo.AppCallback || form.Get("code") == "" {
		t.Fatalf("no form: %s", v.Page)
	}
	// A page of another site that posts the same brings no cookie.
	other := v.Another()
	if p := other.Post(v.issuer+demo.AppCallback, form); p.Status != http.StatusBadRequest {
		t.Errorf("a foreign form post: %d", p.Status)
	}
}

func TestAppSeesTheCodeReplayed(t *testing.T) {
	v := newVisit(t)
	v.ask(testkit.Ada)
	again := url.Values{}
	for _, name := range []string{
		"Authorization", "grant_type", "code", "redirect_uri", "code_verifier", "keep.code", "keep.code_verifier", "keep.nonce", "keep.max_age", "keep.asked_at",
		"keep.access_token", "keep.refresh_token", "keep.id_token", "keep.how",
	} {
		again.Set(name, v.Page.Value(name))
	}
	v.next("code_verifier", strings.Repeat("x", 43))
	v.wants(200, "Not redeemed", "400 Bad Request", "step 3 again")
	v.next()
	v.wants(200, "One code, and what it brings")
	access := v.Page.Value("keep.access_token")
	r := httptest.NewRequest(http.MethodPost, v.issuer+demo.AppPath+"/token", strings.NewReader(again.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	v.world.Handler.ServeHTTP(rec, r)
	if !strings.Contains(rec.Body.String(), "invalid_grant") {
		t.Errorf("the second use: %d", rec.Code)
	}
	// RFC 6749 §4.1.2: it ends what the first one brought.
	v.next()
	v.wants(200, "That token opens nothing", "401 Unauthorized")
	if access == "" {
		t.Error("there was no access token")
	}
}
