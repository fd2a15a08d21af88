package oidc

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// jwtBearer is the one type of client assertion that there is (RFC 7523 §2.2).
const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func invalid(reason, description string) error {
	return oauth.Refuse(oauth.InvalidRequest, reason, description)
}

// inBodyAlone are the parameters of the back channel: in a query they would stand in
// logs.
var inBodyAlone = append([]string{
	"grant_type", "code", "code_verifier", "refresh_token", "client_secret", "client_assertion", "client_assertion_type",
	"token", "token_type_hint", "access_token",
}, parameters...)

// backForm reads the body of a back-channel request (RFC 6749 §3.2, Appendix B). What
// else clients put into the query, as some do with ids of their own, is ignored.
func backForm(w http.ResponseWriter, r *http.Request, repeatable ...string) (wire.Params, error) {
	return backFormOf(w, r, wire.MaxBody, repeatable...)
}

func backFormOf(w http.ResponseWriter, r *http.Request, limit int64, repeatable ...string) (wire.Params, error) {
	query, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	for _, name := range inBodyAlone {
		if query[name] != "" {
			return nil, invalid("parameters in the query", "The parameters must be sent in the body, not in the query.")
		}
	}
	if wire.MediaType(r) != wire.FormType {
		return nil, wire.UnsupportedMediaType(wire.FormType)
	}
	body, err := wire.ReadBodyOf(w, r, limit)
	if err != nil {
		return nil, err
	}
	return wire.ParseParams(string(body), repeatable...)
}

// credentials reads how a client says who it is (RFC 6749 §2.3): by one way.
func credentials(r *http.Request, p wire.Params) (engine.Credentials, error) {
	scheme, header, err := wire.Authorization(r.Header.Values("Authorization"))
	if err != nil {
		return engine.Credentials{}, err
	}
	c := engine.Credentials{ClientID: p["client_id"], Secret: p["client_secret"], Assertion: p["client_assertion"]}
	asserted := c.Assertion != "" || p["client_assertion_type"] != ""
	if moreThanOne(scheme != "", c.Secret != "", asserted) {
		return engine.Credentials{}, invalid("several ways of client authentication", "The client must authenticate by one way only.")
	}
	switch {
	case scheme != "":
		return basicCredentials(scheme, header, p["client_id"])
	case asserted:
		c.Method = oauth.AuthPrivateKeyJWT
		if err := p.Require("client_assertion", "client_assertion_type"); err != nil {
			return engine.Credentials{}, err
		}
		if p["client_assertion_type"] != jwtBearer {
			return engine.Credentials{}, invalid("client_assertion_type", "The client_assertion_type must be "+jwtBearer+".")
		}
	case c.Secret != "":
		c.Method = oauth.AuthSecretPost
		return c, p.Require("client_id")
	case c.ClientID == "":
		return engine.Credentials{}, oauth.Refuse(oauth.InvalidClient, "no client named", "The client must authenticate, or send its client_id if it is a public one.")
	}
	return c, nil
}

func basicCredentials(scheme, header, clientID string) (engine.Credentials, error) {
	if scheme != "basic" {
		return engine.Credentials{}, oauth.Refuse(oauth.InvalidClient, "Authorization of another scheme", "The header Authorization must be of the scheme Basic.")
	}
	id, secret, ok := wire.ParseBasic(header)
	if !ok {
		return engine.Credentials{}, oauth.Refuse(oauth.InvalidClient, "Basic malformed",
			"The header Authorization is malformed: client_id and secret must each be form-encoded, joined by a colon, then encoded by base64.")
	}
	if clientID != "" && clientID != id {
		return engine.Credentials{}, invalid("two different clients", "The client_id in the body is not the one in the header Authorization.")
	}
	if secret == "" { // some public clients say so who they are; an empty secret may be left out (§2.3.1)
		return engine.Credentials{ClientID: id}, nil
	}
	return engine.Credentials{ClientID: id, Method: oauth.AuthSecretBasic, Secret: secret}, nil
}

func moreThanOne(ways ...bool) bool {
	n := 0
	for _, used := range ways {
		if used {
			n++
		}
	}
	return n > 1
}

// caller authenticates the client of a request that is no exchange.
func (a *api) caller(w http.ResponseWriter, r *http.Request, repeatable ...string) (*engine.Caller, wire.Params, error) {
	p, err := backForm(w, r, repeatable...)
	if err != nil {
		return nil, nil, err
	}
	caller, err := a.authenticated(r, p)
	return caller, p, err
}

func (a *api) authenticated(r *http.Request, p wire.Params) (*engine.Caller, error) {
	c, err := credentials(r, p)
	if err != nil {
		return nil, err
	}
	caller, err := a.engine.Authenticate(r.Context(), Name, c)
	if err != nil {
		a.note(r, c.ClientID)
		return nil, err
	}
	wire.EventOf(r).ClientID = caller.Client().ID
	return caller, nil
}
