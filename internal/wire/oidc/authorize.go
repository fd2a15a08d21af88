package oidc

import (
	"net/http"
	"slices"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
)

// What the forms of the sign-in and the consent page do.
const (
	actSignIn act = "sign in"
	actCancel act = "cancel"
	actAllow  act = "allow"
	actDeny   act = "deny"
	actSwitch act = "use another account"
)

// authorize answers GET and POST /oauth2/authorize (RFC 6749 §4.1.1, OpenID
// Connect Core §3.1.2).
func (a *api) authorize(w http.ResponseWriter, r *http.Request) error {
	p, err := pageParams(w, r, "resource")
	if err != nil {
		return err
	}
	v, err := a.enter(r, p)
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	cookie := a.site.Session(r)
	if query := query(p); r.Method == http.MethodPost && cookie == "" && p["id_token_hint"] == "" && len(query) <= maxQuery {
		// If a page of another site has posted it, the browser has kept the cookie
		// back, which is SameSite=Lax; by GET it sends it. A token stays out of the
		// address, so its user signs in anew.
		seeOther(w, authorizePath+"?"+query)
		return nil
	}
	session, err := a.engine.Session(r.Context(), cookie)
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	return a.advance(w, r, v, session, nil)
}

// advance shows what a request still needs, or answers it. agreed is what the user
// has just agreed to; nil if he has not.
func (a *api) advance(w http.ResponseWriter, r *http.Request, v *visit, s *engine.Session, agreed *terms) error {
	verdict, err := a.engine.Judge(r.Context(), &v.Authorization, s)
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	if verdict.Step == engine.StepSignIn {
		return a.showSignIn(w, r, v, s, nil, nil)
	}
	asks := verdict.Step == engine.StepConsent
	if asks && !agreed.cover(s, verdict) {
		return a.showConsent(w, r, v, s, verdict)
	}
	code, err := a.engine.Authorize(r.Context(), &v.Authorization, s, asks, tracing(r))
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	return a.respond(w, r, v, [][2]string{{"code", code}})
}

// terms are what a consent page has asked, and whom.
type terms struct {
	Session   string          `json:"session"`
	Scope     oauth.Scope     `json:"scope,omitempty"`
	Resources oauth.Resources `json:"resources,omitempty"`
	Claims    []string        `json:"claims,omitempty"`
}

func termsOf(s *engine.Session, v *engine.Verdict) *terms {
	return &terms{Session: engine.FormatSession(s.ID), Scope: v.Scope, Resources: v.Resources, Claims: v.Claims}
}

// cover reports whether nothing would be granted that the page has not said, and
// the same user still sits there.
func (t *terms) cover(s *engine.Session, v *engine.Verdict) bool {
	return t != nil && t.Session == engine.FormatSession(s.ID) && v.Scope.Within(t.Scope) && v.Resources.Within(t.Resources) &&
		!slices.ContainsFunc(v.Claims, func(claim string) bool { return !slices.Contains(t.Claims, claim) })
}

// consent answers POST /oauth2/consent.
func (a *api) consent(w http.ResponseWriter, r *http.Request) error {
	f, _, expired, err := a.open(w, r, actAllow, actDeny, actSwitch)
	if err != nil {
		return err
	}
	v, err := a.decode(r, f.Request)
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	session, err := a.engine.Session(r.Context(), a.site.Session(r))
	switch {
	case err != nil:
		return a.refuse(w, r, v, err)
	case f.Act == actDeny:
		return a.refuse(w, r, v, oauth.Refuse(oauth.AccessDenied, "consent denied", "The user has not agreed."))
	case f.Act == actSwitch:
		a.switchUser(v)
	case expired:
		v.again = "wrong.expired"
	default:
		return a.advance(w, r, v, session, f.Terms)
	}
	return a.advance(w, r, v, session, nil)
}

// switchUser makes it a request for another sign-in than the one that there is.
func (a *api) switchUser(v *visit) {
	now := a.engine.Now()
	v.Begun, v.request.Begun = now, now.UnixMilli()
	p := v.request.Params
	delete(p, "login_hint")
	v.LoginHint = ""
	if !v.Prompt.Has(oauth.PromptSelectAccount) {
		v.Prompt |= oauth.PromptSelectAccount
		if p["prompt"] != "" {
			p["prompt"] += " "
		}
		p["prompt"] += "select_account"
	}
}

// signIn answers POST /oauth2/sign-in.
func (a *api) signIn(w http.ResponseWriter, r *http.Request) error {
	f, fields, expired, err := a.open(w, r, actSignIn, actCancel)
	if err != nil {
		return err
	}
	v, err := a.decode(r, f.Request)
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	if f.Act == actCancel {
		return a.refuse(w, r, v, oauth.Refuse(oauth.AccessDenied, "sign-in cancelled", "The user has not signed in."))
	}
	former, err := a.engine.FormerSession(r.Context(), a.site.Session(r))
	if err != nil {
		return a.refuse(w, r, v, err)
	}
	session, failed := a.openSession(w, r, fields, former, expired)
	if failed != nil {
		return a.showSignIn(w, r, v, former, fields, failed)
	}
	return a.advance(w, r, v, session, nil)
}
