package oidc

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// Limits, in bytes, on what a request may be made of. All of it has to fit into
// the forms of a page, and the state into the address that it goes back in.
const (
	maxQuery   = 8 << 10
	maxRequest = 8 << 10
	maxState   = 2048
	maxNonce   = 1024
	longestAge = 1_000_000_000 // seconds of max_age; more is as good as that
)

const registrationNotSupported oauth.ErrorCode = "registration_not_supported" // OpenID Connect Core §3.1.2.6

// visit is an authorization request that can be answered to its client.
type visit struct {
	engine.Authorization
	request  *request
	language string
	// again is a text that says why a page is shown again; "" if it is not.
	again string
}

// enter reads a request from outside. The visit is nil unless its client may be
// told of the error (RFC 6749 §4.1.2.1).
func (a *api) enter(r *http.Request, p wire.Params) (*visit, error) {
	if err := p.Require("client_id"); err != nil {
		return nil, err
	}
	client, err := a.engine.Client(r.Context(), Name, p["client_id"])
	if err != nil {
		return nil, err
	}
	wire.EventOf(r).ClientID = client.ID
	req, err := a.effective(r.Context(), client, p)
	if err == nil {
		req.Linked = r.Method == http.MethodGet && p["request"] == "" && p["request_uri"] == ""
		return a.decode(r, req)
	}
	// What a bad request object says is not known; what stands beside it is. Of a
	// pushed request nothing does (RFC 9126 §4).
	if p["redirect_uri"] == "" || isPushed(p) {
		return nil, err
	}
	v, refused := a.locate(r, a.begin(known(p)))
	if refused != nil {
		return nil, err
	}
	return v, err
}

// decode reads a request that counts as it stands: one of ours that comes back, or
// a new one. The visit is nil unless its client may be told of the error.
func (a *api) decode(r *http.Request, req *request) (*visit, error) {
	v, err := a.locate(r, req)
	if err != nil {
		return nil, err
	}
	return v, a.read(v)
}

// locate finds the page's language and the address that a request is answered to.
// Its refusals must not be told there.
func (a *api) locate(r *http.Request, req *request) (*visit, error) {
	v, err := a.place(r.Context(), req)
	if err != nil {
		return nil, err
	}
	wire.EventOf(r).ClientID = v.Client().ID
	v.language = pages.Language(r, req.Params["ui_locales"])
	return v, nil
}

// place is locate for a request that comes with no page.
func (a *api) place(ctx context.Context, req *request) (*visit, error) {
	p := req.Params
	size := 0
	for name, value := range p {
		size += len(name) + len(value)
	}
	switch {
	case size > maxRequest:
		return nil, invalid("request too long", "The parameters must be at most 8 KiB.")
	case len(p["state"]) > maxState:
		return nil, invalid("state too long", "The state must be at most 2048 bytes.")
	}
	uri, err := a.redirectURI(ctx, p)
	if err != nil {
		return nil, err
	}
	d, err := a.engine.Destination(ctx, Name, p["client_id"], uri, oauth.MatchRedirectURI)
	if err != nil {
		return nil, err
	}
	v := &visit{request: req, Authorization: engine.Authorization{
		Destination: d, RedirectURISent: p["redirect_uri"] != "", State: p["state"], Begun: time.UnixMilli(req.Begun),
	}}
	copy(v.Pushed[:], req.Pushed)
	if v.Mode, err = oauth.ParseResponseMode(p["response_mode"]); err != nil || v.Mode == oauth.ModeFormPost && !web(uri) {
		v.Mode = oauth.ModeQuery // to tell of it; see read
	}
	return v, nil
}

// redirectURI is the one that a request names. It may be left out only where there
// is but one and the request is not of OpenID Connect (RFC 6749 §3.1.2.3, OpenID
// Connect Core §3.1.2.1).
func (a *api) redirectURI(ctx context.Context, p wire.Params) (string, error) {
	if uri := p["redirect_uri"]; uri != "" {
		return uri, nil
	}
	client, err := a.engine.Client(ctx, Name, p["client_id"])
	if err != nil {
		return "", err
	}
	if len(client.RedirectURIs) != 1 || slices.Contains(strings.Fields(p["scope"]), oauth.OpenID) {
		return "", p.Require("redirect_uri")
	}
	return client.RedirectURIs[0], nil
}

// web reports whether a page is at an address, and not a native app.
func web(uri string) bool {
	return strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
}

func malformed(code oauth.ErrorCode, name string, err error) *oauth.Error {
	return oauth.Refuse(code, name+" malformed", "The "+err.Error()+".")
}

// read reads all parameters but those that say where the answer goes. Its refusals
// are told there.
func (a *api) read(v *visit) (err error) {
	p := v.request.Params
	if mode, err := oauth.ParseResponseMode(p["response_mode"]); err != nil {
		return malformed(oauth.InvalidRequest, "response_mode", err)
	} else if mode != v.Mode {
		return invalid("form_post to an app", "The response_mode form_post needs a redirect_uri of http or https.")
	}
	// Before anything that may be refused: prompt=none is answered without a page.
	if v.Prompt, err = oauth.ParsePrompt(p["prompt"]); err != nil {
		return malformed(oauth.InvalidRequest, "prompt", err)
	}
	if err := p.Require("response_type"); err != nil {
		return err
	}
	if p["response_type"] != "code" {
		return oauth.Refuse(oauth.UnsupportedResponseType, "response type", "The response_type must be code.")
	}
	if p["registration"] != "" {
		return oauth.Refuse(registrationNotSupported, "registration", "The parameter registration is not supported.")
	}
	if err := v.readWishes(p); err != nil {
		return err
	}
	if err := v.readUser(p); err != nil {
		return err
	}
	if err := a.checkHint(v); err != nil {
		return err
	}
	return a.engine.CheckAuthorization(&v.Authorization)
}

// readWishes reads what the client wants to get.
func (v *visit) readWishes(p wire.Params) (err error) {
	if v.Scope, err = oauth.ParseScope(p["scope"]); err != nil {
		return malformed(oauth.InvalidScope, "scope", err)
	}
	if v.Resources, err = oauth.ParseResources(strings.Fields(p["resource"])); err != nil {
		return malformed(oauth.InvalidTarget, "resource", err)
	}
	if v.Claims, err = oauth.ParseClaims(p["claims"]); err != nil {
		return malformed(oauth.InvalidRequest, "claims", err)
	}
	if p["code_challenge"] != "" || p["code_challenge_method"] != "" {
		c, err := oauth.ParseCodeChallenge(p["code_challenge"], p["code_challenge_method"])
		if err != nil {
			return malformed(oauth.InvalidRequest, "challenge", err)
		}
		v.Challenge = &c
	}
	if v.Nonce = p["nonce"]; len(v.Nonce) > maxNonce {
		return invalid("nonce too long", "The nonce must be at most 1024 bytes.")
	}
	return nil
}

// readUser reads what the client says of the user and of how he signs in.
func (v *visit) readUser(p wire.Params) error {
	if s := p["max_age"]; s != "" {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return invalid("max_age malformed", "The max_age must be a number of seconds, 0 or more.")
		}
		age := int64(min(n, longestAge))
		v.MaxAge = &age
	}
	v.Hint, v.LoginHint = p["id_token_hint"], p["login_hint"]
	return nil
}

// checkHint refuses a bad hint before anybody signs in for it.
func (a *api) checkHint(v *visit) error {
	if v.Hint == "" {
		return nil
	}
	hint, err := a.engine.Hint(v.Hint)
	if err == nil && hint.ClientID != v.Client().ID {
		err = invalid("id_token_hint: issued to another client", "The id_token_hint was issued to another client.")
	}
	return err
}
