package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// trustProxies gives a request that comes through known proxies the address of who
// sent it to the outermost of them. What stands further left in X-Forwarded-For was
// written by that client, who can write anything.
func trustProxies(known []netip.Prefix, next http.Handler) http.Handler {
	if len(known) == 0 {
		return next
	}
	isProxy := func(ip netip.Addr) bool {
		return slices.ContainsFunc(known, func(p netip.Prefix) bool { return p.Contains(ip.Unmap().WithZone("")) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !isProxy(at.Addr()) {
			next.ServeHTTP(w, r)
			return
		}
		client := at.Addr()
		for _, hop := range slices.Backward(strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")) {
			ip, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break
			}
			if client = ip; !isProxy(ip) {
				break
			}
		}
		told := *r
		told.RemoteAddr = net.JoinHostPort(client.Unmap().String(), "0")
		next.ServeHTTP(w, &told)
	})
}
