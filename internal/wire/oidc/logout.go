package oidc

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

const actLogout act = "sign out"

// farewell is a logout request (OpenID Connect RP-Initiated Logout 1.0 §2) as far
// as it is to be believed.
type farewell struct {
	ClientID string `json:"client_id,omitempty"`
	URI      string `json:"post_logout_redirect_uri,omitempty"`
	State    string `json:"state,omitempty"`
	Language string `json:"language"`
}

// logout answers GET and POST /oauth2/logout. It ends nothing by itself: any site
// can send a browser here, so the user is always asked, also where an ID token says
// who he is (§2, §6).
func (a *api) logout(w http.ResponseWriter, r *http.Request) error {
	p, err := pageParams(w, r)
	if err != nil {
		return err
	}
	bye, hinted, refused := a.decodeLogout(r, p)
	if refused != nil && oauth.AsError(refused).Fault() {
		return refused
	}
	session, err := a.engine.Session(r.Context(), a.site.Session(r))
	switch {
	case err != nil:
		return err
	// A page of another site may have posted it: then the cookie has stayed behind.
	case session != nil || r.Method == http.MethodPost:
		err = a.askLogout(w, r, bye, session, refused)
	// Only who has had a token of the user may have a browser sent on unasked.
	case !hinted:
		err = a.showLoggedOut(w, r, bye, refused)
	default:
		err = a.sayGoodbye(w, r, bye)
	}
	return cmp.Or(err, refused)
}

// decodeLogout reads a logout request. What cannot be believed in it is left out,
// and named by the error; hinted: an ID token of ours has come with it.
func (a *api) decodeLogout(r *http.Request, p wire.Params) (bye *farewell, hinted bool, err error) {
	bye = &farewell{Language: pages.Language(r, p["ui_locales"])}
	clientID := p["client_id"]
	if token := p["id_token_hint"]; token != "" {
		hint, err := a.engine.Hint(token)
		if err == nil && clientID != "" && clientID != hint.ClientID {
			err = invalid("client_id is not the hint's", "The client_id is not the one that the id_token_hint was issued to.")
		}
		if err != nil {
			return bye, false, err
		}
		clientID, hinted = hint.ClientID, true
	}
	uri := p["post_logout_redirect_uri"]
	if clientID == "" {
		if uri != "" {
			err = invalid("post_logout_redirect_uri of nobody", "A post_logout_redirect_uri needs an id_token_hint or a client_id.")
		}
		return bye, false, err
	}
	client, err := a.engine.Client(r.Context(), Name, clientID)
	if err != nil {
		return bye, false, err
	}
	bye.ClientID, wire.EventOf(r).ClientID = client.ID, client.ID
	if uri == "" {
		return bye, hinted, nil
	}
	if len(p["state"]) > maxState {
		return bye, false, invalid("state too long", "The state must be at most 2048 bytes.")
	}
	if _, err := a.engine.LoggedOut(r.Context(), Name, client.ID, uri); err != nil {
		return bye, false, err
	}
	bye.URI, bye.State = uri, p["state"]
	return bye, hinted, nil
}

// confirmLogout answers POST /oauth2/logout/confirm.
func (a *api) confirmLogout(w http.ResponseWriter, r *http.Request) error {
	f, _, expired, err := a.open(w, r, actLogout)
	if err != nil {
		return err
	}
	session, err := a.engine.Session(r.Context(), a.site.Session(r))
	if err != nil {
		return err
	}
	if expired {
		return cmp.Or[error](a.askLogout(w, r, f.Logout, session, engine.ErrFormExpired), engine.ErrFormExpired)
	}
	if session != nil {
		if err := a.engine.EndSession(r.Context(), session, tracing(r)); err != nil {
			return err
		}
	}
	a.site.ClearSession(w)
	return a.sayGoodbye(w, r, f.Logout)
}

// sayGoodbye sends the browser where the client wants it to go (§3), or says that
// the user is signed out.
func (a *api) sayGoodbye(w http.ResponseWriter, r *http.Request, bye *farewell) error {
	if bye.URI == "" {
		return a.showLoggedOut(w, r, bye, nil)
	}
	// It may have been taken back since.
	d, err := a.engine.LoggedOut(r.Context(), Name, bye.ClientID, bye.URI)
	if err != nil {
		bye.URI = ""
		return cmp.Or(a.showLoggedOut(w, r, bye, err), err)
	}
	wire.EventOf(r).ClientID = bye.ClientID
	seeOther(w, bye.address(d.RedirectURI()))
	return nil
}

// address is where the browser goes back to.
func (bye *farewell) address(uri string) string {
	if bye.State == "" {
		return uri
	}
	return withQuery(uri, [][2]string{{"state", bye.State}})
}

// askLogout asks whether the user wants to be signed out. cause is what is wrong
// with the request, or with the form; nil if nothing is.
func (a *api) askLogout(w http.ResponseWriter, r *http.Request, bye *farewell, s *engine.Session, cause error) error {
	texts, err := a.sealed(w, r, form{Act: actLogout, Logout: bye})
	if err != nil {
		return err
	}
	p := pages.Page{
		Title: "logout.title", Lead: "logout.lead_here", FormTarget: bye.URI,
		Form:  &pages.Form{Action: logoutConfirmPath, Sealed: texts[0], Submit: "logout.submit", ID: "logout-confirm"},
		Links: []pages.Link{{Text: "logout.stay", Href: accountPath, ID: "logout-stay"}},
	}
	if s != nil {
		p.Who = who(s)
	}
	if errors.Is(cause, engine.ErrFormExpired) {
		p.Form.Problem, cause = "wrong.expired", nil
	}
	return a.showLogout(w, r, bye, p, cause)
}

// showLoggedOut says that the user is signed out.
func (a *api) showLoggedOut(w http.ResponseWriter, r *http.Request, bye *farewell, cause error) error {
	p := pages.Page{ID: "logged-out", Title: "logged_out.title", Lead: "logged_out.lead"}
	if web(bye.URI) {
		p.Go = pages.Link{Text: "logged_out.back", Href: bye.address(bye.URI)}
	}
	return a.showLogout(w, r, bye, p, cause)
}

func (a *api) showLogout(w http.ResponseWriter, r *http.Request, bye *farewell, p pages.Page, cause error) error {
	status := http.StatusOK
	if p.Form != nil && p.Form.Wrong() {
		status = http.StatusBadRequest
	}
	if cause != nil {
		status = http.StatusBadRequest
		p.Detail, p.RequestID = detail(oauth.AsError(cause)), wire.EventOf(r).RequestID
	}
	// Whoever it was, the user is signed out.
	if client, err := a.engine.Client(r.Context(), Name, bye.ClientID); err == nil {
		p.Client = client
		if p.Form != nil {
			p.Lead = "logout.lead"
		}
	}
	p.Language = bye.Language
	return a.site.Show(w, status, p)
}
