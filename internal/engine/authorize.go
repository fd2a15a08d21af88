package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// ACR is the one authentication context that there is: a password (OpenID Connect
// Core §2; ISO 29115 level 1).
const ACR = "1"

// Authorization is an authorization request whose client and redirect URI have
// been matched (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).
type Authorization struct {
	*Destination
	// RedirectURISent: the request named it, so the exchange must as well.
	RedirectURISent bool

	State     string
	Nonce     string
	Mode      oauth.ResponseMode
	Scope     oauth.Scope // "" = all but openid and offline_access
	Resources oauth.Resources
	Claims    oauth.ClaimsRequest
	Challenge *oauth.CodeChallenge
	Prompt    oauth.Prompt
	MaxAge    *int64 // seconds
	// Hint is who the client expects, by an ID token of ours.
	Hint      string
	LoginHint string

	// Pushed is the request that it came by; zero for none.
	Pushed store.RequestID
	// Begun is when it came in first: what had to be done over must be done since.
	Begun time.Time
}

// Step is what stands between a request and its code.
type Step uint8

// The steps.
const (
	StepDone Step = iota
	StepSignIn
	StepConsent
)

// Verdict is what Judge says.
type Verdict struct {
	Step Step
	// Again: there is a session, but the user must prove anew who he is.
	Again bool
	// Scope, Resources and Claims are what will be granted, or is to be agreed to.
	Scope     oauth.Scope
	Resources oauth.Resources
	Claims    []string
	consent   *store.Consent // that covers it; nil = none
}

// CheckAuthorization refuses what no user could change. Refusals: invalid_request,
// unauthorized_client, invalid_scope, invalid_target,
// unmet_authentication_requirements.
func (e *Engine) CheckAuthorization(a *Authorization) error {
	client := a.client
	if !client.Allows(oauth.AuthorizationCode) {
		return oauth.Refuse(oauth.UnauthorizedClient, "grant type not allowed to client", "The client may not use the authorization code grant.")
	}
	if (client.RequirePAR || client.RequirePushed) && a.Pushed == (store.RequestID{}) {
		return oauth.Refuse(oauth.InvalidRequest, "not pushed", "The client must push its authorization requests first (request_uri).")
	}
	if err := checkChallenge(client, a.Challenge); err != nil {
		return err
	}
	if !a.Scope.Within(scopeOf(client)) {
		return oauth.Refuse(oauth.InvalidScope, "scope not allowed to client", "The scope is more than the client may ask for.")
	}
	if err := e.checkResources(client, a.Resources); err != nil {
		return err
	}
	// An essential acr that cannot be had is a failed sign-in (OIDC Core §5.5.1.1).
	if acr := a.Claims.IDToken["acr"]; acr != nil && acr.Essential && !acr.Accepts(`"`+ACR+`"`) {
		return oauth.Refuse(oauth.UnmetRequirements, "acr", "The authentication context that is essential to the client cannot be had.")
	}
	return nil
}

// checkResources refuses access tokens for what is unknown to client and issuer.
func (e *Engine) checkResources(client *store.Client, resources oauth.Resources) error {
	if resources == "" || resources.Within(e.policy.resources) {
		return nil
	}
	own, _ := oauth.ParseResources(client.Resources) // looked at when the client was stored
	known := own.Union(e.policy.resources)
	for _, uri := range resources.URIs() {
		if uri == e.issuer || oauth.Scope(known).Has(uri) || e.policy.loopback && oauth.LoopbackURI(uri) {
			continue
		}
		return oauth.Refuse(oauth.InvalidTarget, "resource unknown", "The resource is not known here, or not to this client.")
	}
	return nil
}

// granted is the scope that a request will get.
func granted(a *Authorization) oauth.Scope {
	scope := a.Scope
	if scope == "" {
		scope = scopeOf(a.client).Without(oauth.OpenID).Without(oauth.OfflineAccess)
	}
	// Of no use without refresh tokens, so nobody is asked for it (OIDC Core §11).
	if !a.client.Allows(oauth.RefreshToken) {
		scope = scope.Without(oauth.OfflineAccess)
	}
	return scope
}

// Judge says what a request that has passed CheckAuthorization needs, for the
// session that the browser has (nil for none). Refusals, where the client wants
// nobody to be asked or only somebody else would do: login_required,
// consent_required, invalid_request (hint).
func (e *Engine) Judge(ctx context.Context, a *Authorization, s *Session) (*Verdict, error) {
	v := &Verdict{Scope: granted(a), Resources: a.Resources}
	v.Claims = asked(a.Claims.Names(), v.Scope)
	needs, err := e.needsSignIn(a, s)
	if err != nil {
		return nil, err
	}
	if needs {
		if a.Prompt.Has(oauth.PromptNone) {
			return nil, oauth.Refuse(oauth.LoginRequired, "no session that will do", "The user must sign in.")
		}
		v.Step, v.Again = StepSignIn, s != nil
		return v, nil
	}
	given, found, err := e.store.Consent(ctx, s.User.ID, a.client.ID)
	if err != nil {
		return nil, fault("consent", err)
	}
	if found && covers(&given, v) && !a.anybody() {
		v.consent = &given
	}
	if v.consent == nil || a.Prompt.Has(oauth.PromptConsent) {
		if a.Prompt.Has(oauth.PromptNone) {
			return nil, oauth.Refuse(oauth.ConsentRequired, "no consent for it", "The user must agree first.")
		}
		v.Step = StepConsent
	}
	return v, nil
}

// asked are the claims of those names that the user is to be asked for: what the scope
// does not bring anyway, and what is about him at all.
func asked(names []string, scope oauth.Scope) []string {
	brought := oauth.ClaimsOf(scope)
	return slices.DeleteFunc(names, func(name string) bool {
		return !slices.Contains(oauth.StandardClaims(), name) || slices.Contains(brought, name)
	})
}

// anybody reports whether the answer goes to an app that another may stand in for: a
// scheme or a loopback port belongs to whoever takes it, and a public client proves
// nothing. It gets no code that its user has not just agreed to (RFC 8252 §8.6).
func (a *Authorization) anybody() bool {
	c := &a.client.Client
	return c.Public() && (oauth.Origin(a.redirectURI) == "" || !slices.Contains(c.RedirectURIs, a.redirectURI))
}

func covers(c *store.Consent, v *Verdict) bool {
	return v.Scope.Within(c.Scope) && v.Resources.Within(c.Resources) && oauth.Scope(strings.Join(v.Claims, " ")).Within(oauth.Scope(c.Claims))
}

// maxAgeGrace is how long the pages between a sign-in and its code may take beyond
// max_age.
const maxAgeGrace = time.Minute

// needsSignIn reports whether the session is not the one that is wanted: too old,
// or somebody else's.
func (e *Engine) needsSignIn(a *Authorization, s *Session) (bool, error) {
	if s == nil {
		return true, nil
	}
	begun, since := millis(a.Begun), store.Time(0)
	if a.Prompt.Has(oauth.PromptLogin) || a.Prompt.Has(oauth.PromptSelectAccount) {
		since = begun
	}
	maxAge := a.MaxAge
	if maxAge == nil {
		maxAge = a.client.DefaultMaxAge
	}
	if maxAge != nil {
		// Counted from the request, and again from now: a page may have been open for
		// long. What is asked for must be possible to do, hence the grace.
		since = max(since, begun-*maxAge*1000, millis(e.now().Add(-maxAgeGrace))-*maxAge*1000)
	}
	if s.AuthTime < since {
		return true, nil
	}
	sub, err := e.subject(&a.client.Client, s.User.ID)
	if err != nil {
		return false, err
	}
	if meant, err := e.meant(a, sub); err != nil || meant {
		return false, err
	}
	// He has just signed in, and is not who the client meant (OIDC Core §3.1.2.1,
	// §5.5.1): there is nothing else to be asked.
	if s.AuthTime >= begun && begun != 0 {
		return false, oauth.Refuse(oauth.LoginRequired, "another user signed in", "Another user has signed in than the one who was expected.")
	}
	return true, nil
}

// meant reports whether a subject is who the client expects, if it expects anybody:
// by a hint, or by a claims parameter.
func (e *Engine) meant(a *Authorization, sub string) (bool, error) {
	if a.Hint != "" {
		hint, err := e.Hint(a.Hint)
		if err != nil {
			return false, err
		}
		if hint.ClientID != a.client.ID {
			return false, refuseHint("issued to another client")
		}
		if hint.Subject != sub {
			return false, nil
		}
	}
	text, err := json.Marshal(sub)
	if err != nil {
		return false, fault("subject", err)
	}
	for _, where := range []map[string]*oauth.ClaimRequest{a.Claims.IDToken, a.Claims.Userinfo} {
		if c := where["sub"]; c != nil && !c.Accepts(string(text)) {
			return false, nil
		}
	}
	return true, nil
}

// Authorize gives birth to the grant of a request and returns its code. agreed:
// the user has just agreed to what the request's verdict named. Refusals beside
// those of Judge: interaction_required (something is still to be asked; it has
// changed since), access_denied (the session or the user has ended, the consent was
// withdrawn), invalid_request_uri (the pushed request was used before).
func (e *Engine) Authorize(ctx context.Context, a *Authorization, s *Session, agreed bool, trace Trace) (code string, err error) {
	if err := e.CheckAuthorization(a); err != nil {
		return "", err
	}
	v, err := e.Judge(ctx, a, s)
	if err != nil {
		return "", err
	}
	if v.Step == StepSignIn || v.Step == StepConsent && !agreed {
		return "", oauth.Refuse(oauth.InteractionRequired, "not ready to be authorized", "The user must be asked first.")
	}
	b := Binding{Challenge: a.Challenge}
	if a.RedirectURISent {
		b.RedirectURI = a.redirectURI
	}
	g, secret, err := e.newGrant(a.client, &s.User, b)
	if err != nil {
		return "", err
	}
	if g.Subject, err = e.subject(&a.client.Client, s.User.ID); err != nil {
		return "", err
	}
	g.Scope, g.Resources, g.Claims, g.Nonce = v.Scope, v.Resources, a.Claims.Canonical(), a.Nonce
	g.Browser, g.AuthTime = s.Browser, s.AuthTime
	if !g.Scope.Has(oauth.OfflineAccess) {
		g.Session = s.ID
		g.AbsoluteExpiresAt = min(s.ExpiresAt, cmp.Or(g.AbsoluteExpiresAt, s.ExpiresAt))
		if a.Prompt.Has(oauth.PromptNone) {
			// Fetched in the background, again and again; it must not pile up.
			end := g.CreatedAt + 2*a.client.AccessTokenLifetime*1000
			g.AbsoluteExpiresAt = min(end, g.AbsoluteExpiresAt)
		}
	}
	birth := store.Birth{
		Grant: *g, Session: s.ID, CredentialVersion: s.User.CredentialVersion, Consent: v.consent, Agreed: agreed,
		Request: a.Pushed, ClientMayGo: a.client.Source == store.SelfRegistered, Most: mostGrants, Now: g.CreatedAt, Trace: trace,
	}
	if agreed {
		if birth.Consent, err = e.agreement(ctx, a, v, s, g.CreatedAt); err != nil {
			return "", err
		}
	}
	out, err := e.store.Birth(ctx, birth)
	if err == nil && out == store.Refused {
		// The session has ended or the consent was changed since it was looked at.
		code := oauth.AccessDenied
		if a.Prompt.Has(oauth.PromptNone) {
			code = oauth.InteractionRequired
		}
		return "", oauth.Refuse(code, "birth: changed meanwhile", "The sign-in or the consent has changed meanwhile. Please try again.")
	}
	if err := e.born(g, out, err); err != nil {
		return "", err
	}
	return e.mintCode(secret)
}

// agreement is what the user has agreed to, ever and now.
func (e *Engine) agreement(ctx context.Context, a *Authorization, v *Verdict, s *Session, now store.Time) (*store.Consent, error) {
	given, _, err := e.store.Consent(ctx, s.User.ID, a.client.ID)
	if err != nil {
		return nil, fault("consent", err)
	}
	return &store.Consent{
		User: s.User.ID, ClientID: a.client.ID, GivenAt: now,
		Scope: given.Scope.Union(v.Scope), Resources: given.Resources.Union(v.Resources),
		Claims: string(oauth.Scope(given.Claims).Union(oauth.Scope(strings.Join(v.Claims, " ")))),
	}, nil
}
