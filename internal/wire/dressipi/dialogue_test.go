package dressipi_test

import (
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/testkit"
)

func TestDialogues(t *testing.T) {
	testkit.Dialogues(t, "testdata/wire", map[string]string{
		"URN": oauth.URNAuto, "APP": testkit.App,
		// The vector of the contract's §C.2.
		"VERIFIER":  "1tBnEmtSImyCykPHxHYBdzpSFhKEj0Q1LuiHd4fdDlY",
		"CHALLENGE": "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ",
	})
}
