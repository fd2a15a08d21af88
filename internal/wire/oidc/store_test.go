package oidc_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// over is the face of a world over a store that stands before the world's own.
func over(t *testing.T, w *testkit.World, s store.Store) http.Handler {
	t.Helper()
	e, err := engine.New(t.Context(), engine.Config{Store: s, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now, Keys: oidc.SigningKeys})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	wire.Funnel{Log: slog.New(slog.DiscardHandler), Now: time.Now}.Mount(mux, oidc.Face(e))
	return mux
}

// fragile panics where the engine asks for a session or rotates.
type fragile struct{ store.Store }

func (fragile) Session(context.Context, store.SessionID) (store.Session, bool, error) {
	panic("secret detail")
}

func (fragile) RotateRefresh(context.Context, store.Rotate) (store.Rotated, error) {
	panic("secret detail")
}

// Security case 176: a panic is a fault of one request, and tells nobody anything.
func TestPanic(t *testing.T) {
	f := newFront(t)
	b := f.signedIn(t)
	spa := f.RP(t, testkit.SPA, "", testkit.SPACallback)
	token := spa.SignIn(t, f.Browser(t), testkit.Ada, nil).RefreshToken
	mux := over(t, f.World, fragile{f.Store})
	for range 2 {
		a := testkit.Send(mux, tokenRequest(url.Values{"grant_type": {"refresh_token"}, "client_id": {testkit.SPA}, "refresh_token": {token}}))
		if a.Status != http.StatusInternalServerError || a.Error != "server_error" || strings.Contains(a.Body, "secret") || strings.Contains(a.Body, "goroutine") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		r := httptest.NewRequest(http.MethodGet, f.web.Begin(nil).URL(), nil)
		r.Header.Set("Cookie", cookies(b))
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		onPage(t, http.StatusInternalServerError, "server_error", rec)
		if body := rec.Body.String(); strings.Contains(body, "secret") || strings.Contains(body, "goroutine") {
			t.Errorf("the page tells of it:\n%s", body)
		}
	}
	if a := spa.Refresh(token, nil); a.Status != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.Status, a.Body)
	}
}

// counting counts what a node asks about clients.
type counting struct {
	store.Store
	asked *atomic.Int64
}

func (c counting) Client(ctx context.Context, id string) (store.Client, bool, error) {
	c.asked.Add(1)
	return c.Store.Client(ctx, id)
}

func (c counting) ConfigVersion(ctx context.Context) (int64, error) {
	c.asked.Add(1)
	return c.Store.ConfigVersion(ctx)
}

// Security case 92: a client that there is not is refused like a wrong secret, by
// the same words and as much work: one look at first, none from then on.
func TestUnknownClientIsLikeAWrongSecret(t *testing.T) {
	b := newBack(t)
	asked := new(atomic.Int64)
	mux := over(t, b.World, counting{b.Store, asked})
	try := func(id string) (answer string, looks int64) {
		before := asked.Load()
		a := testkit.Send(mux, tokenRequest(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"wrong"}}))
		want(t, id, a, oauth.InvalidClient)
		return a.Body, asked.Load() - before
	}
	try("somebody") // the node looks for changes once a second
	for range 3 {
		known, looksKnown := try(testkit.Service)
		unknown, looksUnknown := try("nobody")
		if known != unknown || looksKnown != looksUnknown {
			t.Errorf("known: %s, %d looks; unknown: %s, %d looks", known, looksKnown, unknown, looksUnknown)
		}
	}
	if _, looks := try("nobody"); looks != 0 {
		t.Errorf("%d looks for a client that is known not to be", looks)
	}
}
