package oauth

import (
	"strconv"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Scope
		ok       bool
	}{
		{"order and repeats do not matter (RFC 6749 §3.3)", "profile openid profile", "openid profile", true},
		{"case does", "OpenID openid", "OpenID openid", true},
		{"URIs are tokens", "https://api.example.com/read", "https://api.example.com/read", true},
		{"every legal character", "!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~", "!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~", true},
		{"empty", "", "", true},
		{"1024 characters", strings.Repeat("a", 1024), Scope(strings.Repeat("a", 1024)), true},
		{"1025 characters", strings.Repeat("a", 1025), "", false},
		{"100 kB", hugeToken, "", false},
		{"10,000 tokens", hugeScope, "", false},
		{"a quote is illegal (RFC 6749 §3.3)", `open"id`, "", false},
		{"a backslash is illegal", `open\id`, "", false},
		{"two spaces", "a  b", "", false},
		{"a space in front", " a", "", false},
		{"a space at the end", "a ", "", false},
		{"a space alone", " ", "", false},
		{"a tab", "a\tb", "", false},
		{"a line break", "a\r\nb", "", false},
		{"NUL", "a\x00b", "", false},
		{"DEL", "a\x7f", "", false},
		{"not ASCII", "é", "", false},
		{"not UTF-8", "\xff", "", false},
	} {
		got, err := ParseScope(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestScopeWithin(t *testing.T) {
	for _, tt := range []struct {
		a, b Scope
		want bool
	}{
		{"", "", true}, {"", "a", true}, {"a", "a b", true}, {"a b", "a b", true}, {"b", "a b c", true},
		{"a c", "a b", false}, {"a", "", false}, {"ab", "a b", false}, {"a", "ab", false}, {"A", "a", false},
	} {
		if got := tt.a.Within(tt.b); got != tt.want {
			t.Errorf("%q within %q: %v", tt.a, tt.b, got)
		}
	}
	if !Scope("a b").Has("b") || Scope("ab").Has("b") || Scope("").Has("") || Scope("a b").Has("a b") {
		t.Error("Has compares whole tokens")
	}
}

func TestScopeWithout(t *testing.T) {
	for _, tt := range []struct {
		scope Scope
		token string
		want  Scope
	}{
		{"a b c", "b", "a c"}, {"a b", "a", "b"}, {"a b", "b", "a"}, {"a", "a", ""}, {"", "a", ""},
		{"a b", "c", "a b"}, {"ab b", "a", "ab b"}, {"a b", "", "a b"}, {"a b", "a b", "a b"},
	} {
		if got := tt.scope.Without(tt.token); got != tt.want {
			t.Errorf("%q without %q = %q, want %q", tt.scope, tt.token, got, tt.want)
		}
	}
}

func TestScopeCommon(t *testing.T) {
	for _, tt := range []struct{ a, b, want Scope }{
		{"", "", ""}, {"a", "", ""}, {"", "a", ""}, {"a b", "b c", "b"}, {"a b c", "a c", "a c"}, {"a", "b", ""}, {"ab", "a b", ""}, {"a b", "a b", "a b"},
	} {
		if got := tt.a.Common(tt.b); got != tt.want || tt.b.Common(tt.a) != tt.want {
			t.Errorf("%q and %q have %q in common, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestScopeUnion(t *testing.T) {
	for _, tt := range []struct{ a, b, want Scope }{
		{"", "", ""}, {"a", "", "a"}, {"", "a", "a"}, {"b", "a", "a b"}, {"a c", "b", "a b c"}, {"a b", "b c", "a b c"}, {"a", "a", "a"},
	} {
		got := tt.a.Union(tt.b)
		if got != tt.want || !tt.a.Within(got) || !tt.b.Within(got) {
			t.Errorf("%q and %q = %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

var (
	hugeToken = strings.Repeat("a", 100_000)
	hugeScope = func() string {
		var b strings.Builder
		for i := range 10_000 {
			b.WriteString("scope" + strconv.Itoa(i) + " ")
		}
		return strings.TrimSuffix(b.String(), " ")
	}()
)

// What a parse yields is canonical, and stays so under the set's operations.
func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "openid", "a b a", `"`, "a  b", "\x00", "openid offline_access", " ", "b a", "é"} {
		f.Add(s, "a b")
		f.Add("openid profile", s)
	}
	f.Fuzz(func(t *testing.T, s, other string) {
		a, err := ParseScope(s)
		if err != nil {
			if a != "" {
				t.Errorf("%q was refused, and is %q", s, a)
			}
			return
		}
		if again, err := ParseScope(string(a)); err != nil || again != a {
			t.Errorf("%q became %q, which becomes %q, %v", s, a, again, err)
		}
		for _, token := range a.Tokens() {
			if !a.Has(token) || a.Without(token).Has(token) || a.Without(token).Union(Scope(token)) != a {
				t.Errorf("%q and its token %q", a, token)
			}
		}
		b, err := ParseScope(other)
		if err != nil {
			return
		}
		if u := a.Union(b); u != b.Union(a) || !a.Within(u) || !b.Within(u) || len(u.Tokens()) > len(a.Tokens())+len(b.Tokens()) {
			t.Errorf("%q and %q = %q", a, b, u)
		}
		if a.Within(b) != (a.Union(b) == b) || a.Within(b) != (a.Common(b) == a) {
			t.Errorf("%q within %q: %v", a, b, a.Within(b))
		}
		if c := a.Common(b); c != b.Common(a) || !c.Within(a) || !c.Within(b) {
			t.Errorf("%q and %q have %q in common", a, b, c)
		}
	})
}

// The cost must not grow with what is beyond the limit.
func BenchmarkParseScope(b *testing.B) {
	for _, bb := range []struct{ name, in string }{
		{"1kB", hugeScope[:strings.LastIndex(hugeScope[:maxScope], " ")]}, {"100kB", hugeToken}, {"10000tokens", hugeScope},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseScope(bb.in)
			}
		})
	}
}
