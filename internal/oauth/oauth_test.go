package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The vectors of RFC 7636 Appendix B and of the Dressipi contract §C.2. The
// last row hashes the decoded verifier, which is the bug to catch.
func TestChallengeMatches(t *testing.T) {
	const dressipi = "1tBnEmtSImyCykPHxHYBdzpSFhKEj0Q1LuiHd4fdDlY"
	for _, tt := range []struct {
		name, verifier, challenge string
		want                      bool
	}{
		{"RFC 7636 Appendix B", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", true},
		{"the contract's vector", dressipi, "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", true},
		{"last character differs", dressipi[:42] + "Z", "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", false},
		{"the hash of the decoded verifier", dressipi, "FWz6CmUumxlSpZJf6b71kL4SdDyU3CGn2UE-ozUAWrY", false},
		{"the challenge itself (no plain)", "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", "p7CN1Zi4o5ARn1mYNvNFvj2r5cKkr2k6y7a573eHJXQ", false},
	} {
		c, err := ParseCodeChallenge(tt.challenge, S256)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		v, err := ParseCodeVerifier(tt.verifier)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := c.Matches(v); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestParseCodeChallengeRefuses(t *testing.T) {
	const good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	for _, tt := range []struct{ name, challenge, method string }{
		{"method missing means plain (RFC 7636 §4.3)", good, ""},
		{"plain (RFC 9700 §2.1.1)", good, "plain"},
		{"method in lower case", good, "s256"},
		{"42 characters", good[:42], S256},
		{"44 characters", good + "A", S256},
		{"padded", good[:42] + "=", S256},
		{"the standard alphabet's +", "+" + good[1:], S256},
		{"the standard alphabet's /", "/" + good[1:], S256},
		{"a second spelling of the last bits", good[:42] + "N", S256},
		{"a line break, which base64 would skip", good[:41] + "\r\n", S256},
		{"empty", "", S256},
	} {
		if _, err := ParseCodeChallenge(tt.challenge, tt.method); err == nil {
			t.Errorf("%s was accepted", tt.name)
		}
	}
}

func TestParseCodeVerifier(t *testing.T) {
	for _, tt := range []struct {
		name, verifier string
		ok             bool
	}{
		{"43 unreserved characters (RFC 7636 §4.1)", strings.Repeat("a", 39) + "-._~", true},
		{"128", strings.Repeat("Z", 128), true},
		{"42", strings.Repeat("a", 42), false},
		{"129", strings.Repeat("a", 129), false},
		{"a space", strings.Repeat("a", 42) + " ", false},
		{"a plus", strings.Repeat("a", 42) + "+", false},
		{"not ASCII", strings.Repeat("é", 30), false},
	} {
		if _, err := ParseCodeVerifier(tt.verifier); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestParseScope(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Scope
		ok       bool
	}{
		{"order and repeats do not matter", "profile openid profile", "openid profile", true},
		{"empty", "", "", true},
		{"a quote is illegal (RFC 6749 §3.3)", `open"id`, "", false},
		{"a backslash is illegal", `open\id`, "", false},
		{"two spaces", "a  b", "", false},
		{"a space at the end", "a ", "", false},
		{"a tab", "a\tb", "", false},
		{"not ASCII", "é", "", false},
		{"over 1024 characters", strings.Repeat("a", 1025), "", false},
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
		{"", "a", true}, {"a", "a b", true}, {"a b", "a b", true}, {"a c", "a b", false}, {"a", "", false}, {"ab", "a b", false},
	} {
		if got := tt.a.Within(tt.b); got != tt.want {
			t.Errorf("%q within %q: %v", tt.a, tt.b, got)
		}
	}
	if !Scope("a b").Has("b") || Scope("ab").Has("b") || Scope("").Has("") {
		t.Error("Has compares whole tokens")
	}
}

func TestCheckRedirectURI(t *testing.T) {
	for _, good := range []string{
		"https://app.example.com/callback", "https://app.example.com", "https://app.example.com/", "https://app.example.com:8443/a/b",
		"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", "http://[::1]:8080/cb", "http://localhost:3000/callback",
		"https://xn--bcher-kva.example/cb", URNAuto,
	} {
		if err := CheckRedirectURI(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, tt := range []struct{ name, uri string }{
		{"empty", ""},
		{"relative", "/callback"},
		{"no host", "https:///callback"},
		{"opaque", "https:app.example.com/cb"},
		{"another URN", "urn:ietf:wg:oauth:2.0:oob"},
		{"the URN in another case", "URN:ietf:wg:oauth:2.0:oob:auto"},
		{"fragment (RFC 6749 §3.1.2)", "https://a.example/cb#x"},
		{"query", "https://a.example/cb?x=1"},
		{"bare question mark", "https://a.example/cb?"},
		{"user information (CVE-2026-28512)", "https://good.example@evil.example/cb"},
		{"backslash", `https://good.example\@evil.example/cb`},
		{"wildcard", "https://*.example/cb"},
		{"encoded", "https://a.example/%2e%2e/cb"},
		{"dot segments (CVE-2026-3872)", "https://a.example/cb/../evil"},
		{"upper-case host", "https://A.example/cb"},
		{"upper-case scheme", "HTTPS://a.example/cb"},
		{"default port", "https://a.example:443/cb"},
		{"default port of http", "http://127.0.0.1:80/cb"},
		{"empty port", "https://a.example:/cb"},
		{"a port with zeros", "https://a.example:08443/cb"},
		{"port 0", "https://a.example:0/cb"},
		{"port 99999", "https://a.example:99999/cb"},
		{"no host", "https://:8443/cb"},
		{"a hexadecimal address", "https://0x7f.1/cb"},
		{"a short address", "https://127.1/cb"},
		{"a long IPv6 address", "https://[0:0:0:0:0:0:0:1]/cb"},
		{"an empty label", "https://a..b/cb"},
		{"a label at the end that is a number", "https://a.1/cb"},
		{"http beyond loopback", "http://a.example/cb"},
		{"a host that begins like loopback", "http://127.0.0.1.evil.example/cb"},
		{"javascript (CVE-2026-9086)", "JaVaScRiPt://a.example/%0aalert(1)"},
		{"data", "data://a/b"},
		{"a space", "https://a.example/c b"},
		{"a tab", "https://a.example/c\tb"},
		{"full-width dot", "https://a．example/cb"},
		{"quote", `https://a.example/"`},
		{"too long", "https://a.example/" + strings.Repeat("a", 2048)},
	} {
		if err := CheckRedirectURI(tt.uri); err == nil {
			t.Errorf("%s: %q was accepted", tt.name, tt.uri)
		}
	}
}

func TestOrigin(t *testing.T) {
	for uri, want := range map[string]string{
		"https://app.example.com/callback": "https://app.example.com", "http://127.0.0.1:8080/": "http://127.0.0.1:8080",
		"https://app.example.com": "https://app.example.com", "http://[::1]:1/a/b": "http://[::1]:1", URNAuto: "",
	} {
		if got := Origin(uri); got != want {
			t.Errorf("Origin(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestTrimSlash(t *testing.T) {
	for uri, want := range map[string]string{"https://a/": "https://a", "https://a": "https://a", "https://a//": "https://a/"} {
		if got := TrimSlash(uri); got != want {
			t.Errorf("TrimSlash(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestClientID(t *testing.T) {
	for _, good := range []string{"a", "shop@example", strings.Repeat("a", 255), "11111111-1111-1111-1111-111111111111"} {
		if err := CheckClientID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a b", "a\x00", "é", strings.Repeat("a", 256)} {
		if err := CheckClientID(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func validClient() Client {
	return Client{
		ID: "c", AuthMethod: AuthNone, RedirectURIs: []string{"https://a.example/cb"},
		GrantTypes: []GrantType{AuthorizationCode, RefreshToken}, Scope: "openid", Policy: PublicPolicy(),
	}
}

func TestClientCheckNamesEveryFault(t *testing.T) {
	good := validClient()
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	urn := validClient()
	urn.RedirectURIs = []string{URNAuto}
	if err := urn.Check(); err == nil {
		t.Error("the URN was accepted for a client that is not of the anonymous class")
	}
	bad := validClient()
	bad.ID, bad.RedirectURIs, bad.GrantTypes = "a b", []string{"ftp://x"}, []GrantType{"password"}
	bad.AuthMethod, bad.Scope, bad.OnReplay = "client_secret_basic", `"`, "shrug"
	bad.AccessTokenLifetime, bad.RefreshIdleLifetime = 0, -1
	err := bad.Check()
	for _, name := range []string{"client_id", "redirect_uris", "grant_types", "token_endpoint_auth_method", "scope", "on_replay", "access_token_lifetime", "refresh_idle_lifetime"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Check does not speak of %s: %v", name, err)
		}
	}
}

// The JSON form is in databases and in files: names and values must not change.
func TestClientJSON(t *testing.T) {
	c := validClient()
	c.RefreshRetryWindow = UntilUsed
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"client_id":"c","redirect_uris":["https://a.example/cb"],"grant_types":["authorization_code","refresh_token"],` +
		`"token_endpoint_auth_method":"none","scope":"openid","refresh_token_rotation":true,"refresh_retry_window":"until_used",` +
		`"on_replay":"end","require_pkce":true,"access_token_lifetime":3600,"refresh_idle_lifetime":1209600,"refresh_absolute_lifetime":0}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	var back Client
	if err := json.Unmarshal(text, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(c) {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestRetryWindowJSON(t *testing.T) {
	for in, want := range map[string]RetryWindow{`"30s"`: RetryWindow(30 * time.Second), `"0s"`: 0, `"until_used"`: UntilUsed} {
		var w RetryWindow
		if err := json.Unmarshal([]byte(in), &w); err != nil || w != want {
			t.Errorf("%s: %v, %v", in, w, err)
		}
		if out, err := json.Marshal(w); err != nil || string(out) != in {
			t.Errorf("%s is written as %s, %v", in, out, err)
		}
	}
	for _, bad := range []string{`30`, `"30"`, `"-1s"`, `""`, `"for ever"`, `null1`} {
		var w RetryWindow
		if err := json.Unmarshal([]byte(bad), &w); err == nil {
			t.Errorf("%s was accepted as %v", bad, w)
		}
	}
}

func TestErrorsHaveTwoAudiences(t *testing.T) {
	refused := Refuse(InvalidGrant, "code: spent", "The code is not valid.")
	if got := AsError(fmt.Errorf("exchange: %w", refused)); got != refused {
		t.Errorf("a wrapped refusal became %v", got)
	}
	if refused.Fault() {
		t.Error("a refusal is no fault")
	}
	cause := errors.New("disk: secret path")
	fault := AsError(cause)
	if fault.Code != ServerError || !fault.Fault() || !errors.Is(fault, cause) || strings.Contains(fault.Description, "disk") {
		t.Errorf("a fault became %+v", fault)
	}
	u := Unavailable("store", cause)
	if u.Code != TemporarilyUnavailable || !u.Fault() || u.RetryAfter <= 0 || strings.Contains(u.Description, "disk") {
		t.Errorf("a passing fault became %+v", u)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "openid", "a b a", `"`, "a  b", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scope, err := ParseScope(s)
		if err != nil {
			return
		}
		if again, err := ParseScope(string(scope)); err != nil || again != scope {
			t.Errorf("%q became %q, which becomes %q, %v", s, scope, again, err)
		}
	})
}

// What may be registered is what a browser would print: it never names another
// host to one parser than to the next.
func FuzzCheckRedirectURI(f *testing.F) {
	for _, s := range []string{"https://a.example/cb", "http://[::1]:1/", "https://a@b/", `https://a\@b`, "https://a/..;/b", URNAuto} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckRedirectURI(s) != nil || s == URNAuto {
			return
		}
		rest, ok := strings.CutPrefix(s, Origin(s))
		if !ok || rest != "" && rest[0] != '/' {
			t.Errorf("%q: origin %q", s, Origin(s))
		}
		if strings.ContainsAny(s, "@\\#?%") {
			t.Errorf("%q was accepted", s)
		}
	})
}
