package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Alg is the registered name of a signature algorithm (RFC 7518 §3.1).
type Alg string

// A further algorithm to sign with is a case in each switch of this file. One
// that shares its key type with another (PS256 and RS256) also needs ParseKey to
// be told which of the two is meant.
const (
	ES256 Alg = "ES256" // ECDSA with P-256 and SHA-256 (RFC 7518 §3.4)
	RS256 Alg = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3)

	// These two are verified with a client's keys ([KeySet]); we do not sign with them.
	PS256 Alg = "PS256" // RSASSA-PSS with SHA-256 (RFC 7518 §3.5)
	EdDSA Alg = "EdDSA" // with Ed25519 (RFC 8037 §3.1)
	// Ed25519 is the name that RFC 9864 §2.2 gives to the same.
	Ed25519 Alg = "Ed25519"
)

// generate makes a private key for alg. The standard library takes no other
// source of randomness than its own since Go 1.26, so neither do we.
func generate(alg Alg) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("jose: unknown algorithm %q", alg)
}

// algOf names the algorithm a public key is for and refuses keys that are too
// weak for any.
func algOf(key crypto.PublicKey) (Alg, error) {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", errors.New("jose: want an elliptic curve key on P-256")
		}
		return ES256, nil
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 { // RFC 7518 §3.3
			return "", errors.New("jose: want an RSA key of 2048 bits or more")
		}
		return RS256, nil
	}
	return "", fmt.Errorf("jose: want an ECDSA or RSA key, got %T", key)
}

// canonicalJWK returns the required members of a public key as a JSON object
// without white space, names in order: the input of the thumbprint (RFC 7638 §3).
func canonicalJWK(key crypto.PublicKey) (string, error) {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 0x04 ‖ x ‖ y, fixed width (RFC 7518 §6.2.1.2)
		if err != nil {
			return "", err
		}
		x, y := point[1:33], point[33:]
		return `{"crv":"P-256","kty":"EC","x":"` + b64.EncodeToString(x) + `","y":"` + b64.EncodeToString(y) + `"}`, nil
	case *rsa.PublicKey:
		e := binary.BigEndian.AppendUint64(nil, uint64(key.E))
		for e[0] == 0 { // shortest form (RFC 7518 §6.3.1.2)
			e = e[1:]
		}
		return `{"e":"` + b64.EncodeToString(e) + `","kty":"RSA","n":"` + b64.EncodeToString(key.N.Bytes()) + `"}`, nil
	}
	return "", fmt.Errorf("jose: no JWK for %T", key)
}

// signatureSize is the length in bytes of every signature made with key.
func signatureSize(key crypto.Signer) int {
	if key, ok := key.(*rsa.PrivateKey); ok {
		return key.Size()
	}
	return 64
}

// sign returns the JWS signature over input.
func sign(key crypto.Signer, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		return fixedWidth(der)
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	}
	return nil, fmt.Errorf("jose: no signature with %T", key)
}

// fixedWidth turns SEQUENCE { INTEGER r, INTEGER s } of a P-256 signature into
// r ‖ s, 32 bytes each whatever their leading zeros (RFC 7518 §3.4). It spares
// the two big.Int of ecdsa.Sign; every length fits the short form of DER.
func fixedWidth(der []byte) ([]byte, error) {
	broken := errors.New("jose: malformed ECDSA signature")
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, broken
	}
	out := make([]byte, 64)
	rest := der[2:]
	for half := out; len(half) > 0; half = half[32:] {
		if len(rest) < 2 || rest[0] != 0x02 || len(rest)-2 < int(rest[1]) {
			return nil, broken
		}
		n := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(n):]
		for len(n) > 0 && n[0] == 0 {
			n = n[1:]
		}
		if len(n) > 32 {
			return nil, broken
		}
		copy(half[32-len(n):32], n)
	}
	if len(rest) > 0 {
		return nil, broken
	}
	return out, nil
}
