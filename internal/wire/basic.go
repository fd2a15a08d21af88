package wire

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// Authorization reads the scheme, in lower case, and the rest of an Authorization
// header; both are "" if there is none. It may be sent once only (RFC 9110 §5.3).
func Authorization(values []string) (scheme, rest string, err error) {
	switch len(values) {
	case 0:
		return "", "", nil
	case 1:
		scheme, rest, _ = strings.Cut(values[0], " ")
		return strings.ToLower(scheme), strings.TrimLeft(rest, " "), nil
	}
	return "", "", invalidRequest("Authorization sent twice", "The header Authorization is sent more than once.")
}

// ParseBasic reads the credentials of HTTP Basic as OAuth writes them: id and
// secret are form-encoded before they are joined (RFC 6749 §2.3.1). Taken is one
// spelling only, the one with padding of RFC 4648 §4.
func ParseBasic(credentials string) (id, secret string, ok bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || strings.ContainsAny(credentials, "\r\n") { // which Go's decoder skips
		return "", "", false
	}
	before, after, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(before)
	secret, errSecret := url.QueryUnescape(after)
	if errID != nil || errSecret != nil {
		return "", "", false
	}
	return id, secret, true
}
