package tally

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// KeySize is the length of a MAC key's material in bytes.
const KeySize = 32

// Material is one MAC key as it comes unsealed from the store.
type Material [KeySize]byte

// String hides the key, under every verb.
func (Material) String() string   { return "[secret]" }
func (Material) GoString() string { return "[secret]" }

// Ring holds the MAC keys of one issuer. It never changes; a new key makes a
// new ring. It is safe for concurrent use.
type Ring struct {
	issuer Issuer
	active uint16
	keys   map[ringKey]macKey
}

type ringKey struct {
	kind   string
	number uint16
}

// macKey is a MAC key with its two HMAC blocks already hashed in, so that one
// MAC costs two short hashes and no set-up.
type macKey struct{ inner, outer []byte }

// NewRing makes a ring of the keys by number. Tallies are minted under the
// active one; it must be among the keys.
func NewRing(issuer Issuer, keys map[uint16]Material, active uint16) *Ring {
	if _, ok := keys[active]; !ok {
		panic("tally: the active key is not in the ring")
	}
	r := &Ring{issuer: issuer, active: active, keys: make(map[ringKey]macKey, len(keys)*len(kinds))}
	for number, material := range keys {
		for _, k := range kinds {
			derived, err := hkdf.Key(sha256.New, material[:], nil, k.prefix, KeySize)
			if err != nil {
				panic(err) // only for lengths that SHA-256 cannot give
			}
			r.keys[ringKey{k.prefix, number}] = newMACKey(derived)
		}
	}
	return r
}

// Active is the number of the key that new tallies are minted under.
func (r *Ring) Active() uint16 { return r.active }

func (r *Ring) key(k Kind, number uint16) (macKey, bool) {
	key, ok := r.keys[ringKey{k.prefix, number}]
	return key, ok
}

// newMACKey prepares HMAC-SHA-256 (RFC 2104) for a key of at most one block.
func newMACKey(key []byte) macKey {
	var ipad, opad [sha256.BlockSize]byte
	copy(ipad[:], key)
	copy(opad[:], key)
	for i := range ipad {
		ipad[i] ^= 0x36
		opad[i] ^= 0x5c
	}
	return macKey{inner: stateAfter(ipad[:]), outer: stateAfter(opad[:])}
}

func stateAfter(block []byte) []byte {
	h := sha256.New()
	h.Write(block)
	state, err := h.(interface{ AppendBinary([]byte) ([]byte, error) }).AppendBinary(nil)
	if err != nil {
		panic(err) // sha256 always can
	}
	return state
}

// mac is HMAC-SHA-256(key, "tallystick 1\0" ‖ issuer ‖ signed).
func (r *Ring) mac(key macKey, signed []byte) [macSize]byte {
	var out [macSize]byte
	h := resume(key.inner)
	h.Write([]byte("tallystick 1\x00"))
	h.Write(r.issuer[:])
	h.Write(signed)
	h.Sum(out[:0])

	o := resume(key.outer)
	o.Write(out[:])
	o.Sum(out[:0])
	return out
}

func resume(state []byte) hash.Hash {
	h := sha256.New()
	if err := h.(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(state); err != nil {
		panic(err) // it was marshalled by the same package
	}
	return h
}

const anonymousBodySize = 8 + sha256.Size + sha256.Size

// AnonymousBody is what the code of an anonymous grant carries in place of a row.
type AnonymousBody struct {
	ExpiresAt int64             // Unix milliseconds
	Client    [sha256.Size]byte // ClientHash of the client that asked
	Challenge [sha256.Size]byte // the code challenge (RFC 7636)
}

// ClientHash stands for a client id of any length in a body of fixed length.
func ClientHash(clientID string) [sha256.Size]byte { return sha256.Sum256([]byte(clientID)) }

// Append writes the body's 72 bytes.
func (b AnonymousBody) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.ExpiresAt))
	dst = append(dst, b.Client[:]...)
	return append(dst, b.Challenge[:]...)
}

// Anonymous reads the body of a verified AnonymousCode.
func (t Tally) Anonymous() AnonymousBody {
	return AnonymousBody{
		ExpiresAt: int64(binary.BigEndian.Uint64(t.Body)),
		Client:    [sha256.Size]byte(t.Body[8:40]),
		Challenge: [sha256.Size]byte(t.Body[40:72]),
	}
}
