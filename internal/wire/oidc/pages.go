package oidc

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// The paths of what people see.
const (
	authorizePath     = "/oauth2/authorize"
	signInPath        = "/oauth2/sign-in"
	forgotPath        = "/oauth2/forgot"
	resetPath         = "/oauth2/reset"
	consentPath       = "/oauth2/consent"
	logoutPath        = "/oauth2/logout"
	logoutConfirmPath = "/oauth2/logout/confirm"

	accountPath    = "/account"
	accountSignIn  = "/account/sign-in"
	accountSignOut = "/account/sign-out"
	accountRevoke  = "/account/revoke"
	accountEnd     = "/account/end-session"

	staticPath = "/oauth2/"
	// silentPath is where the other pages of the issuer take the cookie of embedded
	// pages: a sign-in here counts there.
	silentPath = "/userdocks/login"
)

// newSite makes the pages. They may be opened in a window that the client waits
// for (display=popup, OpenID Connect Core §3.1.2.1).
func newSite(e *engine.Engine) *pages.Site {
	site := pages.New(e.Issuer(), staticPath, silentPath, e)
	site.Popups = true
	return site
}

// pageRoutes are the routes that browsers come to, and what their pages need.
func (a *api) pageRoutes() []wire.Route {
	get := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Path: path, Render: a.renderPage, Methods: map[string]wire.Handler{http.MethodGet: h}}
	}
	post := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Path: path, Render: a.renderPage, Methods: map[string]wire.Handler{http.MethodPost: h}}
	}
	both := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Path: path, Render: a.renderPage, Methods: map[string]wire.Handler{http.MethodGet: h, http.MethodPost: h}}
	}
	return append([]wire.Route{
		both(authorizePath, a.authorize),
		post(signInPath, a.signIn),
		post(forgotPath, a.forgot),
		{Path: resetPath, Render: a.renderPage, Methods: map[string]wire.Handler{http.MethodGet: a.followed, http.MethodPost: a.reset}},
		post(consentPath, a.consent),
		both(logoutPath, a.logout),
		post(logoutConfirmPath, a.confirmLogout),
		get(accountPath, a.account),
		post(accountSignIn, a.signInToAccount),
		post(accountSignOut, a.signOut),
		post(accountRevoke, a.revokeApp),
		post(accountEnd, a.endOtherSession),
		{Path: accountPath + "/", Render: a.renderPage},
	}, a.site.Routes(a.renderPage)...)
}

// act is what a form does. A form counts for nothing else, wherever it is posted
// to.
type act string

// form is what a form of ours carries.
type form struct {
	Act act `json:"act"`
	// Session is the sign-in that the page was shown for; "" if it does not matter.
	Session string    `json:"session,omitempty"`
	Request *request  `json:"request,omitempty"`
	Terms   *terms    `json:"terms,omitempty"`
	Logout  *farewell `json:"logout,omitempty"`
	// About is the client, or the sign-in, that the form is for.
	About string `json:"about,omitempty"`
	// Link is that of a mail.
	Link     string `json:"link,omitempty"`
	Language string `json:"language,omitempty"`
}

// open reads a posted form that must do one of the acts. expired: it was ours, but
// the page had been open for too long.
func (a *api) open(w http.ResponseWriter, r *http.Request, acts ...act) (f *form, fields wire.Params, expired bool, err error) {
	f = new(form)
	fields, err = a.site.Open(w, r, f)
	if expired = errors.Is(err, engine.ErrFormExpired); err != nil && !expired {
		return nil, nil, false, err
	}
	for _, one := range acts {
		if f.Act == one {
			return f, fields, expired, nil
		}
	}
	return nil, nil, false, engine.ErrFormForeign
}

// sealed makes the text of several forms of a page, in order.
func (a *api) sealed(w http.ResponseWriter, r *http.Request, forms ...form) ([]string, error) {
	texts := make([]string, len(forms))
	for i := range forms {
		var err error
		if texts[i], err = a.site.Seal(w, r, forms[i]); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// pageParams are the parameters of a request that comes by GET or, in the body
// alone, by POST (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2).
func pageParams(w http.ResponseWriter, r *http.Request, repeatable ...string) (wire.Params, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, &wire.Refusal{Status: http.StatusRequestURITooLong,
			Err: oauth.Refuse(oauth.InvalidRequest, "query too long", "The query must be at most 8 KiB. Send the parameters by POST, or push them first.")}
	}
	query, err := wire.ParseParams(r.URL.RawQuery, repeatable...)
	if err != nil || r.Method == http.MethodGet {
		return query, err
	}
	if wire.MediaType(r) != wire.FormType {
		return nil, wire.UnsupportedMediaType(wire.FormType)
	}
	if len(query) > 0 {
		return nil, invalid("query beside a body", "The parameters of a POST must be sent in the body, and none in the query.")
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	return wire.ParseParams(string(body), repeatable...)
}

// renderPage is the page of whatever has no destination, and no form to be shown
// on. It leads nowhere, and names nothing that came with the request but in what a
// developer reads.
func (a *api) renderPage(w http.ResponseWriter, r *http.Request, refusal *wire.Refusal) {
	wire.SetRefusalHeaders(w, refusal)
	e := refusal.Err
	status, lead := http.StatusBadRequest, "error.link"
	switch {
	case refusal.Status == http.StatusNotFound:
		lead = "error.not_found"
	case e.Fault() && e.Code == oauth.TemporarilyUnavailable:
		status, lead = http.StatusServiceUnavailable, "error.unavailable"
	case e.Fault():
		status, lead = http.StatusInternalServerError, "error.fault"
	case e.Code == oauth.AccessDenied:
		status, lead = http.StatusForbidden, "error.foreign"
	}
	_ = a.site.Show(w, cmp.Or(refusal.Status, status), pages.Page{ // the template fits its data
		ID: "oauth-error", Title: "error.title", Lead: lead, RequestID: wire.EventOf(r).RequestID, Detail: detail(e),
		Language: pages.Language(r, r.URL.Query().Get("ui_locales")), // in part, if it is malformed
	})
}

// detail is a refusal for whoever builds the client.
func detail(e *oauth.Error) string { return string(e.Code) + ": " + e.Description }

func tracing(r *http.Request) engine.Trace {
	return engine.Trace{RequestID: wire.EventOf(r).RequestID, IP: wire.IP(r)}
}

// who is the user of a session, by what he calls himself and what he signs in
// with.
func who(s *engine.Session) *pages.Who {
	w := &pages.Who{Email: s.User.Email}
	if w.Email == "" && len(s.User.Identifiers) > 0 {
		w.Email = s.User.Identifiers[0].Value
	}
	_ = json.Unmarshal(userClaims(&s.User)["name"], &w.Name) // whoever has none has none
	return w
}

// seeOther sends a browser on by GET, whatever it came by (RFC 9110 §15.4.4).
func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
