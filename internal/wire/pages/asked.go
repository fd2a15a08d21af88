package pages

import (
	"strconv"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
)

// scopes are the scope tokens that have words of their own (OpenID Connect Core
// §5.4, §11), in the order that they are listed in.
var scopes = []struct{ token, text, more string }{
	{"openid", "ask.openid", "ask.openid_more"},
	{"profile", "ask.profile", "ask.profile_more"},
	{"email", "ask.email", ""},
	{"phone", "ask.phone", ""},
	{"address", "ask.address", ""},
	{"offline_access", "ask.offline", "ask.offline_more"},
}

// claims are the claims of OpenID Connect Core §5.1 that have words of their own.
var claims = map[string]string{
	"name": "claim.name", "given_name": "claim.given_name", "family_name": "claim.family_name", "middle_name": "claim.middle_name",
	"nickname": "claim.nickname", "preferred_username": "claim.preferred_username", "profile": "claim.profile", "picture": "claim.picture",
	"website": "claim.website", "gender": "claim.gender", "birthdate": "claim.birthdate", "zoneinfo": "claim.zoneinfo", "locale": "claim.locale",
	"updated_at": "claim.updated_at", "email": "ask.email", "email_verified": "claim.email_verified", "phone_number": "ask.phone",
	"phone_number_verified": "claim.phone_number_verified", "address": "ask.address",
}

// Asked is what a client asks for, or has, in plain words: a line for each token
// of the scope, each resource (RFC 8707), and each claim of the claims parameter
// (OpenID Connect Core §5.5) that the scope does not bring along; whoever calls
// knows which. What is foreign is shown by its own name. It is never empty:
// whatever a client may do, it knows the user again.
func Asked(scope oauth.Scope, resources, requested []string) []Line {
	var lines []Line
	known := map[string]bool{}
	for _, s := range scopes {
		known[s.token] = true
		if scope.Has(s.token) {
			lines = append(lines, Line{Text: s.text, More: s.more})
		}
	}
	for _, claim := range requested {
		if text, ok := claims[claim]; ok {
			lines = append(lines, Line{Text: text})
		} else {
			lines = append(lines, Line{Text: "ask.claim", Says: map[string]string{"claim": claim}})
		}
	}
	for _, token := range scope.Tokens() {
		if !known[token] {
			lines = append(lines, Line{Text: "ask.scope", Says: map[string]string{"scope": token}})
		}
	}
	for _, resource := range resources {
		lines = append(lines, Line{Text: "ask.resource", Says: map[string]string{"resource": resource}})
	}
	if len(lines) == 0 {
		lines = []Line{{Text: "ask.openid", More: "ask.openid_more"}}
	}
	return lines
}

// Day is a day as the language writes it. A page cannot know where it is read, so
// all times are UTC.
func Day(language string, t time.Time) string {
	t = t.UTC()
	months := strings.Fields(text(language, "date.months", nil))
	return text(language, "date.day", map[string]string{
		"day": strconv.Itoa(t.Day()), "month": months[t.Month()-1], "year": strconv.Itoa(t.Year()),
	})
}

// Moment is a day with its time.
func Moment(language string, t time.Time) string {
	return Day(language, t) + t.UTC().Format(", 15:04 UTC")
}
