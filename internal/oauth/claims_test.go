package oauth

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseClaims(t *testing.T) {
	for _, tt := range []struct{ name, in, canonical string }{
		{"not sent", ``, ``},
		{"nothing", `{}`, ``},
		{"nothing of either", `{"userinfo":{},"id_token":{}}`, ``},
		{"null for a member", `{"userinfo":null,"id_token":null}`, ``},
		{"null for a claim: in the default manner (OIDC Core §5.5.1)", `{"userinfo":{"nickname":null}}`, `{"userinfo":{"nickname":{}}}`},
		{"essential", `{"id_token":{"auth_time":{"essential":true}}}`, `{"id_token":{"auth_time":{"essential":true}}}`},
		{"not essential is the default", `{"id_token":{"auth_time":{"essential":false}}}`, `{"id_token":{"auth_time":{}}}`},
		{"null for essential", `{"id_token":{"auth_time":{"essential":null}}}`, `{"id_token":{"auth_time":{}}}`},
		{"a value", `{"id_token":{"sub":{"value":"248289761001"}}}`, `{"id_token":{"sub":{"value":"248289761001"}}}`},
		{"a value that is no string", `{"id_token":{"x":{"value":[1, true, {"b":1,"a":2}]}}}`, `{"id_token":{"x":{"value":[1,true,{"a":2,"b":1}]}}}`},
		{"a large number keeps its digits", `{"id_token":{"x":{"value":12345678901234567890.50}}}`, `{"id_token":{"x":{"value":12345678901234567890.50}}}`},
		{"null for a value", `{"id_token":{"x":{"value":null}}}`, `{"id_token":{"x":{}}}`},
		{"values", `{"id_token":{"acr":{"essential":true,"values":["2", "1"]}}}`, `{"id_token":{"acr":{"essential":true,"values":["2","1"]}}}`},
		{"no values", `{"id_token":{"acr":{"values":[]}}}`, `{"id_token":{"acr":{}}}`},
		{"null for values", `{"id_token":{"acr":{"values":null}}}`, `{"id_token":{"acr":{}}}`},
		{"null among the values", `{"id_token":{"acr":{"values":[null,"1"]}}}`, `{"id_token":{"acr":{"values":[null,"1"]}}}`},
		{"one spelling of a string", `{"id_token":{"x":{"value":"\u0061\/<é"}}}`, `{"id_token":{"x":{"value":"a/\u003cé"}}}`},
		{"unknown members are ignored (OIDC Core §5.5)", `{"verified_claims":{"a":[1]},"id_token":{"x":null}}`, `{"id_token":{"x":{}}}`},
		{"unknown members of a claim are ignored (OIDC Core §5.5.1)", `{"id_token":{"x":{"max_age":5,"essential":true}}}`, `{"id_token":{"x":{"essential":true}}}`},
		{"case matters: these are other members", `{"ID_TOKEN":{"x":null},"Userinfo":1,"id_token":{"x":{"Essential":true,"VALUE":1,"valueſ":[2]}}}`, `{"id_token":{"x":{}}}`},
		{"names in order", `{"userinfo":{"b":null,"a":null},"id_token":{"d":null,"c":null}}`, `{"userinfo":{"a":{},"b":{}},"id_token":{"c":{},"d":{}}}`},
		{"white space", " {\n\t\"id_token\" : { \"x\" : null } }\r\n", `{"id_token":{"x":{}}}`},
		{"a language (OIDC Core §5.2)", `{"userinfo":{"name#ja-Kana-JP":null}}`, `{"userinfo":{"name#ja-Kana-JP":{}}}`},
		{"a URI for a name", `{"userinfo":{"http://example.info/claims/groups":null}}`, `{"userinfo":{"http://example.info/claims/groups":{}}}`},
		{"markup for a name", `{"userinfo":{"<svg/onload=x>":null}}`, `{"userinfo":{"\u003csvg/onload=x\u003e":{}}}`},
		{"a name of JavaScript", `{"userinfo":{"__proto__":null}}`, `{"userinfo":{"__proto__":{}}}`},
		{"a name of 64 characters", `{"userinfo":{"` + strings.Repeat("n", 64) + `":null}}`, `{"userinfo":{"` + strings.Repeat("n", 64) + `":{}}}`},
		{"half a surrogate pair", `{"id_token":{"x":{"value":"\ud800"}}}`, "{\"id_token\":{\"x\":{\"value\":\"\ufffd\"}}}"},
		{"not UTF-8", "{\"id_token\":{\"x\":{\"value\":\"\xff\"}}}", "{\"id_token\":{\"x\":{\"value\":\"\ufffd\"}}}"},
		{"1,000 brackets in what is ignored", `{"x":` + brackets(1000) + `}`, ``},
		{"1,000 brackets in a value", `{"id_token":{"x":{"value":` + brackets(1000) + `}}}`, `{"id_token":{"x":{"value":` + brackets(1000) + `}}}`},
		{"4096 bytes", claimOf(4096), claimOf(4096)},
	} {
		c, err := ParseClaims(tt.in)
		if err != nil || c.Canonical() != tt.canonical {
			t.Errorf("%s: %s, %v; want %s", tt.name, c.Canonical(), err, tt.canonical)
			continue
		}
		again, err := ParseClaims(c.Canonical())
		if err != nil {
			t.Errorf("%s: the canonical form: %v", tt.name, err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("%s: what the canonical form says (-was +is):\n%s", tt.name, diff)
		}
	}
}

func brackets(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// claimOf is a canonical claims parameter of n bytes.
func claimOf(n int) string {
	const before, after = `{"id_token":{"x":{"value":"`, `"}}}`
	return before + strings.Repeat("a", n-len(before)-len(after)) + after
}

func TestParseClaimsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"not JSON", `x`},
		{"not an object", `[]`},
		{"null", `null`},
		{"a number", `1`},
		{"a string", `"{}"`},
		{"a space", ` `},
		{"not ended", `{"id_token":{"x":null}`},
		{"something follows", `{} {}`},
		{"a comma too many", `{"id_token":{"x":null},}`},
		{"a comment", `{/**/}`},
		{"single quotes", `{'id_token':{}}`},
		{"a bare word", `{"id_token":nil}`},
		{"a name that is no string", `{1:{}}`},
		{"an array for a member", `{"id_token":["x"]}`},
		{"a number for a member", `{"userinfo":1}`},
		{"a string for a member", `{"userinfo":"email"}`},
		{"false for a member", `{"userinfo":false}`},
		{"an array for a claim", `{"userinfo":{"x":[]}}`},
		{"a number for a claim", `{"userinfo":{"x":1}}`},
		{"a string for a claim", `{"userinfo":{"x":"y"}}`},
		{"true for a claim", `{"userinfo":{"x":true}}`},
		{"essential is a boolean (OIDC Core §5.5.1)", `{"userinfo":{"x":{"essential":"true"}}}`},
		{"a number for essential", `{"userinfo":{"x":{"essential":1}}}`},
		{"values is an array (OIDC Core §5.5.1)", `{"userinfo":{"x":{"values":"1"}}}`},
		{"an object for values", `{"userinfo":{"x":{"values":{}}}}`},
		{"one good and one bad", `{"userinfo":{"x":null},"id_token":{"x":1}}`},
		{"a member twice (RFC 8259 §4)", `{"id_token":{"x":null},"id_token":{"y":null}}`},
		{"an ignored member twice", `{"x":1,"x":1}`},
		{"a member twice, once with an escape", `{"id_token":{},"id\u005ftoken":{}}`},
		{"a claim twice", `{"id_token":{"sub":{"value":"a"},"sub":{"value":"b"}}}`},
		{"a value twice", `{"id_token":{"sub":{"value":"a","value":"b"}}}`},
		{"an empty name", `{"id_token":{"":null}}`},
		{"a name with a space", `{"id_token":{"a b":null}}`},
		{"a name with a line break", `{"id_token":{"a\nb":null}}`},
		{"a name with NUL", `{"id_token":{"a\u0000":null}}`},
		{"a name that is not ASCII", `{"id_token":{"é":null}}`},
		{"a name that is not UTF-8", "{\"id_token\":{\"\xff\":null}}"},
		{"a name of 65 characters", `{"id_token":{"` + strings.Repeat("n", 65) + `":null}}`},
		{"4097 bytes", claimOf(4097)},
		{"5 kB", claimOf(5000)},
		{"100 kB", claimOf(100_000)},
		{"5 kB of white space", "{" + strings.Repeat(" ", 5000) + "}"},
		{"over 4096 bytes in canonical form", `{"id_token":{"x":{"value":"` + strings.Repeat("<", 700) + `"}}}`},
		{"10,000 brackets", `{"id_token":{"x":{"value":` + brackets(10_000) + `}}}`},
		{"10,000 brackets, not ended", strings.Repeat("[", 10_000)},
		{"4,000 brackets, not ended", `{"id_token":` + strings.Repeat("[", 4000)},
		{"800 objects, not ended", strings.Repeat(`{"a":`, 800)},
	} {
		c, err := ParseClaims(tt.in)
		if err == nil {
			t.Errorf("%s was accepted", tt.name)
			continue
		}
		if diff := cmp.Diff(ClaimsRequest{}, c); diff != "" {
			t.Errorf("%s was refused, and yet asks for:\n%s", tt.name, diff)
		}
		if len(err.Error()) > 200 {
			t.Errorf("%s: the error has %d bytes", tt.name, len(err.Error()))
		}
	}
}

func TestClaimNames(t *testing.T) {
	c, err := ParseClaims(`{"userinfo":{"email":null,"name":null},"id_token":{"sub":null,"email":{"essential":true}}}`)
	if got := c.Names(); err != nil || !slices.Equal(got, []string{"email", "name", "sub"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got := (ClaimsRequest{}).Names(); len(got) != 0 {
		t.Errorf("nothing has the names %q", got)
	}
}

func TestClaimRequestAccepts(t *testing.T) {
	for _, tt := range []struct {
		name, request, value string
		want                 bool
	}{
		{"nothing said", `null`, `"1"`, true},
		{"essential says nothing of the value", `{"essential":true}`, `"1"`, true},
		{"the value (OIDC Core §5.5.1)", `{"value":"1"}`, `"1"`, true},
		{"another value", `{"value":"1"}`, `"2"`, false},
		{"a number is no string", `{"value":1}`, `"1"`, false},
		{"a string is no number", `{"value":"1"}`, `1`, false},
		{"case matters", `{"value":"a"}`, `"A"`, false},
		{"one of the values", `{"values":["1","2"]}`, `"2"`, true},
		{"none of the values", `{"values":["1","2"]}`, `"3"`, false},
		{"a value that holds one", `{"values":["1"]}`, `"11"`, false},
		{"no values", `{"values":[]}`, `"3"`, true},
		{"the value beside values", `{"value":"1","values":["2"]}`, `"1"`, true},
		{"one of the values beside the value", `{"value":"1","values":["2"]}`, `"2"`, true},
		{"neither", `{"value":"1","values":["2"]}`, `"3"`, false},
		{"only null", `{"values":[null]}`, `"3"`, false},
		{"escapes in the request", `{"value":"\u0061\/"}`, `"a/"`, true},
		{"escapes in the value", `{"value":"a<é"}`, `"\u0061\u003c\u00e9"`, true},
		{"white space and order", `{"value":{"b":[1, 2],"a":true}}`, `{"a":true,"b":[1,2]}`, true},
		{"true", `{"value":true}`, `true`, true},
		{"not JSON", `{"value":1}`, `1 x`, false},
		{"empty", `{"value":"1"}`, ``, false},
	} {
		c, err := ParseClaims(`{"id_token":{"x":` + tt.request + `}}`)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		was := c.Canonical()
		if got := c.IDToken["x"].Accepts(tt.value); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if c.Canonical() != was {
			t.Errorf("%s: to ask changed the request to %s", tt.name, c.Canonical())
		}
	}
}

func TestClaimsOf(t *testing.T) {
	const profile = "name family_name given_name middle_name nickname preferred_username profile picture website gender birthdate zoneinfo locale updated_at"
	for _, tt := range []struct {
		name  string
		scope Scope
		want  string
	}{
		{"profile (OIDC Core §5.4)", "openid profile", profile},
		{"email", "email", "email email_verified"},
		{"address", "address", "address"},
		{"phone", "phone", "phone_number phone_number_verified"},
		{"several", "email openid phone", "email email_verified phone_number phone_number_verified"},
		{"openid alone", "openid", ""},
		{"a part of a name", "mail profiles", ""},
		{"nothing", "", ""},
	} {
		if got := ClaimsOf(tt.scope); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	want := strings.Fields(profile + " email email_verified address phone_number phone_number_verified")
	if got := StandardClaims(); !slices.Equal(got, want) {
		t.Errorf("the standard claims are %q", got)
	}
	got := StandardClaims()
	got[0] = "x"
	if again := StandardClaims(); !slices.Equal(again, want) {
		t.Errorf("a caller changed the standard claims to %q", again)
	}
}

func FuzzParseClaims(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"id_token":{"sub":{"value":"a"}},"userinfo":{"email":null}}`, `{"id_token":{"acr":{"essential":true,"values":["1",null,2]}}}`,
		`{"id_token":{"x":{"value":{"b":"<","a":[1e9,-0,true]}}}}`, `{"id_token":{"x":{"value":"\ud800\u2028"}}}`, "{\"id_token\":{\"x\":{\"value\":\"\xff\"}}}",
		`{"id_token":{"a":null,"a":null}}`, `{"id_token":{"<":null}}`, `{"id_token":[]}`, `null`, `[]`, ` `, `{`, brackets(100),
		`{"id_token":{"x":{"value":"` + strings.Repeat("<", 600) + `"}}}`,
	} {
		f.Add(s, `"1"`)
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		c, err := ParseClaims(s)
		if err != nil {
			if c.Userinfo != nil || c.IDToken != nil {
				t.Errorf("%q was refused, and yet asks for %s", s, c.Canonical())
			}
			return
		}
		canonical := c.Canonical()
		if len(canonical) > maxClaims || !utf8.ValidString(canonical) {
			t.Errorf("%q cannot be kept as %q", s, canonical)
		}
		again, err := ParseClaims(canonical)
		if err != nil || again.Canonical() != canonical {
			t.Errorf("%q became %s, which becomes %s, %v", s, canonical, again.Canonical(), err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("%q is not what its canonical form says:\n%s", s, diff)
		}
		names := c.Names()
		for _, where := range []map[string]*ClaimRequest{c.Userinfo, c.IDToken} {
			for name, one := range where {
				if _, ok := slices.BinarySearch(names, name); !ok || !visible(name) {
					t.Errorf("%q asks for %q", s, name)
				}
				if len(one.Value) > 0 && !one.Accepts(string(one.Value)) {
					t.Errorf("%s is not accepted", one.Value)
				}
				for _, v := range one.Values {
					if !one.Accepts(string(v)) {
						t.Errorf("%s is not accepted", v)
					}
				}
				_ = one.Accepts(value)
			}
		}
	})
}

// The cost must not grow with what is beyond the limit, nor faster than what is
// within it.
func BenchmarkParseClaims(b *testing.B) {
	many := func(n int) string {
		var m []string
		for i := range n {
			m = append(m, `"n`+strings.Repeat("x", 8)+string(rune('a'+i/26%26))+string(rune('a'+i%26))+`":null`)
		}
		return `{"id_token":{` + strings.Join(m, ",") + `}}`
	}
	for _, bb := range []struct{ name, in string }{
		{"100names", many(100)}, {"200names", many(200)},
		{"2kBdeep", `{"id_token":{"x":{"value":` + brackets(1000) + `}}}`}, {"4kBdeep", `{"id_token":{"x":{"value":` + brackets(2000) + `}}}`},
		{"100kB", claimOf(100_000)}, {"100kBdeep", `{"id_token":{"x":{"value":` + brackets(50_000) + `}}}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseClaims(bb.in)
			}
		})
	}
}
