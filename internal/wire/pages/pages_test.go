package pages

import (
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
)

// placeholders of a text.
var placeholder = regexp.MustCompile(`\{[^}]*\}`)

func TestCataloguesAgree(t *testing.T) {
	en := texts["en"]
	for _, l := range Languages {
		if names[l] == "" {
			t.Errorf("%s has no name", l)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(en)), slices.Sorted(maps.Keys(texts[l]))); diff != "" {
			t.Errorf("keys of %s (-en +%s):\n%s", l, l, diff)
		}
		for key, s := range texts[l] {
			if strings.TrimSpace(s) == "" {
				t.Errorf("%s: %s is empty", l, key)
			}
			want, got := placeholder.FindAllString(en[key], -1), placeholder.FindAllString(s, -1)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("%s: %s is filled with %q, in en with %q", l, key, got, want)
			}
		}
	}
}

// A text that nobody shows is dead, and a key without a text shows nothing. What
// looks like a key, in the templates and in the faces' pages, is one.
func TestEveryTextIsUsed(t *testing.T) {
	used := map[string]bool{}
	literal := regexp.MustCompile(`"([a-z_]+(?:\.[a-z_]+)*)"`)
	asked := regexp.MustCompile(`\.T "([^"]+)"`)
	sources := []string{"templates/layout.html"}
	for _, pattern := range []string{"asked.go", "password.go", "post.go", "sample_test.go", "../userdocks/hosted*.go", "../oidc/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no sources: %v", pattern, err)
		}
		sources = append(sources, names...)
	}
	for _, name := range sources {
		// The samples are pages of the faces, too.
		if strings.HasSuffix(name, "_test.go") && name != "sample_test.go" {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "..") && !strings.Contains(string(content), "/wire/pages\"") {
			continue
		}
		form := literal
		if strings.HasSuffix(name, ".html") {
			form = asked
		}
		for _, m := range form.FindAllStringSubmatch(string(content), -1) {
			used[m[1]] = true
			if _, ok := texts["en"][m[1]]; !ok && (strings.Contains(m[1], ".") || form == asked) {
				t.Errorf("%s: there is no text %s", name, m[1])
			}
		}
	}
	for _, what := range []string{"confirm", "reset"} { // put together in the code
		for _, key := range []string{what + ".done.title", what + ".done.lead", "dead." + what} {
			used[key] = true
		}
	}
	for key := range texts["en"] {
		if !used[key] {
			t.Errorf("nobody uses %s", key)
		}
	}
}

func TestLanguage(t *testing.T) {
	for _, tt := range []struct {
		name, accept, want string
		asked              []string
	}{
		{"nothing said", "", "en", nil},
		{"the browser's", "de", "de", nil},
		{"a region", "de-AT", "de", nil},
		{"an unknown one first", "fr-FR, de;q=0.8, en;q=0.7", "de", nil},
		{"weights (RFC 9110 §12.4.2)", "en;q=0.1, de;q=0.9", "de", nil},
		{"of equals the first", "en, de", "en", nil},
		{"not acceptable", "de;q=0, en;q=0.1", "en", nil},
		{"garbage", ";;;,q=,de;q=x, *", "en", nil},
		{"asked for", "de", "en", []string{"en"}},
		{"asked for in a list", "en", "de", []string{"", "fr de en"}},
		{"asked for an unknown one", "de", "de", []string{"xx", "tlh"}},
		{"asked for in capitals", "en", "de", []string{"DE-de"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", tt.accept)
		if got := Language(r, tt.asked...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTextIsFilledOnce(t *testing.T) {
	got := text("en", "sign_up.sent", map[string]string{"email": "{client}", "client": "X"})
	if !strings.HasPrefix(got, "A message is on its way to {client}.") {
		t.Errorf("%q", got)
	}
}

// plain seals nothing: it is there for the cookies.
type plain struct{}

func (plain) SealForm(payload []byte, binding string) string { return binding + string(payload) }
func (plain) OpenForm(text, binding string) ([]byte, error) {
	return []byte(strings.TrimPrefix(text, binding)), nil
}

// Whether cookies are for https alone is told by the issuer, not by the request.
func TestCookies(t *testing.T) {
	for issuer, want := range map[string][]string{
		"https://as.example": {
			"__Host-ts_form=B; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
			"__Host-ts=a; Path=/; Max-Age=5; HttpOnly; Secure; SameSite=Lax",
			"ts_silent=b; Path=/x/login; Max-Age=5; HttpOnly; Secure; SameSite=None",
			"__Host-ts=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			"ts_silent=; Path=/x/login; Max-Age=0; HttpOnly; Secure; SameSite=None",
		},
		"http://127.0.0.1:8080": {
			"ts_form=B; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax",
			"ts=a; Path=/; Max-Age=5; HttpOnly; SameSite=Lax",
			"ts_silent=b; Path=/x/login; Max-Age=5; HttpOnly; Secure; SameSite=None",
			"ts=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
			"ts_silent=; Path=/x/login; Max-Age=0; HttpOnly; Secure; SameSite=None",
		},
	} {
		s := New(issuer, "/x/", "/x/login", plain{})
		r := httptest.NewRequest("GET", "https://other.example/", nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		rec := httptest.NewRecorder()
		sealed, err := s.Seal(rec, r, 1)
		if err != nil {
			t.Fatal(err)
		}
		binding := strings.TrimSuffix(sealed, "1")
		s.SetSession(rec, "a", 5)
		s.SetSilentSession(rec, "b", 5)
		s.ClearSession(rec)
		got := rec.Header().Values("Set-Cookie")
		got[0] = strings.Replace(got[0], binding, "B", 1)
		if diff := cmp.Diff(want, got); diff != "" || len(binding) < 20 {
			t.Errorf("%s: (-want +got)\n%s", issuer, diff)
		}
		// What the browser has is kept, so that two tabs share it.
		r.AddCookie(&http.Cookie{Name: s.name(formCookie), Value: "mine"})
		if sealed, err := s.Seal(httptest.NewRecorder(), r, 1); err != nil || sealed != "mine1" {
			t.Errorf("%s: sealed for %q, %v", issuer, sealed, err)
		}
	}
}

func TestSource(t *testing.T) {
	for uri, want := range map[string]string{
		"https://cdn.example/logo.svg":      " https://cdn.example",
		"http://127.0.0.1:3000/logo.svg":    " http://127.0.0.1:3000",
		"https://[::1]:3000/logo.svg":       " https://[::1]:3000",
		"https://a;script-src/x":            "",
		"https://a 'unsafe-inline'/x":       "",
		"https://a,b/x":                     "",
		"https://user@a/x":                  "",
		"https://*/x":                       "",
		"https:///x":                        "",
		"javascript://x/%0aalert(1)":        "",
		"data:image/svg+xml;base64,AA":      "",
		"//cdn.example/logo.svg":            "",
		"":                                  "",
		"urn:ietf:wg:oauth:2.0:oob:auto://": "",
	} {
		if got := source(oauth.Origin(uri)); got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

func TestClientName(t *testing.T) {
	for want, c := range map[string]oauth.Client{
		"Shop":                        {ID: "1", Name: " Shop "},
		"app.example.com":             {ID: "1", Name: " ", RedirectURIs: []string{"https://app.example.com/cb"}},
		"1":                           {ID: "1"},
		"2":                           {ID: "2", RedirectURIs: []string{oauth.URNAuto}},
		"com.example.app":             {ID: "3", RedirectURIs: []string{"com.example.app:/callback"}},
		"4":                           {ID: "4", Name: "\u200b\u202e\n"},
		"Shop txt.exe":                {ID: "5", Name: "Shop\n\u202etxt.exe"},
		strings.Repeat("ß", 79) + "…": {ID: "6", Name: strings.Repeat("ß", 81)},
	} {
		if got := clientName(&c); got != want {
			t.Errorf("%+v is called %q, want %q", c, got, want)
		}
	}
}

// Each class in the stylesheet stands in the template, and the reverse.
func TestStylesAreUsed(t *testing.T) {
	read := func(name string) string {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	css, page := read("static/style.css"), read("templates/layout.html")
	// What {{…}} prints beside a class is left out.
	page = regexp.MustCompile(`\{\{[^}]*\}\}`).ReplaceAllString(page, "")
	css = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(css, "")
	used, styled := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`class="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		for c := range strings.FieldsSeq(m[1]) {
			used[c] = true
		}
	}
	for _, m := range regexp.MustCompile(`\.([a-z][a-z-]*)`).FindAllStringSubmatch(css, -1) {
		styled[m[1]] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(styled)), slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("classes (-styled +used):\n%s", diff)
	}
}
