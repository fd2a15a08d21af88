package userdocks_test

import (
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

func TestDialogues(t *testing.T) {
	testkit.Dialogues(t, "testdata/wire", map[string]string{
		"APP": testkit.App, "OTHER": testkit.OtherApp, "LONG": strings.Repeat("n", 257), "LONG1025": strings.Repeat("n", 1025),
	})
}
