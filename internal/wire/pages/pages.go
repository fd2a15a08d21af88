// Package pages is what the hosted pages of all faces look like and how they are
// served: one layout and its parts, one stylesheet, the texts in en and de, the
// headers, the cookies, and forms that cannot be submitted from elsewhere. A face
// says what stands on a page; it writes no HTML. The pages work without
// JavaScript and hold none.
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

// Site is the hosted pages of one issuer, as one face shows them.
type Site struct {
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

// Page is one page: a heading, what it says, a form or a link to go on by.
// Strings that are named after a text are keys of the catalogues; the others are
// shown as they are, and may be hostile.
type Page struct {
	// Client is whose page it is: its name, its logo, its terms. Nil on error
	// pages, where nothing is known for sure.
	Client *oauth.Client
	// Language is the tag of a catalogue; see [Language].
	Language string
	Title    string
	Lead     string
	More     string // below the lead, less loud
	// Says fills {placeholders} of the texts. {client} is always there.
	Says map[string]string

	ID    string // of the box: oauth-error, or none
	Note  Note   // something good to know, above the rest
	Form  *Form
	Go    Link   // the one thing to do next where there is no form
	Links []Link // other ways
	// Here is the address of the same page in another language; nil if it has none.
	Here func(language string) string

	// Detail is for whoever builds the client: the plain English of a refusal.
	Detail    string
	RequestID string

	// FormTarget is the origin that a submitted form may end up at by redirects;
	// browsers hold form-action against each hop.
	FormTarget string
}

// Note is a message that the page announces; it is nothing if Text is "".
type Note struct {
	Text string
	ID   string
	Bad  bool
}

// Link leads away from a page.
type Link struct {
	Text string
	Href string
	ID   string
}

// Form is a form with one button to submit it.
type Form struct {
	Action  string
	Sealed  string // from [Site.Seal]
	Fields  []Field
	Submit  string
	ID      string // of the button
	Cancel  Link
	Problem string // what is wrong with all of it
}

// Field is an input.
type Field struct {
	Name         string
	Type         string // email, text, password, checkbox, trap
	Label        string
	Link         Link // what {link} in a checkbox's label leads to
	Hint         string
	Value        string
	Checked      bool
	Autocomplete string
	Optional     bool
	Problem      string
}

// Wrong reports whether anything on the form is.
func (f *Form) Wrong() bool {
	if f.Problem != "" {
		return true
	}
	for _, field := range f.Fields {
		if field.Problem != "" {
			return true
		}
	}
	return false
}

// Show writes a page, whole or not at all.
func (s *Site) Show(w http.ResponseWriter, status int, p Page) error {
	body, err := s.render(p)
	if err != nil {
		return err
	}
	policy := "default-src 'none'; style-src 'self'; img-src 'self'"
	if p.Client != nil {
		policy += source(oauth.Origin(p.Client.LogoURI))
	}
	policy += "; form-action 'self'" + source(p.FormTarget) + "; frame-ancestors 'none'; base-uri 'none'"
	h := w.Header()
	h.Set("X-Frame-Options", "DENY")
	head(h, policy)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader may be gone
	return nil
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
