package userdocks

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// entry is one line of the error envelope (contract §E). The brackets belong to
// the code.
type entry struct {
	Validation string `json:"validation"`
	Code       string `json:"code"`
	Message    string `json:"message"`
}

// kind is a row of the contract's table: a status with its code and the message
// that the documentation has.
type kind struct {
	status  int
	code    string
	message string
}

var (
	badRequest     = kind{http.StatusBadRequest, "[E4000]", "Bad Request / validation error"}
	badToken       = kind{http.StatusUnauthorized, "[E4010]", "Unauthorized Token"}
	badAPIKey      = kind{http.StatusUnauthorized, "[E4010]", "Unauthorized Token or API key"}
	badKeyType     = kind{http.StatusUnauthorized, "[E4011]", "Unauthorized API key type"}
	appDisabled    = kind{http.StatusForbidden, "[E4030]", "App Is Disabled"}
	internalError  = kind{http.StatusInternalServerError, "[E0000]", "Internal Server Error"}
	tooMany        = kind{http.StatusTooManyRequests, "[E4290]", "Too Many Requests"}
	unavailable    = kind{http.StatusServiceUnavailable, "[E0000]", "Service Unavailable"}
	httpErrorKinds = map[int]kind{
		http.StatusNotFound:              {http.StatusNotFound, "[E4040]", "Not Found"},
		http.StatusMethodNotAllowed:      {http.StatusMethodNotAllowed, "[E4050]", "Method Not Allowed"},
		http.StatusRequestEntityTooLarge: {http.StatusRequestEntityTooLarge, "[E4130]", "Payload Too Large"},
		http.StatusUnsupportedMediaType:  {http.StatusUnsupportedMediaType, "[E4150]", "Unsupported Media Type"},
	}
)

// renderPublicError answers on the routes without authentication: whatever the
// cause, the status is 400 and the code E4000.
func renderPublicError(w http.ResponseWriter, _ *http.Request, r *wire.Refusal) {
	render(w, r, badRequest)
}

// renderTokensError answers on the route of the exchange: one sentence for
// unknown, expired, used, foreign and mis-directed codes (contract §B.4 rule 11).
func renderTokensError(w http.ResponseWriter, req *http.Request, r *wire.Refusal) {
	if r.Err.Code == oauth.InvalidGrant {
		same := *r.Err
		same.Description = "The code or refresh token is not valid: it is unknown, expired, already used, or was issued to another app, redirect URI, state or verifier."
		r = &wire.Refusal{Err: &same, Status: r.Status, Allow: r.Allow}
	}
	renderPublicError(w, req, r)
}

// renderBearerError answers on the routes with a bearer token. What somebody may
// not see is not there for him: the answer for another's tenant is the one for
// none.
func renderBearerError(w http.ResponseWriter, req *http.Request, r *wire.Refusal) {
	switch r.Err.Code {
	case oauth.InvalidToken:
		challenge := `Bearer error="invalid_token"`
		if req.Header.Get("Authorization") == "" {
			challenge = "Bearer" // RFC 6750 §3.1: no error code for who has sent nothing
		}
		w.Header().Set("WWW-Authenticate", challenge)
		render(w, r, badToken)
	case oauth.UnauthorizedClient:
		render(w, r, appDisabled)
	case oauth.AccessDenied:
		render(w, r, httpErrorKinds[http.StatusNotFound])
	default:
		render(w, r, badRequest)
	}
}

// renderAPIKeyError answers on the routes with an API key.
func renderAPIKeyError(w http.ResponseWriter, _ *http.Request, r *wire.Refusal) {
	switch r.Err.Code {
	case oauth.InvalidClient:
		w.Header().Set("WWW-Authenticate", "Bearer")
		render(w, r, badAPIKey)
	case oauth.InsufficientScope:
		w.Header().Set("WWW-Authenticate", "Bearer")
		render(w, r, badKeyType)
	case oauth.UnauthorizedClient:
		render(w, r, appDisabled)
	default:
		render(w, r, badRequest)
	}
}

// render writes the envelope: the entry that the documentation has, then one
// that says it in a sentence.
func render(w http.ResponseWriter, r *wire.Refusal, k kind) {
	if by, ok := httpErrorKinds[r.Status]; ok {
		k = by
	}
	switch r.Err.Code {
	case oauth.ServerError:
		k = internalError
	case oauth.TemporarilyUnavailable:
		// Without a cause it is a limit, not a fault.
		if k = tooMany; r.Err.Fault() {
			k = unavailable
		}
	}
	wire.SetRefusalHeaders(w, r)
	_ = wire.WriteJSON(w, k.status, struct {
		Errors []entry `json:"errors"`
	}{[]entry{{"error", k.code, k.message}, {"error", k.code, r.Err.Description}}}) // strings always encode
}
