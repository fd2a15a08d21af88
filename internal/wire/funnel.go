package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
)

// Event is the one log line of a request. Handlers add to it; the funnel writes
// it. It never holds a secret: no query, no body, no header goes in.
type Event struct {
	RequestID string
	ClientID  string
	Grant     string // gid
	GrantType string // of an exchange that was answered; one of ours
	Outcome   string // of an exchange: done, retried, ahead
}

type eventKey struct{}

// EventOf is the event of a request that came through the funnel.
func EventOf(r *http.Request) *Event {
	if e, ok := r.Context().Value(eventKey{}).(*Event); ok {
		return e
	}
	return &Event{}
}

// IP is the address of the peer.
func IP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Funnel is the way in and the way out of every request: it gives it an id,
// finds the method, turns errors and panics into the face's answers and logs
// once.
type Funnel struct {
	Log *slog.Logger
	// Now times the request for the log.
	Now func() time.Time
	// Seen is told of each request after its answer; nil = nobody is.
	Seen func(Answered)
}

// Answered is what came of a request. Face and Endpoint are the route's own names.
type Answered struct {
	Face, Endpoint string
	Event          *Event
	Refusal        *oauth.Error // nil if it was served
	Took           time.Duration
}

// Mount adds a face's routes to the mux.
func (f Funnel) Mount(mux *http.ServeMux, face Face) {
	for _, route := range face.Routes {
		mux.Handle(route.Path, f.handler(face.Name, route))
	}
}

// Clean keeps requests whose path is spelt in another way than a route's from
// the mux: it would answer them by a redirect of its own, with the query, and so
// with whatever secret is in it, in the Location.
func (f Funnel) Clean(next http.Handler, render RenderError) http.Handler {
	notFound := f.handler("none", Route{Path: "unclean path", Render: render})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.EscapedPath() // which is what the mux looks at
		clean := path.Clean("/" + asked)
		if asked != clean && asked != clean+"/" && r.Method != http.MethodConnect {
			notFound.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f Funnel) handler(face string, route Route) http.Handler {
	allow := allowed(route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := f.Now()
		event := &Event{RequestID: rand.Text()}
		r = r.WithContext(context.WithValue(r.Context(), eventKey{}, event))
		out := &recorder{ResponseWriter: w}
		h := w.Header()
		h.Set("X-Request-Id", event.RequestID)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")

		err := serve(out, r, route, allow)
		var refusal *Refusal
		if err != nil {
			refusal = asRefusal(err)
			if out.status == 0 {
				route.Render(out, r, refusal)
			}
		}
		took := f.Now().Sub(start)
		f.log(r, face, route.Path, event, out.status, refusal, took)
		if f.Seen != nil {
			answered := Answered{Face: face, Endpoint: route.Path, Event: event, Took: took}
			if refusal != nil {
				answered.Refusal = refusal.Err
			}
			f.Seen(answered)
		}
	})
}

// serve runs the route's handler for the method; a panic becomes an error.
func serve(w http.ResponseWriter, r *http.Request, route Route, allow string) (err error) {
	defer func() {
		switch p := recover(); {
		case p == http.ErrAbortHandler: //nolint:errorlint // a recovered value, not a returned error
			panic(p)
		case p != nil:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if route.CORS != nil {
		if err := route.CORS.apply(w, r, allow); err != nil {
			return err
		}
	}
	if len(route.Methods) == 0 {
		return NotFound()
	}
	if h, ok := route.Methods[r.Method]; ok {
		return h(w, r)
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	refusal := httpError(http.StatusMethodNotAllowed, "This path takes "+allow+" only.")
	refusal.Allow = allow
	return refusal
}

func allowed(route Route) string {
	var methods []string
	for m := range route.Methods {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// apply sets the response headers of the Fetch standard's CORS protocol.
func (c *CORS) apply(w http.ResponseWriter, r *http.Request, allow string) error {
	h := w.Header()
	origin := "*"
	if c.Allowed != nil {
		h.Add("Vary", "Origin")
		if origin = r.Header.Get("Origin"); origin == "" {
			return nil
		}
		if ok, err := c.Allowed(r, origin); err != nil || !ok {
			return err
		}
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, WWW-Authenticate")
		return nil
	}
	if method := r.Header.Get("Access-Control-Request-Method"); method != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", c.Headers)
		h.Set("Access-Control-Max-Age", "600")
	}
	return nil
}

func asRefusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return httpError(http.StatusRequestEntityTooLarge, "The body must be at most 64 KiB.")
	}
	return &Refusal{Err: oauth.AsError(err)}
}

func (f Funnel) log(r *http.Request, face, endpoint string, e *Event, status int, refusal *Refusal, took time.Duration) {
	level, msg := slog.LevelInfo, "served"
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("face", face), slog.String("endpoint", endpoint), slog.String("method", method(r)),
		slog.Int("status", status), slog.String("request_id", e.RequestID), slog.Duration("took", took))
	for _, a := range []slog.Attr{slog.String("client", e.ClientID), slog.String("grant", e.Grant), slog.String("outcome", e.Outcome)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if refusal != nil {
		msg = "refused"
		attrs = append(attrs, slog.String("error", string(refusal.Err.Code)), slog.String("reason", refusal.Err.Reason))
		if refusal.Err.Fault() {
			level, msg = slog.LevelError, "failed"
			if r.Context().Err() != nil {
				// The client left; that is nobody's failure.
				level, msg = slog.LevelInfo, "abandoned"
			}
		}
		if cause := refusal.Err.Err; cause != nil {
			attrs = append(attrs, slog.String("cause", cause.Error()))
		}
	}
	f.Log.LogAttrs(r.Context(), level, msg, attrs...)
}

// method keeps what a client made up out of the log.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "other"
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
