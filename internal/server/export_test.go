package server

import "time"

// For tests outside of the package.
var (
	OpenOn       = openOn
	TrustProxies = trustProxies
	TLSAt        = tlsAt
)

// SetGoodbye shortens the time that requests have to end.
func (s *Server) SetGoodbye(d time.Duration) { s.goodbye = d }
