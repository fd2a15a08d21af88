package tally

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var (
	testIssuer = Issuer{1, 2, 3}
	otherIss   = Issuer{9}
	testKeys   = map[uint16]Material{1: {1}, 2: {2}}
)

func testRing() *Ring { return NewRing(testIssuer, testKeys, 2) }

func bodyOf(k Kind) []byte { return bytes.Repeat([]byte{0xb0}, k.body) }

func mint(t testing.TB, r *Ring, k Kind, generation uint32) string {
	t.Helper()
	s, err := r.Mint(k, Tally{Key: r.Active(), Secret: Secret{7, 8, 9}, Generation: generation, Body: bodyOf(k)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The format is for ever: tokens that are out there must stay readable. This
// computes it a second time with nothing but the standard library.
func TestFormatToTheByte(t *testing.T) {
	secret := Secret{7, 8, 9}
	for _, k := range kinds {
		derived, err := hkdf.Key(sha256.New, append([]byte{2}, make([]byte, 31)...), nil, k.prefix, 32)
		if err != nil {
			t.Fatal(err)
		}
		raw := []byte{0, 2}
		raw = append(raw, secret[:]...)
		raw = append(raw, 0, 0, 1, 5)
		raw = append(raw, bodyOf(k)...)
		h := hmac.New(sha256.New, derived)
		h.Write([]byte("tallystick 1\x00"))
		h.Write(testIssuer[:])
		h.Write(raw)
		want := k.prefix + "_" + base64.RawURLEncoding.EncodeToString(h.Sum(raw))

		if got := mint(t, testRing(), k, 261); got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", k, got, want)
		}
	}
	sum := sha256.Sum256(append([]byte("tallystick id\x00"), append(testIssuer[:], secret[:]...)...))
	if got := testIssuer.ID(secret); !bytes.Equal(got[:], sum[:16]) {
		t.Errorf("ID = %x, want %x", got, sum[:16])
	}
}

func TestSizeAndAlphabet(t *testing.T) {
	if n := Refresh.Size() - len("tsr_"); n != 72 {
		t.Errorf("a refresh token has %d characters after its prefix, want 72", n)
	}
	safe := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	for _, k := range kinds {
		if s := mint(t, testRing(), k, 1); len(s) != k.Size() || !safe.MatchString(s) {
			t.Errorf("%v: %q: want %d characters that need no encoding in a URL", k, s, k.Size())
		}
	}
}

func TestVerifyReturnsWhatWasMinted(t *testing.T) {
	r := testRing()
	for _, k := range kinds {
		for _, g := range []uint32{0, 1, 1<<32 - 1} {
			got, err := r.Verify(k, mint(t, r, k, g))
			if err != nil {
				t.Fatalf("%v: %v", k, err)
			}
			if got.Key != 2 || got.Secret != (Secret{7, 8, 9}) || got.Generation != g || !bytes.Equal(got.Body, bodyOf(k)) {
				t.Errorf("%v: read back another tally", k)
			}
		}
	}
}

// Presents every kind as every other (type confusion: CVE-2026-4282).
func TestAKindNeverPassesForAnother(t *testing.T) {
	r := testRing()
	for _, made := range kinds {
		for _, wanted := range kinds {
			if made == wanted {
				continue
			}
			s := mint(t, r, made, 1)
			relabelled := wanted.prefix + strings.TrimPrefix(s, made.prefix)
			for _, try := range []string{s, relabelled} {
				if _, err := r.Verify(wanted, try); err == nil {
					t.Errorf("a %v was accepted as a %v", made, wanted)
				}
			}
		}
	}
}

func TestForeignRings(t *testing.T) {
	s := mint(t, testRing(), Refresh, 1)
	for _, tt := range []struct {
		name string
		ring *Ring
		want error
	}{
		{"another issuer with the same keys", NewRing(otherIss, testKeys, 2), ErrJunk},
		{"another key under the same number", NewRing(testIssuer, map[uint16]Material{2: {3}}, 2), ErrJunk},
		{"the key is not in the ring (yet)", NewRing(testIssuer, map[uint16]Material{1: {1}}, 1), ErrKey},
		{"rotated: the old key still verifies", NewRing(testIssuer, map[uint16]Material{2: {2}, 3: {3}}, 3), nil},
	} {
		if _, err := tt.ring.Verify(Refresh, s); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := NewRing(testIssuer, map[uint16]Material{1: {1}}, 1).Mint(Refresh, Tally{Key: 2}); err != ErrKey {
		t.Errorf("Mint under a key that is not in the ring: %v, want ErrKey", err)
	}
}

// CVE-2026-27840: a token that lost its tail was still valid. Every prefix,
// suffix, changed character and second spelling must be junk.
func TestEveryOtherSpellingIsJunk(t *testing.T) {
	r := testRing()
	for _, k := range kinds {
		s := mint(t, r, k, 1)
		tries := []string{"", "_", k.prefix + "_", s + s, s + "=", s + "A", s + "\n", "\r\n" + s, " " + s, strings.ToLower(s), strings.ToUpper(s)}
		for i := range s {
			tries = append(tries, s[:i], s[i+1:], s[:i]+"\n"+s[i:], s[:i]+"\n"+s[i+1:])
			for _, c := range "AaBz09-_=.%+/\x00é" {
				if string(c) != s[i:i+1] {
					tries = append(tries, s[:i]+string(c)+s[i+1:])
				}
			}
		}
		for _, try := range tries {
			if _, err := r.Verify(k, try); err == nil {
				t.Errorf("%v: %q was accepted, only %q was issued", k, try, s)
			}
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	for _, v := range []any{Secret{0x41}, Material{0x41}, Tally{Secret: Secret{0x41}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "A") || strings.Contains(s, "65") || strings.Contains(s, "0x41") {
				t.Errorf("%s of %T shows the secret: %s", verb, v, s)
			}
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, k := range kinds {
		if name, ok := KindOf(mint(t, testRing(), k, 1)); !ok || name != k.String() {
			t.Errorf("KindOf(a %v) = %q, %v", k, name, ok)
		}
	}
	for _, s := range []string{"", "_", "tsx_AAAA", "eyJhbGciOiJFUzI1NiJ9.e30.AA"} {
		if name, ok := KindOf(s); ok {
			t.Errorf("KindOf(%q) = %q, want unknown", s, name)
		}
	}
}

func TestAnonymousBody(t *testing.T) {
	want := AnonymousBody{ExpiresAt: 1735689600123, Client: ClientHash("shop"), Challenge: sha256.Sum256([]byte("v"))}
	r := testRing()
	s, err := r.Mint(AnonymousCode, Tally{Key: 1, Body: want.Append(nil)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Verify(AnonymousCode, s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Anonymous() != want {
		t.Errorf("read back %+v, want %+v", got.Anonymous(), want)
	}
}

// Whatever is accepted is exactly what was issued: it encodes to itself.
func FuzzVerify(f *testing.F) {
	r := testRing()
	for _, k := range kinds {
		f.Add(mint(f, r, k, 3))
	}
	f.Add("tsr_")
	f.Add("undefined")
	f.Add("tsr_" + strings.Repeat("A", 72))
	f.Fuzz(func(t *testing.T, s string) {
		for _, k := range kinds {
			got, err := r.Verify(k, s)
			if err != nil {
				continue
			}
			if again, err := r.Mint(k, got); err != nil || again != s {
				t.Errorf("accepted %q, which encodes to %q, %v", s, again, err)
			}
		}
	})
}

func BenchmarkMint(b *testing.B) {
	r := testRing()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Mint(Refresh, Tally{Key: 2, Generation: 5})
	}
}

func BenchmarkVerify(b *testing.B) {
	r := testRing()
	s := mint(b, r, Refresh, 5)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Verify(Refresh, s)
	}
}

func BenchmarkVerifyJunk(b *testing.B) {
	r := testRing()
	s := mint(b, r, Refresh, 5)
	s = s[:len(s)-2] + "AA"
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Verify(Refresh, s)
	}
}
