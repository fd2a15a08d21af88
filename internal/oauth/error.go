package oauth

import (
	"errors"
	"time"
)

// ErrorCode is one of the registered OAuth error codes.
type ErrorCode string

// The codes of RFC 6749 §4.1.2.1 and §5.2, and of RFC 6750 §3.1.
const (
	InvalidRequest          ErrorCode = "invalid_request"
	InvalidClient           ErrorCode = "invalid_client"
	InvalidGrant            ErrorCode = "invalid_grant"
	UnauthorizedClient      ErrorCode = "unauthorized_client"
	UnsupportedGrantType    ErrorCode = "unsupported_grant_type"
	UnsupportedResponseType ErrorCode = "unsupported_response_type"
	InvalidScope            ErrorCode = "invalid_scope"
	AccessDenied            ErrorCode = "access_denied"
	ServerError             ErrorCode = "server_error"
	TemporarilyUnavailable  ErrorCode = "temporarily_unavailable"
	InvalidToken            ErrorCode = "invalid_token"
	InsufficientScope       ErrorCode = "insufficient_scope"
)

// The codes of OpenID Connect Core §3.1.2.6 and Unmet Authentication Requirements,
// RFC 7009 §2.2.1, RFC 7591 §3.2.2, RFC 8707 §2 and RFC 9101 §7.
const (
	LoginRequired         ErrorCode = "login_required"
	ConsentRequired       ErrorCode = "consent_required"
	InteractionRequired   ErrorCode = "interaction_required"
	InvalidRequestURI     ErrorCode = "invalid_request_uri"
	InvalidRequestObject  ErrorCode = "invalid_request_object"
	UnmetRequirements     ErrorCode = "unmet_authentication_requirements"
	UnsupportedTokenType  ErrorCode = "unsupported_token_type"
	InvalidRedirectURI    ErrorCode = "invalid_redirect_uri"
	InvalidClientMetadata ErrorCode = "invalid_client_metadata"
	InvalidTarget         ErrorCode = "invalid_target"
)

// Error is a refusal, or a fault made fit to be shown.
//
// Code and Description may be seen by anybody. Reason names the exact check that
// failed and, like Err, goes to the log and the audit only: a caller that learns
// which of several checks failed has an oracle.
type Error struct {
	Code        ErrorCode
	Description string
	Reason      string
	Err         error
	// RetryAfter is how long a client should wait before it tries again; 0 = not said.
	RetryAfter time.Duration
}

// Refuse makes a refusal: something the client did, and what would be right.
func Refuse(code ErrorCode, reason, description string) *Error {
	return &Error{Code: code, Reason: reason, Description: description}
}

// Unavailable makes the answer to a fault that passes by itself: nothing that
// matters to the client happened, so it may try again.
func Unavailable(reason string, err error) *Error {
	return &Error{
		Code: TemporarilyUnavailable, Reason: reason, Err: err, RetryAfter: time.Second,
		Description: "The server cannot answer right now. Please try again.",
	}
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Fault reports whether the server, not the client, is the cause.
func (e *Error) Fault() bool {
	return e.Code == ServerError || e.Code == TemporarilyUnavailable && e.Err != nil
}

// AsError turns any error into one that may be shown: a refusal stays what it
// is, everything else becomes server_error with a fixed text.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{
		Code: ServerError, Reason: "fault", Err: err,
		Description: "The server met an unexpected condition.",
	}
}
