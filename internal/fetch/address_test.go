package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		name  string
		want  bool
		addrs string
	}{
		{"public", true, "1.1.1.1 93.184.216.34 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 198.17.255.255 198.20.0.0 223.255.255.255"},
		{"public IPv6", true, "2606:4700:4700::1111 2a00:1450:4001::200e 2001:200::1 2003::1"},
		{"public, mapped (RFC 4291 §2.5.5.2)", true, "::ffff:1.1.1.1"},
		{"public, by NAT64 (RFC 6052)", true, "64:ff9b::1.1.1.1"},

		{"loopback", false, "127.0.0.1 127.255.255.254 ::1"},
		{"this network (RFC 1122 §3.2.1.3)", false, "0.0.0.0 0.1.2.3 ::"},
		{"private (RFC 1918)", false, "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1"},
		{"carrier-grade NAT (RFC 6598)", false, "100.64.0.1 100.127.255.255"},
		{"link-local, with the cloud's metadata", false, "169.254.169.254 169.254.0.1 fe80::1 fe80::1%eth0 febf::1"},
		{"unique local (RFC 4193)", false, "fc00::1 fd00:ec2::254"},
		{"site-local (RFC 3879)", false, "fec0::1"},
		{"multicast", false, "224.0.0.1 239.255.255.250 ff02::1 ff0e::1"},
		{"reserved and broadcast", false, "240.0.0.1 255.255.255.255"},
		{"protocol assignments (RFC 6890)", false, "192.0.0.1 192.0.0.192 2001:1::1"},
		{"documentation (RFC 5737, RFC 3849, RFC 9637)", false, "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1"},
		{"benchmarks (RFC 2544, RFC 5180)", false, "198.18.0.1 198.19.255.255 2001:2::1"},
		{"discard only (RFC 6666)", false, "100::1"},
		{"mapped", false, "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1 ::ffff:0.0.0.0"},
		{"IPv4-compatible (RFC 4291 §2.5.5.1)", false, "::127.0.0.1 ::1.1.1.1"},
		{"translated (RFC 2765 §2.1)", false, "::ffff:0:127.0.0.1"},
		{"NAT64", false, "64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1.1.1.1"},
		{"6to4 (RFC 7526)", false, "2002:7f00:1::1 2002:a00:1::1 2002:101:101::1 192.88.99.1"},
		{"Teredo (RFC 4380)", false, "2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2"},
		{"ORCHID (RFC 7343)", false, "2001:20::1"},
		{"with a zone", false, "2606:4700:4700::1111%eth0"},
	} {
		for s := range strings.SplitSeq(tt.addrs, " ") {
			a := netip.MustParseAddr(s)
			if got := public(a); got != tt.want {
				t.Errorf("%s: public(%s) is %v", tt.name, s, got)
			}
			in := New(Config{Loopback: true})
			if got, want := in.may(a), tt.want || a.Unmap().IsLoopback(); got != want {
				t.Errorf("%s: in development %s may be reached: %v", tt.name, s, got)
			}
			if New(Config{}).may(a) != tt.want {
				t.Errorf("%s: in production %s", tt.name, s)
			}
			// The same in a URI, where a zone is percent-encoded (RFC 6874).
			host := strings.ReplaceAll(s, "%", "%25")
			if a.Is6() {
				host = "[" + host + "]"
			}
			if err := New(Config{}).Check("https://" + host + "/"); (err == nil) != tt.want {
				t.Errorf("%s: Check(%s): %v", tt.name, host, err)
			}
		}
	}
}

// names is a DNS server that answers by what its function says.
func names(t *testing.T, asked *atomic.Int32, answer func(name string) []string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var size [2]byte // RFC 1035 §4.2.2
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
				reply := respond(query, answer)
				_, _ = server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		}()
		return client, nil
	}}
}

// respond answers the one question of query with all addresses of its type
// (RFC 1035 §4.1).
func respond(query []byte, answer func(string) []string) []byte {
	end, name := 12, ""
	for query[end] != 0 {
		name += string(query[end+1:end+1+int(query[end])]) + "."
		end += 1 + int(query[end])
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	var records []byte
	count := 0
	for _, s := range answer(name) {
		a := netip.MustParseAddr(s)
		if a.Is4() != (kind == 1) || a.Is6() != (kind == 28) {
			continue
		}
		records = append(records, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
		records = append(records, a.AsSlice()...)
		count++
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0}, query[12:end+5]...)
	return append(reply, records...)
}

// Whatever a URI's host is called and resolves to, nothing inside is connected to.
func TestNoConnectionInside(t *testing.T) {
	p := newPeer(t, (*httptest.Server).StartTLS, document)
	f := New(Config{RootCAs: p.trusting().secure.TLSClientConfig.RootCAs})
	var asked atomic.Int32
	f.resolver = names(t, &asked, func(string) []string {
		return []string{"127.0.0.1", "::1", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}
	})

	for _, host := range []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "localhost", "a.localhost", "localhost.",
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
	} {
		for _, scheme := range []string{"http://", "https://"} {
			if _, err := f.Get(t.Context(), scheme+host+p.port()); err == nil {
				t.Errorf("%s%s was fetched", scheme, host)
			}
			if _, err := f.Post(t.Context(), scheme+host+p.port(), nil); err == nil {
				t.Errorf("%s%s was posted to", scheme, host)
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d questions to the DNS about hosts that tell by themselves where they lead", n)
	}

	// A name that leads inside is good until it is dialled.
	uri := "https://rebind.example.com" + p.port()
	if err := f.Check(uri); err != nil || asked.Load() != 0 {
		t.Errorf("Check: %v, %d questions to the DNS", err, asked.Load())
	}
	for _, fetch := range []func() error{
		func() error { _, err := f.Get(t.Context(), uri); return err },
		func() error { _, err := f.Fresh(t.Context(), uri+"/fresh"); return err },
		func() error { _, err := f.Post(t.Context(), uri, nil); return err },
	} {
		if err := fetch(); !errors.Is(err, errRefused) {
			t.Errorf("error %v, want %v", err, errRefused)
		}
	}
	if asked.Load() == 0 {
		t.Error("the name was never resolved")
	}

	// The check of the dialler holds without that of the URI.
	for _, host := range []string{p.Listener.Addr().String(), "localhost" + p.port(), "[::ffff:127.0.0.1]" + p.port()} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.exchange(req, func(*http.Response) error { return nil }); !errors.Is(err, errRefused) {
			t.Errorf("%s: error %v, want %v", host, err, errRefused)
		}
	}
	p.wantUntouched(t)
}

// In development a name may lead to loopback, but to no other place inside, and
// what it did lead to says nothing about the next time.
func TestRebinding(t *testing.T) {
	p := newPeer(t, (*httptest.Server).StartTLS, document)
	f := p.trusting()
	var asked atomic.Int32
	leads := "127.0.0.1"
	f.resolver = names(t, &asked, func(string) []string { return []string{leads} })
	uri := "https://example.com" + p.port() // the certificate's name
	if _, err := f.Get(t.Context(), uri); err != nil {
		t.Fatal(err)
	}
	for _, leads = range []string{"169.254.169.254", "10.0.0.1", "fd00::1"} {
		if _, err := f.Get(t.Context(), uri+"/"+leads); !errors.Is(err, errRefused) {
			t.Errorf("%s: error %v, want %v", leads, err, errRefused)
		}
	}
	leads = "10.0.0.1"
	if _, err := f.Fresh(t.Context(), uri); !errors.Is(err, errRefused) {
		t.Errorf("the same URI again: error %v, want %v", err, errRefused)
	}
	// http is for loopback, whatever parse let in.
	for _, host := range []string{"1.1.1.1", "10.0.0.1"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.exchange(req, func(*http.Response) error { return nil }); !errors.Is(err, errRefused) {
			t.Errorf("http to %s: error %v, want %v", host, err, errRefused)
		}
	}
	f.resolver = names(t, &asked, func(string) []string { return nil })
	if _, err := f.Get(t.Context(), "https://nowhere.example.com/"); !errors.Is(err, errName) {
		t.Errorf("a name without an address: error %v, want %v", err, errName)
	}
}

func TestErrorsHideWhatAURIHolds(t *testing.T) {
	f := New(Config{})
	for _, uri := range []string{
		"https://user:hunter2@client.example.com/", "https://hunter2:x@10.0.0.1/", "https://10.0.0.1/?token=hunter2", "http://client.example.com/hunter2",
		"https://client.example.com/#hunter2 ", "https://[hunter2/", "https://client.example.com:hunter2/", "hunter2:// /", "https://user:hunter2@[::1",
	} {
		_, errGet := f.Get(t.Context(), uri)
		_, errPost := f.Post(t.Context(), uri, nil)
		for _, err := range []error{f.Check(uri), errGet, errPost} {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: error %v", uri, err)
			}
		}
	}
}
