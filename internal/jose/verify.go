package jose

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"
	// Its own JSON: names are case-sensitive and a repeated one is refused
	// (RFC 7515 §4), neither of which encoding/json does.
	"github.com/go-jose/go-jose/v4/json"
)

// Why Verify refused. None of them tells anything about the token's content.
var (
	ErrMalformed  = errors.New("jose: not a compact JWS")
	ErrAlg        = errors.New("jose: algorithm not allowed")
	ErrHeader     = errors.New("jose: header parameter refused")
	ErrUnknownKey = errors.New("jose: no key for this token")
	ErrSignature  = errors.New("jose: signature does not verify")
)

// Header is what a verified token says about itself. Typ and KID are empty if
// absent.
type Header struct {
	Alg Alg
	Typ string
	KID string
}

// refused are the parameters that would bring a key along, change what is
// signed, or must not be ignored (RFC 7515 §4.1, RFC 7797 §3, RFC 8725 §3.10).
var refused = []string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip"}

// Verify checks a token of at most [MaxToken] bytes and returns its payload.
//
// allowed is asked before anything else in the header. find returns the key for
// the header's kid ("" if absent) and alg; a key of another algorithm is
// refused. Errors are ErrMalformed, ErrAlg, ErrHeader, ErrUnknownKey and
// ErrSignature. Claims are not looked at.
func Verify(token string, allowed []Alg, find func(kid string, alg Alg) (PublicKey, bool)) ([]byte, Header, error) {
	_, header, err := dissect(token, allowed)
	if err != nil {
		return nil, Header{}, err
	}
	key, ok := find(header.KID, header.Alg)
	if !ok || key.key == nil || key.Alg != header.Alg {
		return nil, Header{}, ErrUnknownKey
	}
	return verify(token, header, key.key)
}

// UnverifiedPayload returns what a well-formed token claims. Nothing in it may
// be trusted: it is for finding out whose keys the token has to be verified
// with. The errors are those of Verify that need no key, with ErrAlg for an
// algorithm that is not a constant of this package.
func UnverifiedPayload(token string) ([]byte, Header, error) {
	return dissect(token, []Alg{ES256, RS256, PS256, EdDSA, Ed25519})
}

// dissect does all of Verify that needs no key.
func dissect(token string, allowed []Alg) (payload []byte, header Header, err error) {
	// Lengths and dots first: junk costs no allocation. A base64 decoder of Go
	// skips line ends even when strict.
	if len(token) > MaxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return nil, Header{}, ErrMalformed
	}
	head, rest, _ := strings.Cut(token, ".")
	middle, signature, _ := strings.Cut(rest, ".")

	if header, err = parseHeader(head, allowed); err != nil {
		return nil, Header{}, err
	}
	// go-jose's decoder takes stray bits in a last character; ours does not.
	if _, err := b64.DecodeString(signature); err != nil || signature == "" {
		return nil, Header{}, ErrMalformed
	}
	if payload, err = b64.DecodeString(middle); err != nil || middle == "" {
		return nil, Header{}, ErrMalformed
	}
	return payload, header, nil
}

// verify judges the signature of a dissected token by the first of the keys that
// fits.
func verify(token string, header Header, keys ...crypto.PublicKey) ([]byte, Header, error) {
	if header.Alg == Ed25519 { // a name that go-jose does not know
		return verifyEd25519(token, header, keys)
	}
	jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(header.Alg)})
	if err != nil {
		return nil, Header{}, ErrMalformed
	}
	for _, key := range keys {
		if payload, err := jws.Verify(key); err == nil {
			return payload, header, nil
		}
	}
	return nil, Header{}, ErrSignature
}

func verifyEd25519(token string, header Header, keys []crypto.PublicKey) ([]byte, Header, error) {
	dot := strings.LastIndexByte(token, '.')
	signature, err := b64.DecodeString(token[dot+1:])
	if err != nil {
		return nil, Header{}, ErrMalformed
	}
	for _, key := range keys {
		if key, ok := key.(ed25519.PublicKey); ok && ed25519.Verify(key, []byte(token[:dot]), signature) {
			_, middle, _ := strings.Cut(token[:dot], ".")
			payload, err := b64.DecodeString(middle)
			return payload, header, err
		}
	}
	return nil, Header{}, ErrSignature
}

func parseHeader(segment string, allowed []Alg) (Header, error) {
	raw, err := b64.DecodeString(segment)
	if err != nil {
		return Header{}, ErrMalformed
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return Header{}, ErrMalformed
	}
	alg, _ := members["alg"].(string)
	if !slices.Contains(allowed, Alg(alg)) {
		return Header{}, ErrAlg
	}
	for _, name := range refused {
		if _, ok := members[name]; ok {
			return Header{}, ErrHeader
		}
	}
	header := Header{Alg: Alg(alg)}
	for name, to := range map[string]*string{"typ": &header.Typ, "kid": &header.KID} {
		value, ok := members[name]
		if !ok {
			continue
		}
		if *to, ok = value.(string); !ok {
			return Header{}, ErrMalformed
		}
	}
	return header, nil
}
