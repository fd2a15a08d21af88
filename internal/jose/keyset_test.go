package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdjson "encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

// set returns a JWK Set of these keys.
func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

func parseSet(t testing.TB, keys ...string) KeySet {
	t.Helper()
	s, err := ParseKeySet(set(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plus adds members to a JWK.
func plus(jwk, members string) string { return strings.TrimSuffix(jwk, "}") + "," + members + "}" }

func TestParseKeySetRefuses(t *testing.T) {
	ec, rsaKey := rfcECKey(t).public.jwk, rfcRSAKey(t).public.jwk
	many := func(n int) []byte { return set(strings.Split(strings.Repeat(ec+"\n", n-1)+ec, "\n")...) }
	pad := func(n int) []byte {
		start := `{"pad":"`
		end := `",` + string(set(ec))[1:]
		return []byte(start + strings.Repeat("x", n-len(start)-len(end)) + end)
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		want string // "" for none
	}{
		{"64 KiB", pad(maxKeySet), ""},
		{"one byte more", pad(maxKeySet + 1), "64 KiB"},
		{"20 keys", many(20), ""},
		{"21 keys", many(21), "20 keys"},
		{"21 keys that would be passed over", set(strings.Split(strings.Repeat("{}\n", 20)+"{}", "\n")...), "20 keys"},
		{"a member that is not known", []byte(`{"next":1,` + string(set(ec))[1:]), ""},

		{"nothing", nil, "not a JWK Set"},
		{"text", []byte("keys"), "not a JWK Set"},
		{"an array", []byte("[" + ec + "]"), "not a JWK Set"},
		{"with a tail", append(set(ec), "{}"...), "not a JWK Set"},
		{"keys that are no array", []byte(`{"keys":` + ec + `}`), "not a JWK Set"},
		{"two arrays of keys", []byte(`{"keys":[],` + string(set(ec))[1:]), "not a JWK Set"},
		{"as deep as it can be", []byte(`{"keys":[` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `]}`), "not a JWK Set"},
		{"a key that is no object", set(`"x"`, ec), "JSON object"},
		{"a key that is null", set(`null`, ec), "JSON object"},
		{"a key with a name twice (RFC 7517 §4)", set(plus(ec, `"kty":"EC"`)), "JSON object"},

		{"null", []byte("null"), "no key"},
		{"a key instead of a set", []byte(ec), "no key"},
		{"KEYS", []byte(`{"KEYS":[` + ec + `]}`), "no key"},
		{"no keys", set(), "no key"},
		{"no usable key", set(`{"kty":"EC","crv":"P-384"}`, plus(ec, `"use":"enc"`)), "no key"},

		{"a private EC key", set(plus(ec, `"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`)), "private"},
		{"a private RSA key", set(plus(rsaKey, `"d":"AQ","p":"AQ","q":"AQ"`)), "private"},
		{"a private Ed25519 key", set(plus(rfcEdJWK, `"d":"`+rfcEdSeed+`"`)), "private"},
		{"a private key beside a good one", set(ec, plus(rfcEdJWK, `"d":"`+rfcEdSeed+`"`)), "private"},
		{"a private key that we cannot use", set(ec, `{"kty":"EC","crv":"P-521","d":"AQ"}`), "private"},
		{"a private key for encryption", set(ec, plus(ec, `"use":"enc","d":"AQ"`)), "private"},
		{"a private member that is null", set(plus(ec, `"d":null`)), "private"},
		{"a private member of an escaped name", set(plus(ec, `"\u0064":"AQ"`)), "private"},
		{"a symmetric key", set(ec, `{"kty":"oct","k":"AQ"}`), "private"},
		{"a symmetric key without its value", set(ec, `{"kty":"oct"}`), "private"},
	} {
		s, err := ParseKeySet(tt.raw)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(s.keys) > 0 {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), rfcEdSeed) {
			t.Errorf("%s: the error repeats the key: %v", tt.name, err)
		}
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, err := ParseKeySet(set(plus(rsaKey, `"`+name+`":[]`))); err == nil || !strings.Contains(err.Error(), "private") {
			t.Errorf("the member %s: %v", name, err)
		}
	}
}

func TestParseKeySetPassesOver(t *testing.T) {
	ec, rsaKey := rfcECKey(t).public.jwk, rfcRSAKey(t).public.jwk
	modulus := func(bits int, low uint) string {
		n := new(big.Int).SetBit(big.NewInt(int64(low)), bits-1, 1)
		return `{"kty":"RSA","e":"AQAB","n":"` + b64.EncodeToString(n.Bytes()) + `"}`
	}
	exponent := func(e ...byte) string { return strings.Replace(rsaKey, `"AQAB"`, `"`+b64.EncodeToString(e)+`"`, 1) }
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := gojose.JSONWebKey{Key: p384.Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	point, err := rfcECKey(t).public.key.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x := strings.Split(ec, `"x":"`)[1][:43]
	for _, tt := range []struct {
		name, key string
		usable    bool
	}{
		{"EC", ec, true},
		{"RSA", rsaKey, true},
		{"Ed25519", rfcEdJWK, true},
		{"for signatures", plus(ec, `"use":"sig"`), true},
		{"to verify (RFC 7517 §4.3)", plus(ec, `"key_ops":["verify"]`), true},
		{"with an empty kid", plus(ec, `"kid":""`), true},
		{"with certificates, which are not looked at", plus(ec, `"x5c":["AQ=="],"x5t":1`), true},
		{"the least RSA (RFC 7518 §3.3)", modulus(2048, 1), true},
		{"the largest RSA", modulus(4096, 1), true},
		{"RSA with the exponent 3", exponent(3), true},
		{"RSA with zeros in front", exponent(0, 1, 0, 1), true},
		{"alg ES256", plus(ec, `"alg":"ES256"`), true},
		{"alg RS256", plus(rsaKey, `"alg":"RS256"`), true},
		{"alg PS256", plus(rsaKey, `"alg":"PS256"`), true},
		{"alg EdDSA", plus(rfcEdJWK, `"alg":"EdDSA"`), true},

		{"for encryption", plus(ec, `"use":"enc"`), false},
		{"for nobody knows what", plus(ec, `"use":null`), false},
		{"to sign only", plus(ec, `"key_ops":["sign"]`), false},
		{"key_ops that are no array", plus(ec, `"key_ops":"verify"`), false},
		{"a kid that is no string", plus(ec, `"kid":1`), false},
		{"a kid that is null", plus(ec, `"kid":null`), false},
		{"alg of another type", plus(ec, `"alg":"RS256"`), false},
		{"alg of encryption", plus(rsaKey, `"alg":"RSA-OAEP"`), false},
		{"alg of a longer hash", plus(rsaKey, `"alg":"RS512"`), false},
		{"alg none", plus(rsaKey, `"alg":"none"`), false},
		{"an empty alg", plus(rsaKey, `"alg":""`), false},
		{"alg that is no string", plus(rsaKey, `"alg":256`), false},
		{"no kty", `{"crv":"P-256"}`, false},
		{"kty in lower case", strings.Replace(ec, `"EC"`, `"ec"`, 1), false},
		{"a kty to come", `{"kty":"AKP","alg":"ML-DSA-44","pub":"AQ"}`, false},
		{"P-384", string(other), false},
		{"P-384 that calls itself P-256", strings.Replace(string(other), "P-384", "P-256", 1), false},
		{"Ed448", strings.Replace(rfcEdJWK, "Ed25519", "Ed448", 1), false},
		{"X25519, which signs nothing", strings.Replace(rfcEdJWK, "Ed25519", "X25519", 1), false},
		{"Ed25519 of another kty", strings.Replace(rfcEdJWK, "OKP", "EC", 1), false},
		{"a point that is not on the curve", strings.Replace(ec, x, b64.EncodeToString(make([]byte, 32)), 1), false},
		{"a coordinate of 31 bytes (RFC 7518 §6.2.1.2)", strings.Replace(ec, x, b64.EncodeToString(make([]byte, 31)), 1), false},
		{"a coordinate of 33 bytes", strings.Replace(ec, x, b64.EncodeToString(append([]byte{0}, unbase64(t, x)...)), 1), false},
		{"coordinates of 31 and 33 bytes", `{"kty":"EC","crv":"P-256","x":"` + b64.EncodeToString(point[1:32]) + `","y":"` + b64.EncodeToString(point[32:]) + `"}`, false},
		{"a coordinate with padding", strings.Replace(ec, x, x+"=", 1), false},
		{"a coordinate with a line end", strings.Replace(ec, x, x+`\n`, 1), false},
		{"a coordinate with stray bits", strings.Replace(ec, x, x[:42]+next(x[42]), 1), false},
		{"no y", `{"kty":"EC","crv":"P-256","x":"` + x + `"}`, false},
		{"an Ed25519 key of 31 bytes", `{"kty":"OKP","crv":"Ed25519","x":"` + b64.EncodeToString(make([]byte, 31)) + `"}`, false},
		{"RSA of 2047 bits", modulus(2047, 1), false},
		{"RSA of 2047 bits with zeros in front", strings.Replace(modulus(2047, 1), `"n":"`, `"n":"AAAA`, 1), false},
		{"RSA of 4097 bits", modulus(4097, 1), false},
		{"an even modulus", modulus(2048, 2), false},
		{"no modulus", `{"kty":"RSA","e":"AQAB"}`, false},
		{"no exponent", strings.Replace(rsaKey, `"e"`, `"E"`, 1), false},
		{"exponent 0", exponent(0), false},
		{"exponent 1, under which every signature is its own message", exponent(1), false},
		{"exponent 2", exponent(2), false},
		{"an even exponent", exponent(1, 0, 0), false},
		{"an exponent of 32 bits", exponent(0x80, 0, 0, 1), false},
		{"an exponent of 64 bits and more", exponent(1, 0, 0, 0, 0, 0, 0, 0, 1), false},
	} {
		// Another key in front shows that the set is read on.
		s, err := ParseKeySet(set(plus(rfcEdJWK, `"kid":"first"`), tt.key, plus(rfcEdJWK, `"kid":"last"`)))
		if err != nil || (len(s.keys) == 3) != tt.usable || s.keys[len(s.keys)-1].kid != "last" {
			t.Errorf("%s: %d keys, error %v", tt.name, len(s.keys), err)
		}
	}
}

// An accepted set has public keys only, and comes back as itself.
func FuzzParseKeySet(f *testing.F) {
	ec, rsaKey := rfcECKey(f).public.jwk, rfcRSAKey(f).public.jwk
	f.Add(set(ec, rsaKey, rfcEdJWK, rfcBilboJWK))
	f.Add(set(plus(ec, `"kid":"a","alg":"ES256","use":"sig","key_ops":["verify"]`)))
	f.Add(set(plus(rsaKey, `"alg":"PS256"`), `{"kty":"oct"}`))
	f.Add(set(plus(rfcEdJWK, `"d":"AQ"`)))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseKeySet(raw)
		if err != nil {
			if len(s.keys) > 0 {
				t.Errorf("%d keys with %v", len(s.keys), err)
			}
			return
		}
		var seen struct {
			Keys []map[string]stdjson.RawMessage
		}
		if err := stdjson.Unmarshal(raw, &seen); err != nil || len(s.keys) == 0 || len(s.keys) > maxKeys || len(raw) > maxKeySet {
			t.Fatalf("%d keys of %q, error %v", len(s.keys), raw, err)
		}
		for _, jwk := range seen.Keys {
			if jwk["d"] != nil || jwk["k"] != nil {
				t.Errorf("a private key in %q", raw)
			}
		}
		var again []string
		for _, k := range s.keys {
			jwk := gojose.JSONWebKey{Key: k.key, KeyID: k.kid}
			if len(k.algs) == 1 {
				jwk.Algorithm = string(k.algs[0])
			}
			text, err := jwk.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, string(text))
		}
		back := parseSet(t, again...)
		if len(back.keys) != len(s.keys) {
			t.Fatalf("%d keys came back of %d", len(back.keys), len(s.keys))
		}
		for i, k := range back.keys {
			if was := s.keys[i]; k.kid != was.kid || fmt.Sprint(k.algs) != fmt.Sprint(was.algs) || !k.key.(interface{ Equal(crypto.PublicKey) bool }).Equal(was.key) {
				t.Errorf("key %d came back as %+v, was %+v", i, k, was)
			}
		}
	})
}
