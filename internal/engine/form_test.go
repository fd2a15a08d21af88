package engine_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/testkit"
)

func TestForm(t *testing.T) {
	w := testkit.NewWorld(t)
	e := w.Engine
	text := e.SealForm([]byte("what it is about"), "browser")
	if got, err := e.OpenForm(text, "browser"); err != nil || string(got) != "what it is about" {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := e.OpenForm(e.SealForm(nil, "b"), "b"); err != nil || len(got) != 0 {
		t.Errorf("nothing sealed: %q, %v", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		altered := append([]byte{}, raw...)
		altered[i] ^= 1
		if got, err := e.OpenForm(base64.RawURLEncoding.EncodeToString(altered), "browser"); !errors.Is(err, engine.ErrFormForeign) || got != nil {
			t.Errorf("byte %d altered: %q, %v", i, got, err)
		}
	}
	// The binding ends where the sealed text begins.
	for name, tt := range map[string]struct{ text, binding string }{
		"another browser": {text, "browse"},
		"no browser":      {e.SealForm([]byte("x"), ""), ""},
		"a moved border":  {base64.RawURLEncoding.EncodeToString(raw[1:]), "browser" + string(raw[:1])},
		"cut":             {text[:len(text)-2], "browser"},
		"empty":           {"", "browser"},
		"short":           {"AAAA", "browser"},
		"a line end":      {text[:8] + "\n" + text[8:], "browser"},
		"padding":         {text + "=", "browser"},
		"standard base64": {base64.RawStdEncoding.EncodeToString([]byte{0xff, 0xfe, 0xfd}), "browser"},
	} {
		if got, err := e.OpenForm(tt.text, tt.binding); !errors.Is(err, engine.ErrFormForeign) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// The other tenant of the database has another key.
	if _, err := testkit.NewWorld(t, testkit.OtherTenantOf(w)).Engine.OpenForm(text, "browser"); !errors.Is(err, engine.ErrFormForeign) {
		t.Errorf("another issuer: %v", err)
	}
	w.Clock.Advance(engine.FormLifetime - time.Millisecond)
	if _, err := e.OpenForm(text, "browser"); err != nil {
		t.Errorf("in its last millisecond: %v", err)
	}
	w.Clock.Advance(time.Millisecond)
	if got, err := e.OpenForm(text, "browser"); !errors.Is(err, engine.ErrFormExpired) || string(got) != "what it is about" {
		t.Errorf("too old: %q, %v", got, err)
	}
	if _, err := e.OpenForm(text, "another"); !errors.Is(err, engine.ErrFormForeign) {
		t.Errorf("too old, and another browser's: %v", err)
	}
}
