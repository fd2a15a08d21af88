package userdocks

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// The paths of the hosted pages. The SDK puts a query of its own behind
// LoginPath (contract §D); the other two are in mails.
const (
	LoginPath   = "/userdocks/login"
	confirmPath = "/userdocks/confirm"
	resetPath   = "/userdocks/reset"
	hostedPath  = "/userdocks/"
)

// hosted is the pages that people of the apps see.
type hosted struct {
	engine *engine.Engine
	site   *pages.Site
}

func (a *api) hostedRoutes() []wire.Route {
	h := &hosted{engine: a.engine, site: pages.New(a.engine.Issuer(), hostedPath, LoginPath, a.engine)}
	type methods = map[string]wire.Handler
	login := methods{http.MethodGet: h.login, http.MethodPost: h.submit(signIn, unauthenticated, logout, signUp, forgot, confirm, reset)}
	routes := []wire.Route{
		{Path: LoginPath, Render: h.renderError, Methods: login},
		{Path: LoginPath + "/{$}", Render: h.renderError, Methods: login},
		{Path: confirmPath, Render: h.renderError, Methods: methods{http.MethodGet: h.fromMail(confirm), http.MethodPost: h.submit(confirm)}},
		{Path: resetPath, Render: h.renderError, Methods: methods{http.MethodGet: h.fromMail(reset), http.MethodPost: h.submit(reset)}},
		{Path: hostedPath, Render: h.renderError},
	}
	routes = append(routes, h.site.Routes(h.renderError)...)
	return append(routes, workerRoutes()...)
}

// stage is a visit whose client is known and whose redirect URI is one of the
// client's. That of a visit by mail is one of ours: such a mail names none.
type stage struct {
	visit
	client *oauth.Client
	// destination is nil for visits by mail: they never go anywhere.
	destination *engine.Destination
	language    string            // of the page
	says        map[string]string // what its texts are filled with, if not by the page
	mails       bool              // what needs a mail can be offered
}

func (h *hosted) enter(r *http.Request, v visit) (*stage, error) {
	s := &stage{visit: v, language: pages.Language(r, v.Language), mails: h.engine.SendsMail()}
	if v.byMail() {
		client, err := h.engine.Client(r.Context(), Name, v.ClientID)
		if err != nil {
			return nil, err
		}
		if s.client = client; len(client.RedirectURIs) > 0 {
			s.RedirectURI = client.RedirectURIs[0]
		}
	} else {
		d, err := h.engine.Destination(r.Context(), Name, v.ClientID, oauth.TrimSlash(v.RedirectURI), sameRedirect)
		if err != nil {
			return nil, err
		}
		s.client, s.destination = d.Client(), d
	}
	wire.EventOf(r).ClientID = s.client.ID
	return s, nil
}

// login answers GET: it shows a form, or goes straight back to the app where a
// session or the wish to end it needs none.
func (h *hosted) login(w http.ResponseWriter, r *http.Request) error {
	v, params, err := decodeVisit(r)
	if err != nil {
		return err
	}
	s, err := h.enter(r, v)
	if err != nil {
		return err
	}
	if params["prompt"] == "none" {
		return h.silent(w, r, s, params)
	}
	// Before somebody types a password that would lead nowhere.
	if s.client.RequirePKCE && v.Challenge == "" && slices.Contains([]string{signIn, unauthenticated, signUp}, v.Type) {
		return invalid("challenge missing", "A code_challenge is required.")
	}
	switch v.Type {
	case signIn:
		code, state, err := h.resume(r, s)
		if err != nil {
			return err
		}
		if code != "" {
			redirect(w, callback(s.RedirectURI, code, state, s.ClientID))
			return nil
		}
	case logout:
		if err := h.endSession(r, h.site.Session(r), h.engine.Session); err != nil {
			return err
		}
		h.site.ClearSession(w)
	case confirm, reset:
		return h.showMailed(w, r, s)
	}
	return h.showForm(w, r, http.StatusOK, s, nil, nil)
}

// fromMail answers GET of a link in a mail.
func (h *hosted) fromMail(kind string) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := decodeMailed(r, kind)
		if err != nil {
			return err
		}
		s, err := h.enter(r, v)
		if err != nil {
			return err
		}
		return h.showMailed(w, r, s)
	}
}

// showMailed shows the form of a link that can be spent. It spends nothing:
// whatever scans mails follows links.
func (h *hosted) showMailed(w http.ResponseWriter, r *http.Request, s *stage) error {
	purpose := engine.PurposeConfirm
	if s.Type == reset {
		purpose = engine.PurposeReset
	}
	open, err := h.engine.LinkOpen(r.Context(), Name, s.ClientID, s.Hash, purpose)
	if err != nil {
		return err
	}
	if !open {
		return h.showDead(w, s)
	}
	return h.showForm(w, r, http.StatusOK, s, nil, nil)
}

// resume makes a code for the session that the browser has already; "" if it has
// none that counts.
func (h *hosted) resume(r *http.Request, s *stage) (code, state string, err error) {
	session, err := h.engine.Session(r.Context(), h.site.Session(r))
	if err != nil || session == nil {
		return "", "", err
	}
	code, state, err = h.code(r, s, session)
	if err != nil && oauth.AsError(err).Code == oauth.AccessDenied {
		return "", "", nil // it ended in between
	}
	return code, state, err
}

// code makes a code that goes back with a state: the visitor's, or one of ours,
// because the SDK would think one up and the code would not fit it.
func (h *hosted) code(r *http.Request, s *stage, session *engine.Session) (code, state string, err error) {
	if state = s.State; state == "" {
		state = rand.Text()
	}
	challenge, err := s.challenge()
	if err != nil {
		return "", "", err
	}
	code, err = h.engine.AuthorizeSession(r.Context(), session, s.destination, state, challenge, trace(r))
	return code, state, err
}

// endSession ends the session of a cookie, if it has one.
func (h *hosted) endSession(r *http.Request, cookie string, find func(context.Context, string) (*engine.Session, error)) error {
	session, err := find(r.Context(), cookie)
	if err != nil || session == nil {
		return err
	}
	return h.engine.EndSession(r.Context(), session, trace(r))
}

// submit answers POST of the forms of the kinds. A form that is not right is
// shown again, with what was typed but for passwords; the error that was the
// cause is returned for the log alone.
func (h *hosted) submit(kinds ...string) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var v visit
		fields, err := h.site.Open(w, r, &v)
		expired := errors.Is(err, engine.ErrFormExpired)
		if err != nil && !expired {
			return err
		}
		if !slices.Contains(kinds, v.Type) {
			return engine.ErrFormForeign
		}
		s, err := h.enter(r, v)
		if err != nil {
			return err
		}
		if expired {
			return h.showAgain(w, r, http.StatusBadRequest, s, fields, pages.Problems{pages.Whole: "wrong.expired"}, engine.ErrFormExpired)
		}
		step := steps[v.Type]
		if wrong := step.check(fields); len(wrong) > 0 {
			return h.showAgain(w, r, http.StatusBadRequest, s, fields, wrong, nil)
		}
		if err = step.do(h, w, r, s, fields); err == nil {
			return nil
		}
		e := oauth.AsError(err)
		switch problem := pages.PasswordProblem(err); {
		case problem != "": // what only the engine knows: it is the user's own address
			return h.showAgain(w, r, http.StatusBadRequest, s, fields, pages.Problems{"password": problem}, err)
		case e.Code == oauth.InvalidGrant && v.byMail():
			if err := h.showDead(w, s); err != nil {
				return err
			}
			return e
		case e.Code == oauth.InvalidClient, e.Code == oauth.InvalidRequest:
			return err
		}
		wire.SetRefusalHeaders(w, &wire.Refusal{Err: e})
		status, key, says := pages.Trouble(e)
		s.says = says
		return h.showAgain(w, r, status, s, fields, pages.Problems{pages.Whole: cmp.Or(key, "sign_in.refused")}, err)
	}
}

// doSignIn opens a session and goes back to the app with a code.
func (h *hosted) doSignIn(w http.ResponseWriter, r *http.Request, s *stage, fields wire.Params) error {
	ctx := r.Context()
	former, err := h.engine.FormerSession(ctx, h.site.Session(r))
	if err != nil {
		return err
	}
	session, err := h.engine.SignIn(ctx, fields["username"], fields["password"], former, trace(r))
	if err != nil {
		return err
	}
	code, state, err := h.code(r, s, session)
	if err != nil {
		return err
	}
	// Both cookies, whatever the app: they must name one session. Whether a frame
	// of the app may use the second one is judged there.
	seconds := int((session.ExpiresAt - session.CreatedAt) / 1000)
	h.site.SetSession(w, session.Cookie, seconds)
	h.site.SetSilentSession(w, session.SilentCookie, seconds)
	redirect(w, callback(s.RedirectURI, code, state, s.ClientID))
	return nil
}

// redirect sends the browser to an address of a stage, as the visitor wrote it:
// it has matched.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
