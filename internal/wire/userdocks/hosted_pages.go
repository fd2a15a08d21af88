package userdocks

import (
	"cmp"
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// step is a form: how it looks, what is wrong with what was typed, and what it
// does. do answers, or returns why not and has written nothing.
type step struct {
	page  func(*stage) pages.Page
	check func(wire.Params) pages.Problems
	do    func(*hosted, http.ResponseWriter, *http.Request, *stage, wire.Params) error
}

var (
	signInStep = step{signInPage, checkSignIn, (*hosted).doSignIn}

	steps = map[string]step{
		signIn: signInStep, unauthenticated: signInStep, logout: signInStep,
		signUp:  {signUpPage, checkSignUp, (*hosted).doSignUp},
		forgot:  {forgotPage, checkForgot, (*hosted).doForgot},
		confirm: {confirmPage, func(wire.Params) pages.Problems { return nil }, (*hosted).doConfirm},
		reset:   {resetPage, checkReset, (*hosted).doReset},
	}
)

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
			Fields: []pages.Field{pages.EmailField(), {Name: "password", Type: "password", Label: "password", Autocomplete: "current-password"}},
		},
	}
	if s.mails {
		p.Links = []pages.Link{s.link("sign_in.forgot", forgot), s.link("sign_up.instead", signUp)}
	}
	if s.Type == logout {
		p.Note = pages.Note{Text: "sign_in.signed_out", ID: "logged-out"}
	}
	return p
}

func signUpPage(s *stage) pages.Page {
	fields := append([]pages.Field{pages.EmailField()}, pages.NewPasswordFields("password")...)
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
	p := pages.Forgot(LoginPath)
	p.Form.Cancel = s.cancel()
	p.Links = []pages.Link{s.link("sign_in.submit", unauthenticated), s.link("sign_up.instead", signUp)}
	return p
}

func confirmPage(*stage) pages.Page {
	return pages.Page{
		Title: "confirm.title", Lead: "confirm.lead",
		Form: &pages.Form{Action: confirmPath, Submit: "confirm.submit", ID: "confirm-submit"},
	}
}

func resetPage(*stage) pages.Page { return pages.Reset(resetPath) }

// showForm shows the form of a stage, for typed values with what is wrong with
// them. Passwords are not shown back.
func (h *hosted) showForm(w http.ResponseWriter, r *http.Request, status int, s *stage, typed wire.Params, wrong pages.Problems) error {
	p := steps[s.Type].page(s)
	if len(wrong) > 0 {
		p.Note = pages.Note{} // what was good to know is read by now
	}
	sealed, err := h.site.Seal(w, r, s.visit)
	if err != nil {
		return err
	}
	p.Form.Sealed = sealed
	p.Form.Fill(typed, wrong)
	p.Here = func(language string) string { return s.url(s.Type, language) }
	return h.show(w, status, s, p)
}

// showAgain shows a form that was not right; cause is for the log.
func (h *hosted) showAgain(w http.ResponseWriter, r *http.Request, status int, s *stage, typed wire.Params, wrong pages.Problems, cause error) error {
	if err := h.showForm(w, r, status, s, typed, wrong); err != nil {
		return err
	}
	return cause
}

// showDead says that a link in a mail is spent, and where to get another.
func (h *hosted) showDead(w http.ResponseWriter, s *stage) error {
	p := pages.Dead(s.Type)
	if s.RedirectURI != "" {
		switch p.Go = s.link("sign_in.submit", signIn); {
		case !s.mails:
		case s.Type == confirm:
			p.Links = []pages.Link{s.link("sign_up.instead", signUp)}
		default:
			p.Go, p.Links = s.link("forgot.again", forgot), []pages.Link{p.Go}
		}
	}
	return h.show(w, http.StatusBadRequest, s, p)
}

func (h *hosted) show(w http.ResponseWriter, status int, s *stage, p pages.Page) error {
	p.Client, p.Language = s.client, s.language
	if s.says != nil {
		p.Says = s.says
	}
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
		status, _, _ = pages.Trouble(e)
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
