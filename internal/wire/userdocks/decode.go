package userdocks

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// Lengths of strings, in characters. The contract has none; a bcrypt of 72
// bytes is not behind this, but an argon2id, so a passphrase may be long.
const (
	maxID       = 64
	maxOpaque   = 256 // nonce, state
	maxURI      = 2048
	maxArtefact = 512
	maxText     = 1024
)

// fields reads string members and keeps the first error.
type fields struct {
	object wire.Object
	err    error
}

func (f *fields) string(name string, limit int) string {
	s, err := f.object.String(name, limit)
	if err != nil && f.err == nil {
		f.err = err
	}
	return s
}

func (f *fields) required(name string, limit int) string {
	s := f.string(name, limit)
	if s == "" && f.err == nil {
		f.err = invalid(name+" missing", name+" is required.")
	}
	return s
}

// line is a string to be shown or sent: no control characters, and no line ends
// that could begin another header on the way into a mail.
func (f *fields) line(name string, limit int) string {
	s := f.string(name, limit)
	if f.err == nil && strings.ContainsFunc(s, breaksLine) {
		f.err = invalid(name+" with control characters", name+" must not contain control characters.")
	}
	return s
}

func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// match is a line of a certain form, or none.
func (f *fields) match(name string, form *regexp.Regexp, want string) string {
	s := f.line(name, maxText)
	if s != "" && f.err == nil && !form.MatchString(s) {
		f.err = invalid(name+" malformed", name+" must be "+want+".")
	}
	return s
}

// accepted is a box that must be ticked.
func (f *fields) accepted(name string) {
	if ok, err := f.object.Bool(name); f.err == nil && (err != nil || !ok) {
		f.err = invalid(name+" not true", name+" must be true.")
	}
}

// trap is a field that people do not see and robots fill in.
func (f *fields) trap() {
	if on, err := f.object.Bool("acceptPrivacyPolicy"); f.err == nil && (err != nil || on) {
		f.err = invalid("honeypot", "acceptPrivacyPolicy must be false.")
	}
}

// readFields reads a body of JSON.
func readFields(w http.ResponseWriter, r *http.Request) (*fields, error) {
	object, err := wire.ReadJSON(w, r)
	if err != nil {
		return nil, err
	}
	return &fields{object: object}, nil
}

func invalid(reason, description string) error {
	return oauth.Refuse(oauth.InvalidRequest, reason, description)
}

func trace(r *http.Request) engine.Trace {
	return engine.Trace{RequestID: wire.EventOf(r).RequestID, IP: wire.IP(r)}
}

type codesRequest struct {
	password    engine.PasswordRequest
	redirectURI string // as sent: the page that the browser goes to
}

// decodeCodes reads the body of POST /api/v1/codes. A code_challenge may come
// along; old clients send none.
func decodeCodes(w http.ResponseWriter, r *http.Request) (codesRequest, error) {
	f, err := readFields(w, r)
	if err != nil {
		return codesRequest{}, err
	}
	req := codesRequest{
		password: engine.PasswordRequest{
			Face:         Name,
			ClientID:     f.required("appUuid", maxID),
			Identifier:   f.required("email", maxText),
			Password:     f.required("password", maxText),
			SameRedirect: sameRedirect,
			State:        f.required("state", maxOpaque),
			Trace:        trace(r),
		},
		redirectURI: f.required("redirectUri", maxURI),
	}
	challenge, method := f.string("code_challenge", maxOpaque), f.string("code_challenge_method", maxOpaque)
	f.trap()
	if f.err != nil {
		return req, f.err
	}
	if challenge != "" || method != "" {
		c, err := oauth.ParseCodeChallenge(challenge, method)
		if err != nil {
			return req, invalid("challenge malformed", err.Error()+".")
		}
		req.password.Challenge = &c
	}
	req.password.RedirectURI = oauth.TrimSlash(req.redirectURI)
	return req, nil
}

// sameRedirect compares as bytes, after one trailing slash is removed from both
// sides (contract §B.4 rule 7); the requested one has lost its already.
func sameRedirect(registered, trimmed string) bool {
	return oauth.TrimSlash(registered) == trimmed
}

// decodeTokens reads the body of POST /api/v1/tokens. The grant is chosen by
// content: the SDK sends grant_type authorization_code for a refresh too
// (contract §B.4 rules 2 and 3).
func decodeTokens(w http.ResponseWriter, r *http.Request) (*engine.TokenRequest, error) {
	f, err := readFields(w, r)
	if err != nil {
		return nil, err
	}
	req := &engine.TokenRequest{
		Face:         Name,
		Credentials:  engine.Credentials{ClientID: f.required("client_id", maxID)},
		RefreshToken: f.string("refresh_token", maxArtefact),
		Trace:        trace(r),
	}
	req.Shape = shape{nonce: f.string("nonce", maxOpaque), language: f.string("language", maxOpaque)}
	if f.err != nil {
		return nil, f.err
	}
	if req.RefreshToken != "" {
		req.GrantType = oauth.RefreshToken
		return req, nil
	}
	req.GrantType = oauth.AuthorizationCode
	if g := f.required("grant_type", maxOpaque); f.err == nil && g != string(oauth.AuthorizationCode) {
		return nil, oauth.Refuse(oauth.UnsupportedGrantType, "grant type", "grant_type must be authorization_code with a code, or a refresh_token must be sent.")
	}
	req.Code = f.required("code", maxArtefact)
	req.RedirectURI = oauth.TrimSlash(f.required("redirect_uri", maxURI))
	// The code is bound to the state that it was asked for with (RFC 9700 §4.5: a
	// stolen one comes with another); a refresh carries the page's own, or filler.
	req.State = f.string("state", maxOpaque)
	// Read for their form alone: they are the app's own notes.
	for _, name := range []string{"service", "auth_time"} {
		f.string(name, maxOpaque)
	}
	f.string("scope", maxText)
	verifier := f.string("code_verifier", maxOpaque)
	if f.err != nil {
		return nil, f.err
	}
	if verifier != "" {
		if req.CodeVerifier, err = oauth.ParseCodeVerifier(verifier); err != nil {
			return nil, invalid("verifier malformed", err.Error()+".")
		}
	}
	return req, nil
}

type bearerClaims struct {
	Issuer   string          `json:"iss"`
	Audience string          `json:"aud"`
	GID      string          `json:"gid"`
	Use      string          `json:"token_use"`
	PSC      json.RawMessage `json:"psc"`
}

// bearer reads and verifies the access token of a request. An ID token has the
// same signature and almost the same claims, and must not pass for one.
func (a *api) bearer(r *http.Request) (*bearerClaims, error) {
	refuse := func(reason string) error {
		return oauth.Refuse(oauth.InvalidToken, "access token: "+reason, "The access token is missing, or is not valid here.")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, refuse("missing")
	}
	_, payload, err := a.engine.VerifyToken(SigningKey.Purpose, strings.TrimSpace(token))
	if err != nil {
		return nil, err
	}
	c := &bearerClaims{}
	if err := json.Unmarshal(payload, c); err != nil {
		return nil, refuse("claims of the wrong type")
	}
	switch {
	case c.Issuer != Issuer:
		return nil, refuse("another issuer")
	case c.Use != useAccess || c.PSC == nil:
		return nil, refuse("an ID token, not an access token")
	}
	return c, nil
}

// account authenticates a user by his access token; app is whose token it is.
func (a *api) account(r *http.Request) (account *engine.ResourceOwner, app string, err error) {
	claims, err := a.bearer(r)
	if err != nil {
		return nil, "", err
	}
	event := wire.EventOf(r)
	event.ClientID, event.Grant = claims.Audience, claims.GID
	account, err = a.engine.ResourceOwner(r.Context(), Name, claims.Audience, claims.GID)
	return account, claims.Audience, err
}

// apiKey authenticates a back end (contract §A.0). The app is that of the path,
// if it has one, and of the header; both must agree.
func (a *api) apiKey(r *http.Request, access engine.Access) (*oauth.Client, error) {
	id := r.Header.Get("X-Client-Id")
	if inPath := r.PathValue("appUuid"); inPath != "" && inPath != id {
		return nil, oauth.Refuse(oauth.InvalidClient, "x-client-id is not the app of the path", "The header x-client-id must name the app of the path.")
	}
	app, err := a.engine.ClientByAPIKey(r.Context(), Name, id, r.Header.Get("X-Api-Key"), access)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("X-Api-Key-Type") != string(access) {
		return nil, oauth.Refuse(oauth.InsufficientScope, "x-api-key-type is not "+string(access), "The header x-api-key-type must be "+string(access)+" for this request.")
	}
	wire.EventOf(r).ClientID = app.ID
	return app, nil
}
