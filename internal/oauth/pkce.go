package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
)

// S256 is the only code_challenge_method that is accepted: "plain" protects
// nothing once the authorization request has been seen (RFC 9700 §2.1.1).
const S256 = "S256"

// CodeChallenge is the SHA-256 of a code verifier (RFC 7636 §4.2).
type CodeChallenge [sha256.Size]byte

// CodeVerifier is a legal code verifier (RFC 7636 §4.1): 43 to 128 characters,
// each unreserved.
type CodeVerifier string

// ParseCodeChallenge reads a code_challenge with its method. Both are wanted:
// a missing method would mean "plain" (RFC 7636 §4.3).
func ParseCodeChallenge(challenge, method string) (CodeChallenge, error) {
	var c CodeChallenge
	if method != S256 {
		return c, errors.New("code_challenge_method must be S256")
	}
	// 43 characters are 258 bits, two more than a hash has. Strict refuses a
	// second spelling of the same hash; the length refuses the line breaks that
	// base64 skips even then.
	if len(challenge) != base64.RawURLEncoding.EncodedLen(len(c)) {
		return c, errChallenge
	}
	n, err := base64.RawURLEncoding.Strict().Decode(c[:], []byte(challenge))
	if err != nil || n != len(c) {
		return CodeChallenge{}, errChallenge
	}
	return c, nil
}

var errChallenge = errors.New("code_challenge must be the unpadded base64url form of a SHA-256 hash, 43 characters")

// ParseCodeVerifier reads a code_verifier.
func ParseCodeVerifier(s string) (CodeVerifier, error) {
	if len(s) < 43 || len(s) > 128 {
		return "", errVerifier
	}
	for i := range len(s) {
		if !unreserved(s[i]) {
			return "", errVerifier
		}
	}
	return CodeVerifier(s), nil
}

var errVerifier = errors.New("code_verifier must be 43 to 128 characters of A-Z a-z 0-9 - . _ ~")

// unreserved is RFC 3986 §2.3.
func unreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		b == '-' || b == '.' || b == '_' || b == '~'
}

// Matches reports whether v is the verifier of c (RFC 7636 §4.6). The hash is
// over the characters of the verifier as sent, not over what they may encode.
func (c CodeChallenge) Matches(v CodeVerifier) bool {
	sum := sha256.Sum256([]byte(v))
	return subtle.ConstantTimeCompare(sum[:], c[:]) == 1
}
