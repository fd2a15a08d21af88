package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// A link is good for who has asked for it: a client of a face, or, without both, the
// issuer itself.
func TestLinksOfFaces(t *testing.T) {
	w := testkit.NewWorld(t)
	type asker struct {
		face   oauth.Face
		client string
	}
	askers := []asker{{userdocks.Name, testkit.App}, {oidc.Name, testkit.Web}, {"", ""}}
	strangers := []asker{
		{oidc.Name, testkit.App}, {userdocks.Name, testkit.Web}, {"", testkit.Web}, {"", testkit.App}, {oidc.Name, ""}, {userdocks.Name, ""},
		{userdocks.Name, testkit.DisabledApp},
	}
	links := map[asker]string{}
	for _, a := range askers {
		if err := w.Engine.ForgotPassword(t.Context(), a.face, a.client, testkit.Email, "en", engine.Trace{}); err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		m := mails(t, w)
		if len(m) != 1 || m[0].Face != a.face || m[0].ClientID != a.client {
			t.Fatalf("%v: %+v", a, m)
		}
		links[a] = m[0].Link
	}
	for _, a := range strangers {
		if err := w.Engine.ForgotPassword(t.Context(), a.face, a.client, testkit.Email, "en", engine.Trace{}); code(err) != oauth.InvalidClient {
			t.Errorf("%v asks: %v", a, err)
		}
	}
	for owner, link := range links {
		for _, a := range append(askers, strangers...) {
			open, err := w.Engine.LinkOpen(t.Context(), a.face, a.client, link, engine.PurposeReset)
			if open != (a == owner) || (code(err) == oauth.InvalidClient) == (links[a] != "") {
				t.Errorf("the link of %v is open for %v: %t, %v", owner, a, open, err)
			}
			if a == owner {
				continue
			}
			want := oauth.InvalidGrant
			if links[a] == "" {
				want = oauth.InvalidClient
			}
			if err := w.Engine.ResetPassword(t.Context(), a.face, a.client, link, goodPassword, engine.Trace{}); code(err) != want {
				t.Errorf("%v resets with the link of %v: %v, want %s", a, owner, err, want)
			}
		}
	}
	for i, a := range askers {
		want := oauth.ErrorCode("")
		if i > 0 { // the first one's new password voids them
			want = oauth.InvalidGrant
		}
		if err := w.Engine.ResetPassword(t.Context(), a.face, a.client, links[a], goodPassword, engine.Trace{}); code(err) != want {
			t.Errorf("%v: %v, want %q", a, err, want)
		}
	}
}

type noClients struct {
	store.Store
	attempts int
}

func (n *noClients) Client(context.Context, string) (store.Client, bool, error) {
	return store.Client{}, false, errors.New("gone away")
}

func (n *noClients) AttemptMail(ctx context.Context, in store.AttemptMail) (store.Outcome, error) {
	n.attempts++
	return n.Store.AttemptMail(ctx, in)
}

// The client says where a mail's link leads to: while it cannot be read, no mail goes
// out, and no attempt is counted.
func TestMailWaitsForItsClient(t *testing.T) {
	w := testkit.NewWorld(t)
	if err := w.Engine.ForgotPassword(t.Context(), oidc.Name, testkit.Web, testkit.Email, "en", engine.Trace{}); err != nil {
		t.Fatal(err)
	}
	blind := &noClients{Store: w.Store}
	e, err := engine.New(t.Context(), engine.Config{Store: blind, Master: w.Master, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	err = e.DeliverMail(t.Context(), func(context.Context, engine.Mail) error { t.Error("sent"); return nil })
	if code(err) != oauth.TemporarilyUnavailable || blind.attempts != 0 {
		t.Errorf("%v, %d attempts", err, blind.attempts)
	}
	if m := mails(t, w); len(m) != 1 || m[0].Face != oidc.Name {
		t.Errorf("afterwards: %+v", m)
	}
}
