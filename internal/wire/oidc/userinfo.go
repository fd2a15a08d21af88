package oidc

import (
	"net/http"
	"strconv"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// userinfo answers GET and POST /oauth2/userinfo (OpenID Connect Core §5.3).
func (a *api) userinfo(w http.ResponseWriter, r *http.Request) error {
	token, err := presentedToken(w, r)
	if err != nil {
		return err
	}
	who, err := a.engine.Userinfo(r.Context(), Name, token)
	if err != nil {
		return err
	}
	event := wire.EventOf(r)
	event.ClientID, event.Grant = who.Client.ID, engine.GID(who.Token.Grant)
	told := claimsOf(&who.User, who.Token.Scope, who.Claims.Userinfo)
	if who.Client.UserinfoAlg != "" {
		return a.writeSigned(w, who, told)
	}
	answer := map[string]any{"sub": who.Token.Subject}
	for _, c := range told {
		answer[c.name] = c.value
	}
	return wire.WriteJSON(w, http.StatusOK, answer)
}

// writeSigned writes a JWT (OpenID Connect Core §5.3.2). It has no typ, so that it
// can never pass for an ID token or an access token.
func (a *api) writeSigned(w http.ResponseWriter, who *engine.Userinfo, told []claim) error {
	c := jose.NewClaims()
	c.String("iss", a.engine.Issuer())
	c.String("aud", who.Client.ID)
	c.String("sub", who.Token.Subject)
	for _, t := range told {
		c.JSON(t.name, t.value)
	}
	token, err := a.engine.Sign(engine.Draft{Key: keyOf(who.Client.UserinfoAlg), KID: true, Claims: c})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwt")
	w.Header().Set("Content-Length", strconv.Itoa(len(token)))
	_, _ = w.Write([]byte(token)) // the client may be gone
	return nil
}

// bearerToken is the token of the Authorization header (RFC 6750 §2.1); "" if
// there is none.
func bearerToken(r *http.Request) (string, error) {
	scheme, token, err := wire.Authorization(r.Header.Values("Authorization"))
	if err != nil || scheme != "bearer" {
		return "", err
	}
	return token, nil
}

// presentedToken is the token of the header or of a form (RFC 6750 §2.1, §2.2). A
// query is not looked at: what is in it has stood in logs.
func presentedToken(w http.ResponseWriter, r *http.Request) (string, error) {
	token, err := bearerToken(r)
	if err != nil {
		return "", err
	}
	inForm, err := formToken(w, r)
	switch {
	case err != nil:
		return "", err
	case token != "" && inForm != "":
		return "", invalid("two access tokens", "The access token must be sent in the header or in the body, not in both.")
	case token == "" && inForm == "":
		return "", oauth.Refuse(oauth.InvalidToken, "access token: none sent", "An access token is needed: send it as Authorization: Bearer.")
	}
	return token + inForm, nil
}

func formToken(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.Method != http.MethodPost {
		return "", nil
	}
	body, err := wire.ReadBody(w, r)
	if err != nil || len(body) == 0 {
		return "", err
	}
	if wire.MediaType(r) != wire.FormType {
		return "", wire.UnsupportedMediaType(wire.FormType)
	}
	p, err := wire.ParseParams(string(body))
	return p["access_token"], err
}
