package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tallystick/tallystick/internal/oauth"
)

const (
	// MaxBody is how long a body may be, in bytes.
	MaxBody   = 64 << 10
	maxParams = 50
)

// Media types.
const (
	FormType = "application/x-www-form-urlencoded"
	JSONType = "application/json"
)

func invalidRequest(reason, description string) error {
	return oauth.Refuse(oauth.InvalidRequest, reason, description)
}

// MediaType is the media type of the body without its parameters; "" if none is
// named, or none that can be read.
func MediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// ReadBody reads a body of at most 64 KiB. A content coding is refused: a small
// body must not become a large one.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return ReadBodyOf(w, r, MaxBody)
}

// ReadBodyOf is ReadBody with a limit of its own, in bytes: for who has proved who he
// is.
func ReadBodyOf(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return nil, httpError(http.StatusUnsupportedMediaType, "The body must be sent without a Content-Encoding.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		return body, nil
	}
	if refusal := asRefusal(err); refusal.Status != 0 {
		return nil, refusal
	}
	return nil, invalidRequest("body unreadable", "The body ended before its announced length.")
}

// Params are the parameters of a form or a query, each sent once. A parameter
// without a value is one that was not sent (RFC 6749 §3.1, §3.2). The values of one
// that may be repeated are joined by a space.
type Params map[string]string

// ParseParams reads an application/x-www-form-urlencoded string. Refused are:
// a parameter that is sent twice, even with equal values (RFC 6749 §3.1: first
// and last wins hide attacks), a bad escape, bytes that are not UTF-8, NUL, and
// more than 50 parameters. Only those named as repeatable may be sent several times;
// no legal value of theirs has a space in it.
func ParseParams(s string, repeatable ...string) (Params, error) {
	if strings.Count(s, "&") >= maxParams {
		return nil, invalidRequest("too many parameters", "At most 50 parameters may be sent.")
	}
	// ParseQuery returns what it could read along with the error: half a
	// request must not be taken for a whole one.
	values, err := url.ParseQuery(s)
	if err != nil {
		return nil, invalidRequest("parameters malformed", "The parameters are not well-formed: check the percent-encoding, and separate them by &.")
	}
	params := make(Params, len(values))
	for name, vs := range values {
		if len(vs) > 1 && !slices.Contains(repeatable, name) {
			return nil, duplicate(name)
		}
		value := strings.Join(vs, " ")
		if !text(name) || !text(value) {
			return nil, invalidRequest("parameter not text", "Parameters must be UTF-8 without NUL.")
		}
		if value != "" {
			params[name] = value
		}
	}
	return params, nil
}

// Require reports the first of the parameters that was not sent.
func (p Params) Require(names ...string) error {
	for _, name := range names {
		if p[name] == "" {
			return invalidRequest(name+" missing", "The parameter "+name+" is required.")
		}
	}
	return nil
}

func duplicate(name string) error {
	if !plain(name) {
		return invalidRequest("parameter sent twice", "A parameter is sent more than once.")
	}
	return invalidRequest(name+" sent twice", "The parameter "+name+" is sent more than once.")
}

// plain reports whether a name that a client made up may be said back to it.
func plain(name string) bool {
	return len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// Object is a JSON object as it was sent, each member once.
type Object map[string]json.RawMessage

// ReadJSON reads a body that is one JSON object. Refused are: another media
// type, a member that stands twice (parsers disagree on which one counts),
// anything after the object, and bytes that are not UTF-8.
func ReadJSON(w http.ResponseWriter, r *http.Request) (Object, error) {
	if MediaType(r) != JSONType {
		return nil, UnsupportedMediaType(JSONType)
	}
	body, err := ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	return ParseObject(body)
}

// ParseObject reads one JSON object.
func ParseObject(body []byte) (Object, error) {
	if !utf8.Valid(body) {
		return nil, invalidRequest("body not UTF-8", "The body must be UTF-8.")
	}
	malformed := invalidRequest("body not a JSON object", "The body must be one JSON object.")
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	object := make(Object)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, malformed
		}
		if _, twice := object[name]; twice {
			return nil, duplicate(name)
		}
		if len(object) == maxParams {
			return nil, invalidRequest("too many members", "At most 50 members may be sent.")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, malformed
		}
		object[name] = raw
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, malformed
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, malformed
	}
	return object, nil
}

// String reads a member that must be a string of at most limit characters; ""
// if it is absent or null.
func (o Object) String(name string, limit int) (string, error) {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", invalidRequest(name+" not a string", fmt.Sprintf("%s must be a string.", name))
	}
	if strings.IndexByte(s, 0) >= 0 {
		return "", invalidRequest(name+" contains NUL", fmt.Sprintf("%s must not contain NUL.", name))
	}
	if utf8.RuneCountInString(s) > limit {
		return "", invalidRequest(name+" too long", fmt.Sprintf("%s must be at most %d characters.", name, limit))
	}
	return s, nil
}

// Bool reads a member that must be true or false; false if it is absent or null.
func (o Object) Bool(name string) (bool, error) {
	switch string(o[name]) {
	case "", "null", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, invalidRequest(name+" not a boolean", fmt.Sprintf("%s must be true or false.", name))
}
