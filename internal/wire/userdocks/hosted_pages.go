package userdocks

import (
	"cmp"
	"math"
	"net/http"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// problems are keys of texts by field; whole is the form's own.
type problems map[string]string

const whole = ""

// step is a form: how it looks, what is wrong with what was typed, and what it
// does. do answers, or returns why not and has written nothing.
type step struct {
	page  func(*stage) pages.Page
	check func(wire.Params) problems
	do    func(*hosted, http.ResponseWriter, *http.Request, *stage, wire.Params) error
}

var (
	signInStep = step{signInPage, checkSignIn, (*hosted).doSignIn}

	steps = map[string]step{
		signIn: signInStep, unauthenticated: signInStep, logout: signInStep,
		signUp:  {signUpPage, checkSignUp, (*hosted).doSignUp},
		forgot:  {forgotPage, checkForgot, (*hosted).doForgot},
		confirm: {confirmPage, func(wire.Params) problems { return nil }, (*hosted).doConfirm},
		reset:   {resetPage, checkReset, (*hosted).doReset},
	}
)

func emailField() pages.Field {
	return pages.Field{Name: "username", Type: "email", Label: "email", Autocomplete: "username"}
}

// newPasswordFields ask for a password twice: nobody sees what he types.
func newPasswordFields(label string) []pages.Field {
	return []pages.Field{
		{Name: "password", Type: "password", Label: label, Hint: "password.hint", Autocomplete: "new-password"},
		{Name: "password_again", Type: "password", Label: "password.again", Autocomplete: "new-password"},
	}
}

func (s *stage) link(text, kind string) pages.Link {
	return pages.Link{Text: text, Href: s.url(kind, s.Language)}
}

func (s *stage) cancel() pages.Link {
	return pages.Link{Text: "cancel", Href: s.cancelled(), ID: "login-cancel"}
}

func signInPage(s *stage) pages.Page {
	p := pages.Page{
		Title: "sign_in.title", Lead: "sign_in.lead",
		Form: &pages.Form{
			Action: LoginPath, Submit: "sign_in.submit", ID: "login-submit", Cancel: s.cancel(),
			Fields: []pages.Field{emailField(), {Name: "password", Type: "password", Label: "password", Autocomplete: "current-password"}},
		},
		Links: []pages.Link{s.link("sign_in.forgot", forgot), s.link("sign_up.instead", signUp)},
	}
	if s.Type == logout {
		p.Note = pages.Note{Text: "sign_in.signed_out", ID: "logged-out"}
	}
	return p
}

func signUpPage(s *stage) pages.Page {
	fields := append([]pages.Field{emailField()}, newPasswordFields("password")...)
	return pages.Page{
		Title: "sign_up.title", Lead: "sign_up.lead",
		Form: &pages.Form{
			Action: LoginPath, Submit: "sign_up.submit", ID: "sign-up-submit", Cancel: s.cancel(),
			Fields: append(fields,
				pages.Field{Name: "terms", Type: "checkbox", Label: "accept.terms", Link: pages.Link{Text: "terms", Href: s.client.TermsURI}},
				pages.Field{Name: "privacy", Type: "checkbox", Label: "accept.privacy", Link: pages.Link{Text: "privacy", Href: s.client.PolicyURI}},
				// The contract's own name for the box that people do not see.
				pages.Field{Name: "acceptPrivacyPolicy", Type: "trap", Label: "trap"},
			),
		},
		Links: []pages.Link{s.link("sign_in.instead", unauthenticated)},
	}
}

func forgotPage(s *stage) pages.Page {
	return pages.Page{
		Title: "forgot.title", Lead: "forgot.lead",
		Form: &pages.Form{
			Action: LoginPath, Submit: "forgot.submit", ID: "forgot-submit", Cancel: s.cancel(),
			Fields: []pages.Field{emailField()},
		},
		Links: []pages.Link{s.link("sign_in.submit", unauthenticated), s.link("sign_up.instead", signUp)},
	}
}

func confirmPage(*stage) pages.Page {
	return pages.Page{
		Title: "confirm.title", Lead: "confirm.lead",
		Form: &pages.Form{Action: confirmPath, Submit: "confirm.submit", ID: "confirm-submit"},
	}
}

func resetPage(*stage) pages.Page {
	return pages.Page{
		Title: "reset.title", Lead: "reset.lead",
		Form: &pages.Form{Action: resetPath, Submit: "reset.submit", ID: "reset-submit", Fields: newPasswordFields("password.new")},
	}
}

// showForm shows the form of a stage, for typed values with what is wrong with
// them. Passwords are not shown back.
func (h *hosted) showForm(w http.ResponseWriter, r *http.Request, status int, s *stage, typed wire.Params, wrong problems) error {
	p := steps[s.Type].page(s)
	if len(wrong) > 0 {
		p.Note = pages.Note{} // what was good to know is read by now
	}
	sealed, err := h.site.Seal(w, r, s.visit)
	if err != nil {
		return err
	}
	p.Form.Sealed, p.Form.Problem = sealed, wrong[whole]
	for i := range p.Form.Fields {
		f := &p.Form.Fields[i]
		f.Problem = wrong[f.Name]
		switch f.Type {
		case "checkbox":
			f.Checked = typed[f.Name] != ""
		case "email":
			f.Value = typed[f.Name]
		}
	}
	p.Here = func(language string) string { return s.url(s.Type, language) }
	return h.show(w, status, s, p)
}

// showAgain shows a form that was not right; cause is for the log.
func (h *hosted) showAgain(w http.ResponseWriter, r *http.Request, status int, s *stage, typed wire.Params, wrong problems, cause error) error {
	if err := h.showForm(w, r, status, s, typed, wrong); err != nil {
		return err
	}
	return cause
}

// showDead says that a link in a mail is spent, and where to get another.
func (h *hosted) showDead(w http.ResponseWriter, s *stage) error {
	p := pages.Page{ID: "oauth-error", Title: "dead.title", Lead: "dead." + s.Type}
	if s.RedirectURI != "" {
		p.Go, p.Links = s.link("forgot.again", forgot), []pages.Link{s.link("sign_in.submit", signIn)}
		if s.Type == confirm {
			p.Go, p.Links = s.link("sign_in.submit", signIn), []pages.Link{s.link("sign_up.instead", signUp)}
		}
	}
	return h.show(w, http.StatusBadRequest, s, p)
}

func (h *hosted) show(w http.ResponseWriter, status int, s *stage, p pages.Page) error {
	p.Client, p.Language, p.Says = s.client, s.language, s.says
	if s.destination != nil {
		p.FormTarget = s.destination.Origin()
	}
	return h.site.Show(w, status, p)
}

// renderError is the page of whatever has no form to be shown on: it names the
// client only in what a developer reads, and it never leads anywhere.
func (h *hosted) renderError(w http.ResponseWriter, r *http.Request, refusal *wire.Refusal) {
	wire.SetRefusalHeaders(w, refusal)
	e := refusal.Err
	p := pages.Page{ID: "oauth-error", Title: "error.title", Lead: "error.link", RequestID: wire.EventOf(r).RequestID, Detail: e.Description}
	status := http.StatusBadRequest
	switch {
	case refusal.Status == http.StatusNotFound:
		p.Lead = "error.not_found"
	case e.Fault():
		status, _ = statusOf(e)
		p.Lead = "error.fault"
		if status == http.StatusServiceUnavailable {
			p.Lead = "error.unavailable"
		}
	case e.Code == oauth.AccessDenied:
		status, p.Lead = http.StatusForbidden, "error.foreign"
	}
	query := r.URL.Query() // in part, if it is malformed
	p.Language = pages.Language(r, query.Get("language"), query.Get("ui_locales"))
	_ = h.site.Show(w, cmp.Or(refusal.Status, status), p) // the template fits its data
}

// statusOf is the status of a refusal or a fault, and the text that a form says
// it with.
func statusOf(e *oauth.Error) (status int, key string) {
	switch {
	case e.Code == oauth.TemporarilyUnavailable && !e.Fault(): // a limit
		if minutes(e.RetryAfter) == 1 {
			return http.StatusTooManyRequests, "wrong.busy_minute"
		}
		return http.StatusTooManyRequests, "wrong.busy_minutes"
	case e.Code == oauth.TemporarilyUnavailable:
		return http.StatusServiceUnavailable, "wrong.unavailable"
	case e.Fault():
		return http.StatusInternalServerError, "wrong.unavailable"
	}
	return http.StatusBadRequest, "sign_in.refused"
}

func minutes(d time.Duration) int { return max(1, int(math.Ceil(d.Minutes()))) }
