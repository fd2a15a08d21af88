package oauth

import (
	"net/url"
	"strings"
	"testing"
)

var goodRedirects = []struct{ name, uri string }{
	{"https", "https://app.example.com/callback"},
	{"no path", "https://app.example.com"},
	{"the root", "https://app.example.com/"},
	{"a port", "https://app.example.com:8443/a/b"},
	{"the highest port", "https://app.example.com:65535/"},
	{"a slash at the end", "https://app.example.com/cb/"},
	{"punycode", "https://xn--bcher-kva.example/cb"},
	{"an address", "https://192.0.2.1/cb"},
	{"a query (RFC 6749 §3.1.2)", "https://app.example.com/cb?tenant=a"},
	{"a query of several parts", "https://app.example.com/cb?a=1&b=2&a=3"},
	{"a query without a value", "https://app.example.com/cb?a"},
	{"a query without a path", "https://app.example.com?a=1"},
	{"a URL in the query", "https://app.example.com/cb?next=https://b.example/../x?y@z"},
	{"loopback without a port (RFC 8252 §7.3)", "http://127.0.0.1/cb"},
	{"loopback with a port", "http://127.0.0.1:51004/cb"},
	{"IPv6 loopback", "http://[::1]:8080/cb"},
	{"localhost", "http://localhost:3000/callback"},
	{"a private-use scheme (RFC 8252 §7.1)", "com.example.app:/cb"},
	{"a private-use scheme and nothing after the slash", "com.example.app:/"},
	{"a private-use scheme and a path", "com.example-2.app:/oauth2redirect/example_provider"},
	{"the URN of anonymous profiles", URNAuto},
}

var badRedirects = []struct{ name, uri string }{
	{"empty", ""},
	{"relative", "/callback"},
	{"without a scheme", "//app.example.com/cb"},
	{"no host", "https:///callback"},
	{"no host but a port", "https://:8443/cb"},
	{"opaque", "https:app.example.com/cb"},
	{"one slash", "https:/app.example.com/cb"},
	{"another URN", "urn:ietf:wg:oauth:2.0:oob"},
	{"the URN in another case", "URN:ietf:wg:oauth:2.0:oob:auto"},
	{"the URN and a query", URNAuto + "?a=1"},
	{"fragment (RFC 6749 §3.1.2)", "https://a.example/cb#x"},
	{"empty fragment", "https://a.example/cb#"},
	{"fragment behind a query", "https://a.example/cb?a=1#x"},
	{"bare question mark", "https://a.example/cb?"},
	{"encoded query", "https://a.example/cb?a=%41"},
	{"plus in the query", "https://a.example/cb?a=b+c"},
	{"space in the query", "https://a.example/cb?a=b c"},
	{"quote in the query", `https://a.example/cb?a="`},
	{"user information (CVE-2026-28512)", "https://good.example@evil.example/cb"},
	{"user and password", "https://a:b@evil.example/cb"},
	{"empty user information", "https://@evil.example/cb"},
	{"several @ (CVE-2026-7504)", "https://a@b@evil.example/cb"},
	{"backslash", `https://good.example\@evil.example/cb`},
	{"wildcard", "https://*.example/cb"},
	{"wildcard in the path", "https://a.example/*"},
	{"encoded dot segments", "https://a.example/%2e%2e/cb"},
	{"dot segments (CVE-2026-3872)", "https://a.example/cb/../evil"},
	{"a dot segment at the end", "https://a.example/cb/."},
	{"upper-case host", "https://A.example/cb"},
	{"upper-case scheme", "HTTPS://a.example/cb"},
	{"default port", "https://a.example:443/cb"},
	{"default port of http", "http://127.0.0.1:80/cb"},
	{"empty port", "https://a.example:/cb"},
	{"a port with zeros", "https://a.example:08443/cb"},
	{"port 0", "https://a.example:0/cb"},
	{"port 65536", "https://a.example:65536/cb"},
	{"a port of many digits", "https://a.example:" + strings.Repeat("9", 40) + "/cb"},
	{"a port that is a word", "https://a.example:https/cb"},
	{"a hexadecimal address", "https://0x7f.1/cb"},
	{"a short address", "https://127.1/cb"},
	{"an address in one number", "https://2130706433/cb"},
	{"a long IPv6 address", "https://[0:0:0:0:0:0:0:1]/cb"},
	{"IPv4 in IPv6", "http://[::ffff:127.0.0.1]/cb"},
	{"an IPv6 zone", "http://[::1%25lo]/cb"},
	{"an open bracket", "http://[::1/cb"},
	{"an empty label", "https://a..b/cb"},
	{"a dot at the end of the host", "https://a.example./cb"},
	{"a label at the end that is a number", "https://a.1/cb"},
	{"a semicolon in the host, which ends a CSP directive", "https://a;sandbox/cb"},
	{"a comma in the host, which ends a CSP", "https://a,sandbox/cb"},
	{"a quote in the host", "https://'self'/cb"},
	{"a brace in the host", "https://a(b)/cb"},
	{"http beyond loopback", "http://a.example/cb"},
	{"a host that begins like loopback", "http://127.0.0.1.evil.example/cb"},
	{"a host that begins like localhost", "http://localhost.evil.example/cb"},
	{"a host that ends like localhost", "http://a.localhost/cb"},
	{"another scheme", "ftp://a.example/cb"},
	{"javascript", "javascript:alert(1)"},
	{"javascript in mixed case (CVE-2026-9086)", "JaVaScRiPt://a.example/%0aalert(1)"},
	{"javascript with a path", "javascript:/alert"},
	{"a tab in javascript", "java\tscript:alert(1)"},
	{"vbscript", "vbscript:msgbox"},
	{"data", "data:text/html,x"},
	{"data with a host", "data://a/b"},
	{"file", "file:///etc/passwd"},
	{"blob", "blob:https://a.example/1"},
	{"a scheme without a dot (RFC 8252 §7.1)", "myapp:/cb"},
	{"a scheme without a dot and a host", "myapp://cb"},
	{"a private-use scheme and a host", "com.example.app://x"},
	{"a private-use scheme and three slashes", "com.example.app:///x"},
	{"a private-use scheme and nothing", "com.example.app:"},
	{"a private-use scheme and no slash", "com.example.app:cb"},
	{"a private-use scheme in upper case", "Com.Example.App:/cb"},
	{"a private-use scheme and a query", "com.example.app:/cb?a=1"},
	{"a private-use scheme and a fragment", "com.example.app:/cb#x"},
	{"a private-use scheme and a dot segment", "com.example.app:/../cb"},
	{"a private-use scheme and an encoded path", "com.example.app:/%61"},
	{"a private-use scheme with a plus", "com.example+app:/cb"},
	{"a private-use scheme that begins with a digit", "1com.example:/cb"},
	{"a private-use scheme that begins with a dot", ".com.example:/cb"},
	{"a private-use scheme that ends with a dot", "javascript.:/cb"},
	{"a private-use scheme with an empty label", "com..example:/cb"},
	{"a private-use scheme of 256 characters", "com.example." + strings.Repeat("a", 240) + ":/cb"},
	{"a space in front", " https://a.example/cb"},
	{"a space", "https://a.example/c b"},
	{"a tab", "https://a.example/c\tb"},
	{"a line break (header injection)", "https://a.example/cb\r\nSet-Cookie:x=y"},
	{"NUL", "https://a.example/cb\x00"},
	{"not ASCII", "https://bücher.example/cb"},
	{"full-width dot", "https://a．example/cb"},
	{"not UTF-8", "https://a.example/\xff"},
	{"quote", `https://a.example/"`},
	{"markup", "https://a.example/<svg>"},
	{"too long", "https://a.example/" + strings.Repeat("a", 2048)},
}

func TestCheckRedirectURI(t *testing.T) {
	for _, tt := range goodRedirects {
		if err := CheckRedirectURI(tt.uri); err != nil {
			t.Errorf("%s: %q: %v", tt.name, tt.uri, err)
		}
	}
	for _, tt := range badRedirects {
		if err := CheckRedirectURI(tt.uri); err == nil {
			t.Errorf("%s: %q was accepted", tt.name, tt.uri)
		}
	}
}

// A request's redirect URI is another one than the registered as soon as it
// differs in one byte (RFC 9700 §2.1), but for the port of a loopback address.
func TestMatchRedirectURI(t *testing.T) {
	const https = "https://app.example.com/cb"
	for _, tt := range []struct {
		name, registered, requested string
		want                        bool
	}{
		{"the same (RFC 9700 §2.1)", https, https, true},
		{"the same with a query", https + "?a=1", https + "?a=1", true},
		{"the same private-use URI (RFC 8252 §7.1)", "com.example.app:/cb", "com.example.app:/cb", true},
		{"the same URN", URNAuto, URNAuto, true},
		{"another port of loopback (RFC 8252 §7.3)", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true},
		{"another port of IPv6 loopback", "http://[::1]/cb", "http://[::1]:51004/cb", true},
		{"a port and no path", "http://127.0.0.1", "http://127.0.0.1:51004", true},
		{"a port and the root", "http://127.0.0.1/", "http://127.0.0.1:51004/", true},
		{"a port and a query", "http://127.0.0.1/cb?a=1", "http://127.0.0.1:51004/cb?a=1", true},
		{"a port, a query and no path", "http://127.0.0.1?a=1", "http://127.0.0.1:51004?a=1", true},
		{"the highest port", "http://127.0.0.1/cb", "http://127.0.0.1:65535/cb", true},

		{"empty", https, "", false},
		{"a slash more", https, https + "/", false},
		{"a slash less", https + "/", https, false},
		{"no path and the root", "https://app.example.com", "https://app.example.com/", false},
		{"case of the path (CVE-2020-15234)", https, "https://app.example.com/CB", false},
		{"case of the host", https, "https://APP.example.com/cb", false},
		{"case of the scheme", https, "HTTPS://app.example.com/cb", false},
		{"a query more", https, https + "?a=1", false},
		{"a bare question mark more", https, https + "?", false},
		{"a query less", https + "?a=1", https, false},
		{"another value in the query", https + "?a=1", https + "?a=2", false},
		{"a parameter more in the query", https + "?a=1", https + "?a=1&b=2", false},
		{"a fragment", https, https + "#frag", false},
		{"an empty fragment", https, https + "#", false},
		{"user information in front of another host", https, "https://app.example.com@evil.example/cb", false},
		{"user information", https, "https://user@app.example.com/cb", false},
		{"user information and a backslash", https, `https://app.example.com\@evil.example/cb`, false},
		{"..;/ (CVE-2026-3872)", https, "https://app.example.com/cb/..;/evil", false},
		{"dot segments that lead back", https, "https://app.example.com/x/../cb", false},
		{"encoded dot segments", https, "https://app.example.com/cb/%2e%2e/evil", false},
		{"an encoded letter", https, "https://app.example.com/%63b", false},
		{"two slashes", https, "https://app.example.com//cb", false},
		{"a backslash", https, `https://app.example.com\cb`, false},
		{"javascript", https, "javascript:alert(1)", false},
		{"javascript in mixed case", https, "JaVaScRiPt://app.example.com/cb", false},
		{"data", https, "data:text/html,https://app.example.com/cb", false},
		{"http", https, "http://app.example.com/cb", false},
		{"the default port", https, "https://app.example.com:443/cb", false},
		{"another port", https, "https://app.example.com:8443/cb", false},
		{"a longer path (CVE-2019-3778)", https, https + "/evil", false},
		{"a shorter path", https, "https://app.example.com/c", false},
		{"a longer host", https, "https://app.example.com.evil.example/cb", false},
		{"a subdomain", https, "https://a.app.example.com/cb", false},
		{"the dot is no pattern (CVE-2024-52289)", "https://a.b/cb", "https://aXb/cb", false},
		{"a full-width dot", https, "https://app．example.com/cb", false},
		{"a Cyrillic a", https, "https://аpp.example.com/cb", false},
		{"its punycode", https, "https://xn--pp-6kc.example.com/cb", false},
		{"a space in front", https, " " + https, false},
		{"a line break behind", https, https + "\n", false},
		{"NUL behind", https, https + "\x00", false},
		{"loopback of a web client", https, "http://127.0.0.1/cb", false},
		{"a port of a private-use URI", "com.example.app:/cb", "com.example.app:51004/cb", false},

		{"another path at another port", "http://127.0.0.1/cb", "http://127.0.0.1:51004/other", false},
		{"a longer path at another port", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb/x", false},
		{"a query more at another port (CVE-2020-15233)", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb?x=1", false},
		{"a fragment at another port", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb#x", false},
		{"a fragment behind the port", "http://127.0.0.1", "http://127.0.0.1:51004#x", false},
		{"no path at another port", "http://127.0.0.1/", "http://127.0.0.1:51004", false},
		{"https loopback", "https://127.0.0.1/cb", "https://127.0.0.1:51004/cb", false},
		{"https asked for", "http://127.0.0.1/cb", "https://127.0.0.1:51004/cb", false},
		{"the port was registered", "http://127.0.0.1:8080/cb", "http://127.0.0.1:51004/cb", false},
		{"the port was registered, none asked for", "http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", false},
		{"the port of IPv6 was registered", "http://[::1]:8080/cb", "http://[::1]:51004/cb", false},
		{"localhost is a name (RFC 8252 §8.3)", "http://localhost/cb", "http://localhost:51004/cb", false},
		{"localhost for the address", "http://127.0.0.1/cb", "http://localhost:51004/cb", false},
		{"IPv6 for IPv4", "http://127.0.0.1/cb", "http://[::1]:51004/cb", false},
		{"another loopback address", "http://127.0.0.2/cb", "http://127.0.0.2:51004/cb", false},
		{"another spelling of loopback", "http://127.0.0.1/cb", "http://127.1:51004/cb", false},
		{"a long spelling of IPv6 loopback", "http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]:51004/cb", false},
		{"an empty port", "http://127.0.0.1/cb", "http://127.0.0.1:/cb", false},
		{"port 0", "http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false},
		{"port 65536", "http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false},
		{"a port that overflows", "http://127.0.0.1/cb", "http://127.0.0.1:18446744073709551617/cb", false},
		{"a port with zeros in front", "http://127.0.0.1/cb", "http://127.0.0.1:051004/cb", false},
		{"a port with a sign", "http://127.0.0.1/cb", "http://127.0.0.1:+51004/cb", false},
		{"a negative port", "http://127.0.0.1/cb", "http://127.0.0.1:-1/cb", false},
		{"a hexadecimal port", "http://127.0.0.1/cb", "http://127.0.0.1:0x50/cb", false},
		{"a port with a separator", "http://127.0.0.1/cb", "http://127.0.0.1:51_004/cb", false},
		{"a port with a space", "http://127.0.0.1/cb", "http://127.0.0.1:51004 /cb", false},
		{"a port followed by @evil", "http://127.0.0.1/cb", "http://127.0.0.1:51004@evil.example/cb", false},
		{"a password that looks like a port", "http://127.0.0.1/cb", "http://127.0.0.1:51004@evil.example:80/cb", false},
		{"a port followed by a name", "http://127.0.0.1/cb", "http://127.0.0.1:51004.evil.example/cb", false},
		{"a port followed by a backslash", "http://127.0.0.1/cb", `http://127.0.0.1:51004\@evil.example/cb`, false},
		{"two ports", "http://127.0.0.1/cb", "http://127.0.0.1:51004:51004/cb", false},
		{"a host that begins like loopback", "http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", false},
		{"a host that begins like loopback, and a port", "http://127.0.0.1/cb", "http://127.0.0.1.evil.example:51004/cb", false},
		{"user information at loopback", "http://127.0.0.1/cb", "http://evil@127.0.0.1:51004/cb", false},
	} {
		if got := MatchRedirectURI(tt.registered, tt.requested); got != tt.want {
			t.Errorf("%s: %q for %q: %v", tt.name, tt.requested, tt.registered, got)
		}
	}
}

func TestBare(t *testing.T) {
	for uri, want := range map[string]bool{"https://a.example/cb": true, "https://a.example/cb?a=1": false, "https://a.example?a": false, "com.example.app:/cb": true} {
		if got := Bare(uri); got != want {
			t.Errorf("Bare(%q) = %v", uri, got)
		}
	}
}

func TestOrigin(t *testing.T) {
	for uri, want := range map[string]string{
		"https://app.example.com/callback": "https://app.example.com", "http://127.0.0.1:8080/": "http://127.0.0.1:8080",
		"https://app.example.com": "https://app.example.com", "http://[::1]:1/a/b": "http://[::1]:1",
		"https://app.example.com?a=1": "https://app.example.com", "https://app.example.com/cb?u=https://b.example": "https://app.example.com",
		"com.example.app:/cb": "", URNAuto: "",
	} {
		if got := Origin(uri); got != want {
			t.Errorf("Origin(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestLoopbackURI(t *testing.T) {
	for uri, want := range map[string]bool{
		"http://127.0.0.1": true, "http://127.0.0.1:8080/mcp": true, "https://localhost:8443/": true, "http://[::1]/": true, "http://127.0.0.2/": true,
		"http://127.0.0.1.evil.example/": false, "http://127.0.0.1@evil.example/": false, "http://evil.example/?http://127.0.0.1": false,
		"http://localhost.evil.example/": false, "http://10.0.0.1/": false, "http://0.0.0.0/": false, "ftp://127.0.0.1/": false,
		"127.0.0.1": false, "//127.0.0.1": false, "http://127.0.0.1:x/": false, "": false,
	} {
		if got := LoopbackURI(uri); got != want {
			t.Errorf("LoopbackURI(%q) = %v", uri, got)
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

// What may be registered says the same to every parser, and a request is led
// nowhere else.
func FuzzCheckRedirectURI(f *testing.F) {
	for _, tt := range goodRedirects {
		f.Add(tt.uri, tt.uri)
		f.Add(tt.uri, tt.uri+"?a=1")
	}
	for _, tt := range badRedirects {
		f.Add(tt.uri, "http://127.0.0.1/cb")
		f.Add("http://127.0.0.1/cb", tt.uri)
	}
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb")
	f.Add("http://[::1]?a=1", "http://[::1]:51004?a=1")
	f.Add("http://127.0.0.1", "http://127.0.0.1:1@evil.example")
	f.Fuzz(func(t *testing.T, registered, requested string) {
		if CheckRedirectURI(registered) != nil {
			return
		}
		u, err := url.Parse(registered)
		if err != nil || u.String() != registered {
			t.Fatalf("%q was accepted; it is read as %q, %v", registered, u, err)
		}
		if u.User != nil || u.Fragment != "" || strings.ContainsAny(registered, "\\#%") || strings.ContainsAny(u.Host, "@;,") {
			t.Errorf("%q was accepted", registered)
		}
		if origin := Origin(registered); origin != "" && origin != u.Scheme+"://"+u.Host || (origin == "") != (u.Host == "") {
			t.Errorf("%q: origin %q", registered, origin)
		}
		if !MatchRedirectURI(registered, registered) {
			t.Errorf("%q does not match itself", registered)
		}
		if !MatchRedirectURI(registered, requested) {
			return
		}
		r, err := url.Parse(requested)
		if err != nil || r.Scheme != u.Scheme || r.Opaque != u.Opaque || r.User != nil || r.Hostname() != u.Hostname() ||
			r.EscapedPath() != u.EscapedPath() || r.RawQuery != u.RawQuery || strings.Contains(requested, "#") {
			t.Errorf("%q matches %q, %v", requested, registered, err)
		}
		if free := u.Scheme == "http" && u.Port() == "" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"); r.Port() != u.Port() && !free {
			t.Errorf("%q matches %q: another port", requested, registered)
		}
	})
}
