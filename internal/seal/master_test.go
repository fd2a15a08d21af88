package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// fixed is a key whose bytes are 0, 1, 2 ...
func fixed(t testing.TB) *Master {
	t.Helper()
	m, err := Parse("tallystick-master-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fresh(t testing.TB) *Master {
	t.Helper()
	m, err := create(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParse(t *testing.T) {
	m := fresh(t)
	line := m.text()
	for _, text := range []string{line, strings.TrimSuffix(line, "\n")} {
		again, err := Parse(text)
		if err != nil || *again.key() != *m.key() {
			t.Errorf("%d characters: another key, %v", len(text), err)
		}
	}
	body := strings.TrimPrefix(fixed(t).text(), prefix)[:43]
	for _, tt := range []struct{ name, text string }{
		{"nothing", ""},
		{"the key alone", body},
		{"another version", "tallystick-master-2:" + body},
		{"a character short", prefix + body[:42]},
		{"a character long", prefix + body + "A"},
		{"padding", prefix + body + "="},
		{"the standard alphabet", prefix + "+" + body[1:]},
		{"stray bits at the end", prefix + body[:42] + "9"},
		{"a line end inside, which Go's decoder skips", prefix + strings.Repeat("A", 20) + "\n" + strings.Repeat("A", 22)},
		{"two newlines", prefix + body + "\n\n"},
		{"a carriage return", prefix + body + "\r\n"},
		{"white space before", " " + prefix + body},
		{"a second line", prefix + body + "\n" + prefix + body},
	} {
		m, err := Parse(tt.text)
		if err == nil || m != nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		if s := err.Error(); strings.Contains(s, body[:8]) || strings.Contains(s, "\n") || !strings.Contains(s, prefix) {
			t.Errorf("%s: error %q", tt.name, s)
		}
	}
}

// hkdf1 is the first block of HKDF-SHA-256 without salt, from RFC 5869 §2.
func hkdf1(key []byte, info string) []byte {
	extract := hmac.New(sha256.New, make([]byte, sha256.Size))
	extract.Write(key)
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte(info + "\x01"))
	return expand.Sum(nil)
}

func TestDerivations(t *testing.T) {
	m := fixed(t)
	issuer := [16]byte{1, 2, 3}
	check := m.Check(issuer)
	if want := hkdf1(m.key()[:], "tallystick check 1\x00"+string(issuer[:])); !bytes.Equal(check[:], want) {
		t.Errorf("Check %x, want %x", check, want)
	}
	if got, want := m.Derive("demo", 20), hkdf1(m.key()[:], "tallystick derive 1\x00demo")[:20]; !bytes.Equal(got, want) {
		t.Errorf("Derive %x, want %x", got, want)
	}
	if n := len(m.Derive("demo", 100)); n != 100 {
		t.Errorf("Derive gave %d bytes, want 100", n)
	}
	// Each of these is another value, and none is the key.
	other := fresh(t).Check(issuer)
	next := m.Check([16]byte{1, 2, 4})
	seen := map[string]string{string(m.key()[:]): "the key"}
	for name, v := range map[string][]byte{
		"check":                check[:],
		"another key":          other[:],
		"another issuer":       next[:],
		"derived":              m.Derive("demo", 32),
		"another purpose":      m.Derive("demo ", 32),
		"no purpose":           m.Derive("", 32),
		"the issuer's purpose": m.Derive(string(issuer[:]), 32),
		"the sealing key":      m.derive("seal", "", 32),
	} {
		if was, ok := seen[string(v)]; ok {
			t.Errorf("%s equals %s", name, was)
		}
		seen[string(v)] = name
	}
}

func TestMasterNeverPrints(t *testing.T) {
	m := fixed(t)
	inside := struct {
		p *Master
		v Master
	}{m, *m}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", m, *m, inside)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("", "pointer", m, "value", *m, "inside", inside)
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"pointer": m, "value": *m}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "[secret]"); n < 8*2+2*2+2 {
		t.Errorf("[secret] was printed %d times:\n%s", n, &out)
	}
	key := m.key()[3:9]
	for _, leak := range []string{string(key), fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), strings.Trim(fmt.Sprint(key), "[]"), "0x3, 0x4", m.text()[30:40]} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q was printed:\n%s", leak, &out)
		}
	}
}
