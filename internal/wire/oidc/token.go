package oidc

import (
	"net/http"
	"strings"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// tokens is RFC 6749 §5.1 with OpenID Connect Core §3.1.3.3. The scope is always
// told; no scope has no legal form, and is left out.
type tokens struct {
	AccessToken  string      `json:"access_token"`
	TokenType    string      `json:"token_type"`
	ExpiresIn    int64       `json:"expires_in"`
	RefreshToken string      `json:"refresh_token,omitempty"`
	Scope        oauth.Scope `json:"scope,omitempty"`
	IDToken      string      `json:"id_token,omitempty"`
}

// token answers POST /oauth2/token.
func (a *api) token(w http.ResponseWriter, r *http.Request) error {
	req, err := decodeToken(w, r)
	if err != nil {
		return err
	}
	issued, err := a.engine.Token(r.Context(), req)
	if err != nil {
		a.note(r, req.ClientID)
		return err
	}
	event := wire.EventOf(r)
	event.ClientID, event.GrantType, event.Outcome = issued.Client.ID, string(req.GrantType), issued.Outcome.String()
	if issued.Grant != nil {
		event.Grant = engine.GID(issued.Grant)
	}
	w.Header().Set("Pragma", "no-cache")
	return wire.WriteJSON(w, http.StatusOK, tokens{
		AccessToken: issued.AccessToken, TokenType: "Bearer", ExpiresIn: int64(issued.Lifetime.Seconds()),
		RefreshToken: issued.RefreshToken, Scope: issued.Scope, IDToken: issued.IDToken,
	})
}

// decodeToken reads a token request (RFC 6749 §4.1.3, §4.4.2, §6). Which grant
// types there are is the engine's to say, after it knows the client.
func decodeToken(w http.ResponseWriter, r *http.Request) (*engine.TokenRequest, error) {
	p, err := backForm(w, r, "resource")
	if err != nil {
		return nil, err
	}
	if err := p.Require("grant_type"); err != nil {
		return nil, err
	}
	req := &engine.TokenRequest{Face: Name, GrantType: oauth.GrantType(p["grant_type"]), Trace: tracing(r)}
	if req.Credentials, err = credentials(r, p); err != nil {
		return nil, err
	}
	if req.Resources, err = oauth.ParseResources(strings.Fields(p["resource"])); err != nil {
		return nil, oauth.Refuse(oauth.InvalidTarget, "resource malformed", "The "+err.Error()+".")
	}
	req.Shape = shape{nonce: req.GrantType == oauth.AuthorizationCode}
	switch req.GrantType {
	case oauth.AuthorizationCode:
		return req, decodeCode(req, p)
	case oauth.RefreshToken:
		if err := p.Require("refresh_token"); err != nil {
			return nil, err
		}
		req.RefreshToken = p["refresh_token"]
	}
	if req.Scope, err = oauth.ParseScope(p["scope"]); err != nil {
		return nil, oauth.Refuse(oauth.InvalidScope, "scope malformed", "The "+err.Error()+".")
	}
	return req, nil
}

func decodeCode(req *engine.TokenRequest, p wire.Params) (err error) {
	if err := p.Require("code"); err != nil {
		return err
	}
	req.Code, req.RedirectURI = p["code"], p["redirect_uri"]
	if p["code_verifier"] == "" {
		return nil
	}
	if req.CodeVerifier, err = oauth.ParseCodeVerifier(p["code_verifier"]); err != nil {
		return invalid("verifier malformed", "The "+err.Error()+".")
	}
	return nil
}
