package fetch

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, uri   string
		want, inDev error
	}{
		{"a name", "https://client.example.com/keys?a=b", nil, nil},
		{"a port", "https://client.example.com:8443", nil, nil},
		{"upper case", "HTTPS://Client.Example.COM/", nil, nil},
		{"a public address", "https://1.1.1.1/", nil, nil},
		{"a label with digits only, but not the last", "https://1.example/", nil, nil},
		{"the longest", "https://a.example/" + strings.Repeat("x", maxURI-18), nil, nil},

		{"too long", "https://a.example/" + strings.Repeat("x", maxURI-17), errLong, errLong},
		{"nothing", "", errAbsolute, errAbsolute},
		{"relative", "/keys", errAbsolute, errAbsolute},
		{"without a scheme", "//client.example.com/", errHTTPS, errHTTPS},
		{"opaque", "https:client.example.com", errAbsolute, errAbsolute},
		{"no host", "https:///keys", errAbsolute, errAbsolute},
		{"a port without a host", "https://:443/", errAbsolute, errAbsolute},
		{"http", "http://client.example.com/", errHTTPS, errHTTPS},
		{"http to a public address", "http://1.1.1.1/", errHTTPS, errHTTPS},
		{"a file", "file:///etc/passwd", errAbsolute, errAbsolute},
		{"a file at a host", "file://client.example.com/etc/passwd", errHTTPS, errHTTPS},
		{"gopher", "gopher://client.example.com/", errHTTPS, errHTTPS},
		{"a fragment", "https://client.example.com/#x", errFragment, errFragment},
		{"an empty fragment", "https://client.example.com/#", errFragment, errFragment},
		{"userinfo", "https://user:hunter2@client.example.com/", errUserinfo, errUserinfo},
		{"userinfo that looks like the host", "https://client.example.com@evil.example/", errUserinfo, errUserinfo},
		{"port 0", "https://client.example.com:0/", errPort, errPort},
		{"port 65536", "https://client.example.com:65536/", errPort, errPort},
		{"an empty port", "https://client.example.com:/", errPort, errPort},
		{"a port by name", "https://client.example.com:https/", errAbsolute, errAbsolute},
		{"a space", "https://client.example.com/a b", errASCII, errASCII},
		{"a line end", "https://client.example.com/\r\nHost: x", errASCII, errASCII},
		{"an IDN not in its ASCII form", "https://clïent.example/", errASCII, errASCII},
		{"an encoded host", "https://%6cocalhost/", errAbsolute, errAbsolute},
		{"a host encoded to something else than ASCII", "https://%e2%93%9bocalhost/", errHost, errHost},
		{"an empty label", "https://client..example/", errHost, errHost},
		{"a final dot", "https://client.example./", errHost, errHost},
		{"a star", "https://*.example/", errHost, errHost},
		{"an address of three numbers", "https://127.0.1/", errHost, errHost},
		{"an address of two", "https://127.1/", errHost, errHost},
		{"an address of one", "https://2130706433/", errHost, errHost},
		{"hexadecimal", "https://0x7f000001/", errHost, errHost},
		{"hexadecimal, beyond 64 bits", "https://0xffffffffffffffffff7f000001/", errHost, errHost},
		{"octal", "https://0177.0.0.1/", errHost, errHost},
		{"the last part in hexadecimal", "https://127.0.0.0x1/", errHost, errHost},
		{"a private address", "https://10.0.0.1/", errInside, errInside},
		{"the cloud's metadata", "http://169.254.169.254/latest/meta-data/", errInside, errInside},
		{"unspecified", "https://0.0.0.0/", errInside, errInside},

		{"loopback", "https://127.0.0.1/", errInside, nil},
		{"loopback by http", "http://127.0.0.1:8080/keys", errInside, nil},
		{"IPv6 loopback", "http://[::1]:8080/", errInside, nil},
		{"mapped loopback", "http://[::ffff:127.0.0.1]/", errInside, nil},
		{"localhost", "http://localhost:8080/", errInside, nil},
		{"LOCALHOST", "https://LOCALHOST/", errInside, nil},
		{"below localhost (RFC 6761 §6.3)", "http://a.localhost/", errInside, nil},
		{"only like localhost", "http://notlocalhost/", errHTTPS, errHTTPS},
		{"localhost with a dot", "https://localhost./", errHost, errHost},
		{"another scheme at loopback", "ftp://127.0.0.1/", errInside, errHTTPS},
	} {
		if got := New(Config{}).Check(tt.uri); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := New(Config{Loopback: true}).Check(tt.uri); got != tt.inDev {
			t.Errorf("%s in development: %v, want %v", tt.name, got, tt.inDev)
		}
	}
}

// What is accepted in production is https to a public address or to a name, and
// what is dialled is the host that was judged.
func FuzzCheck(f *testing.F) {
	for _, uri := range []string{
		"https://client.example.com:8443/keys?a=b", "https://[2606:4700:4700::1111]/", "https://[::ffff:127.0.0.1]/", "https://127.1/",
		"https://a@b/", "https://[fe80::1%25eth0]/", "http://localhost/", "https://%6c/", "https:///", "https://a.example/#x",
	} {
		f.Add(uri)
	}
	outside, inside := New(Config{}), New(Config{Loopback: true})
	f.Fuzz(func(t *testing.T, uri string) {
		if outside.Check(uri) != nil {
			return
		}
		if err := inside.Check(uri); err != nil {
			t.Errorf("%q is refused in development only: %v", uri, err)
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" || u.User != nil || len(uri) > maxURI || strings.ContainsAny(uri, "# ") {
			t.Fatalf("%q was accepted", uri)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !public(a) || strings.EqualFold(u.Hostname(), "localhost") {
			t.Errorf("%q leads inside", uri)
		}
		if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host {
			t.Errorf("%q is sent to another host", uri)
		}
	})
}
