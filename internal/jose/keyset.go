package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// The size of a key set in bytes and keys, and of an RSA key in bits: it is a
// stranger's choice how much work one signature is.
const (
	maxKeySet  = 64 << 10
	maxKeys    = 20
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 4096
)

// KeySet is a client's JWK Set (RFC 7517 §5): public keys, of which those are
// kept that verify ES256, RS256, PS256 or EdDSA. The zero value has none.
type KeySet struct{ keys []clientKey }

type clientKey struct {
	kid  string // "" if it has none
	algs []Alg  // one, but for an RSA key that names none (RFC 8725 §3.1)
	key  crypto.PublicKey
}

// ParseKeySet reads a set of at most 64 KiB and 20 keys. Keys of other types,
// curves, sizes, algorithms and uses are passed over (RFC 7517 §5). A set without
// a usable key is refused, and one with a private or symmetric key: it is known
// to more than its owner. The errors repeat nothing of the set.
func ParseKeySet(raw []byte) (KeySet, error) {
	if len(raw) > maxKeySet {
		return KeySet{}, errors.New("jose: a JWK Set has at most 64 KiB")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return KeySet{}, errors.New("jose: not a JWK Set")
	}
	if len(set.Keys) > maxKeys {
		return KeySet{}, errors.New("jose: a JWK Set has at most 20 keys")
	}
	var s KeySet
	for _, raw := range set.Keys {
		// What cannot be read might hold a secret, so it is not passed over.
		var jwk members
		if err := json.Unmarshal(raw, &jwk); err != nil || jwk == nil {
			return KeySet{}, errors.New("jose: a key of the JWK Set is not a JSON object with one value for each name")
		}
		if jwk.private() {
			return KeySet{}, errors.New("jose: the JWK Set has a private or symmetric key")
		}
		if key, ok := jwk.parse(); ok {
			s.keys = append(s.keys, key)
		}
	}
	if len(s.keys) == 0 {
		return KeySet{}, errors.New("jose: the JWK Set has no key for ES256, RS256, PS256 or EdDSA")
	}
	return s, nil
}

// Verify is the function Verify with the keys of the set: those with the header's
// kid, or all if it has none; of these the ones that fit the header's alg.
//
// known is false if a newer version of the set could give another answer: the
// error is ErrUnknownKey, or ErrSignature for a header without kid. It is true
// for every other error.
func (s KeySet) Verify(token string, allowed []Alg) (payload []byte, h Header, known bool, err error) {
	_, header, err := dissect(token, allowed)
	if err != nil {
		return nil, Header{}, true, err
	}
	var keys []crypto.PublicKey
	for _, k := range s.keys {
		if (header.KID == "" || header.KID == k.kid) && slices.Contains(k.algs, header.Alg) {
			keys = append(keys, k.key)
		}
	}
	if len(keys) == 0 {
		return nil, Header{}, false, ErrUnknownKey
	}
	payload, h, err = verify(token, header, keys...)
	known = header.KID != "" || !errors.Is(err, ErrSignature)
	return payload, h, known, err
}

// members of a JWK (RFC 7517 §4).
type members map[string]json.RawMessage

func (m members) private() bool {
	// RFC 7518 §6.2.2, §6.3.2 and §6.4, RFC 8037 §2; priv for kinds to come.
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := m[name]; ok {
			return true
		}
	}
	return m.is("kty", "oct")
}

// parse returns the key if it is one that we verify with.
func (m members) parse() (clientKey, bool) {
	if _, ok := m["use"]; ok && !m.is("use", "sig") {
		return clientKey{}, false
	}
	if raw, ok := m["key_ops"]; ok {
		var ops []string
		if json.Unmarshal(raw, &ops) != nil || !slices.Contains(ops, "verify") {
			return clientKey{}, false
		}
	}
	var k clientKey
	if _, ok := m["kid"]; ok {
		if k.kid, ok = m.text("kid"); !ok {
			return clientKey{}, false
		}
	}
	switch {
	case m.is("kty", "EC") && m.is("crv", "P-256"):
		k.key, k.algs = m.ec(), []Alg{ES256}
	case m.is("kty", "RSA"):
		k.key, k.algs = m.rsa(), []Alg{RS256, PS256}
	case m.is("kty", "OKP") && m.is("crv", "Ed25519"):
		k.key, k.algs = m.ed25519(), []Alg{EdDSA, Ed25519}
	}
	if _, ok := m["alg"]; ok {
		named := func(alg Alg) bool { return m.is("alg", string(alg)) }
		if !named(EdDSA) && !named(Ed25519) { // these two are one
			k.algs = slices.DeleteFunc(k.algs, func(alg Alg) bool { return !named(alg) })
		}
	}
	return k, k.key != nil && len(k.algs) > 0
}

func (m members) ec() crypto.PublicKey {
	x, y := m.bytes("x"), m.bytes("y")
	if len(x) != 32 || len(y) != 32 { // RFC 7518 §6.2.1.2
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil // not on the curve
	}
	return key
}

func (m members) rsa() crypto.PublicKey {
	n, e := new(big.Int).SetBytes(m.bytes("n")), new(big.Int).SetBytes(m.bytes("e"))
	switch {
	case n.BitLen() < minRSABits || n.BitLen() > maxRSABits || n.Bit(0) == 0:
		return nil
	case e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0: // 3 at least; e = 1 would sign anything
		return nil
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}
}

func (m members) ed25519() crypto.PublicKey {
	x := m.bytes("x")
	if len(x) != ed25519.PublicKeySize {
		return nil
	}
	return ed25519.PublicKey(x)
}

func (m members) is(name, value string) bool {
	s, ok := m.text(name)
	return ok && s == value
}

func (m members) text(name string) (string, bool) {
	var s *string
	if json.Unmarshal(m[name], &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// bytes decodes base64url; nil if it is none.
func (m members) bytes(name string) []byte {
	s, _ := m.text(name)
	b, err := b64.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // which Go's decoder skips
		return nil
	}
	return b
}
