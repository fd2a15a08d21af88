package oidc

import (
	"cmp"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// failure is why a form has not done what it is for.
type failure struct {
	status int
	wrong  pages.Problems
	says   map[string]string
	cause  error // for the log; nil if nothing was tried
}

// unready is the failure of a form that had been open for too long, or has something
// wrong with it; nil if it can be tried.
func unready(expired bool, wrong pages.Problems) *failure {
	switch {
	case expired:
		return &failure{status: http.StatusBadRequest, wrong: pages.Problems{pages.Whole: "wrong.expired"}, cause: engine.ErrFormExpired}
	case len(wrong) > 0:
		return &failure{status: http.StatusBadRequest, wrong: wrong}
	}
	return nil
}

// trouble is the failure by a limit or a fault; nil if it was neither.
func trouble(w http.ResponseWriter, err error) *failure {
	e := oauth.AsError(err)
	status, text, says := pages.Trouble(e)
	if text == "" {
		return nil
	}
	wire.SetRefusalHeaders(w, &wire.Refusal{Err: e})
	return &failure{status: status, wrong: pages.Problems{pages.Whole: text}, says: says, cause: err}
}

// openSession signs in who has filled in the form, always with a new session, and
// gives the browser its cookies.
func (a *api) openSession(w http.ResponseWriter, r *http.Request, fields wire.Params, former *engine.Session, expired bool) (*engine.Session, *failure) {
	missing := pages.Problems{}
	for _, name := range []string{"username", "password"} {
		if fields[name] == "" {
			missing.Add(name, name+".missing")
		}
	}
	if failed := unready(expired, missing); failed != nil {
		return nil, failed
	}
	session, err := a.engine.SignIn(r.Context(), fields["username"], fields["password"], former, tracing(r))
	if err != nil {
		wrong := &failure{status: http.StatusUnauthorized, wrong: pages.Problems{pages.Whole: "sign_in.wrong"}, cause: err}
		return nil, cmp.Or(trouble(w, err), wrong)
	}
	// Both, as all pages of the issuer do: they must name one session.
	seconds := int((session.ExpiresAt - session.CreatedAt) / 1000)
	a.site.SetSession(w, session.Cookie, seconds)
	a.site.SetSilentSession(w, session.SilentCookie, seconds)
	return session, nil
}

// showForm shows a page with a form, as it was typed and with what is wrong with it;
// nil is a fresh one. It returns the failure's cause.
func (a *api) showForm(w http.ResponseWriter, p pages.Page, typed wire.Params, f *failure) error {
	if f == nil {
		f = &failure{status: http.StatusOK}
	}
	p.Form.Fill(typed, f.wrong)
	if f.says != nil {
		p.Says = f.says
	}
	return cmp.Or(a.site.Show(w, f.status, p), f.cause)
}

// signInForm asks for a name and a password.
func signInForm(action, sealed string) *pages.Form {
	return &pages.Form{
		Action: action, Sealed: sealed, Submit: "sign_in.submit", ID: "login-submit",
		Fields: []pages.Field{
			{Name: "username", Type: "text", Label: "username", Autocomplete: "username"},
			{Name: "password", Type: "password", Label: "password", Autocomplete: "current-password"},
		},
	}
}

// showSignIn asks the visitor to sign in. s is the session that will not do; nil if
// there is none. typed is what was typed before it failed.
func (a *api) showSignIn(w http.ResponseWriter, r *http.Request, v *visit, s *engine.Session, typed wire.Params, f *failure) error {
	texts, err := a.sealed(w, r, form{Act: actSignIn, Request: v.request}, form{Act: actCancel, Request: v.request}, form{Act: actForgot, Request: v.request})
	if err != nil {
		return err
	}
	p := pages.Page{
		Title: "sign_in.title", Lead: "sign_in.lead", Form: signInForm(signInPath, texts[0]),
		Buttons: append([]pages.Button{{Action: signInPath, Sealed: texts[1], Text: "cancel", ID: "login-cancel"}}, a.forgotButton(texts[2])...),
	}
	if s != nil && !v.Prompt.Has(oauth.PromptSelectAccount) {
		p.Lead = "sign_in.again"
	}
	if typed["username"] == "" {
		typed = wire.Params{"username": suggested(v, s)}
	}
	return a.showForm(w, v.page(p), typed, f)
}

// suggested is who will sign in, as far as one can tell; it is trusted in nothing.
func suggested(v *visit, s *engine.Session) string {
	if v.LoginHint != "" || s == nil || v.Hint != "" || v.Prompt.Has(oauth.PromptSelectAccount) {
		return v.LoginHint
	}
	return who(s).Email
}

// page is a page of a visit.
func (v *visit) page(p pages.Page) pages.Page {
	p.Client, p.Language, p.FormTarget = v.Client(), v.language, v.RedirectURI()
	if v.request.Linked {
		p.Here = func(language string) string {
			params := known(v.request.Params)
			params["ui_locales"] = language
			return authorizePath + "?" + query(params)
		}
	}
	return p
}
