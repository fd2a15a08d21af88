package server

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// noticesEvery is how often a node looks for logouts that others have left.
const noticesEvery = 5 * time.Second

// runNotices tells clients of logouts until ctx is done.
func (s *Server) runNotices(ctx context.Context) {
	s.Engine.RunNotices(ctx, noticesEvery, oidc.LogoutToken, s.PostLogout, func(err error) {
		s.log.Warn("logout notice", "err", err)
	})
}

// PostLogout tells a client of a logout (OpenID Connect Back-Channel Logout §2.5,
// §2.8): 200 is yes, and so is every other success.
func (s *Server) PostLogout(ctx context.Context, n engine.LogoutNotice) error {
	status, err := s.fetch.Post(ctx, n.URI, url.Values{"logout_token": {n.Token}})
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("the client answered %d", status)
	}
	return err
}
