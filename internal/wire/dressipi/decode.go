package dressipi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

func invalid(reason, description string) error {
	return oauth.Refuse(oauth.InvalidRequest, reason, description)
}

const wantURN = "The redirect_uri must be " + oauth.URNAuto + "."

// decodeAuthorize reads an authorization request (contract §A.1, §B.4). All six
// parameters are required, state and the challenge's method among them.
func decodeAuthorize(r *http.Request) (engine.AnonymousRequest, string, error) {
	var req engine.AnonymousRequest
	p, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return req, "", err
	}
	if err := p.Require("response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"); err != nil {
		return req, "", err
	}
	if p["response_type"] != "code" {
		return req, "", oauth.Refuse(oauth.UnsupportedResponseType, "response type", "The response_type must be code.")
	}
	if p["redirect_uri"] != oauth.URNAuto {
		return req, "", invalid("redirect_uri is not the URN", wantURN)
	}
	challenge, err := oauth.ParseCodeChallenge(p["code_challenge"], p["code_challenge_method"])
	if err != nil {
		return req, "", invalid("challenge malformed", "The "+err.Error()+".")
	}
	return engine.AnonymousRequest{Face: Name, ClientID: p["client_id"], Challenge: challenge}, p["state"], nil
}

// decodeToken reads a token request in the order of contract §C.2: carrier,
// grant type, client, redirect URI, what the grant type needs.
func (a *api) decodeToken(w http.ResponseWriter, r *http.Request) (*engine.TokenRequest, error) {
	p, err := tokenParams(w, r)
	if err != nil {
		return nil, err
	}
	if err := p.Require("grant_type"); err != nil {
		return nil, err
	}
	event := wire.EventOf(r)
	req := &engine.TokenRequest{
		Face: Name, GrantType: oauth.GrantType(p["grant_type"]), Credentials: engine.Credentials{ClientID: p["client_id"]}, Shape: shape{},
		Trace: engine.Trace{RequestID: event.RequestID, IP: wire.IP(r)},
	}
	if req.GrantType != oauth.AuthorizationCode && req.GrantType != oauth.RefreshToken {
		return nil, oauth.Refuse(oauth.UnsupportedGrantType, "grant type", "The grant_type must be authorization_code or refresh_token.")
	}
	if err := p.Require("client_id"); err != nil {
		return nil, err
	}
	if _, err := a.engine.Client(r.Context(), Name, req.ClientID); err != nil {
		return nil, err
	}
	event.ClientID = req.ClientID

	// RFC 6749 §6 has no redirect_uri on refresh, the contract has: absent is
	// fine there, another value is not.
	req.RedirectURI = p["redirect_uri"]
	if req.RedirectURI == "" && req.GrantType == oauth.AuthorizationCode {
		return nil, p.Require("redirect_uri")
	}
	if req.RedirectURI != "" && req.RedirectURI != oauth.URNAuto {
		return nil, oauth.Refuse(oauth.InvalidGrant, "redirect_uri is not the URN", wantURN)
	}

	if req.GrantType == oauth.RefreshToken {
		req.RefreshToken = p["refresh_token"]
		return req, p.Require("refresh_token")
	}
	if err := p.Require("code", "code_verifier"); err != nil {
		return nil, err
	}
	if req.CodeVerifier, err = oauth.ParseCodeVerifier(p["code_verifier"]); err != nil {
		return nil, invalid("verifier malformed", "The "+err.Error()+".")
	}
	req.Code = p["code"]
	return req, nil
}

// tokenParams reads the parameters from the body, as the documentation has it,
// or from the query of a request without a body, as the SDK sends it. Never
// from both: which of them counts would be anybody's guess.
func tokenParams(w http.ResponseWriter, r *http.Request) (wire.Params, error) {
	query, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return query, nil
	}
	if wire.MediaType(r) != wire.FormType {
		return nil, invalid("body is not a form", "The parameters must be sent as "+wire.FormType+", or in the query with an empty body.")
	}
	form, err := wire.ParseParams(string(body))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"grant_type", "client_id", "redirect_uri", "code", "code_verifier", "refresh_token"} {
		if query[name] != "" {
			return nil, invalid(name+" in the query beside a body", "The parameters must be sent in the body or in the query, not in both.")
		}
	}
	return form, nil
}

// presentedToken finds the JWT of a resource request: x-dressipi-jwt, Bearer
// and, only if no header has one, the cookie (contract §A.3). "" is none.
func presentedToken(r *http.Request) (string, error) {
	own := r.Header.Get("X-Dressipi-Jwt")
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		bearer = ""
	}
	bearer = strings.TrimSpace(bearer)
	switch {
	case own != "" && bearer != "" && own != bearer:
		return "", invalid("two different tokens", "The headers x-dressipi-jwt and Authorization name different tokens: send one.")
	case own != "":
		return own, nil
	case bearer != "":
		return bearer, nil
	}
	if c, err := r.Cookie("dressipi_jwt"); err == nil {
		return c.Value, nil
	}
	return "", nil
}

// identify says who a JWT stands for. A bad one stands for nobody; only a fault
// is an error.
func (a *api) identify(r *http.Request, token string) (profile, error) {
	if token == "" {
		return profile{}, nil
	}
	typ, payload, err := a.engine.VerifyToken(SigningKey.Purpose, token)
	if err != nil {
		return profile{}, nil
	}
	var c struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		SubN     string `json:"subn"`
		ClientID string `json:"client_id"`
		GID      string `json:"gid"`
	}
	if typ != accessTokenType || json.Unmarshal(payload, &c) != nil || c.Issuer != a.engine.Issuer() || c.SubN == "" {
		return profile{}, nil
	}
	if _, err := a.engine.Living(r.Context(), Name, c.ClientID, c.GID); err != nil {
		if e, ok := errors.AsType[*oauth.Error](err); ok && !e.Fault() {
			return profile{}, nil
		}
		return profile{}, err
	}
	event := wire.EventOf(r)
	event.ClientID, event.Grant = c.ClientID, c.GID
	return profile{Personalised: true, Subject: c.Subject, SubN: c.SubN}, nil
}
