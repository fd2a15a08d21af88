package oauth

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
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
	case !canonicalHost(u.Hostname()):
		return errors.New("a redirect URI must name its host as a browser prints it")
	case u.Port() != "" && !canonicalPort(u.Port()):
		return errors.New("a redirect URI must have a port from 1 to 65535, without zeros in front")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return errors.New("a redirect URI must be https; http is for loopback (127.0.0.1, [::1], localhost) only")
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." {
			return errors.New("a redirect URI must not have dot segments in its path")
		}
	}
	return nil
}

// canonicalHost: a browser rewrites other spellings of an IP address (0x7f.1,
// 127.1), and takes a name whose last label is a number for one.
func canonicalHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String() == host && !ip.Is4In6() && ip.Zone() == ""
	}
	labels := strings.Split(host, ".")
	if slices.Contains(labels, "") {
		return false
	}
	last := labels[len(labels)-1]
	_, err := strconv.ParseUint(last, 0, 64)
	return err != nil && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

func canonicalPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
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
