// Package pages is what the hosted pages of all faces look like and how they are
// served: one layout and its parts, one stylesheet, the texts in en and de, the
// headers, the cookies, and forms that cannot be submitted from elsewhere. A face
// says what stands on a page; it writes no HTML. The pages work without
// JavaScript; the two that hold a line of it are there to hand something on.
package pages

import (
	"net/http"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// Sealer makes and opens what a form carries; see the engine.
type Sealer interface {
	SealForm(payload []byte, binding string) string
	OpenForm(text, binding string) ([]byte, error)
}

// Site is the hosted pages of one issuer, as one face shows them. Sites of the
// same issuer share their cookies: who signs in on one is signed in on all.
type Site struct {
	// Popups lets apps open the pages in a window and wait for its end there. A
	// page that isolates itself from whoever has opened it would look closed to
	// the app (HTML §7.1.3, Cross-Origin-Opener-Policy).
	Popups bool

	static string // the path below which the stylesheet and the mark are served
	silent string // the path that the cookie of embedded pages is sent to
	https  bool
	sealer Sealer
	guard  *http.CrossOriginProtection
}

// New makes the pages of an issuer. Whether they are reached by https is told by
// the issuer's URL and never by a request, which may have passed a proxy. static
// is a path like "/userdocks/"; silent is the path of the embedded pages.
func New(issuer, static, silent string, sealer Sealer) *Site {
	s := &Site{
		static: static, silent: silent, sealer: sealer,
		https: strings.HasPrefix(issuer, "https://"),
		guard: http.NewCrossOriginProtection(),
	}
	if origin := oauth.Origin(issuer); origin != "" {
		// A proxy may show us another Host than the browser knows. An issuer that
		// is no URL trusts nothing more.
		_ = s.guard.AddTrustedOrigin(origin)
	}
	return s
}

// Show writes a page, whole or not at all.
func (s *Site) Show(w http.ResponseWriter, status int, p Page) error {
	body, err := s.view(p).render()
	if err != nil {
		return err
	}
	s.head(w.Header(), policy(p.Client)+"; form-action 'self'"+onwards(p.FormTarget))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader may be gone
	return nil
}

// policy begins the Content-Security-Policy of a page of a client.
func policy(c *oauth.Client) string {
	images := " 'self'"
	if c != nil {
		images += source(oauth.Origin(c.LogoURI))
	}
	return "default-src 'none'; style-src 'self'; img-src" + images
}

// head sets the headers of a page that nobody may frame; policy lacks what is the
// same for all of them.
func (s *Site) head(h http.Header, policy string) {
	head(h, policy+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	if s.Popups {
		h.Set("Cross-Origin-Opener-Policy", "unsafe-none")
	}
}

func head(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// source is an origin as one more source of a policy, with its space; "" unless
// it is plain, because a host of a URL may hold what ends a directive.
func source(origin string) string {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != "https" && scheme != "http" || host == "" ||
		strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]_") != "" {
		return ""
	}
	return " " + origin
}

// target is the place that a redirect URI leads to, as a source: an origin, or the
// scheme of a native app (RFC 8252 §7.1), which has a dot, so that it is none that a
// browser means something by.
func target(uri string) string {
	scheme, _, ok := strings.Cut(uri, ":")
	if ok && strings.Contains(scheme, ".") && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" {
		return " " + scheme + ":"
	}
	return source(oauth.Origin(uri))
}

// onwards is where a form may end up that leads to a redirect URI. Chromium holds
// form-action against every hop of the redirects that a submitted form ends in, and
// a client's callback may lead on to another of its origins: a policy that names the
// one alone would leave people on our page. So all of https may follow, and from this
// machine every port of it.
func onwards(uri string) string {
	switch to := target(uri); {
	case strings.HasPrefix(to, " https:"):
		return to + " https:"
	case strings.HasPrefix(to, " http:"):
		return to + " https: http://localhost:* http://127.0.0.1:*"
	default:
		return to
	}
}

// Routes are the files that the pages need.
func (s *Site) Routes(render wire.RenderError) []wire.Route {
	return []wire.Route{
		file(s.static+"style.css", "static/style.css", "text/css; charset=utf-8", render),
		file(s.static+"mark.svg", "static/mark.svg", "image/svg+xml", render),
	}
}

func file(path, name, mediaType string, render wire.RenderError) wire.Route {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the binary
	}
	serve := func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", mediaType)
		// Its address names its content, so it never changes.
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Security-Policy", "default-src 'none'")
		_, _ = w.Write(content)
		return nil
	}
	return wire.Route{Path: path, Render: render, Methods: map[string]wire.Handler{
		http.MethodGet: serve, http.MethodHead: serve,
	}}
}
