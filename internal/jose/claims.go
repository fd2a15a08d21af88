package jose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Claims builds one JSON object by appending. The zero value is an empty
// object; a Claims is not safe for concurrent use.
//
// The output is printable ASCII without ? ~ > < &, and without a quote or
// backslash of a string's own: all these are written as \uXXXX. Shipped clients
// read segments with plain atob(), which fails on '-' and '_'. Base64url writes
// these two for the sextets 62 and 63; out of ASCII, only the third byte of a
// group can yield one, and only when it is > ~ ? or DEL.
//
// A repeated name (RFC 7519 §4) or malformed raw JSON is remembered and
// returned by [Signer.Sign].
type Claims struct {
	buf   []byte // the object without its closing brace; empty before the first member
	names []string
	err   error
}

// NewClaims returns an empty object with room for a usual token.
func NewClaims() *Claims {
	return &Claims{buf: make([]byte, 0, 768), names: make([]string, 0, 24)}
}

// String adds a string. Each byte that is not part of valid UTF-8 becomes U+FFFD.
func (c *Claims) String(name, value string) {
	c.name(name)
	c.buf = appendString(c.buf, value)
}

// Int adds an integer.
func (c *Claims) Int(name string, v int64) {
	c.name(name)
	c.buf = strconv.AppendInt(c.buf, v, 10)
}

// Bool adds true or false.
func (c *Claims) Bool(name string, v bool) {
	c.name(name)
	c.buf = strconv.AppendBool(c.buf, v)
}

// Strings adds an array of strings, [] for none.
func (c *Claims) Strings(name string, vs []string) {
	c.name(name)
	c.buf = append(c.buf, '[')
	for i, v := range vs {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = appendString(c.buf, v)
	}
	c.buf = append(c.buf, ']')
}

// JSON adds any JSON value, with its strings written anew by the rule above and
// without its white space. A value that is not JSON fails the signature.
func (c *Claims) JSON(name string, raw json.RawMessage) {
	c.name(name)
	if !json.Valid(raw) {
		c.fail(fmt.Errorf("jose: claim %q is not JSON", name))
		return
	}
	c.buf = appendJSON(c.buf, raw)
}

// name begins a member. Names are few, so a search beats a map.
func (c *Claims) name(name string) {
	if slices.Contains(c.names, name) {
		c.fail(fmt.Errorf("jose: claim %q is set twice", name))
	}
	c.names = append(c.names, name)
	if len(c.buf) == 0 {
		c.buf = append(c.buf, '{')
	} else {
		c.buf = append(c.buf, ',')
	}
	c.buf = append(appendString(c.buf, name), ':')
}

func (c *Claims) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// object returns the complete object, valid until the next call on c.
func (c *Claims) object() []byte {
	if len(c.buf) == 0 {
		return []byte("{}")
	}
	return append(c.buf, '}')
}

// plain marks the bytes that a string may hold as they are.
var plain = func() (t [256]bool) {
	for b := 0x20; b < 0x7f; b++ {
		t[b] = true
	}
	for _, b := range []byte(`"\?~><&`) {
		t[b] = false
	}
	return t
}()

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		r, size := utf8.DecodeRuneInString(s[i:])
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			dst = appendEscape(appendEscape(dst, hi), lo)
		} else {
			dst = appendEscape(dst, r)
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, unit rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[unit>>12&15], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}

// appendJSON writes valid JSON anew. Outside of strings it is ASCII without any
// character that appendString escapes.
func appendJSON(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ' ', '\t', '\r', '\n':
		case '"':
			end := i + 1
			for ; raw[end] != '"'; end++ {
				if raw[end] == '\\' {
					end++
				}
			}
			var s string
			_ = json.Unmarshal(raw[i:end+1], &s) // a string of valid JSON
			dst = appendString(dst, s)
			i = end
		default:
			dst = append(dst, raw[i])
		}
	}
	return dst
}
