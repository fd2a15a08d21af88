package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// A revocation is for good, whatever the clock does then.
func TestRevokedKeyStaysSoWhenTheClockIsSetBack(t *testing.T) {
	w := testkit.NewWorld(t)
	e := node(t, w, engine.Keeping{})
	revoked := signing(t, e)
	if err := e.RevokeSigningKey(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(-time.Hour)
	if signing(t, e) == revoked {
		t.Error("it signs again")
	}
	if published(t, e, revoked) {
		t.Error("it is published again")
	}
	if published(t, node(t, w, engine.Keeping{}), revoked) {
		t.Error("a node that starts now publishes it")
	}
}

// A key that a wrong clock has made for a far time keeps nobody from rotating.
func TestKeyOfAWrongClockIsNoSuccessor(t *testing.T) {
	const years = 2 * 365 * 24 * time.Hour
	for name, rotate := range map[string]func(*engine.Engine) error{
		"keep":   func(e *engine.Engine) error { return e.Keep(t.Context(), time.Minute) },
		"rotate": func(e *engine.Engine) error { _, err := e.RotateSigningKeys(t.Context()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			w := testkit.NewWorld(t)
			e := node(t, w, engine.Keeping{KeyRotation: time.Hour})
			w.Clock.Advance(years)
			if _, err := e.RotateSigningKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(2*time.Hour - years)
			before := signing(t, e)
			if err := rotate(e); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(engine.KeyLead)
			if signing(t, e) == before {
				t.Error("the same key signs")
			}
		})
	}
}

// cutOff is a store that does not answer while it is cut off.
type cutOff struct {
	store.Store
	cut bool
}

var errCutOff = errors.New("cut off")

func (c *cutOff) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	if c.cut {
		return nil, errCutOff
	}
	return c.Store.SigningKeys(ctx)
}

func (c *cutOff) Ready(ctx context.Context) error {
	if c.cut {
		return errCutOff
	}
	return c.Store.Ready(ctx)
}

// remote is another engine on the world's store, which can be cut off from it.
func remote(t *testing.T, w *testkit.World) (*engine.Engine, *cutOff) {
	t.Helper()
	line := &cutOff{Store: w.Store}
	e, err := engine.New(t.Context(), engine.Config{
		Store: line, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now,
		Keys: append([]engine.KeySpec{dressipi.SigningKey}, oidc.SigningKeys...), Faces: []oauth.Face{oidc.Name, dressipi.Name},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, line
}

// A node that has missed a rotation is not ready before it knows the keys: its JWK Set
// would be held for its max-age.
func TestReadyKnowsTheKeys(t *testing.T) {
	w := testkit.NewWorld(t)
	here := node(t, w, engine.Keeping{})
	there, line := remote(t, w)
	line.cut = true
	if _, err := here.RotateSigningKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(engine.KeyLead)
	if err := there.Ready(t.Context()); !errors.Is(err, errCutOff) {
		t.Errorf("cut off: %v", err)
	}
	line.cut = false
	if err := there.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !published(t, there, signing(t, here)) {
		t.Error("ready without the key that the other node signs with")
	}
}

// A token whose MAC key this node could not look for is not refused: nobody can tell.
func TestUnknownKeyIsNoRefusalWhereNobodyCouldLook(t *testing.T) {
	w := testkit.NewWorld(t)
	there, line := remote(t, w)
	token := w.NewProfile(t).RefreshToken
	if _, err := w.Engine.RotateMACKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Minute)
	token = testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token)).RefreshToken // under the new key
	refresh := func() *oauth.Error {
		_, err := there.Token(t.Context(), &engine.TokenRequest{
			Face: dressipi.Name, GrantType: oauth.RefreshToken, RefreshToken: token, Shape: plainShape{},
			Credentials: engine.Credentials{ClientID: testkit.Shop},
		})
		if err == nil {
			return nil
		}
		return oauth.AsError(err)
	}
	line.cut = true
	if e := refresh(); e == nil || !e.Fault() {
		t.Errorf("cut off: %v", e)
	}
	line.cut = false
	if e := refresh(); e == nil || !e.Fault() {
		t.Errorf("within the second after a look that failed: %v", e)
	}
	w.Clock.Advance(time.Second)
	if e := refresh(); e != nil {
		t.Errorf("once it can look: %v, %s", e, e.Reason)
	}
}
