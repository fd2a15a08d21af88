package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

// accessToken has the claims of an RFC 9068 access token.
func accessToken() *Claims {
	c := NewClaims()
	c.String("iss", "https://login.example.com")
	c.String("sub", "0d1c6a5e-6c0e-4a35-9a0e-0d6a4b0b6f11")
	c.Strings("aud", []string{"https://api.example.com"})
	c.String("client_id", "web")
	c.Int("exp", 1767225600)
	c.Int("iat", 1767222000)
	c.Int("auth_time", 1767221990)
	c.String("jti", "3q2-7wAAAAAAAAAAAAAAAA")
	c.String("scope", "openid profile email offline_access")
	c.String("gid", "AAECAwQFBgcICQoLDA0ODw")
	return c
}

func benchmarkSign(b *testing.B, alg Alg) {
	s := newTestKey(b, alg).Signer("at+jwt", true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(accessToken()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignES256(b *testing.B) { benchmarkSign(b, ES256) }
func BenchmarkSignRS256(b *testing.B) { benchmarkSign(b, RS256) }

// The Bare benchmarks are the floor: the signature of a digest, as the standard
// library returns it.

func BenchmarkBareES256(b *testing.B) {
	key := newTestKey(b, ES256).private().(*ecdsa.PrivateKey)
	digest := sha256.Sum256(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareRS256(b *testing.B) {
	key := newTestKey(b, RS256).private().(*rsa.PrivateKey)
	digest := sha256.Sum256(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkGoJOSE(b *testing.B, alg Alg) {
	key := newTestKey(b, alg)
	s, err := gojose.NewSigner(
		gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(alg), Key: gojose.JSONWebKey{Key: key.private(), KeyID: key.ID}},
		(&gojose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		payload, err := json.Marshal(map[string]any{
			"iss":       "https://login.example.com",
			"sub":       "0d1c6a5e-6c0e-4a35-9a0e-0d6a4b0b6f11",
			"aud":       []string{"https://api.example.com"},
			"client_id": "web",
			"exp":       1767225600,
			"iat":       1767222000,
			"auth_time": 1767221990,
			"jti":       "3q2-7wAAAAAAAAAAAAAAAA",
			"scope":     "openid profile email offline_access",
			"gid":       "AAECAwQFBgcICQoLDA0ODw",
		})
		if err != nil {
			b.Fatal(err)
		}
		jws, err := s.Sign(payload)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := jws.CompactSerialize(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGoJOSEES256(b *testing.B) { benchmarkGoJOSE(b, ES256) }
func BenchmarkGoJOSERS256(b *testing.B) { benchmarkGoJOSE(b, RS256) }

func BenchmarkVerifyES256(b *testing.B) {
	key := newTestKey(b, ES256)
	token, err := key.Signer("at+jwt", true).Sign(accessToken())
	if err != nil {
		b.Fatal(err)
	}
	find := only(key.Public())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Verify(token, []Alg{ES256}, find); err != nil {
			b.Fatal(err)
		}
	}
}
