// Package tally is the format of every bearer artefact: codes, refresh tokens
// and their like. A tally proves by itself that this server issued it, so junk
// is refused without a look at the database, and the database holds nothing
// that could be presented.
//
//	kind_ + base64url( key uint16 ‖ secret [16] ‖ generation uint32 ‖ body ‖ MAC [32] )
//
// All numbers are big-endian. The body is empty but for kinds that say so. The
// row that a tally belongs to is found by a hash of its secret (ID), which is
// public; the secret itself is never stored.
package tally

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// Kind is a sort of artefact. Each kind has its own MAC keys, so that one can
// never pass for another.
type Kind struct {
	prefix string // of the text form, without the underscore
	body   int    // bytes between generation and MAC
}

// The kinds. A prefix is for ever: it also names the kind's MAC key.
var (
	// Code is an authorization code whose grant has a row.
	Code = Kind{prefix: "tsc"}
	// Refresh is a refresh token; its generation counts rotations.
	Refresh = Kind{prefix: "tsr"}
	// AnonymousCode is an authorization code whose grant has no row yet: the
	// body carries what the row would (see AnonymousBody).
	AnonymousCode = Kind{prefix: "tsa", body: anonymousBodySize}
	// MailLink is what a mail's link carries.
	MailLink = Kind{prefix: "tsm"}
	// Session is the cookie of a browser's sign-in.
	Session = Kind{prefix: "tss"}
	// SilentSession is the cookie that names the same sign-in where a page of
	// another site embeds one of ours. It is good for nothing else.
	SilentSession = Kind{prefix: "tsi"}
	// PushedRequest is the handle of a pushed authorization request (RFC 9126).
	PushedRequest = Kind{prefix: "tsp"}
	// Registration is what a client reads and deletes its registration with
	// (RFC 7592); the client's id follows from its secret.
	Registration = Kind{prefix: "tsg"}
	// InitialAccess lets its holder register clients (RFC 7591 §3); the body is
	// when it ends.
	InitialAccess = Kind{prefix: "tsn", body: 8}
)

var kinds = []Kind{Code, Refresh, AnonymousCode, MailLink, Session, SilentSession, PushedRequest, Registration, InitialAccess}

// Secret is the half of the stick that only the holder has.
type Secret [16]byte

// String hides the secret, under every verb.
func (Secret) String() string   { return "[secret]" }
func (Secret) GoString() string { return "[secret]" }

// ID names what a tally belongs to: a grant, a session, a link. It is public: it may stand in tokens, logs and
// the database.
type ID [16]byte

// Tally is a decoded artefact whose MAC has been verified, or one to be minted.
type Tally struct {
	Key        uint16 // number of the MAC key
	Secret     Secret
	Generation uint32
	Body       []byte // exactly as long as the kind says
}

// Issuer scopes everything: a tally of one issuer means nothing to another.
type Issuer [16]byte

const (
	headSize = 2 + 16 + 4
	macSize  = sha256.Size
)

// ErrJunk is the answer to whatever this server did not issue as this kind.
var ErrJunk = errors.New("tally: not one of ours")

// ErrKey says that the tally names a MAC key that the ring does not hold: junk,
// or a key that another node has made since the ring was loaded.
var ErrKey = errors.New("tally: unknown MAC key")

// Size is the length of the kind's text form.
func (k Kind) Size() int {
	return len(k.prefix) + 1 + base64.RawURLEncoding.EncodedLen(k.rawSize())
}

func (k Kind) rawSize() int { return headSize + k.body + macSize }

// ID is the public name of what a secret belongs to.
func (i Issuer) ID(s Secret) ID {
	var buf [64]byte
	b := append(buf[:0], "tallystick id\x00"...)
	b = append(b, i[:]...)
	b = append(b, s[:]...)
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// Mint writes the text form of t under the key that it names. ErrKey if the
// ring does not hold that key.
func (r *Ring) Mint(k Kind, t Tally) (string, error) {
	if len(t.Body) != k.body {
		panic("tally: a body of the wrong size for its kind")
	}
	key, ok := r.key(k, t.Key)
	if !ok {
		return "", ErrKey
	}
	raw := make([]byte, 0, k.rawSize())
	raw = binary.BigEndian.AppendUint16(raw, t.Key)
	raw = append(raw, t.Secret[:]...)
	raw = binary.BigEndian.AppendUint32(raw, t.Generation)
	raw = append(raw, t.Body...)
	mac := r.mac(key, raw)
	raw = append(raw, mac[:]...)

	out := make([]byte, 0, k.Size())
	out = append(out, k.prefix...)
	out = append(out, '_')
	return string(base64.RawURLEncoding.AppendEncode(out, raw)), nil
}

// Verify decodes s if it is a tally of this kind, issuer and ring; no store is
// asked. The errors are ErrJunk and ErrKey.
func (r *Ring) Verify(k Kind, s string) (Tally, error) {
	enc, ok := strings.CutPrefix(s, k.prefix+"_")
	if !ok || len(s) != k.Size() {
		return Tally{}, ErrJunk
	}
	raw := make([]byte, k.rawSize(), k.rawSize()+2)
	n, err := base64.RawURLEncoding.Decode(raw, []byte(enc))
	if err != nil || n != k.rawSize() {
		return Tally{}, ErrJunk
	}
	// Decode skips line breaks and does not mind stray low bits in the last
	// character, so one artefact would have several spellings. Only the one that
	// was issued is accepted.
	var again [256]byte
	if string(base64.RawURLEncoding.AppendEncode(again[:0], raw)) != enc {
		return Tally{}, ErrJunk
	}
	number := binary.BigEndian.Uint16(raw)
	key, ok := r.key(k, number)
	if !ok {
		return Tally{}, ErrKey
	}
	signed, given := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	want := r.mac(key, signed)
	if !hmac.Equal(want[:], given) {
		return Tally{}, ErrJunk
	}
	return Tally{
		Key:        number,
		Secret:     Secret(signed[2:18]),
		Generation: binary.BigEndian.Uint32(signed[18:headSize]),
		Body:       signed[headSize:],
	}, nil
}

// KindOf tells the kind by the text form's prefix alone; nothing is verified.
// It is for saying why a tally was refused.
func KindOf(s string) (name string, ok bool) {
	prefix, _, _ := strings.Cut(s, "_")
	for _, k := range kinds {
		if k.prefix == prefix {
			return k.String(), true
		}
	}
	return "", false
}

func (k Kind) String() string {
	switch k {
	case Code:
		return "code"
	case Refresh:
		return "refresh token"
	case AnonymousCode:
		return "anonymous code"
	case MailLink:
		return "mail link"
	case Session:
		return "session"
	case SilentSession:
		return "silent session"
	case PushedRequest:
		return "request_uri"
	case Registration:
		return "registration access token"
	case InitialAccess:
		return "initial access token"
	}
	return k.prefix
}
