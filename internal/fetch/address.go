package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
)

func prefixes(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

var (
	// notPublic are the IPv4 blocks that lead inside, or nowhere (RFC 6890 and
	// the registry that it began).
	notPublic = prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	)
	// Of IPv6, only global unicast is public at all, and not all of that: not the
	// protocol assignments (Teredo, benchmarks, ORCHID), documentation and 6to4.
	global     = netip.MustParsePrefix("2000::/3")
	notPublic6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	// nat64 is how a host without IPv4 reaches it (RFC 6052 §2.1).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func public(a netip.Addr) bool {
	if a = a.Unmap(); nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	if a.Is4() {
		return !slices.ContainsFunc(notPublic, within)
	}
	return global.Contains(a) && !slices.ContainsFunc(notPublic6, within)
}

func loopback(a netip.Addr) bool { return a.Unmap().IsLoopback() }

// may says whether an address may be reached.
func (f *Fetcher) may(a netip.Addr) bool { return public(a) || f.loopback && loopback(a) }

// transport connects to addresses that may be reached, once per exchange.
func (f *Fetcher) transport(may func(netip.Addr) bool, roots *x509.CertPool) *http.Transport {
	// Control sees the address that the socket is about to connect to, after
	// all resolving: between this check and the packet nothing can change.
	control := func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !may(to.Addr()) {
			return errRefused
		}
		return nil
	}
	return &http.Transport{
		// No Proxy: the one of the environment would do the dialling for us.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			d := net.Dialer{Control: control, Resolver: f.resolver}
			return d.DialContext(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
	}
}

var (
	errRefused = errors.New("the address is not a public one")
	errLate    = errors.New("no complete answer in time")
	errName    = errors.New("the host name does not resolve")
	errConnect = errors.New("no connection")
	errExpired = errors.New("the certificate has expired or is not valid yet")
	errOther   = errors.New("the certificate is for another host")
	errTrust   = errors.New("the certificate is not trusted")
	errAnswer  = errors.New("the connection broke, or its answer is not HTTP over TLS")
)

// why names the check behind an error of net, crypto/tls or net/http. Those are
// not passed on as they are: some quote what the peer sent.
func why(err error) error {
	var (
		name        *net.DNSError
		op          *net.OpError
		certificate *tls.CertificateVerificationError
		other       x509.HostnameError
		invalid     x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, errRefused):
		return errRefused
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return errLate
	case errors.As(err, &name):
		return errName
	case errors.As(err, &other):
		return errOther
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errExpired
	case errors.As(err, &certificate):
		return errTrust
	case errors.As(err, &op) && op.Op == "dial":
		return errConnect
	}
	return errAnswer
}
