package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// TestConformanceRPInitiatedLogout is
// oidcc-rp-initiated-logout-certification-test-plan.
func TestConformanceRPInitiatedLogout(t *testing.T) {
	bad := func(change func(*plan, *testkit.Session, url.Values)) func(*testing.T, *plan) {
		return func(t *testing.T, p *plan) { p.notSentBack(t, change) }
	}
	newPlan(t, "client_secret_basic", "").run(t, []module{
		{"oidcc-rp-initiated-logout-discovery-endpoint-verification", func(t *testing.T, p *plan) {
			d := document(t, p.world, testkit.Issuer+"/.well-known/openid-configuration")
			checkEndpoint(t, "end_session_endpoint", d.Text("end_session_endpoint"))
		}},
		{"oidcc-rp-initiated-logout", func(t *testing.T, p *plan) {
			state := strings.Repeat("0123456789abcdef", 8)
			p.sentBack(t, url.Values{"state": {state}}, url.Values{"state": {state}})
		}},
		{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", bad(func(_ *plan, _ *testkit.Session, v url.Values) {
			v.Set("post_logout_redirect_uri", loggedOutAt+"/"+testkit.Random())
		})},
		{"oidcc-rp-initiated-logout-modified-id-token-hint", bad(func(_ *plan, s *testkit.Session, v url.Values) {
			v.Set("id_token_hint", testkit.Unsigned(s.Claims))
		})},
		{"oidcc-rp-initiated-logout-no-id-token-hint", bad(func(_ *plan, _ *testkit.Session, v url.Values) {
			v.Del("id_token_hint")
		})},
		{"oidcc-rp-initiated-logout-no-params", loggedOutPage(nil)},
		{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", loggedOutPage([]string{"id_token_hint", "state"})},
		{"oidcc-rp-initiated-logout-no-state", func(t *testing.T, p *plan) { p.sentBack(t, url.Values{"state": nil}, url.Values{}) }},
		{"oidcc-rp-initiated-logout-only-state", loggedOutPage([]string{"state"})},
		{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", bad(func(_ *plan, _ *testkit.Session, v url.Values) {
			v.Set("post_logout_redirect_uri", loggedOutAt+"?foo=bar")
		})},
		{"oidcc-rp-initiated-logout-bad-id-token-hint", bad(func(p *plan, s *testkit.Session, v url.Values) {
			v.Set("id_token_hint", p.key.Sign(s.Claims, nil))
		})},
	})
}

const loggedOutAt = "https://rp.example.org/post_logout_redirect"

// signedIn is a client with a session, and the logout request that the suite
// makes of it.
func (p *plan) signedIn(t *testing.T, more testkit.Document) (*testkit.RP, *testkit.Browser, *testkit.Session, url.Values) {
	t.Helper()
	d := testkit.Document{"post_logout_redirect_uris": []string{loggedOutAt}}
	for name, v := range more {
		d[name] = v
	}
	rp, b := p.client(t, d), p.world.Browser(t)
	s := p.signIn(t, rp, b, nil)
	return rp, b, s, url.Values{
		"id_token_hint": {s.IDToken}, "post_logout_redirect_uri": {loggedOutAt}, "state": {testkit.Random()},
	}
}

// logout goes to the endpoint and agrees, if it is asked.
func logout(b *testkit.Browser, address string) *testkit.Page {
	if page := b.Open(address); !page.AsksLogout() {
		return page
	}
	return b.ConfirmLogout()
}

// signedOut checks by prompt=none that the session is gone.
func (p *plan) signedOut(t *testing.T, rp *testkit.RP, b *testkit.Browser) {
	t.Helper()
	_, j := p.authorize(t, rp, b, url.Values{"prompt": {"none"}})
	p.refused(t, j.Answer, "login_required")
}

// sentBack logs out and expects to arrive at the client with these parameters
// and nothing else (RP-Initiated Logout §3).
func (p *plan) sentBack(t *testing.T, change, want url.Values) {
	t.Helper()
	rp, b, _, ask := p.signedIn(t, nil)
	ask = testkit.With(ask, change)
	twin := b.Another()
	page := logout(b, rp.LogoutURL(ask))
	if page.Answer == nil {
		t.Fatalf("logout: not sent back; the page: %s", page)
	}
	if got := page.URL.Scheme + "://" + page.URL.Host + page.URL.Path; got != loggedOutAt || page.URL.Fragment != "" {
		t.Errorf("logout: sent to %s", got)
	}
	if diff := cmp.Diff(want, page.Answer.Params); diff != "" {
		t.Errorf("logout: parameters (-want +got): %s", diff)
	}
	p.signedOut(t, rp, b)
	p.signedOut(t, rp, twin) // the session has ended, and not only the cookie
}

// notSentBack: the request is not to be believed. A page asks, or tells why; it
// signs nobody out by itself, and nothing leads to the client (RP-Initiated
// Logout §2, §3).
func (p *plan) notSentBack(t *testing.T, change func(*plan, *testkit.Session, url.Values)) {
	t.Helper()
	rp, b, s, ask := p.signedIn(t, nil)
	change(p, s, ask)
	page := b.Open(rp.LogoutURL(ask))
	if page.Answer != nil || !page.AsksLogout() && !page.IsError() {
		t.Fatalf("logout: want a question or an error page; got %s", page)
	}
	silent(t, p.signIn(t, rp, b, url.Values{"prompt": {"none"}})) // still signed in
	if page = b.Open(rp.LogoutURL(ask)); page.AsksLogout() {
		if page = b.ConfirmLogout(); page.Answer != nil || !page.LoggedOut() {
			t.Errorf("logout, confirmed: want the page that says so; got %s", page)
		}
		p.signedOut(t, rp, b)
	}
}

// loggedOutPage logs out with some of the parameters and expects a page that
// says so.
func loggedOutPage(with []string) func(*testing.T, *plan) {
	return func(t *testing.T, p *plan) {
		rp, b, _, all := p.signedIn(t, nil)
		ask := url.Values{}
		for _, name := range with {
			ask[name] = all[name]
		}
		twin := b.Another()
		if page := logout(b, rp.LogoutURL(ask)); page.Answer != nil || !page.LoggedOut() {
			t.Errorf("logout: want the page that says so; got %s", page)
		}
		p.signedOut(t, rp, b)
		p.signedOut(t, rp, twin)
	}
}

// TestConformanceBackChannelLogout is
// oidcc-backchannel-rp-initiated-logout-certification-test-plan.
func TestConformanceBackChannelLogout(t *testing.T) {
	newPlan(t, "client_secret_basic", "").run(t, []module{
		{"oidcc-backchannel-logout-discovery-endpoint-verification", func(t *testing.T, p *plan) {
			d := document(t, p.world, testkit.Issuer+"/.well-known/openid-configuration")
			checkEndpoint(t, "end_session_endpoint", d.Text("end_session_endpoint"))
			if d["backchannel_logout_supported"] != true || d["backchannel_logout_session_supported"] != true {
				t.Errorf("discovery: backchannel_logout_supported %v, backchannel_logout_session_supported %v",
					d["backchannel_logout_supported"], d["backchannel_logout_session_supported"])
			}
		}},
		{"oidcc-backchannel-rp-initiated-logout", backChannelLogout},
	})
}

func backChannelLogout(t *testing.T, p *plan) {
	received := make(chan *http.Request, 2)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Cache-Control", "no-store")
		received <- r
	}))
	defer client.Close()
	rp, b, s, ask := p.signedIn(t, testkit.Document{
		"backchannel_logout_uri": client.URL + "/backchannel_logout", "backchannel_logout_session_required": true,
	})
	if s.Claims.Text("sid") == "" { // Back-Channel Logout §2.1
		t.Error("ID token: no sid")
	}
	if page := logout(b, rp.LogoutURL(ask)); page.Answer == nil || page.Answer.Params.Get("state") != ask.Get("state") {
		t.Errorf("logout: want to be sent back with the state; got %s", page)
	}
	if err := p.world.Engine.DeliverNotices(t.Context(), oidc.LogoutToken, p.world.PostLogout); err != nil {
		t.Fatal(err)
	}
	var r *http.Request
	select {
	case r = <-received:
	default:
		t.Fatal("the client was not told of the logout")
	}
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(r.PostForm) != 1 {
		t.Errorf("logout request: %s %s, %s, %d parameters", r.Method, r.URL, r.Header.Get("Content-Type"), len(r.PostForm))
	}
	checkLogoutToken(t, rp, s, r.PostForm.Get("logout_token"))
	p.signedOut(t, rp, b)
	select {
	case <-received:
		t.Error("the client was told twice")
	default:
	}
}

// checkLogoutToken validates as Back-Channel Logout §2.6 tells a client to.
func checkLogoutToken(t *testing.T, rp *testkit.RP, s *testkit.Session, token string) {
	t.Helper()
	header, c, err := rp.Verify(token)
	if err != nil || header.Algorithm != "RS256" || header.ExtraHeaders["typ"] != "logout+jwt" {
		t.Fatalf("logout token: alg %s, typ %v, %v", header.Algorithm, header.ExtraHeaders["typ"], err)
	}
	now := rp.Now().Unix()
	if c.Text("iss") != rp.Issuer || c.Text("aud") != rp.ID && asJSON(t, c["aud"]) != asJSON(t, []string{rp.ID}) ||
		c.Int("iat") > now || c.Int("exp") <= now || c.Text("jti") == "" {
		t.Errorf("logout token: %v", c)
	}
	if c["sub"] != s.Claims["sub"] || c["sid"] != s.Claims["sid"] {
		t.Errorf("logout token: sub %v, sid %v; want those of the ID token, %v, %v", c["sub"], c["sid"], s.Claims["sub"], s.Claims["sid"])
	}
	if _, there := c["nonce"]; there {
		t.Error("logout token: has a nonce")
	}
	want := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	if diff := cmp.Diff(any(want), c["events"]); diff != "" {
		t.Errorf("logout token: events (-want +got): %s", diff)
	}
}
