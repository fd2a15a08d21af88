// Package seal holds the master key, and what is sealed under it or derived
// from it.
//
// It promises that the master key itself encrypts nothing and is printed
// nowhere; that a sealed value opens only under the label it was sealed with,
// so that a row's secret cannot be moved to another row; and that two processes
// that start at once on one directory end up with one key.
package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	prefix  = "tallystick-master-1:"
	keySize = 32

	// want is the one line that says what would be right.
	want = `want one line "` + prefix + `" and 43 characters of base64url`
)

var b64 = base64.RawURLEncoding.Strict()

// Master is the master key of an installation. It prints as [secret] under
// every verb, in slog and in JSON.
type Master struct {
	// A function, because fmt calls no method on a Master in an unexported field,
	// and of all kinds only a function is never looked into.
	key func() *[keySize]byte
}

func newMaster(key *[keySize]byte) *Master {
	return &Master{key: func() *[keySize]byte { return key }}
}

// Parse reads the line that [ReadOrCreate] writes, with or without its newline.
// The error says what a right line looks like and nothing of the wrong one.
func Parse(text string) (*Master, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), prefix)
	if !ok || len(encoded) != b64.EncodedLen(keySize) {
		return nil, errors.New("master key: " + want)
	}
	raw, err := b64.DecodeString(encoded)
	if err != nil || len(raw) != keySize { // Go's base64 skips line ends
		return nil, errors.New("master key: " + want)
	}
	return newMaster((*[keySize]byte)(raw)), nil
}

// create draws a new key.
func create(rand io.Reader) (*Master, error) {
	key := new([keySize]byte)
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return nil, fmt.Errorf("master key: no randomness: %w", err)
	}
	return newMaster(key), nil
}

// text is the line that Parse reads.
func (m *Master) text() string {
	return prefix + b64.EncodeToString(m.key()[:]) + "\n"
}

// Check returns the value that is kept next to the data of an issuer, to tell
// at the start whether this is the key the data was sealed with. It can be
// published: it is one output of HKDF among many.
func (m *Master) Check(issuer [16]byte) [32]byte {
	return [32]byte(m.derive("check", string(issuer[:]), 32))
}

// Derive returns n bytes (at most 8160) that depend on the key and the purpose
// alone.
func (m *Master) Derive(purpose string, n int) []byte {
	return m.derive("derive", purpose, n)
}

// derive separates the uses of the key: kind has no NUL, so no two of them have
// an info in common (RFC 5869 §3.2).
func (m *Master) derive(kind, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, m.key()[:], nil, "tallystick "+kind+" 1\x00"+info, n)
	if err != nil {
		panic("seal: " + err.Error()) // n is out of range, a mistake of the program
	}
	return out
}

const secret = "[secret]"

// Format implements [fmt.Formatter].
func (Master) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secret) }

// MarshalText implements [encoding.TextMarshaler], which JSON and slog ask for.
func (Master) MarshalText() ([]byte, error) { return []byte(secret), nil }
