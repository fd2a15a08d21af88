package oauth

import (
	"slices"
	"strings"
	"testing"
)

func TestParsePrompt(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Prompt
		ok       bool
	}{
		{"not sent", "", 0, true},
		{"none (OIDC Core §3.1.2.1)", "none", PromptNone, true},
		{"login", "login", PromptLogin, true},
		{"consent", "consent", PromptConsent, true},
		{"select_account", "select_account", PromptSelectAccount, true},
		{"several", "consent login select_account", PromptLogin | PromptConsent | PromptSelectAccount, true},
		{"order and repeats do not matter", "login consent login", PromptLogin | PromptConsent, true},
		{"none must stand alone (OIDC Core §3.1.2.1)", "none login", 0, false},
		{"none at the end", "consent none", 0, false},
		{"case matters", "Login", 0, false},
		{"another word", "create", 0, false},
		{"a good and another word", "login create", 0, false},
		{"a word in a word", "loginconsent", 0, false},
		{"a comma", "login,consent", 0, false},
		{"two spaces", "login  consent", 0, false},
		{"a space in front", " login", 0, false},
		{"a space at the end", "login ", 0, false},
		{"a space alone", " ", 0, false},
		{"a tab", "login\tconsent", 0, false},
		{"a no-break space", "login\u00a0consent", 0, false},
		{"a line break", "login\nconsent", 0, false},
		{"NUL", "login\x00", 0, false},
		{"100 kB", hugeToken, 0, false},
	} {
		got, err := ParsePrompt(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %b, %v", tt.name, got, err)
		}
	}
}

func TestPromptHas(t *testing.T) {
	p := PromptLogin | PromptConsent
	if !p.Has(PromptLogin) || !p.Has(PromptConsent) || p.Has(PromptNone) || p.Has(PromptSelectAccount) || Prompt(0).Has(PromptNone) {
		t.Errorf("%b has something else than login and consent", p)
	}
}

func TestParseResponseMode(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     ResponseMode
		ok       bool
	}{
		{"not sent is query, for code (Multiple Response Types §2.1)", "", ModeQuery, true},
		{"query", "query", ModeQuery, true},
		{"fragment", "fragment", ModeFragment, true},
		{"form_post (Form Post Response Mode §2)", "form_post", ModeFormPost, true},
		{"case matters", "Query", "", false},
		{"web_message", "web_message", "", false},
		{"a signed answer", "query.jwt", "", false},
		{"two", "query fragment", "", false},
		{"a space", "query ", "", false},
		{"100 kB", hugeToken, "", false},
	} {
		got, err := ParseResponseMode(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestParseResources(t *testing.T) {
	const a, b = "https://a.example/", "https://b.example/api"
	for _, tt := range []struct {
		name string
		in   []string
		want Resources
		ok   bool
	}{
		{"none", nil, "", true},
		{"one (RFC 8707 §2)", []string{a}, a, true},
		{"order and repeats do not matter", []string{b, a, b}, a + " " + b, true},
		{"no path", []string{"https://a.example"}, "https://a.example", true},
		{"a slash makes another one", []string{"https://a.example", a}, "https://a.example " + a, true},
		{"case makes another one", []string{"https://A.example/", a}, "https://A.example/ " + a, true},
		{"a query, though it should have none (RFC 8707 §2)", []string{b + "?a=1"}, b + "?a=1", true},
		{"a URN", []string{"urn:example:api"}, "urn:example:api", true},
		{"encoded", []string{b + "/%20"}, b + "/%20", true},
		{"http", []string{"http://127.0.0.1:8080/mcp"}, "http://127.0.0.1:8080/mcp", true},
		{"512 characters", []string{a + strings.Repeat("x", 512-len(a))}, Resources(a + strings.Repeat("x", 512-len(a))), true},
		{"513 characters", []string{a + strings.Repeat("x", 513-len(a))}, "", false},
		{"ten", slices.Repeat([]string{a}, 10), a, true},
		{"eleven", slices.Repeat([]string{a}, 11), "", false},
		{"empty", []string{""}, "", false},
		{"not absolute (RFC 8707 §2)", []string{"/api"}, "", false},
		{"without a scheme", []string{"//a.example/api"}, "", false},
		{"a name", []string{"api"}, "", false},
		{"no host", []string{"https:///api"}, "", false},
		{"a scheme alone", []string{"https:"}, "", false},
		{"a fragment (RFC 8707 §2)", []string{a + "#x"}, "", false},
		{"an empty fragment", []string{a + "#"}, "", false},
		{"a bad one beside a good one", []string{a, "x"}, "", false},
		{"two in one", []string{a + " " + b}, "", false},
		{"a tab", []string{a + "\tx"}, "", false},
		{"a line break", []string{a + "\r\nx"}, "", false},
		{"NUL", []string{a + "\x00"}, "", false},
		{"not ASCII", []string{"https://bücher.example/"}, "", false},
		{"badly encoded", []string{"https://a.example/%zz"}, "", false},
		{"a bad port", []string{"https://a.example:x/"}, "", false},
		{"100 kB", []string{a + hugeToken}, "", false},
	} {
		got, err := ParseResources(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

// The values that come in belong to the caller.
func TestParseResourcesLeavesItsArgumentAlone(t *testing.T) {
	in := []string{"https://b.example/", "https://a.example/", "https://a.example/"}
	was := slices.Clone(in)
	if _, err := ParseResources(in); err != nil || !slices.Equal(in, was) {
		t.Errorf("%q became %q, %v", was, in, err)
	}
}

func TestResources(t *testing.T) {
	const a, ab, b, abc Resources = "https://a.example", "https://a.example https://b.example", "https://b.example", "https://a.example https://b.example urn:c"
	if got := ab.URIs(); !slices.Equal(got, []string{string(a), string(b)}) || len(Resources("").URIs()) != 0 {
		t.Errorf("URIs of %q: %q", ab, got)
	}
	if !a.Within(ab) || !ab.Within(ab) || !Resources("").Within(a) || ab.Within(a) || Resources("https://a.example/").Within(ab) {
		t.Error("Within compares whole URIs")
	}
	if got := ab.Union("https://b.example urn:c"); got != abc {
		t.Errorf("the union is %q", got)
	}
}

func FuzzParseResources(f *testing.F) {
	for _, s := range []string{
		"", "https://a.example/", "https://b.example\nhttps://a.example\nhttps://b.example", "https://a.example/#", "urn:example:api",
		"//a.example", "https:///x", "x", "https://a.example/%zz", "https://a.example/ b", strings.Repeat("https://a.example\n", 11),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sent := strings.Split(s, "\n")
		r, err := ParseResources(sent)
		if err != nil {
			if r != "" {
				t.Errorf("%q was refused, and is %q", s, r)
			}
			return
		}
		uris := r.URIs()
		if again, err := ParseResources(uris); err != nil || again != r {
			t.Errorf("%q became %q, which becomes %q, %v", s, r, again, err)
		}
		for _, u := range sent {
			if one := Resources(u); !one.Within(r) || r.Union(one) != r {
				t.Errorf("%q is not in %q", u, r)
			}
		}
		for _, u := range uris {
			if !slices.Contains(sent, u) || strings.Contains(u, "#") {
				t.Errorf("%q comes from %q", u, s)
			}
		}
	})
}

func BenchmarkParseResources(b *testing.B) {
	for _, bb := range []struct {
		name string
		in   []string
	}{
		{"10", slices.Repeat([]string{"https://a.example/" + strings.Repeat("x", 400)}, maxResources)},
		{"100kB", []string{"https://a.example/" + hugeToken}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseResources(bb.in)
			}
		})
	}
}
