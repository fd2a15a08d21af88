package jose

import (
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

func TestSignHeader(t *testing.T) {
	ec, rsa := rfcECKey(t), rfcRSAKey(t)
	for _, tt := range []struct {
		name   string
		signer *Signer
		want   string
	}{
		{"the sample header of the Userdocks face", rsa.Signer("JWT", false), `{"alg":"RS256","typ":"JWT"}`},
		{"kid comes last", ec.Signer("JWT", true), `{"alg":"ES256","typ":"JWT","kid":"` + ec.ID + `"}`},
		{"an access token (RFC 9068 §2.1)", rsa.Signer("at+jwt", true), `{"alg":"RS256","typ":"at+jwt","kid":"` + rsa.ID + `"}`},
		{"no typ", ec.Signer("", false), `{"alg":"ES256"}`},
	} {
		token, err := tt.signer.Sign(accessToken())
		if err != nil {
			t.Fatal(err)
		}
		if got := string(atob(t, strings.Split(token, ".")[0])); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A kid may contain '-' and '_'; the encoded header still must not.
func TestSignKIDAlphabet(t *testing.T) {
	const alphabet = "_-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	key := *rfcECKey(t)
	for _, before := range []string{"", "x", "xx"} {
		key.ID = before + alphabet
		if _, err := key.Signer("JWT", true).Sign(accessToken()); err != nil {
			t.Errorf("kid %q: %v", key.ID, err)
		}
	}
	special := false
	for range 50 {
		key := newTestKey(t, ES256)
		special = special || strings.ContainsAny(key.ID, "-_")
		token, err := key.Signer("at+jwt", true).Sign(accessToken())
		if err != nil {
			t.Fatalf("kid %q: %v", key.ID, err)
		}
		var header map[string]string
		if err := json.Unmarshal(atob(t, strings.Split(token, ".")[0]), &header); err != nil || header["kid"] != key.ID {
			t.Errorf("kid %q came back as %q, %v", key.ID, header["kid"], err)
		}
	}
	if !special {
		t.Error("no thumbprint had a '-' or '_': the test proves nothing")
	}
}

// What we sign, go-jose verifies, and we verify what go-jose signs.
func TestSignAgreesWithGoJOSE(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{2}))
	for _, tt := range []struct {
		alg Alg
		n   int
	}{{ES256, 300}, {RS256, 20}} {
		key := newTestKey(t, tt.alg)
		ours := key.Signer("at+jwt", true)
		theirs, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(tt.alg), Key: key.private()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range tt.n {
			c := accessToken()
			c.String("name", randomString(r, true))
			token, err := ours.Sign(c)
			if err != nil {
				t.Fatal(err)
			}
			jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(tt.alg)})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := jws.Verify(key.private().Public())
			if err != nil {
				t.Fatalf("go-jose: %v", err)
			}
			if want := string(c.object()); string(payload) != want {
				t.Fatalf("payload %s, want %s", payload, want)
			}
			if h := jws.Signatures[0].Protected; h.KeyID != key.ID || h.Algorithm != string(tt.alg) || h.ExtraHeaders["typ"] != "at+jwt" {
				t.Fatalf("header %+v", h)
			}

			jws, err = theirs.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			compact, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := Verify(compact, []Alg{tt.alg}, only(key.Public())); err != nil || string(got) != string(payload) {
				t.Fatalf("our Verify: %q, %v", got, err)
			}
		}
	}
}

func TestSignLeavesClaimsOpen(t *testing.T) {
	s := rfcECKey(t).Signer("JWT", false)
	c := NewClaims()
	signed := func() string {
		token, err := s.Sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(atob(t, strings.Split(token, ".")[1]))
	}
	c.String("a", "1")
	first, again := signed(), signed()
	c.Int("b", 2)
	if last := signed(); first != `{"a":"1"}` || again != first || last != `{"a":"1","b":2}` {
		t.Errorf("payloads %s, %s, %s", first, again, last)
	}
}

// The gate is behind the encoder, so the test goes around the encoder.
func TestSignRefusesWhatAtobCannotRead(t *testing.T) {
	key := rfcECKey(t)
	for _, raw := range []string{`{"a":"???"`, `{"a":"~~~"`, `{"a":">>>"`, "{\"a\":\"\x7f\x7f\x7f\"", `{"a":"ÿÿÿ"`} {
		if !strings.ContainsAny(b64.EncodeToString([]byte(raw)), "-_") {
			t.Fatalf("payload %s: atob can read it", raw)
		}
		if token, err := key.Signer("JWT", false).Sign(&Claims{buf: []byte(raw)}); err != errAlphabet || token != "" {
			t.Errorf("payload %s: %q, %v", raw, token, err)
		}
	}
	for _, head := range []string{"ey-.", "ey_."} {
		s := &Signer{key: key, head: []byte(head)}
		if token, err := s.Sign(NewClaims()); err != errAlphabet || token != "" {
			t.Errorf("header %s: %q, %v", head, token, err)
		}
	}
}

// The longest token that is signed can be verified; one more byte is refused.
func TestSignLength(t *testing.T) {
	key := rfcECKey(t)
	s := key.Signer("JWT", true)
	sized := func(n int) *Claims {
		c := NewClaims()
		c.String("s", strings.Repeat("x", n))
		return c
	}
	longest := 0
	for n := 12000; n < 13000; n++ {
		token, err := s.Sign(sized(n))
		if err != nil {
			break
		}
		longest = len(token)
		if longest < MaxToken-1 {
			continue
		}
		if _, _, err := Verify(token, []Alg{ES256}, only(key.Public())); err != nil {
			t.Errorf("%d bytes: %v", longest, err)
		}
	}
	if longest < MaxToken-1 || longest > MaxToken {
		t.Errorf("the longest token has %d bytes, want %d or one less", longest, MaxToken)
	}
	if _, err := s.Sign(sized(1 << 20)); err == nil {
		t.Error("a megabyte was signed")
	}
}

func TestFixedWidth(t *testing.T) {
	type pair struct{ R, S *big.Int }
	full := new(big.Int).Lsh(big.NewInt(0xff), 248)
	for _, tt := range []struct {
		name string
		r, s *big.Int
	}{
		{"both of one byte", big.NewInt(1), big.NewInt(0x7f)},
		{"a sign byte in DER", full, full},
		{"r short", big.NewInt(0x80), full},
		{"s short", full, new(big.Int).Lsh(big.NewInt(1), 240)},
	} {
		der, err := asn1.Marshal(pair{tt.r, tt.s})
		if err != nil {
			t.Fatal(err)
		}
		got, err := fixedWidth(der)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := append(tt.r.FillBytes(make([]byte, 32)), tt.s.FillBytes(make([]byte, 32))...)
		if string(got) != string(want) {
			t.Errorf("%s: %x, want %x", tt.name, got, want)
		}
		for n := range der {
			if _, err := fixedWidth(der[:n]); err == nil {
				t.Errorf("%s: cut to %d bytes: no error", tt.name, n)
			}
		}
	}
	tooBig, err := asn1.Marshal(pair{new(big.Int).Lsh(full, 8), full})
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"an integer of 33 bytes": tooBig,
		"a third integer":        {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1},
		"no sequence":            {0x31, 6, 2, 1, 1, 2, 1, 1},
		"a bit string":           {0x30, 6, 3, 1, 1, 2, 1, 1},
	} {
		if _, err := fixedWidth(der); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
