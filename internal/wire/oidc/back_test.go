package oidc_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

// back is a world with its clients of the standard face.
type back struct {
	*testkit.World
	web, web2, spa, service *testkit.RP
}

func newBack(t testing.TB, options ...testkit.Option) *back {
	t.Helper()
	w := testkit.NewWorld(t, options...)
	return &back{
		World: w,
		web:   w.RP(t, testkit.Web, testkit.WebSecret, testkit.WebCallback), web2: w.RP(t, testkit.Web2, testkit.Web2Secret, testkit.Web2Callback),
		spa: w.RP(t, testkit.SPA, "", testkit.SPACallback), service: w.RP(t, testkit.Service, testkit.ServiceSecret, ""),
	}
}

// signIn runs the whole flow of the world's user in a browser of its own.
func (b *back) signIn(t testing.TB, rp *testkit.RP, more url.Values) *testkit.Session {
	t.Helper()
	return rp.SignIn(t, b.Browser(t), testkit.Ada, more)
}

// code runs it up to the code.
func (b *back) code(t testing.TB, rp *testkit.RP, more url.Values) (*testkit.Attempt, string) {
	t.Helper()
	a, j := rp.Authorize(t, b.Browser(t), testkit.Ada, more)
	if j.Answer.Code() == "" {
		t.Fatalf("no code but %v", j.Answer.Params)
	}
	return a, j.Answer.Code()
}

// change rewrites a client, and lets the engine see it.
func (b *back) change(t testing.TB, id string, with func(*store.Client)) {
	t.Helper()
	c, found, err := b.Store.Client(t.Context(), id)
	if err != nil || !found {
		t.Fatalf("client %s: %t %v", id, found, err)
	}
	with(&c)
	if err := b.Store.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	b.Clock.Advance(2e9)
}

// active introspects a token as the client.
func active(t testing.TB, rp *testkit.RP, token string) bool {
	t.Helper()
	a := rp.Introspect(token)
	if a.Status != http.StatusOK || a.JSON()["active"] == nil {
		t.Fatalf("introspection: %d %s", a.Status, a.Body)
	}
	return a.JSON()["active"] == true
}

// want checks an error of the back channel, and that no token came with it.
func want(t testing.TB, what string, a testkit.Answer, code oauth.ErrorCode) {
	t.Helper()
	if a.Error != string(code) || a.AccessToken+a.IDToken+a.RefreshToken != "" {
		t.Errorf("%s: %d %s; want %s", what, a.Status, a.Body, code)
	}
}
