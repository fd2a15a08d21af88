package oauth

import (
	"strings"
	"testing"
)

// The vectors of RFC 7636 Appendix B and of the Dressipi contract §C.2. The
// last row hashes the decoded verifier, which is the bug to catch.
func TestChallengeMatches(t *testing.T) {
	const dressipi = "1tBnEmtSImyCykPHxHYBdzpSFhKEj0Q1LuiHd4fdDlY"
	for _, tt := range []struct {
		name, verifier, challenge string
		want                      bool
	}{
		{"RFC 7636 Appendix B", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", true},
		{"the contract's vector", dressipi, "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", true},
		{"last character differs", dressipi[:42] + "Z", "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", false},
		{"the hash of the decoded verifier", dressipi, "FWz6CmUumxlSpZJf6b71kL4SdDyU3CGn2UE-ozUAWrY", false},
		{"the challenge itself (no plain)", "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", false},
	} {
		c, err := ParseCodeChallenge(tt.challenge, S256)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		v, err := ParseCodeVerifier(tt.verifier)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := c.Matches(v); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestParseCodeChallengeRefuses(t *testing.T) {
	const good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	for _, tt := range []struct{ name, challenge, method string }{
		{"method missing means plain (RFC 7636 §4.3)", good, ""},
		{"plain (RFC 9700 §2.1.1)", good, "plain"},
		{"method in lower case", good, "s256"},
		{"42 characters", good[:42], S256},
		{"44 characters", good + "A", S256},
		{"padded", good[:42] + "=", S256},
		{"the standard alphabet's +", "+" + good[1:], S256},
		{"the standard alphabet's /", "/" + good[1:], S256},
		{"a second spelling of the last bits", good[:42] + "N", S256},
		{"a line break, which base64 would skip", good[:41] + "\r\n", S256},
		{"empty", "", S256},
	} {
		if _, err := ParseCodeChallenge(tt.challenge, tt.method); err == nil {
			t.Errorf("%s was accepted", tt.name)
		}
	}
}

func TestParseCodeVerifier(t *testing.T) {
	for _, tt := range []struct {
		name, verifier string
		ok             bool
	}{
		{"43 unreserved characters (RFC 7636 §4.1)", strings.Repeat("a", 39) + "-._~", true},
		{"128", strings.Repeat("Z", 128), true},
		{"42", strings.Repeat("a", 42), false},
		{"129", strings.Repeat("a", 129), false},
		{"a space", strings.Repeat("a", 42) + " ", false},
		{"a plus", strings.Repeat("a", 42) + "+", false},
		{"not ASCII", strings.Repeat("é", 30), false},
	} {
		if _, err := ParseCodeVerifier(tt.verifier); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
