package server

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// probes are what an orchestrator asks: livez is whether the process runs,
// readyz whether it can make an exchange durable now.
func probes(e *engine.Engine) wire.Face {
	ok := func(w http.ResponseWriter) error {
		return wire.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	live := func(w http.ResponseWriter, _ *http.Request) error { return ok(w) }
	ready := func(w http.ResponseWriter, r *http.Request) error {
		if err := e.Ready(r.Context()); err != nil {
			return oauth.Unavailable("not ready", err)
		}
		return ok(w)
	}
	both := func(h wire.Handler) map[string]wire.Handler {
		return map[string]wire.Handler{http.MethodGet: h, http.MethodHead: h}
	}
	return wire.Face{Name: "probe", Routes: []wire.Route{
		{Path: "/livez", Methods: both(live), Render: renderProbe},
		{Path: "/readyz", Methods: both(ready), Render: renderProbe},
		{Path: "/", Render: renderProbe},
	}}
}

// renderProbe answers for what belongs to no face.
func renderProbe(w http.ResponseWriter, _ *http.Request, refusal *wire.Refusal) {
	status := refusal.Status
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	wire.WriteOAuthError(w, status, refusal, "")
}
