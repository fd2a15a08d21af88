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
// registered; nil if nothing is. It may have a query; where a face builds
// addresses in a way of its own it must not, see Bare. Requests are compared with
// registered URIs as bytes, so only spellings that a browser would print unchanged
// may be registered: a scheme and host in lower case, no userinfo, no fragment
// (RFC 6749 §3.1.2), no default port, no dot segments, nothing encoded.
func CheckRedirectURI(s string) error {
	if s == URNAuto {
		return nil
	}
	if privateUse(s) {
		return nil
	}
	if len(s) > maxURI {
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
	case u.ForceQuery:
		return errors.New("a redirect URI must not end in an empty query")
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

// Bare reports whether a redirect URI has no query.
func Bare(s string) bool { return !strings.Contains(s, "?") }

// privateUse: the redirect URI of a native app by a scheme of its own, a domain
// name in reverse, like com.example.app:/callback (RFC 8252 §7.1).
func privateUse(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	labels := strings.Split(scheme, ".")
	if !ok || len(labels) < 2 || slices.Contains(labels, "") || len(s) > 255 || !strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "//") {
		return false
	}
	return strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" && scheme[0] >= 'a' && scheme[0] <= 'z' &&
		strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/") == ""
}

// MatchRedirectURI compares a request's redirect URI with a registered one: byte
// for byte, but for the port of a loopback address that was registered without
// one, since a native app takes what is free (RFC 8252 §7.3).
func MatchRedirectURI(registered, requested string) bool {
	if registered == requested {
		return true
	}
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		path, ok := strings.CutPrefix(registered, host)
		rest, also := strings.CutPrefix(requested, host+":")
		if !ok || !also || strings.HasPrefix(path, ":") {
			continue
		}
		port, tail := rest, ""
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			port, tail = rest[:i], rest[i:]
		}
		return tail == path && canonicalPort(port)
	}
	return false
}

// canonicalHost: a browser rewrites other spellings of an IP address (0x7f.1,
// 127.1), and takes a name whose last label is a number for one. Hosts stand in
// Content-Security-Policy, where a semicolon would begin another directive.
func canonicalHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String() == host && !ip.Is4In6() && ip.Zone() == ""
	}
	labels := strings.Split(host, ".")
	if slices.Contains(labels, "") || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
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
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return scheme + "://" + rest
}

// LoopbackURI reports whether a URI is of this machine.
func LoopbackURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopback(u.Hostname())
}
