package userdocks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// silentURL is what the SDK's silentRefresh loads (contract §D).
func silentURL(app, redirect, nonce string) string {
	return userdocks.LoginPath + "?grant_type=refreshToken&state=s&nonce=" + nonce + "&auth_time=1735689600&redirect_uri=" + url.QueryEscape(redirect) +
		"&client_id=" + app + "&scope=openid%20offline_access&prompt=none"
}

func silentLogoutURL(app, redirect string) string {
	return userdocks.LoginPath + "?redirect_uri=" + url.QueryEscape(redirect) + "&client_id=" + app + "&prompt=none&logout=true"
}

type heard struct {
	Originator string
	IsAllowed  bool
	Token      map[string]any
	target     string
}

var (
	dataBlock = regexp.MustCompile(`(?s)<script type="application/json" id="message">(.*?)</script>`)
	nonceAttr = regexp.MustCompile(`<script nonce="([A-Z0-9]+)">`)
)

// message reads what a frame would post, and checks what every frame has.
func message(t *testing.T, p *shown) heard {
	t.Helper()
	block, nonce := dataBlock.FindStringSubmatch(p.body), nonceAttr.FindStringSubmatch(p.body)
	if block == nil || nonce == nil || strings.Count(p.body, "<script") != 2 {
		t.Fatalf("not a frame: %d %s", p.status, p.body)
	}
	var outer struct{ Text, Target string }
	must(t, json.Unmarshal([]byte(block[1]), &outer))
	s := heard{target: outer.Target}
	must(t, json.Unmarshal([]byte(outer.Text), &s))
	var members map[string]any
	must(t, json.Unmarshal([]byte(outer.Text), &members))
	if len(members) != 3 || s.Originator != "userdocks" || len(s.Token) != 6 {
		t.Errorf("the message: %s", outer.Text)
	}
	policy := "default-src 'none'; script-src 'nonce-" + nonce[1] + "'; form-action 'none'; frame-ancestors https://app.example.com; base-uri 'none'"
	if got := p.header.Get("Content-Security-Policy"); got != policy {
		t.Errorf("policy %s, want %s", got, policy)
	}
	if p.header.Get("X-Frame-Options") != "" || p.header.Get("Cache-Control") != "no-store" || p.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", p.header)
	}
	return s
}

var noToken = map[string]any{"accessToken": nil, "idToken": nil, "expiresIn": 0.0, "tokenType": nil, "redirectUri": nil, "refreshToken": nil}

// G23.
func TestSilentRefresh(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	p := b.get(silentURL(testkit.App, testkit.AppCallback, "n1"))
	if got := message(t, p); p.status != 200 || got.IsAllowed || got.target != "https://app.example.com" || !cmp.Equal(got.Token, noToken) {
		t.Errorf("without a session: %d %+v", p.status, got)
	}
	b.signIn("signIn")
	p = b.get(silentURL(testkit.App, testkit.AppCallback+"/", "n1"))
	got := message(t, p)
	if p.status != 200 || !got.IsAllowed || got.target != "https://app.example.com" || got.Token["tokenType"] != "Bearer" || got.Token["redirectUri"] != testkit.AppCallback {
		t.Fatalf("with a session: %d %+v", p.status, got)
	}
	if again := message(t, b.get(silentURL(testkit.App, testkit.AppCallback, "n1"))); again.Token["refreshToken"] == got.Token["refreshToken"] {
		t.Error("two frames, one grant")
	}
	access, refresh := got.Token["accessToken"].(string), got.Token["refreshToken"].(string)
	if a := testkit.Send(w.Handler, testkit.UserdocksMe(access)); a.Status != 200 {
		t.Errorf("me: %d %s", a.Status, a.Body)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, refresh)); a.Status != 201 {
		t.Errorf("refresh: %d %s", a.Status, a.Body)
	}
	claims := strings.Split(got.Token["idToken"].(string), ".")[1]
	raw, err := base64.RawStdEncoding.DecodeString(claims)
	must(t, err)
	if !strings.Contains(string(raw), `"nonce":"n1"`) {
		t.Errorf("claims %s", raw)
	}

	// Only in a frame: neither for a link nor for a script's fetch.
	for dest, status := range map[string]int{"iframe": 200, "document": 400, "empty": 400, "image": 400} {
		r := httptest.NewRequest("GET", testkit.Issuer+silentURL(testkit.App, testkit.AppCallback, "n"), nil)
		r.Header.Set("Sec-Fetch-Dest", dest)
		if p := b.do(r); p.status != status || strings.Contains(p.body, "<script") != (status == 200) {
			t.Errorf("Sec-Fetch-Dest %s: %d", dest, p.status)
		}
	}
	// The other cookie counts for nothing here.
	lax := newBrowser(t, w)
	lax.signIn("signIn")
	r := httptest.NewRequest("GET", testkit.Issuer+silentURL(testkit.App, testkit.AppCallback, "n"), nil)
	r.Header.Set("Cookie", "__Host-ts="+lax.cookie("__Host-ts")+"; ts_silent="+lax.cookie("__Host-ts"))
	if got := message(t, newBrowser(t, w).do(r)); got.IsAllowed {
		t.Error("a session's cookie passes for the silent one")
	}
	// Nor the silent one on the page that people see.
	r = httptest.NewRequest("GET", testkit.Issuer+loginURL("signIn"), nil)
	r.Header.Set("Cookie", "ts_silent="+b.cookie("ts_silent")+"; __Host-ts="+b.cookie("ts_silent"))
	if p := newBrowser(t, w).do(r); p.status != 200 {
		t.Errorf("the silent cookie passes for a session's: %d", p.status)
	}
	w.Clock.Advance(7 * 24 * time.Hour)
	if got := message(t, b.get(silentURL(testkit.App, testkit.AppCallback, "n"))); got.IsAllowed || !cmp.Equal(got.Token, noToken) {
		t.Errorf("after a week: %+v", got)
	}
}

// An app that has not been allowed to gets no tokens, though an answer.
func TestSilentRefreshIsAllowedByApp(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	b.signIn("signIn")
	change(t, w, func(*store.Client) {})
	grants := w.Count(t, "grant")
	p := b.get(silentURL(testkit.App, testkit.AppCallback, "n"))
	if got := message(t, p); got.IsAllowed || !cmp.Equal(got.Token, noToken) || w.Count(t, "grant") != grants {
		t.Errorf("%d %+v", p.status, got)
	}
}

// A hidden frame's first step of logout ends the session and its grants.
func TestSilentLogout(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	tokens := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, b.signIn("signIn").Query().Get("code")))
	// As on another site: the frame gets the silent cookie only.
	r := httptest.NewRequest("GET", testkit.Issuer+silentLogoutURL(testkit.App, testkit.AppCallback), nil)
	r.Header.Set("Cookie", "ts_silent="+b.cookie("ts_silent"))
	p := newBrowser(t, w).do(r)
	if got := message(t, p); p.status != 200 || !got.IsAllowed || !cmp.Equal(got.Token, noToken) {
		t.Errorf("logout: %d %+v", p.status, got)
	}
	if got := p.header.Values("Set-Cookie"); len(got) != 2 || !strings.Contains(got[0], "Max-Age=0") || !strings.Contains(got[1], "Max-Age=0; HttpOnly; Secure; SameSite=None") {
		t.Errorf("cookies %q", got)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, tokens.RefreshToken)); a.Status != 400 {
		t.Errorf("refresh: %d", a.Status)
	}
	if p := b.get(loginURL("signIn")); p.status != 200 {
		t.Errorf("the session: %d, want the form", p.status)
	}
	// Twice, and where there is nothing to end: the SDK waits for an answer.
	if got := message(t, b.get(silentLogoutURL(testkit.App, testkit.AppCallback))); !got.IsAllowed {
		t.Errorf("%+v", got)
	}
}

// A fault is told too, or the SDK would wait for ever.
func TestSilentFault(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.SilentCrossSite = true })
	b := newBrowser(t, w)
	b.signIn("signIn")
	for path, allowed := range map[string]bool{silentURL(testkit.App, testkit.AppCallback, "n"): false, silentLogoutURL(testkit.App, testkit.AppCallback): true} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p := b.do(httptest.NewRequest("GET", testkit.Issuer+path, nil).WithContext(ctx))
		if got := message(t, p); p.status != 503 || got.IsAllowed != allowed || !cmp.Equal(got.Token, noToken) {
			t.Errorf("%s: %d %+v", path, p.status, got)
		}
	}
	b.arrived(b.get(loginURL("signIn"))) // nothing has ended
}
