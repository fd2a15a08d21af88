package oidc

import (
	"cmp"
	"maps"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// What the forms of a forgotten password do.
const (
	actForgot act = "forgot password" // asks for the form
	actMail   act = "mail a link"
	actBack   act = "back to the request"
	actReset  act = "reset password"
)

const maxLink = 128 // bytes; one of ours is shorter

// lost is where somebody is who has lost his password: on the way to a client, at a
// link that was mailed for a client, or, without a client, at his account.
type lost struct {
	client   *oauth.Client
	visit    *visit // nil where no request is under way
	language string
}

// lostOf is where a form belongs, or a link: then with no request.
func (a *api) lostOf(r *http.Request, f *form) (l *lost, err error) {
	l = &lost{language: f.Language}
	if f.Request != nil {
		if l.visit, err = a.decode(r, f.Request); l.visit != nil {
			l.client, l.language = l.visit.Client(), l.visit.language
		}
		return l, err
	}
	if f.About != "" {
		if l.client, err = a.engine.Client(r.Context(), Name, f.About); err == nil {
			wire.EventOf(r).ClientID = l.client.ID
		}
	}
	return l, err
}

// asked are the face and the id of the client that the engine is asked for.
func (l *lost) asked() (oauth.Face, string) {
	if l.client == nil {
		return "", ""
	}
	return Name, l.client.ID
}

// page is a page of the place. It has no address of its own.
func (l *lost) page(p pages.Page) pages.Page {
	if l.visit != nil {
		p = l.visit.page(p)
		p.Here = nil
	}
	p.Client, p.Language = l.client, l.language
	return p
}

// forgotButton leads to the form that asks for a mail; there is none where no mail is
// sent. It is no link, for an address may not hold the request.
func (a *api) forgotButton(sealed string) []pages.Button {
	if !a.engine.SendsMail() {
		return nil
	}
	return []pages.Button{{Action: forgotPath, Sealed: sealed, Text: "sign_in.forgot", ID: "login-forgot", Plain: true}}
}

// forgot answers POST /oauth2/forgot. The answer is the same whether the address is
// known.
func (a *api) forgot(w http.ResponseWriter, r *http.Request) error {
	f, fields, expired, err := a.open(w, r, actForgot, actMail, actBack)
	if err != nil {
		return err
	}
	l, err := a.lostOf(r, f)
	if err != nil {
		return a.refuse(w, r, l.visit, err)
	}
	switch f.Act {
	case actForgot:
		return a.showForgot(w, r, f, l, nil, nil)
	case actBack:
		session, err := a.engine.Session(r.Context(), a.site.Session(r))
		if err != nil {
			return err
		}
		return a.advance(w, r, l.visit, session, nil)
	}
	wrong := pages.Problems{}
	wrong.Email(fields)
	if failed := unready(expired, wrong); failed != nil {
		return a.showForgot(w, r, f, l, fields, failed)
	}
	face, id := l.asked()
	if err := a.engine.ForgotPassword(r.Context(), face, id, fields["username"], l.language, tracing(r)); err != nil {
		if failed := trouble(w, err); failed != nil {
			return a.showForgot(w, r, f, l, fields, failed)
		}
		return err
	}
	p := pages.Mailed("forgot.sent", fields["username"])
	if p.Buttons, p.Links, err = a.waysBack(w, r, f, l); err != nil {
		return err
	}
	return a.site.Show(w, http.StatusOK, l.page(p))
}

// showForgot asks for the address, on behalf of whoever a form belongs to.
func (a *api) showForgot(w http.ResponseWriter, r *http.Request, f *form, l *lost, typed wire.Params, failed *failure) (err error) {
	mail := *f
	mail.Act = actMail
	p := pages.Forgot(forgotPath)
	if p.Form.Sealed, err = a.site.Seal(w, r, mail); err != nil {
		return err
	}
	if p.Buttons, p.Links, err = a.waysBack(w, r, f, l); err != nil {
		return err
	}
	return a.showForm(w, l.page(p), typed, failed)
}

// waysBack lead to where a form was left for: to the request, whose form is this
// browser's, or to the account. What a mail has led to has none.
func (a *api) waysBack(w http.ResponseWriter, r *http.Request, f *form, l *lost) ([]pages.Button, []pages.Link, error) {
	switch {
	case l.visit != nil:
		text, err := a.site.Seal(w, r, form{Act: actBack, Request: f.Request})
		return []pages.Button{{Action: forgotPath, Sealed: text, Text: "sign_in.submit", ID: "forgot-back", Plain: true}}, nil, err
	case l.client == nil:
		return nil, []pages.Link{{Text: "sign_in.submit", Href: accountIn(l.language), ID: "forgot-back"}}, nil
	}
	return nil, nil, nil
}

// ResetURL is the page that a reset mail leads to. clientID is "" if it was asked for
// at the account page.
func ResetURL(issuer, clientID, link, language string) string {
	params := wire.Params{"hash": link, "client_id": clientID, "ui_locales": language}
	maps.DeleteFunc(params, func(_, value string) bool { return value == "" })
	return issuer + resetPath + "?" + query(params)
}

// followed answers GET /oauth2/reset. It spends nothing: whatever scans mails follows
// links.
func (a *api) followed(w http.ResponseWriter, r *http.Request) error {
	p, err := pageParams(w, r)
	if err != nil {
		return err
	}
	if err := p.Require("hash"); err != nil {
		return err
	}
	if len(p["hash"]) > maxLink {
		return invalid("hash too long", "The parameter hash is too long.")
	}
	f := &form{About: p["client_id"], Link: p["hash"], Language: pages.Language(r, p["ui_locales"])}
	l, err := a.lostOf(r, f)
	if err != nil {
		return err
	}
	face, id := l.asked()
	open, err := a.engine.LinkOpen(r.Context(), face, id, f.Link, engine.PurposeReset)
	switch {
	case err != nil:
		return err
	case !open:
		return a.showDead(w, r, l)
	}
	return a.showReset(w, r, f, l, nil)
}

// reset answers POST /oauth2/reset. It ends all sessions of the user, that of this
// browser too.
func (a *api) reset(w http.ResponseWriter, r *http.Request) error {
	f, fields, expired, err := a.open(w, r, actReset)
	if err != nil {
		return err
	}
	l, err := a.lostOf(r, f)
	if err != nil {
		return err
	}
	wrong := pages.Problems{}
	wrong.NewPassword(fields)
	if failed := unready(expired, wrong); failed != nil {
		return a.showReset(w, r, f, l, failed)
	}
	face, id := l.asked()
	if err = a.engine.ResetPassword(r.Context(), face, id, f.Link, fields["password"], tracing(r)); err == nil {
		return a.showDone(w, r, l)
	}
	if oauth.AsError(err).Code == oauth.InvalidGrant {
		return cmp.Or(a.showDead(w, r, l), err)
	}
	failed := trouble(w, err)
	if problem := pages.PasswordProblem(err); problem != "" { // the engine alone knows the user's address
		failed = &failure{status: http.StatusBadRequest, wrong: pages.Problems{"password": problem}, cause: err}
	}
	if failed == nil {
		return err
	}
	return a.showReset(w, r, f, l, failed)
}

// showReset asks for the new password that a link is open for.
func (a *api) showReset(w http.ResponseWriter, r *http.Request, f *form, l *lost, failed *failure) (err error) {
	f.Act = actReset
	p := pages.Reset(resetPath)
	if p.Form.Sealed, err = a.site.Seal(w, r, f); err != nil {
		return err
	}
	p.Here = func(language string) string { return ResetURL("", f.About, f.Link, language) }
	return a.showForm(w, l.page(p), nil, failed)
}

// showDead says that a link is spent, and leads to another.
func (a *api) showDead(w http.ResponseWriter, r *http.Request, l *lost) error {
	p := pages.Dead("reset")
	if a.engine.SendsMail() {
		_, id := l.asked()
		text, err := a.site.Seal(w, r, form{Act: actForgot, About: id, Language: l.language})
		if err != nil {
			return err
		}
		p.Form = &pages.Form{Action: forgotPath, Sealed: text, Submit: "forgot.again", ID: "forgot-again"}
	}
	return a.site.Show(w, http.StatusBadRequest, l.page(p))
}

// showDone says that the password is another. The request that somebody has come
// from may be in another browser, so it leads to where the client's users begin, if
// somebody vouches for that place.
func (a *api) showDone(w http.ResponseWriter, r *http.Request, l *lost) error {
	p := pages.Done("reset")
	if l.client == nil {
		p.Go = pages.Link{Text: "sign_in.submit", Href: accountIn(l.language)}
		return a.site.Show(w, http.StatusOK, l.page(p))
	}
	p.Lead = "reset.done.app"
	vouched, err := a.engine.Vouched(r.Context(), Name, l.client.ID)
	if to := a.begins(l.client); err == nil && vouched && web(to) { // without it, done is done
		p.Go = pages.Link{Text: "logged_out.back", Href: to}
	}
	return a.site.Show(w, http.StatusOK, l.page(p))
}

// begins is the address that a client's users begin at (OpenID Connect Core §4); ""
// if it has told none.
func (a *api) begins(c *oauth.Client) string {
	if c.InitiateLoginURI != "" {
		return withQuery(c.InitiateLoginURI, [][2]string{{"iss", a.engine.Issuer()}})
	}
	return c.URI
}
