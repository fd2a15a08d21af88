package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"testing"
	"testing/iotest"
)

var label = Label{Table: "signing_key", Issuer: [16]byte{7}, Key: "kid", Algorithm: "ES256", Purpose: "sign"}

func TestSeal(t *testing.T) {
	m := fixed(t)
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("k"), 5000)} {
		sealed, err := m.Seal(label, plain, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plain)+29 {
			t.Errorf("%d bytes became %d", len(plain), len(sealed))
		}
		if got, err := m.Open(label, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %q, %v", len(plain), got, err)
		}
		again, err := m.Seal(label, plain, rand.Reader)
		if err != nil || bytes.Equal(again, sealed) {
			t.Errorf("two seals are equal, %v", err)
		}
	}
	dry := errors.New("dry")
	if sealed, err := m.Seal(label, []byte("x"), iotest.ErrReader(dry)); !errors.Is(err, dry) || sealed != nil {
		t.Errorf("no randomness: %x, %v", sealed, err)
	}
	if _, err := m.Seal(label, []byte("x"), bytes.NewReader(make([]byte, 11))); err == nil {
		t.Error("half a nonce was enough")
	}
}

// The format is written down here a second time, from its description.
func TestSealFormat(t *testing.T) {
	m := fixed(t)
	nonce := []byte("twelve bytes")
	sealed, err := m.Seal(label, []byte("plain"), bytes.NewReader(nonce))
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(hkdf1(m.key()[:], "tallystick seal 1\x00"))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	aad := "\x00\x00\x00\x0bsigning_key" + "\x00\x00\x00\x10\x07" + string(make([]byte, 15)) +
		"\x00\x00\x00\x03kid" + "\x00\x00\x00\x05ES256" + "\x00\x00\x00\x04sign"
	want := gcm.Seal(append([]byte{1}, nonce...), nonce, []byte("plain"), []byte(aad))
	if !bytes.Equal(sealed, want) {
		t.Errorf("sealed %x, want %x", sealed, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	m := fixed(t)
	sealed, err := m.Seal(label, []byte("plain"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, m *Master, l Label, sealed []byte) {
		t.Helper()
		if got, err := m.Open(l, sealed); err != ErrOpen || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	refuse("another master key", fresh(t), label, sealed)

	for name, change := range map[string]func(*Label){
		"another table":     func(l *Label) { l.Table = "mac_key" },
		"another issuer":    func(l *Label) { l.Issuer[15]++ },
		"another key id":    func(l *Label) { l.Key = "kie" },
		"another algorithm": func(l *Label) { l.Algorithm = "RS256" },
		"another purpose":   func(l *Label) { l.Purpose = "" },
		"a moved boundary":  func(l *Label) { l.Key, l.Algorithm = "kidE", "S256" },
	} {
		l := label
		change(&l)
		refuse(name, m, l, sealed)
	}

	for n := range sealed {
		refuse("cut", m, label, sealed[:n])
		damaged := bytes.Clone(sealed)
		damaged[n] ^= 1
		refuse("damaged", m, label, damaged)
	}
	refuse("a tail", m, label, append(bytes.Clone(sealed), 0))
}
