package oauth

import (
	"slices"
	"strings"
)

// claimsByScope is OpenID Connect Core §5.4.
var claimsByScope = []struct {
	scope  string
	claims []string
}{
	{"profile", strings.Fields("name family_name given_name middle_name nickname preferred_username profile picture website gender birthdate zoneinfo locale updated_at")},
	{"email", []string{"email", "email_verified"}},
	{"address", []string{"address"}},
	{"phone", []string{"phone_number", "phone_number_verified"}},
}

// StandardClaims are those that can be told of a user (OpenID Connect Core §5.1),
// beside sub.
func StandardClaims() []string {
	return ClaimsOf("address email phone profile")
}

// ClaimsOf lists the claims that a scope asks for, in the order of §5.1.
func ClaimsOf(scope Scope) []string {
	var asked [][]string
	for _, by := range claimsByScope {
		if scope.Has(by.scope) {
			asked = append(asked, by.claims)
		}
	}
	return slices.Concat(asked...)
}
