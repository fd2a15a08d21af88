package oidc_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

// Modules of the basic plan that are about signing in: whether it is asked for,
// and what a code is worth afterwards.

func promptLogin(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	first := p.signIn(t, rp, b, nil)
	p.world.Clock.Advance(time.Second)
	second := p.signIn(t, rp, b, url.Values{"prompt": {"login"}})
	if second.Journey.SignIns != 1 { // OIDC Core §3.1.2.1
		t.Errorf("prompt=login asked %d times for the password, want once", second.Journey.SignIns)
	}
	laterSignIn(t, first, second)
}

func promptNoneNotLoggedIn(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	_, j := p.authorize(t, rp, b, url.Values{"prompt": {"none"}, "state": {strings.Repeat("0123456789abcdef", 8)}})
	p.refused(t, j.Answer, "login_required") // OIDC Core §3.1.2.6
	if j.SignIns+j.Consents != 0 {
		t.Error("prompt=none showed a page")
	}
}

func promptNoneLoggedIn(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	first := p.signIn(t, rp, b, nil)
	p.world.Clock.Advance(time.Minute)
	second := p.signIn(t, rp, b, url.Values{"prompt": {"none"}})
	silent(t, second)
	sameSignIn(t, first, second)
}

func silent(t *testing.T, s *testkit.Session) {
	t.Helper()
	if s.Journey.SignIns+s.Journey.Consents != 0 {
		t.Errorf("asked %d times for the password and %d times for consent, want silence", s.Journey.SignIns, s.Journey.Consents)
	}
}

func maxAge1(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	first := p.signIn(t, rp, b, nil)
	p.world.Clock.Advance(2 * time.Second)
	second := p.signIn(t, rp, b, url.Values{"max_age": {"1"}}) // checks auth_time against max_age
	if second.Journey.SignIns != 1 {
		t.Errorf("max_age=1 asked %d times for the password, want once", second.Journey.SignIns)
	}
	laterSignIn(t, first, second)
}

func maxAge10000(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	first := p.signIn(t, rp, b, url.Values{"max_age": {"15000"}})
	p.world.Clock.Advance(time.Minute)
	second := p.signIn(t, rp, b, url.Values{"max_age": {"10000"}})
	silent(t, second)
	sameSignIn(t, first, second)
}

func idTokenHint(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	first := p.signIn(t, rp, b, nil)
	p.world.Clock.Advance(time.Minute)
	second := p.signIn(t, rp, b, url.Values{"prompt": {"none"}, "id_token_hint": {first.IDToken}})
	silent(t, second)
	sameSignIn(t, first, second)
}

func loginHint(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	a := rp.Begin(p.ask(url.Values{"login_hint": {p.who.Username}}))
	if got := b.Open(a.URL()).Value("username"); got != p.who.Username {
		t.Errorf("the sign-in page is filled in with %q, want the login_hint", got)
	}
	p.finish(t, rp, a, b)
	// The suite's own hint is nobody's here; it must not hurt.
	p.signIn(t, rp, p.world.Browser(t), url.Values{"login_hint": {"buffy@as.example"}})
}

// finish goes on with an attempt that the browser has opened.
func (p *plan) finish(t *testing.T, rp *testkit.RP, a *testkit.Attempt, b *testkit.Browser) *testkit.Session {
	t.Helper()
	j := b.Finish(p.who)
	if j.Answer == nil {
		t.Fatalf("authorization: no answer; the page: %s", j.End)
	}
	a.Check(t, j.Answer)
	p.inMode(t, j.Answer)
	return p.exchange(t, rp, a, j)
}

func uiLocales(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	a := rp.Begin(p.ask(url.Values{"ui_locales": {"se de-AT en"}}))
	if page := b.Open(a.URL()); page.Language() != "de" { // the first that there is (OIDC Core §3.1.2.1)
		t.Errorf("the sign-in page is in %q, want de", page.Language())
	}
	p.finish(t, rp, a, b)
	p.signIn(t, rp, p.world.Browser(t), url.Values{"ui_locales": {"se"}})
}

func acrValues(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	offered := rp.Metadata.Texts("acr_values_supported")
	if len(offered) == 0 {
		t.Fatal("discovery: no acr_values_supported")
	}
	s := p.signIn(t, rp, p.world.Browser(t), url.Values{"acr_values": {strings.Join(offered, " ")}})
	if acr := s.Claims.Text("acr"); !slices.Contains(offered, acr) {
		t.Errorf("ID token: acr %q, want one of %q", acr, offered)
	}
}

func codeReuse(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	s := p.signIn(t, rp, p.world.Browser(t), nil)
	tokenError(t, s.Attempt.Redeem(s.Journey.Answer.Code(), nil), "invalid_grant")
}

func codeReuseAfter30Seconds(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	s := p.signIn(t, rp, p.world.Browser(t), nil)
	p.world.Clock.Advance(30 * time.Second)
	tokenError(t, s.Attempt.Redeem(s.Journey.Answer.Code(), nil), "invalid_grant")
	// RFC 6749 §4.1.2: the tokens of a code that was used twice are revoked.
	u := rp.Userinfo(s.AccessToken)
	if u.Status != http.StatusUnauthorized || !strings.Contains(u.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("userinfo with the first access token: %d %q %s", u.Status, u.Header.Get("WWW-Authenticate"), u.Body)
	}
}
