package server_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// A mail leads to a page of the face that it was asked for on, and that page opens.
func TestMailsLeadToTheirFace(t *testing.T) {
	box := new(mail.Mailbox)
	w := testkit.NewWorld(t, func(c *server.Config) { c.Mail = box })
	for _, tt := range []struct {
		face         oauth.Face
		client, path string
	}{
		{userdocks.Name, testkit.App, "/userdocks/reset"}, {oidc.Name, testkit.Web, "/oauth2/reset"}, {"", "", "/oauth2/reset"},
	} {
		if err := w.Engine.ForgotPassword(t.Context(), tt.face, tt.client, testkit.Email, "de", engine.Trace{}); err != nil {
			t.Fatal(err)
		}
		if err := w.Engine.DeliverMail(t.Context(), w.SendMail); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/dev/mail", nil)
		r.Header.Set("Accept", "application/json")
		rec := httptest.NewRecorder()
		box.ServeHTTP(rec, r)
		var caught []struct{ Links []string }
		if err := json.Unmarshal(rec.Body.Bytes(), &caught); err != nil || len(caught) == 0 || len(caught[0].Links) != 1 {
			t.Fatalf("%v %s", err, rec.Body)
		}
		u, err := url.Parse(caught[0].Links[0])
		if err != nil || u.Scheme+"://"+u.Host != testkit.Issuer || u.Path != tt.path || u.Query().Get("client_id") != tt.client {
			t.Errorf("%q %q: the link leads to %s%s", tt.face, tt.client, u.Host, u.Path)
		}
		rec = httptest.NewRecorder()
		w.Handler.ServeHTTP(rec, httptest.NewRequest("GET", u.String(), nil))
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), `<html lang="de">`) || !strings.Contains(rec.Body.String(), `id="reset-submit"`) {
			t.Errorf("%q %q: %d", tt.face, tt.client, rec.Code)
		}
	}
}
