package password

import (
	_ "embed"
	"strings"
)

// The passwords of at least eight characters among the 30,000 most frequent ones
// of the zxcvbn project (MIT, see common.LICENSE), in lower case, one a line.
//
//go:embed common.txt
var common string

// Common reports whether a password is one of those that are guessed first.
// Upper and lower case, and digits or signs at its end, make it no better.
func Common(password string) bool {
	word := strings.ToLower(password)
	if listed(word) {
		return true
	}
	stem := strings.TrimRight(word, "0123456789!?.,#$*@-_")
	return len(stem) >= 8 && listed(stem)
}

func listed(word string) bool {
	return !strings.Contains(word, "\n") && (strings.HasPrefix(common, word+"\n") || strings.Contains(common, "\n"+word+"\n"))
}
