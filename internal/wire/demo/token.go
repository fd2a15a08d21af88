package demo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// maxToken bounds what is decoded. Ours are below 2 KiB.
const maxToken = 16 << 10

// token is a JWT taken apart to be looked at. Its signature has not been
// verified.
type token struct {
	Name      string // access_token or id_token
	Header    []line // nil if it is no JWT
	Payload   []line
	Moments   []moment
	Signature string // its beginning and end
	Bytes     int    // length of the signature
}

// moment is a claim that is a time.
type moment struct {
	Claim string
	At    time.Time
	// After is how long after iat, 0 for what is not later.
	After time.Duration
}

// Hours reports whether the time after iat is told in whole hours.
func (m moment) Hours() int64 {
	if m.After%time.Hour != 0 {
		return 0
	}
	return int64(m.After / time.Hour)
}

// Seconds is the time after iat.
func (m moment) Seconds() int64 { return int64(m.After / time.Second) }

// decodeToken takes a compact JWS (RFC 7515 §7.1) apart. What is none comes back
// with its name alone.
func decodeToken(name, s string) token {
	none := token{Name: name}
	parts := strings.Split(s, ".")
	if len(s) > maxToken || len(parts) != 3 {
		return none
	}
	header, ok := decodeObject(parts[0])
	if !ok {
		return none
	}
	payload, ok := decodeObject(parts[1])
	if !ok {
		return none
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return none
	}
	return token{
		Name: name, Header: bodyLines(header), Payload: bodyLines(payload), Moments: moments(payload),
		Signature: abbreviate(parts[2]), Bytes: len(signature),
	}
}

func decodeObject(segment string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.DecodeString(segment)
	return b, err == nil && bytes.HasPrefix(b, []byte("{")) && json.Valid(b)
}

func abbreviate(s string) string {
	const end = 10
	if len(s) <= 2*end+1 {
		return s
	}
	return s[:end] + "…" + s[len(s)-end:]
}

// moments are the claims of RFC 7519 §4.1 and OpenID Connect Core §2 that are
// times, in the order of time as it passes.
func moments(payload []byte) []moment {
	var claims map[string]json.RawMessage
	if json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	at := func(claim string) (time.Time, bool) {
		var n float64 // a NumericDate may have a fraction
		if raw, ok := claims[claim]; !ok || json.Unmarshal(raw, &n) != nil || n <= 0 || n >= yearTenThousand {
			return time.Time{}, false
		}
		return time.Unix(int64(n), 0).UTC(), true
	}
	var all []moment
	issued, known := at("iat")
	for _, claim := range []string{"auth_time", "iat", "nbf", "exp"} {
		if t, ok := at(claim); ok {
			m := moment{Claim: claim, At: t}
			if known {
				m.After = max(t.Sub(issued), 0)
			}
			all = append(all, m)
		}
	}
	return all
}

// yearTenThousand is the first second that does not print as a date.
const yearTenThousand = 253402300800
