package dressipi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
)

// tailored shapes a token that differs in one thing from a good one.
type tailored struct{ typ, iss, subn string }

func (tailored) NeedsUser(*engine.Issue) bool { return false }

func (s tailored) Draft(i engine.Issue) engine.Drafts {
	c := jose.NewClaims()
	c.Int("exp", i.ExpiresAt.Unix())
	c.String("sub", i.Grant.Subject)
	c.String("subn", s.subn)
	c.String("iss", s.iss)
	c.String("client_id", i.Client.ID)
	c.String("gid", engine.GID(i.Grant))
	return engine.Drafts{Access: engine.Draft{Key: dressipi.SigningKey, Typ: s.typ, KID: true, Claims: c}}
}

// The standard key signs more than access tokens of this face: each row differs
// in one thing from the first.
func TestProfileOfForeignTokens(t *testing.T) {
	w := testkit.NewWorld(t)
	for _, tt := range []struct {
		name  string
		shape tailored
		want  bool
	}{
		{"an access token", tailored{"at+jwt", testkit.Issuer, "n"}, true},
		{"an ID token by its type", tailored{"JWT", testkit.Issuer, "n"}, false},
		{"without a type", tailored{"", testkit.Issuer, "n"}, false},
		{"of another issuer", tailored{"at+jwt", "https://other.example", "n"}, false},
		{"of another face", tailored{"at+jwt", testkit.Issuer, ""}, false},
	} {
		issued, err := w.Engine.Token(t.Context(), &engine.TokenRequest{
			Face: dressipi.Name, GrantType: oauth.RefreshToken, Credentials: engine.Credentials{ClientID: testkit.Shop}, RefreshToken: w.NewProfile(t).RefreshToken, Shape: tt.shape,
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/profile", nil)
		r.Header.Set("X-Dressipi-Jwt", issued.AccessToken)
		a := testkit.Send(w.Handler, r)
		if a.Status != 200 || strings.Contains(a.Body, `"personalised":true`) != tt.want || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
	}
}
