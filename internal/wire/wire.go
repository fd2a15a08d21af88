// Package wire is what the faces share: the handler type, the one error funnel,
// limits, and readers and writers of forms and JSON. It knows no face, no engine
// and no store.
package wire

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
)

// Handler answers a request, or returns why not. The error reaches the route's
// RenderError through the funnel; if the handler has written an answer already (a
// form that is shown again), the error is for the log alone.
type Handler func(http.ResponseWriter, *http.Request) error

// RenderError writes a refusal or a fault in the face's own shape. It is the
// only place that knows the face's status codes.
type RenderError func(http.ResponseWriter, *http.Request, *Refusal)

// Refusal is an error on its way to the client. Status is 0 unless HTTP itself
// has a status for it (405, 413, 415, 404); the face decides otherwise.
type Refusal struct {
	Err    *oauth.Error
	Status int
	Allow  string // of a 405: the methods that there are
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Route is one path of a face.
type Route struct {
	// Path is a ServeMux pattern without a method.
	Path string
	// Methods are the handlers by method; without any, nothing is found there.
	// HEAD is served only if it is named: a GET with an effect must not run for it.
	Methods map[string]Handler
	Render  RenderError
	// CORS is nil for routes that no foreign page may read.
	CORS *CORS
}

// CORS is who may read a route's answers from a page of another origin.
// Credentials are never allowed: no route that has it looks at cookies to
// decide whose token it gives.
type CORS struct {
	// Allowed reports whether the origin may read; nil is all origins.
	Allowed func(r *http.Request, origin string) (bool, error)
	Headers string // request headers that a page may send
}

// Face is a wire dialect: a name for the log, and its routes.
type Face struct {
	Name   string
	Routes []Route
}

func httpError(status int, description string) *Refusal {
	return &Refusal{Err: oauth.Refuse(oauth.InvalidRequest, http.StatusText(status), description), Status: status}
}

// NotFound refuses a path that the face does not have.
func NotFound() error { return httpError(http.StatusNotFound, "There is nothing at this path.") }

// UnsupportedMediaType refuses a body of another media type than want.
func UnsupportedMediaType(want string) error {
	return httpError(http.StatusUnsupportedMediaType, "The body must be sent as "+want+".")
}
