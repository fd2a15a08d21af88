package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WriteJSON writes v in one piece, with its length. HTML characters are not
// escaped: no answer of ours is read as HTML.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	h := w.Header()
	h.Set("Content-Type", JSONType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// The client may be gone; what was written is durable, so it can retry.
	_, _ = w.Write(body)
	return nil
}

// WriteOAuthError writes the body of RFC 6749 §5.2. state is given back where
// the authorization request had one (§4.1.2.1).
func WriteOAuthError(w http.ResponseWriter, status int, r *Refusal, state string) {
	SetRefusalHeaders(w, r)
	body := struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
		State       string `json:"state,omitempty"`
	}{string(r.Err.Code), descriptionText(r.Err.Description), state}
	if status != http.StatusNotFound {
		w.Header().Set("Pragma", "no-cache")
	}
	_ = WriteJSON(w, status, body) // strings always encode
}

// SetRefusalHeaders sets Allow and Retry-After where the refusal has them.
func SetRefusalHeaders(w http.ResponseWriter, r *Refusal) {
	if r.Allow != "" {
		w.Header().Set("Allow", r.Allow)
	}
	if r.Err.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(r.Err.RetryAfter)/float64(time.Second)))))
	}
}

// descriptionText keeps to the characters of RFC 6749 §5.2.
func descriptionText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}
