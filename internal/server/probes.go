package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// probePatience is how long a probe waits for the store.
const probePatience = 3 * time.Second

// readiness is whether this node can make an exchange durable now, and is to be sent
// any.
type readiness struct {
	clock   *clock // nil if the time is handed in
	store   func(context.Context) error
	leaving atomic.Bool

	mu  sync.Mutex
	now *look
}

// look is one question to the store, for all who ask while it is under way.
type look struct {
	done chan struct{}
	err  error // once done
}

// errLeaving is no fault: the server was told to go.
var errLeaving = errors.New("the server is shutting down")

func (r *readiness) check(ctx context.Context) error {
	if r.leaving.Load() {
		return errLeaving
	}
	if r.clock != nil {
		if err := r.clock.ready(); err != nil {
			return err
		}
	}
	l := r.join(context.WithoutCancel(ctx))
	patience := time.NewTimer(probePatience)
	defer patience.Stop()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		return errors.New("the store does not answer")
	}
}

// join asks the store, unless somebody does already: a store that does not answer
// must not gather probes.
func (r *readiness) join(ctx context.Context) *look {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		l := &look{done: make(chan struct{})}
		r.now = l
		go func() {
			l.err = r.store(ctx)
			r.mu.Lock()
			r.now = nil
			r.mu.Unlock()
			close(l.done)
		}()
	}
	return r.now
}

// farewell ends each connection after its answer, once the server is leaving, so that
// its client asks elsewhere next time.
func (r *readiness) farewell(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req)
	})
}

// probes are what an orchestrator asks: livez is whether the process runs,
// readyz whether it can make an exchange durable now.
func probes(r *readiness) wire.Face {
	ok := func(w http.ResponseWriter) error {
		return wire.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	live := func(w http.ResponseWriter, _ *http.Request) error { return ok(w) }
	ready := func(w http.ResponseWriter, req *http.Request) error {
		switch err := r.check(req.Context()); {
		case err == nil:
			return ok(w)
		case errors.Is(err, errLeaving):
			return oauth.Unavailable("not ready: "+err.Error(), nil)
		default:
			return oauth.Unavailable("not ready", err)
		}
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
