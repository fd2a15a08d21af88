package oidc

import (
	"cmp"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// What the forms of the account page do.
const (
	actAccountSignIn act = "sign in to account"
	actSignOut       act = "sign out of account"
	actRevoke        act = "revoke access"
	actEndSession    act = "end session"
)

// account answers GET /account: where the user is signed in, and what he has let
// clients have.
func (a *api) account(w http.ResponseWriter, r *http.Request) error {
	session, err := a.engine.Session(r.Context(), a.site.Session(r))
	if err != nil {
		return err
	}
	if session == nil {
		return a.showAccountSignIn(w, r, nil, nil)
	}
	return a.showAccount(w, r, http.StatusOK, session, pages.Note{})
}

func (a *api) showAccountSignIn(w http.ResponseWriter, r *http.Request, typed wire.Params, f *failure) error {
	language := accountLanguage(r)
	texts, err := a.sealed(w, r, form{Act: actAccountSignIn}, form{Act: actForgot, Language: language})
	if err != nil {
		return err
	}
	return a.showForm(w, pages.Page{
		Title: "sign_in.title", Lead: "sign_in.account", Language: language, Here: accountIn,
		Form: signInForm(accountSignIn, texts[0]), Buttons: a.forgotButton(texts[1]),
	}, typed, f)
}

func accountLanguage(r *http.Request) string {
	return pages.Language(r, r.URL.Query().Get("ui_locales"))
}

func accountIn(language string) string { return accountPath + "?ui_locales=" + language }

// signInToAccount answers POST /account/sign-in.
func (a *api) signInToAccount(w http.ResponseWriter, r *http.Request) error {
	_, fields, expired, err := a.open(w, r, actAccountSignIn)
	if err != nil {
		return err
	}
	former, err := a.engine.FormerSession(r.Context(), a.site.Session(r))
	if err != nil {
		return err
	}
	if _, failed := a.openSession(w, r, fields, former, expired); failed != nil {
		return a.showAccountSignIn(w, r, fields, failed)
	}
	seeOther(w, accountPath)
	return nil
}

// ofSession opens a form of the account page: it counts only for the sign-in that
// the page was shown for. Without a form there is nothing more to be done.
func (a *api) ofSession(w http.ResponseWriter, r *http.Request, does act) (*form, *engine.Session, error) {
	f, _, expired, err := a.open(w, r, does)
	if err != nil {
		return nil, nil, err
	}
	session, err := a.engine.Session(r.Context(), a.site.Session(r))
	switch {
	case err != nil:
		return nil, nil, err
	case session == nil:
		seeOther(w, accountPath) // to sign in
		return nil, nil, nil
	case f.Session != engine.FormatSession(session.ID):
		return nil, nil, engine.ErrFormForeign
	case expired:
		note := pages.Note{Text: "wrong.expired", Warning: true}
		return nil, nil, cmp.Or[error](a.showAccount(w, r, http.StatusBadRequest, session, note), engine.ErrFormExpired)
	}
	return f, session, nil
}

// revokeApp answers POST /account/revoke.
func (a *api) revokeApp(w http.ResponseWriter, r *http.Request) error {
	f, session, err := a.ofSession(w, r, actRevoke)
	if f == nil {
		return err
	}
	if err := a.engine.WithdrawConsent(r.Context(), session, f.About, tracing(r)); err != nil {
		return err
	}
	wire.EventOf(r).ClientID = f.About
	seeOther(w, accountPath+"?revoked")
	return nil
}

// endOtherSession answers POST /account/end-session.
func (a *api) endOtherSession(w http.ResponseWriter, r *http.Request) error {
	f, session, err := a.ofSession(w, r, actEndSession)
	if f == nil {
		return err
	}
	if err := a.engine.EndSessionOf(r.Context(), session, f.About, tracing(r)); err != nil {
		return err
	}
	seeOther(w, accountPath+"?ended")
	return nil
}

// signOut answers POST /account/sign-out.
func (a *api) signOut(w http.ResponseWriter, r *http.Request) error {
	f, session, err := a.ofSession(w, r, actSignOut)
	if f == nil {
		return err
	}
	if err := a.engine.EndSession(r.Context(), session, tracing(r)); err != nil {
		return err
	}
	a.site.ClearSession(w)
	return a.showLoggedOut(w, r, &farewell{Language: accountLanguage(r)}, nil)
}
