package jose

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// PublicKey verifies the tokens of one [Key]. The zero value verifies nothing.
type PublicKey struct {
	ID  string // kid: the thumbprint of RFC 7638, SHA-256, base64url
	Alg Alg    // the only algorithm the key is used with (RFC 8725 §3.1)

	key crypto.PublicKey
	jwk string // the required members, see canonicalJWK
}

func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	alg, err := algOf(key)
	if err != nil {
		return PublicKey{}, err
	}
	jwk, err := canonicalJWK(key)
	if err != nil {
		return PublicKey{}, err
	}
	sum := sha256.Sum256([]byte(jwk))
	return PublicKey{ID: b64.EncodeToString(sum[:]), Alg: alg, key: key, jwk: jwk}, nil
}

// Key signs. It prints as [secret] under every verb, in slog and in JSON.
type Key struct {
	ID  string // as in PublicKey
	Alg Alg

	// A function, because fmt calls no method on a Key in an unexported field, and
	// of all kinds only a function is never looked into.
	private func() crypto.Signer
	public  PublicKey
}

func newKey(private crypto.Signer) (*Key, error) {
	public, err := newPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	return &Key{ID: public.ID, Alg: public.Alg, private: func() crypto.Signer { return private }, public: public}, nil
}

// Generate makes a new key: P-256 for ES256, 2048 bits for RS256.
func Generate(alg Alg) (*Key, error) {
	private, err := generate(alg)
	if err != nil {
		return nil, err
	}
	return newKey(private)
}

// ParseKey reads what [Key.PKCS8] wrote.
func ParseKey(der []byte) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("jose: not a PKCS #8 private key")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jose: %T cannot sign", parsed)
	}
	return newKey(private)
}

// PKCS8 returns the private key in DER (RFC 5958). Seal it before it is stored.
func (k *Key) PKCS8() ([]byte, error) {
	return x509.MarshalPKCS8PrivateKey(k.private())
}

// Public returns the half that may be published.
func (k *Key) Public() PublicKey { return k.public }

// PublicPEM returns the public key as a PEM block "PUBLIC KEY" (RFC 7468 §13).
func (k *Key) PublicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.public.key)
	if err != nil {
		panic("jose: algOf let a key in that has no SubjectPublicKeyInfo: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

const secret = "[secret]"

// Format implements [fmt.Formatter].
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secret) }

// MarshalText implements [encoding.TextMarshaler], which JSON and slog ask for.
func (Key) MarshalText() ([]byte, error) { return []byte(secret), nil }

// JWKS returns the JWK Set (RFC 7517 §5) of the keys, in their order: public
// members only, with kid, use and alg.
func JWKS(keys []PublicKey) []byte {
	out := []byte(`{"keys":[`)
	for i, k := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, k.jwk[:len(k.jwk)-1]...)
		out = appendString(append(out, `,"kid":`...), k.ID)
		out = appendString(append(out, `,"use":"sig","alg":`...), string(k.Alg))
		out = append(out, '}')
	}
	return append(out, ']', '}')
}
