package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Label says where a sealed value belongs. It is authenticated, not stored.
type Label struct {
	Table     string
	Issuer    [16]byte
	Key       string // the id of the sealed key
	Algorithm string
	Purpose   string
}

// aad has one reading only: every field after its length.
func (l Label) aad() []byte {
	var out []byte
	for _, field := range []string{l.Table, string(l.Issuer[:]), l.Key, l.Algorithm, l.Purpose} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	return out
}

// version 1: version ‖ nonce [12] ‖ AES-256-GCM ciphertext and tag [16], under
// HKDF-SHA-256 of the master key.
const version = 1

// ErrOpen says that a value does not open: another master key, another label,
// or damage. Which of them cannot be told.
var ErrOpen = errors.New("seal: cannot open: wrong master key, wrong label or damaged value")

// Seal encrypts plain for l. The result is 29 bytes longer. Nonces are random:
// one master key is good for 2^32 values (NIST SP 800-38D §8.3).
func (m *Master) Seal(l Label, plain []byte, rand io.Reader) ([]byte, error) {
	aead := m.aead()
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = version
	nonce := out[1:]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("seal: no randomness: %w", err)
	}
	return aead.Seal(out, nonce, plain, l.aad()), nil
}

// Open returns what [Master.Seal] was given, or [ErrOpen].
func (m *Master) Open(l Label, sealed []byte) ([]byte, error) {
	aead := m.aead()
	if len(sealed) < 1+aead.NonceSize() || sealed[0] != version {
		return nil, ErrOpen
	}
	nonce, box := sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, box, l.aad())
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func (m *Master) aead() cipher.AEAD {
	block, err := aes.NewCipher(m.derive("seal", "", 32))
	if err != nil {
		panic("seal: " + err.Error()) // 32 bytes are a key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: " + err.Error()) // AES has a block of 16 bytes
	}
	return aead
}
