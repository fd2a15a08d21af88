package fetch

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// What is wrong with a URI, in words that continue "the URI".
var (
	errLong     = errors.New("must be at most 2048 characters")
	errASCII    = errors.New("must be visible ASCII")
	errAbsolute = errors.New("must be absolute, like https://client.example.com/keys")
	errFragment = errors.New("must not have a fragment")
	errUserinfo = errors.New("must not contain user information")
	errPort     = errors.New("must have a port from 1 to 65535, or none")
	errHost     = errors.New("must name its host by a DNS name or an IP address in its usual form")
	errHTTPS    = errors.New("must be https")
	errInside   = errors.New("must not lead to an address that is not public")
)

// parse reads a URI that may be asked for. A name is judged again, by what it
// resolves to, when it is dialled.
func (f *Fetcher) parse(uri string) (*url.URL, error) {
	if len(uri) > maxURI {
		return nil, errLong
	}
	for i := range len(uri) {
		if uri[i] <= 0x20 || uri[i] >= 0x7f {
			return nil, errASCII
		}
	}
	u, err := url.Parse(uri)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return nil, errAbsolute
	}
	host, inside := u.Hostname(), false
	if ip, err := netip.ParseAddr(host); err == nil {
		if !f.may(ip) {
			return nil, errInside
		}
		inside = loopback(ip)
	} else {
		if !dnsName(host) {
			return nil, errHost
		}
		name := strings.ToLower(host)
		inside = name == "localhost" || strings.HasSuffix(name, ".localhost") // RFC 6761 §6.3
	}
	switch {
	case strings.Contains(uri, "#"):
		return nil, errFragment
	case u.User != nil:
		return nil, errUserinfo
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !port(u.Port()):
		return nil, errPort
	case inside && !f.loopback:
		return nil, errInside
	case u.Scheme == "https" || u.Scheme == "http" && inside:
		return u, nil
	}
	return nil, errHTTPS
}

func port(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// dnsName: labels of letters, digits, '-' and '_', the last one not a number,
// since resolvers of C take 127.1, 0x7f000001 and 2130706433 for addresses.
func dnsName(host string) bool {
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			c := label[i] | 0x20
			if (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
		last = label
	}
	_, err := strconv.ParseUint(last, 0, 64)
	return err != nil && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(strings.ToLower(last), "0x")
}
