package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// register answers POST /oauth2/register (RFC 7591 §3).
func (a *api) register(w http.ResponseWriter, r *http.Request) error {
	client, err := decodeRegistration(w, r)
	if err != nil {
		return err
	}
	token, err := bearerToken(r)
	if err != nil {
		return err
	}
	registered, err := a.engine.RegisterClient(r.Context(), Name, client, token, tracing(r))
	if err != nil {
		return err
	}
	wire.EventOf(r).ClientID = registered.Client.ID
	return a.writeRegistration(w, http.StatusCreated, registered)
}

// registration answers GET /oauth2/register/{client_id} (RFC 7592 §2.1).
func (a *api) registration(w http.ResponseWriter, r *http.Request) error {
	token, err := bearerToken(r)
	if err != nil {
		return err
	}
	registered, err := a.engine.RegisteredClient(r.Context(), Name, r.PathValue("client_id"), token)
	if err != nil {
		return err
	}
	wire.EventOf(r).ClientID = registered.Client.ID
	return a.writeRegistration(w, http.StatusOK, registered)
}

// unregister answers DELETE /oauth2/register/{client_id} (RFC 7592 §2.3).
func (a *api) unregister(w http.ResponseWriter, r *http.Request) error {
	token, err := bearerToken(r)
	if err != nil {
		return err
	}
	id := r.PathValue("client_id")
	if err := a.engine.UnregisterClient(r.Context(), Name, id, token, tracing(r)); err != nil {
		return err
	}
	wire.EventOf(r).ClientID = id
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func invalidMetadata(member, reason, description string) error {
	return oauth.Refuse(oauth.InvalidClientMetadata, "metadata: "+member+" "+reason, member+": "+description)
}

// decodeRegistration reads a client's metadata by its exact names. What is not
// known, such as client_name#de, is ignored (RFC 7591 §2), and so are an id and a
// secret: they are ours to say. What an operator decides about a client is refused
// and not ignored, so that nobody believes to have it.
func decodeRegistration(w http.ResponseWriter, r *http.Request) (oauth.Client, error) {
	object, err := wire.ReadJSON(w, r)
	if err != nil {
		return oauth.Client{}, err
	}
	for _, name := range oauth.PolicyNames() {
		if _, sent := object[name]; sent {
			return oauth.Client{}, invalidMetadata(name, "is policy", "this is for the operator to decide")
		}
	}
	known := make(wire.Object)
	for _, name := range oauth.MemberNames() {
		if raw, sent := object[name]; sent && name != "client_id" && string(raw) != "null" {
			known[name] = raw
		}
	}
	text, err := json.Marshal(known)
	if err != nil {
		return oauth.Client{}, err
	}
	var client oauth.Client
	if err := json.Unmarshal(text, &client); err != nil {
		return oauth.Client{}, wrongType(err)
	}
	return client, nil
}

func wrongType(err error) error {
	member := "a member"
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		member = wrong.Field
	}
	return invalidMetadata(member, "of the wrong type", "the value is of the wrong type")
}

// defaults are what a client has that has not said (OpenID Connect Registration
// §2).
var defaults = map[string]string{
	"application_type": "web", "subject_type": string(oauth.SubjectPublic), "id_token_signed_response_alg": "RS256",
}

// writeRegistration is RFC 7591 §3.2.1: all that is registered, but for the
// policy, which is between the operator and the server.
func (a *api) writeRegistration(w http.ResponseWriter, status int, c *engine.Registered) error {
	text, err := json.Marshal(c.Client)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	answer := make(map[string]any)
	for name, value := range members {
		if !slices.Contains(oauth.PolicyNames(), name) {
			answer[name] = value
		}
	}
	for name, value := range defaults {
		if answer[name] == nil {
			answer[name] = value
		}
	}
	answer["client_id_issued_at"] = c.CreatedAt.Unix()
	if c.Secret != "" {
		answer["client_secret"], answer["client_secret_expires_at"] = c.Secret, 0 // never
	}
	answer["registration_access_token"] = c.AccessToken
	answer["registration_client_uri"] = a.engine.Issuer() + registerPath + "/" + c.Client.ID
	return wire.WriteJSON(w, status, answer)
}
