package jose

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// forge signs any header over any payload.
func forge(t testing.TB, key *Key, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	signature, err := sign(key.private(), []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(signature)
}

func TestVerify(t *testing.T) {
	ec, rsa := rfcECKey(t), rfcRSAKey(t)
	find := func(kid string, alg Alg) (PublicKey, bool) {
		for _, key := range []*Key{ec, rsa} {
			if kid == key.ID && alg == key.Alg {
				return key.Public(), true
			}
		}
		return PublicKey{}, false
	}
	for _, key := range []*Key{ec, rsa} {
		token, err := key.Signer("at+jwt", true).Sign(accessToken())
		if err != nil {
			t.Fatal(err)
		}
		payload, header, err := Verify(token, []Alg{ES256, RS256}, find)
		if err != nil || string(payload) != string(accessToken().object()) {
			t.Errorf("%s: payload %s, error %v", key.Alg, payload, err)
		}
		if want := (Header{Alg: key.Alg, Typ: "at+jwt", KID: key.ID}); header != want {
			t.Errorf("%s: header %+v, want %+v", key.Alg, header, want)
		}
	}
	// An unknown parameter is ignored (RFC 7515 §4).
	if _, _, err := Verify(forge(t, ec, `{"alg":"ES256","x-own":[1],"cty":"x"}`, "{}"), []Alg{ES256}, only(ec.Public())); err != nil {
		t.Errorf("an unknown parameter: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	ec, rsa := rfcECKey(t), rfcRSAKey(t)
	good := forge(t, ec, `{"alg":"ES256"}`, `{"sub":"a"}`)
	input, signature, _ := cutLast(good)
	head, payload, _ := strings.Cut(input, ".")
	encode := func(s string) string { return b64.EncodeToString([]byte(s)) }
	with := func(header string) string { return forge(t, ec, header, `{"sub":"a"}`) }

	hs256 := func(secret []byte) string {
		in := encode(`{"alg":"HS256"}`) + "." + payload
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(in))
		return in + "." + b64.EncodeToString(mac.Sum(nil))
	}
	raw := unbase64(t, signature)
	der, err := asn1.Marshal([]*big.Int{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		t.Fatal(err)
	}

	type row struct {
		name  string
		token string
		want  error
	}
	rows := []row{
		{"the empty string", "", ErrMalformed},
		{"one dot", head + "." + payload, ErrMalformed},
		{"three dots", good + ".", ErrMalformed},
		{"five parts (RFC 7516 §7.1)", good + "..", ErrMalformed},
		{"nothing but dots", "..", ErrMalformed},
		{"no header", "." + payload + "." + signature, ErrMalformed},
		{"no payload", head + ".." + signature, ErrMalformed},
		{"no signature", input + ".", ErrMalformed},
		{"the JSON serialization (RFC 7515 §7.2)", `{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`, ErrMalformed},
		{"white space before", " " + good, ErrMalformed},
		{"a line end, which Go's decoder skips", input + ".\n" + signature, ErrMalformed},
		{"a carriage return in the header", head[:4] + "\r" + head[4:] + "." + payload + "." + signature, ErrMalformed},
		{"padding (RFC 7515 §2)", good + "==", ErrMalformed},
		{"the standard alphabet", input + "." + strings.Repeat("+", 86), ErrMalformed},
		{"stray bits in the signature's last character", good[:len(good)-1] + next(good[len(good)-1]), ErrMalformed},
		{"a header that is not JSON", encode("alg=ES256") + "." + payload + "." + signature, ErrMalformed},
		{"a header that is an array", with(`["ES256"]`), ErrMalformed},
		{"a header with a tail", with(`{"alg":"ES256"}{}`), ErrMalformed},
		{"a repeated parameter (RFC 7515 §4)", with(`{"alg":"none","alg":"ES256"}`), ErrMalformed},
		{"a typ that is no string", with(`{"alg":"ES256","typ":1}`), ErrMalformed},
		{"a kid that is no string", with(`{"alg":"ES256","kid":null}`), ErrMalformed},

		{"no alg", with(`{}`), ErrAlg},
		{"a null header", with(`null`), ErrAlg},
		{"alg is no string", with(`{"alg":["ES256"]}`), ErrAlg},
		{"names are case-sensitive (RFC 7515 §4)", with(`{"ALG":"ES256"}`), ErrAlg},
		{"values are case-sensitive (RFC 7515 §4.1.1)", with(`{"alg":"es256"}`), ErrAlg},
		{"none without a signature (RFC 7518 §3.6)", encode(`{"alg":"none"}`) + "." + payload + ".", ErrAlg},
		{"none with a signature", with(`{"alg":"none"}`), ErrAlg},
		{"HS256 with the public key as the secret (RFC 8725 §2.1)", hs256(ec.PublicPEM()), ErrAlg},
		{"alg is judged first", with(`{"alg":"none","crit":["x"],"kid":1}`), ErrAlg},
		{"an algorithm the caller did not name", forge(t, rsa, `{"alg":"RS256"}`, "{}"), ErrAlg},
		{"a sibling of an allowed algorithm", forge(t, rsa, `{"alg":"PS256"}`, "{}"), ErrAlg},

		{"another payload", head + "." + encode(`{"sub":"b"}`) + "." + signature, ErrSignature},
		{"another header", encode(`{"alg":"ES256","typ":"x"}`) + "." + payload + "." + signature, ErrSignature},
		{"r = s = 0", input + "." + b64.EncodeToString(make([]byte, 64)), ErrSignature},
		{"a signature in DER", input + "." + b64.EncodeToString(der), ErrSignature},
		{"a signature with a tail", input + "." + b64.EncodeToString(append(raw[:64:64], 0)), ErrSignature},
		{"half a signature", input + "." + b64.EncodeToString(raw[:32]), ErrSignature},
		{"another key's signature", forge(t, newTestKey(t, ES256), `{"alg":"ES256"}`, `{"sub":"a"}`), ErrSignature},
	}
	for _, name := range []string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip"} {
		for _, value := range []string{`["exp"]`, `null`, `false`, `"x"`, `{}`} {
			rows = append(rows, row{"the parameter " + name + " " + value, with(fmt.Sprintf(`{"alg":"ES256",%q:%s}`, name, value)), ErrHeader})
		}
	}
	for _, tt := range rows {
		payload, header, err := Verify(tt.token, []Alg{ES256}, only(ec.Public()))
		if err != tt.want {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if payload != nil || header != (Header{}) {
			t.Errorf("%s: returned %q, %+v with an error", tt.name, payload, header)
		}
	}
	if _, _, err := Verify(good, []Alg{ES256}, only(ec.Public())); err != nil {
		t.Errorf("the token all others are made from: %v", err)
	}
}

// next returns the character that differs in its lowest bit, which the last
// character of a 64-byte signature does not use.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func TestVerifyKeys(t *testing.T) {
	ec, rsa := rfcECKey(t), rfcRSAKey(t)
	token := forge(t, ec, `{"alg":"ES256","kid":"../../etc"}`, "{}")
	for _, tt := range []struct {
		name string
		key  PublicKey
		ok   bool
	}{
		{"none found", ec.Public(), false},
		{"the zero key", PublicKey{}, true},
		{"the zero key with an alg", PublicKey{Alg: ES256}, true},
		{"a key of another algorithm (RFC 8725 §3.1)", rsa.Public(), true},
	} {
		var kid string
		_, _, err := Verify(token, []Alg{ES256, RS256}, func(k string, alg Alg) (PublicKey, bool) {
			kid = k + " " + string(alg)
			return tt.key, tt.ok
		})
		if err != ErrUnknownKey || kid != "../../etc ES256" {
			t.Errorf("%s: error %v, asked for %q", tt.name, err, kid)
		}
	}
	// A key whose alg was relabelled still fits no signature of the other kind.
	relabelled := rsa.Public()
	relabelled.Alg = ES256
	if _, _, err := Verify(token, []Alg{ES256}, only(relabelled)); err != ErrSignature {
		t.Errorf("a relabelled key: %v", err)
	}
	for _, allowed := range [][]Alg{nil, {}, {RS256}} {
		if _, _, err := Verify(token, allowed, func(string, Alg) (PublicKey, bool) {
			t.Error("find was asked for an algorithm that is not allowed")
			return ec.Public(), true
		}); err != ErrAlg {
			t.Errorf("allowed %v: %v", allowed, err)
		}
	}
	// Even a caller who allows "none" gets no key for it.
	if _, _, err := Verify(forge(t, ec, `{"alg":"none"}`, "{}"), []Alg{"none"}, only(ec.Public())); err != ErrUnknownKey {
		t.Errorf("none allowed: %v", err)
	}
}

func TestVerifyJunkCostsNothing(t *testing.T) {
	ec := rfcECKey(t)
	find := only(ec.Public())
	for name, junk := range map[string]string{
		"a megabyte of dots":            strings.Repeat(".", 1<<20),
		"a megabyte in three parts":     strings.Repeat("e", 1<<20) + ".e.e",
		"as many dots as are looked at": strings.Repeat(".", MaxToken),
		"one byte too long":             ".." + strings.Repeat("e", MaxToken-1),
	} {
		if n := testing.AllocsPerRun(10, func() {
			if _, _, err := Verify(junk, []Alg{ES256}, find); err != ErrMalformed {
				t.Errorf("%s: %v", name, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A token that verifies is spelt in the one way its parts encode to.
func FuzzVerify(f *testing.F) {
	ec, rsa := rfcECKey(f), rfcRSAKey(f)
	f.Add(rfcES256)
	f.Add(rfcRS256)
	f.Add(forge(f, ec, `{"alg":"ES256","kid":"k","typ":"at+jwt"}`, "{}"))
	f.Add(forge(f, ec, `{"alg":"ES256","crit":["b64"],"b64":false}`, "{}"))
	f.Add(rfcES256[:len(rfcES256)-1] + "R")
	f.Fuzz(func(t *testing.T, token string) {
		payload, header, err := Verify(token, []Alg{ES256, RS256}, func(_ string, alg Alg) (PublicKey, bool) {
			if alg == ES256 {
				return ec.Public(), true
			}
			return rsa.Public(), true
		})
		if err != nil {
			if payload != nil || header != (Header{}) {
				t.Errorf("returned %q, %+v with %v", payload, header, err)
			}
			return
		}
		parts := strings.Split(token, ".")
		if got := b64.EncodeToString(payload); len(parts) != 3 || got != parts[1] {
			t.Errorf("payload of %q encodes to %q", token, got)
		}
		for _, part := range parts {
			if got := b64.EncodeToString(unbase64(t, part)); got != part {
				t.Errorf("part %q encodes to %q", part, got)
			}
		}
	})
}
