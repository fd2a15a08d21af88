package oauth

import (
	"errors"
	"slices"
	"strings"
)

// Scope is a set of scope tokens in canonical form: legal, sorted, unique,
// separated by one space (RFC 6749 §3.3). The zero value is the empty scope.
type Scope string

// The scope tokens that mean something here (OpenID Connect Core §5.4, §11).
const (
	OpenID        = "openid"
	OfflineAccess = "offline_access"
)

const maxScope = 1024

// ParseScope reads a scope parameter; order and repeats do not matter.
func ParseScope(s string) (Scope, error) {
	if len(s) > maxScope {
		return "", errors.New("scope must be at most 1024 characters")
	}
	if s == "" {
		return "", nil
	}
	tokens := strings.Split(s, " ")
	for _, t := range tokens {
		if t == "" {
			return "", errors.New("scope tokens must be separated by one space")
		}
		for i := range len(t) {
			// scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
			if b := t[i]; b < 0x21 || b > 0x7e || b == '"' || b == '\\' {
				return "", errors.New(`scope tokens must be visible ASCII without " and \`)
			}
		}
	}
	slices.Sort(tokens)
	return Scope(strings.Join(slices.Compact(tokens), " ")), nil
}

// Tokens lists the scope's tokens; empty for the empty scope.
func (s Scope) Tokens() []string { return strings.Fields(string(s)) }

// Within reports whether every token of s is also one of other.
func (s Scope) Within(other Scope) bool {
	allowed := other.Tokens()
	for _, t := range s.Tokens() {
		if _, ok := slices.BinarySearch(allowed, t); !ok {
			return false
		}
	}
	return true
}

// Has reports whether s contains the token.
func (s Scope) Has(token string) bool {
	_, ok := slices.BinarySearch(s.Tokens(), token)
	return ok
}

// Without is s less a token.
func (s Scope) Without(token string) Scope {
	return Scope(strings.Join(slices.DeleteFunc(s.Tokens(), func(t string) bool { return t == token }), " "))
}

// Common is every token of both s and other.
func (s Scope) Common(other Scope) Scope {
	return Scope(strings.Join(slices.DeleteFunc(s.Tokens(), func(t string) bool { return !other.Has(t) }), " "))
}

// Union is every token of s or other.
func (s Scope) Union(other Scope) Scope {
	all := append(s.Tokens(), other.Tokens()...)
	slices.Sort(all)
	return Scope(strings.Join(slices.Compact(all), " "))
}
