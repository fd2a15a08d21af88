package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
)

// FormLifetime is how long a page may stay open before its form is too old.
const FormLifetime = 10 * time.Minute

// What OpenForm refuses with.
var (
	ErrFormForeign = oauth.Refuse(oauth.AccessDenied, "form: not one of ours, or of another browser",
		"The form does not belong to this browser. Please go back to the app and start again.")
	ErrFormExpired = oauth.Refuse(oauth.InvalidRequest, "form: expired",
		"The page had been open for too long. Please try again.")
)

// SealForm makes the text that a form carries what it is about in, so that
// nothing is stored for a visitor who may never answer. The text is signed, not
// secret: it goes to the visitor's own browser. binding is a value that only
// this browser has; OpenForm asks for it again.
func (e *Engine) SealForm(payload []byte, binding string) string {
	body := binary.BigEndian.AppendUint64(nil, uint64(millis(e.now().Add(FormLifetime))))
	body = append(body, payload...)
	return formCoding.EncodeToString(append(body, e.formMAC(body, binding)...))
}

// OpenForm returns what was sealed. Refusals: ErrFormForeign; ErrFormExpired,
// which comes with the payload, so that a page can offer the same form again.
func (e *Engine) OpenForm(text, binding string) ([]byte, error) {
	raw, err := formCoding.DecodeString(text)
	// Go's base64 skips line ends: one form has one text.
	if err != nil || strings.ContainsAny(text, "\r\n") || len(raw) < 8+sha256.Size || binding == "" {
		return nil, ErrFormForeign
	}
	body, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !hmac.Equal(mac, e.formMAC(body, binding)) {
		return nil, ErrFormForeign
	}
	if uint64(millis(e.now())) >= binary.BigEndian.Uint64(body) {
		return body[8:], ErrFormExpired
	}
	return body[8:], nil
}

var formCoding = base64.RawURLEncoding.Strict()

// formMAC: the length comes first, so that no byte of the binding can be taken
// for one of the body.
func (e *Engine) formMAC(body []byte, binding string) []byte {
	h := hmac.New(sha256.New, e.formKey)
	h.Write([]byte("tallystick form 1\x00"))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(binding))))
	h.Write([]byte(binding))
	h.Write(body)
	return h.Sum(nil)
}
