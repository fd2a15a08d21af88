package pages

import (
	"crypto/rand"
	"encoding/json"
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// SealedField is the name of the hidden input that holds what a form carries.
const SealedField = "form"

// bindingAge is how long the browser keeps its half of a form. It is longer than
// forms last, so that whoever comes too late is told that, and not that the form
// is somebody else's.
const bindingAge = 60 * 60

// Seal makes the text of a form that is about v, for this browser: it gives the
// browser a cookie, unless it has one, that the text counts with only. A form
// that was fetched elsewhere is worth nothing here, so nobody can be signed in
// under a name that is not his (login CSRF).
func (s *Site) Seal(w http.ResponseWriter, r *http.Request, v any) (string, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return s.sealer.SealForm(payload, s.binding(w, r)), nil
}

// binding is the browser's half of its forms. All forms of a page share the cookie
// that the first one has set.
func (s *Site) binding(w http.ResponseWriter, r *http.Request) string {
	for _, c := range (&http.Response{Header: w.Header()}).Cookies() {
		if c.Name == s.name(formCookie) {
			return c.Value
		}
	}
	binding := s.cookie(r, formCookie)
	if binding == "" || len(binding) > 64 {
		binding = rand.Text()
	}
	s.set(w, formCookie, binding, bindingAge)
	return binding
}

// Open reads a posted form and what it is about into v. Refusals: those of a
// cross-origin request, of a body that is no form, and of the sealer; where the
// sealer has refused a form for its age, v and the fields are filled all the same.
func (s *Site) Open(w http.ResponseWriter, r *http.Request, v any) (wire.Params, error) {
	if err := s.sameOrigin(r); err != nil {
		return nil, err
	}
	if wire.MediaType(r) != wire.FormType {
		return nil, wire.UnsupportedMediaType(wire.FormType)
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	fields, err := wire.ParseParams(string(body))
	if err != nil {
		return nil, err
	}
	payload, err := s.sealer.OpenForm(fields[SealedField], s.cookie(r, formCookie))
	if payload != nil {
		if e := json.Unmarshal(payload, v); e != nil {
			return nil, e
		}
	}
	return fields, err
}

// sameOrigin refuses what a page of another site has sent. A browser that has no
// Sec-Fetch-Site tells by Origin, and there our own Referrer-Policy makes it say
// null (Fetch §3.1); then the form's cookie decides alone.
func (s *Site) sameOrigin(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return nil
	}
	if err := s.guard.Check(r); err != nil {
		return oauth.Refuse(oauth.AccessDenied, "form: cross-origin", "The form was sent by a page of another site.")
	}
	return nil
}

// Names of cookies; see name.
const (
	formCookie    = "ts_form"
	sessionCookie = "ts"
	silentCookie  = "ts_silent"
)

// name: on https the prefix keeps other hosts of the domain from planting the
// cookie (RFC 6265bis §4.1.3). The silent one has a path, which the prefix
// forbids.
func (s *Site) name(cookie string) string {
	if s.https && cookie != silentCookie {
		return "__Host-" + cookie
	}
	return cookie
}

func (s *Site) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(s.name(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// set writes a cookie; an age below 0 takes it away.
func (s *Site) set(w http.ResponseWriter, name, value string, age int) {
	c := &http.Cookie{
		Name: s.name(name), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: s.https, SameSite: http.SameSiteLaxMode,
	}
	if name == silentCookie {
		// Frames on other sites get it; browsers take SameSite=None with Secure
		// only, and take Secure from a loopback address too.
		c.Path, c.Secure, c.SameSite = s.silent, true, http.SameSiteNoneMode
	}
	http.SetCookie(w, c)
}

// Session is the cookie of the browser's session; "" if it has none.
func (s *Site) Session(r *http.Request) string { return s.cookie(r, sessionCookie) }

// SilentSession is the session's cookie for embedded pages.
func (s *Site) SilentSession(r *http.Request) string { return s.cookie(r, silentCookie) }

// SetSession gives the browser the cookie of its session, for so many seconds.
func (s *Site) SetSession(w http.ResponseWriter, value string, seconds int) {
	s.set(w, sessionCookie, value, seconds)
}

// SetSilentSession gives the browser the cookie for embedded pages.
func (s *Site) SetSilentSession(w http.ResponseWriter, value string, seconds int) {
	s.set(w, silentCookie, value, seconds)
}

// ClearSession takes both cookies away.
func (s *Site) ClearSession(w http.ResponseWriter) {
	s.set(w, sessionCookie, "", -1)
	s.set(w, silentCookie, "", -1)
}
