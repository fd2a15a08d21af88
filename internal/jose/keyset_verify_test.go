package jose

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

// The examples of RFC 7520 §4.1, with the public half of its key (§3.3), and of
// RFC 8037 appendix A.
const (
	rfcBilboJWK = `{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","e":"AQAB","n":"` +
		"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dAp" +
		"r5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLq" +
		"KnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw" + `"}`
	rfcBilbo = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." +
		"SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlv" +
		"dXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4" + "." +
		"MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-Xt" +
		"L0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-" +
		"ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"

	rfcEdJWK   = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfcEdSeed  = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	rfcEdToken = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

var all = []Alg{ES256, RS256, PS256, EdDSA}

func rfcEdKey(t testing.TB) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(unbase64(t, rfcEdSeed)) }

// forgeAs signs as any of the four algorithms, whatever the header says.
func forgeAs(t testing.TB, alg Alg, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	var signature []byte
	var err error
	digest := sha256.Sum256([]byte(input))
	switch alg {
	case ES256:
		return forge(t, rfcECKey(t), header, payload)
	case RS256:
		return forge(t, rfcRSAKey(t), header, payload)
	case PS256:
		signature, err = rsa.SignPSS(rand.Reader, rfcRSAKey(t).private().(*rsa.PrivateKey), crypto.SHA256, digest[:],
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) // RFC 7518 §3.5
	case EdDSA:
		signature = ed25519.Sign(rfcEdKey(t), []byte(input))
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(signature)
}

func TestKeySetVectors(t *testing.T) {
	ec, rsa := rfcECKey(t).public.jwk, rfcRSAKey(t).public.jwk
	for _, tt := range []struct {
		name, key, token string
		alg              Alg
	}{
		{"RFC 7515 A.2: RS256", rsa, rfcRS256, RS256},
		{"RFC 7515 A.3: ES256", ec, rfcES256, ES256},
		{"RFC 7520 §4.1: RS256 with a kid", rfcBilboJWK, rfcBilbo, RS256},
		{"RFC 8037 A.4: Ed25519", rfcEdJWK, rfcEdToken, EdDSA},
	} {
		for name, s := range map[string]KeySet{"alone": parseSet(t, tt.key), "among others": parseSet(t, ec, rsa, rfcEdJWK, rfcBilboJWK)} {
			payload, header, known, err := s.Verify(tt.token, all)
			if err != nil || !known || header.Alg != tt.alg {
				t.Errorf("%s, %s: header %+v, known %v, error %v", tt.name, name, header, known, err)
			}
			if got := b64.EncodeToString(payload); got != strings.Split(tt.token, ".")[1] {
				t.Errorf("%s, %s: payload %s", tt.name, name, got)
			}
			claimed, said, err := UnverifiedPayload(tt.token)
			if err != nil || string(claimed) != string(payload) || said != header {
				t.Errorf("%s: unverified %q, %+v, %v", tt.name, claimed, said, err)
			}
		}
	}
	// RFC 8037 A.4 can be reproduced: Ed25519 is deterministic.
	if got := forgeAs(t, EdDSA, `{"alg":"EdDSA"}`, "Example of Ed25519 signing"); got != rfcEdToken {
		t.Errorf("the key of RFC 8037 signs %s", got)
	}
}

// Clients sign with libraries of their own.
func TestKeySetVerifiesGoJOSE(t *testing.T) {
	s := parseSet(t, rfcECKey(t).public.jwk, rfcRSAKey(t).public.jwk, rfcEdJWK)
	for alg, key := range map[Alg]any{
		ES256: rfcECKey(t).private(), RS256: rfcRSAKey(t).private(), PS256: rfcRSAKey(t).private(), EdDSA: rfcEdKey(t),
	} {
		signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(alg), Key: key}, (&gojose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign([]byte(`{"sub":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		payload, header, known, err := s.Verify(token, all)
		if err != nil || !known || string(payload) != `{"sub":"a"}` || header != (Header{Alg: alg, Typ: "JWT"}) {
			t.Errorf("%s: %s, %+v, known %v, error %v", alg, payload, header, known, err)
		}
	}
}

func TestKeySetVerify(t *testing.T) {
	ec, rsaKey := rfcECKey(t).public.jwk, rfcRSAKey(t).public.jwk
	foreign := newTestKey(t, ES256).public.jwk
	kid := func(jwk, kid string) string { return plus(jwk, fmt.Sprintf(`"kid":%q`, kid)) }
	alg := func(jwk string, alg Alg) string { return plus(jwk, fmt.Sprintf(`"alg":%q`, alg)) }
	for _, tt := range []struct {
		name    string
		set     []string
		as      Alg
		header  string
		allowed []Alg
		known   bool
		want    error
	}{
		{"by kid", []string{kid(foreign, "a"), kid(ec, "b")}, ES256, `{"alg":"ES256","kid":"b"}`, all, true, nil},
		{"by another's kid", []string{kid(foreign, "a"), kid(ec, "b")}, ES256, `{"alg":"ES256","kid":"a"}`, all, true, ErrSignature},
		{"by no kid: each that fits", []string{kid(foreign, "a"), rsaKey, rfcEdJWK, kid(ec, "b")}, ES256, `{"alg":"ES256"}`, all, true, nil},
		{"by an empty kid: the same", []string{kid(foreign, "a"), kid(ec, "b")}, ES256, `{"alg":"ES256","kid":""}`, all, true, nil},
		{"two keys of one kid", []string{kid(foreign, "a"), kid(rsaKey, "a"), kid(ec, "a")}, ES256, `{"alg":"ES256","kid":"a"}`, all, true, nil},
		{"a kid that the set does not have", []string{kid(ec, "a")}, ES256, `{"alg":"ES256","kid":"b"}`, all, false, ErrUnknownKey},
		{"a kid in another case", []string{kid(ec, "a")}, ES256, `{"alg":"ES256","kid":"A"}`, all, false, ErrUnknownKey},
		{"a kid where the key has none", []string{ec}, ES256, `{"alg":"ES256","kid":"a"}`, all, false, ErrUnknownKey},
		{"no key for the alg", []string{rsaKey, rfcEdJWK}, ES256, `{"alg":"ES256"}`, all, false, ErrUnknownKey},
		{"a kid of another type (RFC 8725 §3.1)", []string{kid(rsaKey, "a"), kid(ec, "b")}, ES256, `{"alg":"ES256","kid":"a"}`, all, false, ErrUnknownKey},
		{"no kid and no key that verifies", []string{foreign}, ES256, `{"alg":"ES256"}`, all, false, ErrSignature},

		{"RS256 with a key that names no alg", []string{rsaKey}, RS256, `{"alg":"RS256"}`, all, true, nil},
		{"PS256 with a key that names no alg", []string{rsaKey}, PS256, `{"alg":"PS256"}`, all, true, nil},
		{"RS256 with a key for RS256", []string{alg(rsaKey, RS256)}, RS256, `{"alg":"RS256"}`, all, true, nil},
		{"PS256 with a key for PS256", []string{alg(rsaKey, PS256)}, PS256, `{"alg":"PS256"}`, all, true, nil},
		{"PS256 with a key for RS256", []string{alg(rsaKey, RS256)}, PS256, `{"alg":"PS256"}`, all, false, ErrUnknownKey},
		{"RS256 with a key for PS256", []string{alg(rsaKey, PS256)}, RS256, `{"alg":"RS256"}`, all, false, ErrUnknownKey},
		{"RS256 that calls itself PS256", []string{kid(rsaKey, "a")}, RS256, `{"alg":"PS256","kid":"a"}`, all, true, ErrSignature},
		{"PS256 that calls itself RS256", []string{kid(rsaKey, "a")}, PS256, `{"alg":"RS256","kid":"a"}`, all, true, ErrSignature},
		{"EdDSA", []string{rfcEdJWK}, EdDSA, `{"alg":"EdDSA","typ":"oauth-authz-req+jwt"}`, all, true, nil},
		{"EdDSA that calls itself ES256", []string{kid(ec, "a")}, EdDSA, `{"alg":"ES256","kid":"a"}`, all, true, ErrSignature},

		{"an algorithm that the caller does not allow", []string{ec}, ES256, `{"alg":"ES256"}`, []Alg{RS256, PS256, EdDSA}, true, ErrAlg},
		{"no algorithm allowed", []string{ec}, ES256, `{"alg":"ES256"}`, nil, true, ErrAlg},
		{"none", []string{ec}, ES256, `{"alg":"none"}`, all, true, ErrAlg},
		{"none, allowed", []string{ec}, ES256, `{"alg":"none"}`, []Alg{"none"}, false, ErrUnknownKey},
		{"HS256", []string{rsaKey}, RS256, `{"alg":"HS256"}`, all, true, ErrAlg},
		{"RS512", []string{rsaKey}, RS256, `{"alg":"RS512"}`, all, true, ErrAlg},
		{"crit", []string{ec}, ES256, `{"alg":"ES256","crit":["exp"],"exp":1}`, all, true, ErrHeader},
		{"b64 (RFC 7797)", []string{ec}, ES256, `{"alg":"ES256","b64":false}`, all, true, ErrHeader},
		{"a key of its own", []string{ec}, ES256, `{"alg":"ES256","jwk":` + foreign + `}`, all, true, ErrHeader},
		{"jku", []string{ec}, ES256, `{"alg":"ES256","jku":"https://evil.example/"}`, all, true, ErrHeader},
		{"x5u", []string{ec}, ES256, `{"alg":"ES256","x5u":"https://evil.example/"}`, all, true, ErrHeader},
		{"x5c", []string{ec}, ES256, `{"alg":"ES256","x5c":["AQ=="]}`, all, true, ErrHeader},
		{"zip", []string{ec}, ES256, `{"alg":"ES256","zip":"DEF"}`, all, true, ErrHeader},
		{"a header that is none", []string{ec}, ES256, `["ES256"]`, all, true, ErrMalformed},
	} {
		token := forgeAs(t, tt.as, tt.header, `{"sub":"a"}`)
		payload, header, known, err := parseSet(t, tt.set...).Verify(token, tt.allowed)
		if err != tt.want || known != tt.known {
			t.Errorf("%s: known %v, error %v, want %v, %v", tt.name, known, err, tt.known, tt.want)
		}
		switch {
		case err != nil && (payload != nil || header != (Header{})):
			t.Errorf("%s: returned %q, %+v with an error", tt.name, payload, header)
		case err == nil && (string(payload) != `{"sub":"a"}` || header.Alg != tt.as):
			t.Errorf("%s: %q, %+v", tt.name, payload, header)
		}
	}
	if _, _, known, err := (KeySet{}).Verify(rfcES256, all); known || err != ErrUnknownKey {
		t.Errorf("the zero set: known %v, error %v", known, err)
	}
}

// What no key can repair is refused alike with a key set and without one.
func TestKeySetAndUnverifiedRefuseMalformed(t *testing.T) {
	s := parseSet(t, rfcECKey(t).public.jwk)
	good := forgeAs(t, ES256, `{"alg":"ES256"}`, `{"sub":"a"}`)
	input, signature, _ := cutLast(good)
	head, payload, _ := strings.Cut(input, ".")
	for name, token := range map[string]string{
		"nothing":                    "",
		"two parts":                  input,
		"four parts":                 good + ".",
		"no payload":                 head + ".." + signature,
		"no signature":               input + ".",
		"no header":                  "." + payload + "." + signature,
		"too long":                   strings.Repeat("e", MaxToken) + ".e.e",
		"dots":                       strings.Repeat(".", 1<<20),
		"a line end":                 input + ".\n" + signature,
		"a line end in the payload":  head + ".\r\n" + payload + "." + signature,
		"padding":                    good + "=",
		"stray bits":                 good[:len(good)-1] + next(good[len(good)-1]),
		"stray bits in the payload":  head + "." + payload[:len(payload)-1] + next(payload[len(payload)-1]) + "." + signature,
		"the standard alphabet":      input + "." + strings.Repeat("+", 86),
		"a parameter twice":          forgeAs(t, ES256, `{"alg":"none","alg":"ES256"}`, "{}"),
		"an encrypted token":         good + ".e.e",
		"the JSON serialization":     `{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`,
		"a kid that is not a string": forgeAs(t, ES256, `{"alg":"ES256","kid":1}`, "{}"),
	} {
		if _, _, known, err := s.Verify(token, all); err != ErrMalformed || !known {
			t.Errorf("%s: known %v, error %v", name, known, err)
		}
		if claimed, header, err := UnverifiedPayload(token); err != ErrMalformed || claimed != nil || header != (Header{}) {
			t.Errorf("%s, unverified: %q, %+v, error %v", name, claimed, header, err)
		}
	}
	for header, want := range map[string]error{
		`{"alg":"none"}`: ErrAlg, `{"alg":"HS256"}`: ErrAlg, `{"alg":"RS384"}`: ErrAlg, `{}`: ErrAlg,
		`{"alg":"ES256","jwk":{}}`: ErrHeader, `{"alg":"ES256","crit":[]}`: ErrHeader,
	} {
		if claimed, _, err := UnverifiedPayload(forgeAs(t, ES256, header, "{}")); err != want || claimed != nil {
			t.Errorf("%s, unverified: %q, error %v", header, claimed, err)
		}
	}
	// Unsigned request objects are told apart from broken ones (RFC 9101 §10.1).
	if _, _, err := UnverifiedPayload(b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + "."); err != ErrAlg {
		t.Errorf("unsigned: %v", err)
	}
	// The signature is not looked at, so it is no proof of anything.
	if claimed, _, err := UnverifiedPayload(head + "." + payload + ".AAAA"); err != nil || string(claimed) != `{"sub":"a"}` {
		t.Errorf("a wrong signature, unverified: %q, %v", claimed, err)
	}
}

// A token that verifies is spelt in the one way its parts encode to, and says
// the same before it is verified.
func FuzzKeySetVerify(f *testing.F) {
	s := parseSet(f, plus(rfcECKey(f).public.jwk, `"kid":"k"`), rfcRSAKey(f).public.jwk, rfcEdJWK, rfcBilboJWK)
	for _, seed := range []string{
		rfcES256, rfcRS256, rfcEdToken, rfcBilbo, rfcEdToken[:len(rfcEdToken)-1] + "h",
		forgeAs(f, PS256, `{"alg":"PS256"}`, "{}"), forgeAs(f, ES256, `{"alg":"ES256","kid":"k","typ":"JWT"}`, "{}"),
		forgeAs(f, ES256, `{"alg":"ES256","kid":"unknown"}`, "{}"), forgeAs(f, RS256, `{"alg":"PS256"}`, "{}"),
		forgeAs(f, EdDSA, `{"alg":"EdDSA","crit":["b64"],"b64":false}`, "{}"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		payload, header, known, err := s.Verify(token, all)
		claimed, said, unread := UnverifiedPayload(token)
		if err != nil {
			if payload != nil || header != (Header{}) {
				t.Errorf("returned %q, %+v with %v", payload, header, err)
			}
			if needsKey := errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrSignature); needsKey != (unread == nil) || !known && !needsKey {
				t.Errorf("known %v with %v; unverified %v", known, err, unread)
			}
			return
		}
		if !known || unread != nil || string(claimed) != string(payload) || said != header {
			t.Errorf("known %v, unverified %q, %+v, %v", known, claimed, said, unread)
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

// RFC 9864 §2.2: another name of EdDSA with Ed25519, the same signature.
func TestEd25519(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := b64.EncodeToString(public)
	sign := func(alg string) string {
		head := b64.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + b64.EncodeToString([]byte(`{"a":1}`))
		return head + "." + b64.EncodeToString(ed25519.Sign(private, []byte(head)))
	}
	both := []Alg{EdDSA, Ed25519}
	for _, named := range []string{"", `,"alg":"EdDSA"`, `,"alg":"Ed25519"`} {
		set, err := ParseKeySet([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `"` + named + `}]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range []string{"EdDSA", "Ed25519"} {
			token := sign(alg)
			if payload, h, _, err := set.Verify(token, both); err != nil || string(payload) != `{"a":1}` || string(h.Alg) != alg {
				t.Errorf("%s by a key%s: %s, %v", alg, named, payload, err)
			}
			middle := len(token) - 40
			damaged := token[:middle] + strings.Map(func(r rune) rune { return 'A' + (r-'A'+1)%26 }, token[middle:middle+1]) + token[middle+1:]
			if _, _, _, err := set.Verify(damaged, both); err == nil {
				t.Errorf("%s by a key%s: a damaged signature counts", alg, named)
			}
			other := strings.Replace(token, ".", ".e30", 1)
			if _, _, _, err := set.Verify(other, both); err == nil {
				t.Errorf("%s by a key%s: another payload counts", alg, named)
			}
		}
	}
}
