package userdocks_test

import (
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// tailored shapes an access token that differs in one claim from a good one.
type tailored struct {
	iss, use string
	psc      bool
}

func (tailored) NeedsUser(*engine.Issue) bool { return false }

func (s tailored) Draft(i engine.Issue) engine.Drafts {
	c := jose.NewClaims()
	c.String("iss", s.iss)
	c.String("sub", i.Grant.Subject)
	c.String("aud", i.Client.ID)
	c.Int("exp", i.ExpiresAt.Unix())
	c.String("gid", engine.GID(i.Grant))
	c.String("token_use", s.use)
	if s.psc {
		c.Strings("psc", nil)
	}
	return engine.Drafts{Access: engine.Draft{Key: userdocks.SigningKey, Typ: "JWT", Claims: c}}
}

// Of tokens that our own key has signed for a living grant, only access tokens
// of this face are taken. Each row differs in one claim from the first.
func TestBearerClaims(t *testing.T) {
	w := testkit.NewWorld(t)
	for _, tt := range []struct {
		name  string
		shape tailored
		want  int
	}{
		{"an access token", tailored{userdocks.Issuer, "access", true}, 200},
		{"of another issuer", tailored{"https://as.example", "access", true}, 401},
		{"an ID token", tailored{userdocks.Issuer, "id", true}, 401},
		{"without psc", tailored{userdocks.Issuer, "access", false}, 401},
	} {
		issued, err := w.Engine.Token(t.Context(), &engine.TokenRequest{
			Face: userdocks.Name, GrantType: oauth.RefreshToken, Credentials: engine.Credentials{ClientID: testkit.App}, RefreshToken: w.SignIn(t).RefreshToken, Shape: tt.shape,
		})
		if err != nil {
			t.Fatal(err)
		}
		if a := testkit.Send(w.Handler, testkit.UserdocksMe(issued.AccessToken)); a.Status != tt.want {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
	}
}

// require_pkce: no code is born without a challenge.
func TestRequirePKCE(t *testing.T) {
	w := testkit.NewWorld(t)
	change(t, w, func(c *store.Client) { c.RequirePKCE = true })
	if a := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)); a.Status != 400 || a.Code != "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// The origins of a disabled app may read no more.
func TestOriginOfADisabledApp(t *testing.T) {
	w := testkit.NewWorld(t)
	c := testkit.AppClient(testkit.OtherApp, 1, "http://localhost:3000/cb")
	c.DisabledAt = 1
	must(t, w.Store.PutClient(t.Context(), c))
	w.Clock.Advance(2e9)
	r := testkit.UserdocksRefresh(testkit.App, "x")
	r.Header.Set("Origin", "http://localhost:3000")
	if got := testkit.Send(w.Handler, r).Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("Access-Control-Allow-Origin: %s", got)
	}
}
