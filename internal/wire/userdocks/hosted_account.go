package userdocks

import (
	"encoding/json"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

func checkSignIn(fields wire.Params) pages.Problems {
	p := pages.Problems{}
	p.Email(fields)
	if fields["password"] == "" {
		p.Add("password", "password.missing")
	}
	return p
}

func checkSignUp(fields wire.Params) pages.Problems {
	p := pages.Problems{}
	p.Email(fields)
	p.NewPassword(fields)
	if fields["terms"] == "" {
		p.Add("terms", "accept.terms_missing")
	}
	if fields["privacy"] == "" {
		p.Add("privacy", "accept.privacy_missing")
	}
	if fields["acceptPrivacyPolicy"] != "" {
		p.Add(pages.Whole, "trap.taken")
	}
	return p
}

func checkForgot(fields wire.Params) pages.Problems {
	p := pages.Problems{}
	p.Email(fields)
	return p
}

func checkReset(fields wire.Params) pages.Problems {
	p := pages.Problems{}
	p.NewPassword(fields)
	return p
}

// doSignUp registers. The answer is the same whether the address was known.
func (h *hosted) doSignUp(w http.ResponseWriter, r *http.Request, s *stage, fields wire.Params) error {
	claims, err := json.Marshal(map[string]string{"locale": s.language})
	if err != nil {
		return err
	}
	if _, err := h.engine.Register(r.Context(), engine.RegisterRequest{
		Face: Name, ClientID: s.ClientID, Email: fields["username"], Password: fields["password"],
		Language: s.language, Claims: claims, Attributes: []byte("{}"), Trace: trace(r),
	}); err != nil {
		return err
	}
	return h.showMail(w, s, fields["username"], "sign_up.sent")
}

// doForgot asks for a mail. The answer is the same whether the address is known.
func (h *hosted) doForgot(w http.ResponseWriter, r *http.Request, s *stage, fields wire.Params) error {
	if err := h.engine.ForgotPassword(r.Context(), Name, s.ClientID, fields["username"], s.language, trace(r)); err != nil {
		return err
	}
	return h.showMail(w, s, fields["username"], "forgot.sent")
}

func (h *hosted) showMail(w http.ResponseWriter, s *stage, email, lead string) error {
	p := pages.Mailed(lead, email)
	p.Links = []pages.Link{s.link("sign_in.submit", unauthenticated)}
	return h.show(w, http.StatusOK, s, p)
}

// doConfirm spends the link of a confirmation mail.
func (h *hosted) doConfirm(w http.ResponseWriter, r *http.Request, s *stage, _ wire.Params) error {
	if _, err := h.engine.ConfirmEmail(r.Context(), Name, s.ClientID, s.Hash, trace(r)); err != nil {
		return err
	}
	return h.showDone(w, s, "confirm")
}

// doReset spends the link of a reset mail. It ends all sessions, that of this
// browser too.
func (h *hosted) doReset(w http.ResponseWriter, r *http.Request, s *stage, fields wire.Params) error {
	if err := h.engine.ResetPassword(r.Context(), Name, s.ClientID, s.Hash, fields["password"], trace(r)); err != nil {
		return err
	}
	return h.showDone(w, s, "reset")
}

// showDone leads to the sign-in page, on the client's first redirect URI.
func (h *hosted) showDone(w http.ResponseWriter, s *stage, what string) error {
	p := pages.Done(what)
	if s.RedirectURI != "" {
		p.Go = s.link("sign_in.submit", signIn)
	}
	return h.show(w, http.StatusOK, s, p)
}
