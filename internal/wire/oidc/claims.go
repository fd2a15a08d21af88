package oidc

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
)

// claim is one claim of a user.
type claim struct {
	name  string
	value json.RawMessage
}

// claimsOf are the claims of a user that a scope asks for, and those that are
// wanted by name (OpenID Connect Core §5.4, §5.5). What the user does not have,
// or has otherwise than it is wanted, is left out, essential or not.
func claimsOf(u *engine.User, scope oauth.Scope, wanted map[string]*oauth.ClaimRequest) (told []claim) {
	have, byScope := userClaims(u), oauth.ClaimsOf(scope)
	for _, name := range oauth.StandardClaims() {
		value, ok := have[name]
		if !ok {
			continue
		}
		want, asked := wanted[name]
		if slices.Contains(byScope, name) || asked && want.Accepts(string(value)) {
			told = append(told, claim{name, value})
		}
	}
	return told
}

// userClaims is all that is known of a user, in the types of OpenID Connect Core
// §5.1.
func userClaims(u *engine.User) map[string]json.RawMessage {
	var have map[string]json.RawMessage
	if json.Unmarshal(u.Claims, &have) != nil || have == nil {
		have = make(map[string]json.RawMessage)
	}
	for name, value := range have {
		// §5.3.2: what is not known is left out.
		if v := string(value); v == "null" || v == `""` {
			delete(have, name)
		}
	}
	// A column is not overruled by what a user tells about himself.
	delete(have, "email")
	delete(have, "email_verified")
	if u.Email != "" {
		have["email"] = quoted(u.Email)
		have["email_verified"] = json.RawMessage(strconv.FormatBool(u.EmailVerified))
	}
	have["updated_at"] = json.RawMessage(strconv.FormatInt(u.UpdatedAt/1000, 10))
	if have["phone_number"] == nil {
		delete(have, "phone_number_verified")
	}
	if have["preferred_username"] == nil {
		for _, id := range u.Identifiers {
			if id.Kind == "username" {
				have["preferred_username"] = quoted(id.Value)
				break
			}
		}
	}
	return have
}

func quoted(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always encodes
	return raw
}
