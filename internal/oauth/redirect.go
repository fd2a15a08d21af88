package oauth

import (
	"errors"
	"net/url"
	"strings"
)

// URNAuto is the constant redirect URI of clients without a redirect: the
// answer is the body of the response (contract of the Dressipi face, §B.2).
const URNAuto = "urn:ietf:wg:oauth:2.0:oob:auto"

// CheckRedirectURI says what is wrong with a redirect URI that is to be
// registered; nil if nothing is. Requests are compared with registered URIs as
// bytes, so only spellings that a browser would print unchanged may be
// registered: a scheme and host in lower case, no userinfo, no fragment
// (RFC 6749 §3.1.2), no default port, no dot segments, nothing encoded.
func CheckRedirectURI(s string) error {
	if s == URNAuto {
		return nil
	}
	if len(s) > 2048 {
		return errors.New("a redirect URI must be at most 2048 characters")
	}
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f || strings.IndexByte("%#+*\\\"<>^`{|}", s[i]) >= 0 {
			return errors.New(`a redirect URI must be visible ASCII without any of % # + * \ " < > ^ { | } and backtick`)
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return errors.New("a redirect URI must be absolute, like https://app.example.com/callback")
	}
	switch {
	case u.User != nil:
		return errors.New("a redirect URI must not contain user information")
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("a redirect URI must not have a query")
	case u.Host != strings.ToLower(u.Host) || !strings.HasPrefix(s, u.Scheme+"://"):
		return errors.New("a redirect URI must have its scheme and host in lower case")
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80", strings.HasSuffix(u.Host, ":"):
		return errors.New("a redirect URI must not name the default port of its scheme")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return errors.New("a redirect URI must be https; http is for 127.0.0.1, [::1] and localhost only")
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." {
			return errors.New("a redirect URI must not have dot segments in its path")
		}
	}
	return nil
}

func loopback(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost"
}

// TrimSlash removes one trailing slash. Both sides of a comparison on the
// Userdocks face are trimmed (its contract, §B.4 rule 7); nothing else is.
func TrimSlash(uri string) string { return strings.TrimSuffix(uri, "/") }

// Origin is the origin (RFC 6454 §6.2) of a registered redirect URI, as a
// browser sends it in the Origin header; "" for the URN.
func Origin(redirectURI string) string {
	scheme, rest, ok := strings.Cut(redirectURI, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}
