package oidc

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// parameters are those that count. Whatever else is sent is ignored (RFC 6749
// §3.1): display and claims_locales, too, since all pages fit all displays, and no
// claim has several languages.
var parameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "state", "scope", "resource",
	"code_challenge", "code_challenge_method", "nonce", "claims", "prompt", "max_age", "acr_values",
	"id_token_hint", "login_hint", "ui_locales", "registration",
}

// request is an authorization request as it travels in forms: nothing is stored
// for a visitor who may never answer.
type request struct {
	// Params are the parameters that count, those of a request object or of a
	// pushed request among them.
	Params wire.Params `json:"params"`
	Pushed []byte      `json:"pushed,omitempty"` // id of the pushed request
	Begun  int64       `json:"begun"`            // when it came in first, Unix milliseconds
	// Linked: the same request can be made by a link.
	Linked bool `json:"linked,omitempty"`
}

func isPushed(p wire.Params) bool { return strings.HasPrefix(p["request_uri"], engine.PushedPrefix) }

func (a *api) begin(p wire.Params) *request {
	return &request{Params: p, Begun: a.engine.Now().UnixMilli()}
}

// effective finds the parameters that count.
func (a *api) effective(ctx context.Context, client *oauth.Client, p wire.Params) (*request, error) {
	object, uri := p["request"], p["request_uri"]
	switch {
	case object != "" && uri != "": // OpenID Connect Core §6.1
		return nil, invalid("request and request_uri", "request and request_uri must not be sent together.")
	case isPushed(p):
		id, raw, err := a.engine.Pushed(ctx, client.ID, uri)
		if err != nil {
			return nil, err
		}
		req := a.begin(nil)
		req.Pushed = id[:]
		return req, json.Unmarshal(raw, &req.Params)
	case uri != "":
		var err error
		if object, err = a.engine.FetchRequestObject(ctx, Name, client.ID, uri); err != nil {
			return nil, err
		}
	case object == "":
		return a.begin(known(p)), nil
	}
	inside, err := a.objectParams(ctx, client, object)
	if err != nil {
		return nil, err
	}
	// What the object says goes before what stands beside it (OpenID Connect Core
	// §6.1). RFC 9101 §5 lets response_type stand in the object alone.
	if outside := p["response_type"]; outside != "" && inside["response_type"] != "" && outside != inside["response_type"] {
		return nil, refuseObject("response_type differs", "The response_type in the request object must be the one beside it.")
	}
	for name, value := range known(p) {
		if inside[name] == "" {
			inside[name] = value
		}
	}
	return a.begin(inside), nil
}

// known is what counts of the parameters.
func known(p wire.Params) wire.Params {
	counts := make(wire.Params, len(p))
	for _, name := range parameters {
		if p[name] != "" {
			counts[name] = p[name]
		}
	}
	return counts
}

// checkPushed validates a request that a client pushes, as this endpoint would
// (RFC 9126 §2.1), and returns the parameters as they are to be kept. Refusals are
// those of the endpoint.
func (a *api) checkPushed(ctx context.Context, client *oauth.Client, p wire.Params) (wire.Params, error) {
	if p["request_uri"] != "" {
		return nil, invalid("request_uri pushed", "A request_uri must not be pushed.")
	}
	kept := known(p)
	if p["request"] != "" {
		// Beside it stands only what the client authenticates by (RFC 9126 §3).
		var err error
		if kept, err = a.objectParams(ctx, client, p["request"]); err != nil {
			return nil, err
		}
	}
	kept["client_id"] = client.ID
	v, err := a.place(ctx, a.begin(kept))
	if err != nil {
		return nil, err
	}
	v.Pushed[0] = 1 // it is being pushed, so that nothing is missing
	return kept, a.read(v)
}

func refuseObject(reason, description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequestObject, "request object: "+reason, description)
}

// objectParams are the parameters in a request object.
func (a *api) objectParams(ctx context.Context, client *oauth.Client, object string) (wire.Params, error) {
	claims, err := a.engine.RequestObject(ctx, Name, client.ID, object)
	if err != nil {
		return nil, err
	}
	if claims["request"] != nil || claims["request_uri"] != nil { // RFC 9101 §4
		return nil, refuseObject("in another", "A request object must not contain request or request_uri.")
	}
	p := make(wire.Params)
	for _, name := range parameters {
		raw := claims[name]
		if raw == nil || string(raw) == "null" {
			continue
		}
		value, ok := objectParam(name, raw)
		if !ok || strings.IndexByte(value, 0) >= 0 {
			return nil, refuseObject(name+" malformed", "The parameter "+name+" in the request object is not of the right type.")
		}
		if value != "" {
			p[name] = value
		}
	}
	return p, nil
}

// objectParam is a parameter as it would be sent by itself. What is JSON there may
// be JSON in a request object, too, without being quoted (OpenID Connect Core §6.1).
func objectParam(name string, raw json.RawMessage) (string, bool) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one, true
	}
	switch name {
	case "claims", "registration":
		return string(raw), raw[0] == '{'
	case "max_age":
		var n json.Number
		return string(raw), json.Unmarshal(raw, &n) == nil
	case "resource":
		var all []string
		return strings.Join(all, " "), json.Unmarshal(raw, &all) == nil
	}
	return "", false
}
