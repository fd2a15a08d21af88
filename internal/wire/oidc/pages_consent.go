package oidc

import (
	"net/http"
	"slices"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// showConsent asks the user of a session to agree to a verdict.
func (a *api) showConsent(w http.ResponseWriter, r *http.Request, v *visit, s *engine.Session, verdict *engine.Verdict) error {
	texts, err := a.sealed(w, r,
		form{Act: actAllow, Request: v.request, Terms: termsOf(s, verdict)},
		form{Act: actDeny, Request: v.request},
		form{Act: actSwitch, Request: v.request})
	if err != nil {
		return err
	}
	p := pages.Page{
		Title: "consent.title", Lead: "consent.lead", Who: who(s),
		Lists:   []pages.List{{Lines: pages.Asked(verdict.Scope, verdict.Resources.URIs(), requested(verdict))}},
		Form:    &pages.Form{Action: consentPath, Sealed: texts[0], Submit: "consent.allow", ID: "consent-allow", Problem: v.again},
		Buttons: []pages.Button{{Action: consentPath, Sealed: texts[1], Text: "consent.deny", ID: "consent-deny"}},
	}
	p.Who.Button = &pages.Button{Action: consentPath, Sealed: texts[2], Text: "who.other", ID: "use-another"}
	if v.SelfRegistered() {
		p.Note = pages.Note{Text: "consent.unvouched", ID: "unvouched", Warning: true}
	}
	status := http.StatusOK
	if v.again != "" {
		status = http.StatusBadRequest
	}
	return a.site.Show(w, status, v.page(p))
}

// requested are the claims that are told only because they are asked for by name
// (OpenID Connect Core §5.5).
func requested(v *engine.Verdict) []string {
	byScope, told := oauth.ClaimsOf(v.Scope), oauth.StandardClaims()
	return slices.DeleteFunc(slices.Clone(v.Claims), func(claim string) bool {
		return slices.Contains(byScope, claim) || !slices.Contains(told, claim)
	})
}
