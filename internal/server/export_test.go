package server

import (
	"context"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
)

// For tests outside of the package.
var (
	OpenOn       = openOn
	TrustProxies = trustProxies
	TLSAt        = tlsAt
)

// SetGoodbye shortens the time that requests have to end.
func (s *Server) SetGoodbye(d time.Duration) { s.goodbye = d }

// SendMail writes and sends one mail.
func (s *Server) SendMail(ctx context.Context, m engine.Mail) error { return s.sendMail(ctx, m) }
