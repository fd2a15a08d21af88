package pages

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
)

func TestAsked(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		scope                oauth.Scope
		resources, requested []string
		want                 []string
	}{
		{"nothing still knows who it is", "", nil, nil, []string{"Recognise you"}},
		{"openid", "openid", nil, nil, []string{"Recognise you"}},
		{"the order is ours, not the alphabet's (OpenID Connect Core §5.4)", "address email offline_access openid phone profile", nil, nil, []string{
			"Recognise you", "See your profile", "See your e-mail address", "See your phone number", "See your postal address", "Keep this access when you are away",
		}},
		{"scope tokens of others (RFC 6749 §3.3)", "Openid {client} orders.read", nil, nil, []string{
			"Use the permission “Openid”", "Use the permission “{client}”", "Use the permission “orders.read”",
		}},
		{"resources (RFC 8707 §2)", "openid", []string{"https://api.example/", "urn:x"}, nil, []string{
			"Recognise you", "Act for you at https://api.example/", "Act for you at urn:x",
		}},
		{"claims (OpenID Connect Core §5.5)", "openid", nil, []string{"birthdate", "http://example.info/claims/groups"}, []string{
			"Recognise you", "See your birthday", "See what your account says under “http://example.info/claims/groups”",
		}},
	} {
		v := (&Site{}).view(Page{Language: "en", Client: friendlyClient()})
		var got []string
		for _, l := range Asked(tt.scope, tt.resources, tt.requested) {
			got = append(got, v.Say(l).Text)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// OpenID Connect Core §5.1: all standard claims but sub, which is not asked for.
func TestClaimsHaveWords(t *testing.T) {
	if len(claims) != 19 {
		t.Errorf("%d claims, want 19", len(claims))
	}
	for _, l := range Languages {
		said := map[string]string{}
		for claim, key := range claims {
			words := texts[l][key]
			if words == "" || said[words] != "" {
				t.Errorf("%s: %s and %s are both called %q", l, claim, said[words], words)
			}
			said[words] = claim
		}
	}
}

func TestDates(t *testing.T) {
	late := time.Date(2026, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600))
	for _, tt := range []struct{ got, want string }{
		{Day("en", time.UnixMilli(0)), "1 January 1970"},
		{Day("de", time.UnixMilli(0)), "1. Januar 1970"},
		{Day("en", late), "1 January 2027"},
		{Moment("en", late), "1 January 2027, 00:30 UTC"},
		{Moment("de", late.AddDate(0, 2, 0)), "4. März 2027, 00:30 UTC"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
}
