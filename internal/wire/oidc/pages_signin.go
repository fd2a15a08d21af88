package oidc

import (
	"cmp"
	"math"
	"net/http"
	"strconv"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// failure is why a sign-in did not come about: keys of texts, for the form or for
// its fields.
type failure struct {
	status int
	form   string
	fields map[string]string
	says   map[string]string
	cause  error // for the log; nil if nothing was tried
}

// openSession signs in who has filled in the form, always with a new session, and
// gives the browser its cookies.
func (a *api) openSession(w http.ResponseWriter, r *http.Request, fields wire.Params, former *engine.Session, expired bool) (*engine.Session, *failure) {
	if expired {
		return nil, &failure{status: http.StatusBadRequest, form: "wrong.expired", cause: engine.ErrFormExpired}
	}
	missing := map[string]string{}
	for _, name := range []string{"username", "password"} {
		if fields[name] == "" {
			missing[name] = name + ".missing"
		}
	}
	if len(missing) > 0 {
		return nil, &failure{status: http.StatusBadRequest, fields: missing}
	}
	session, err := a.engine.SignIn(r.Context(), fields["username"], fields["password"], former, tracing(r))
	if err != nil {
		e := oauth.AsError(err)
		wire.SetRefusalHeaders(w, &wire.Refusal{Err: e})
		status, text, says := problem(e)
		return nil, &failure{status: status, form: text, says: says, cause: err}
	}
	// Both, as all pages of the issuer do: they must name one session.
	seconds := int((session.ExpiresAt - session.CreatedAt) / 1000)
	a.site.SetSession(w, session.Cookie, seconds)
	a.site.SetSilentSession(w, session.SilentCookie, seconds)
	return session, nil
}

// problem is what the form says of a sign-in that did not come about, with its
// status. says fills the text.
func problem(e *oauth.Error) (status int, key string, says map[string]string) {
	minutes := max(1, int(math.Ceil(e.RetryAfter.Minutes())))
	says = map[string]string{"minutes": strconv.Itoa(minutes)}
	switch {
	case e.Code == oauth.TemporarilyUnavailable && !e.Fault() && minutes == 1: // a limit
		return http.StatusTooManyRequests, "wrong.busy_minute", says
	case e.Code == oauth.TemporarilyUnavailable && !e.Fault():
		return http.StatusTooManyRequests, "wrong.busy_minutes", says
	case e.Code == oauth.TemporarilyUnavailable:
		return http.StatusServiceUnavailable, "wrong.unavailable", says
	case e.Fault():
		return http.StatusInternalServerError, "wrong.unavailable", says
	}
	return http.StatusUnauthorized, "sign_in.wrong", says
}

// signInForm asks for a name and a password; no failure is a fresh one.
func signInForm(action, sealed, username string, f *failure) *pages.Form {
	if f == nil {
		f = new(failure)
	}
	return &pages.Form{
		Action: action, Sealed: sealed, Submit: "sign_in.submit", ID: "login-submit", Problem: f.form,
		Fields: []pages.Field{
			{Name: "username", Type: "text", Label: "username", Autocomplete: "username", Value: username, Problem: f.fields["username"]},
			{Name: "password", Type: "password", Label: "password", Autocomplete: "current-password", Problem: f.fields["password"]},
		},
	}
}

// showSignIn asks the visitor to sign in. s is the session that will not do; nil if
// there is none. username is what was typed.
func (a *api) showSignIn(w http.ResponseWriter, r *http.Request, status int, v *visit, s *engine.Session, username string, failed *failure) error {
	texts, err := a.sealed(w, r, form{Act: actSignIn, Request: v.request}, form{Act: actCancel, Request: v.request})
	if err != nil {
		return err
	}
	p := pages.Page{
		Title: "sign_in.title", Lead: "sign_in.lead",
		Form:    signInForm(signInPath, texts[0], cmp.Or(username, suggested(v, s)), failed),
		Buttons: []pages.Button{{Action: signInPath, Sealed: texts[1], Text: "cancel", ID: "login-cancel"}},
	}
	if s != nil && !v.Prompt.Has(oauth.PromptSelectAccount) {
		p.Lead = "sign_in.again"
	}
	if failed != nil {
		p.Says = failed.says
	}
	return a.show(w, status, v, p)
}

// suggested is who will sign in, as far as one can tell; it is trusted in nothing.
func suggested(v *visit, s *engine.Session) string {
	if v.LoginHint != "" || s == nil || v.Hint != "" || v.Prompt.Has(oauth.PromptSelectAccount) {
		return v.LoginHint
	}
	return who(s).Email
}

// show shows a page of a visit.
func (a *api) show(w http.ResponseWriter, status int, v *visit, p pages.Page) error {
	p.Client, p.Language, p.FormTarget = v.Client(), v.language, v.RedirectURI()
	if v.request.Linked {
		p.Here = func(language string) string {
			params := known(v.request.Params)
			params["ui_locales"] = language
			return authorizePath + "?" + query(params)
		}
	}
	return a.site.Show(w, status, p)
}
