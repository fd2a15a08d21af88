package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// newTestKey returns a fresh key; the RSA key is the one of RFC 7515, since
// making one takes a second.
func newTestKey(t testing.TB, alg Alg) *Key {
	t.Helper()
	if alg == RS256 {
		return rfcRSAKey(t)
	}
	key, err := Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// only finds one key, whatever is asked for.
func only(key PublicKey) func(string, Alg) (PublicKey, bool) {
	return func(string, Alg) (PublicKey, bool) { return key, true }
}

func TestGenerate(t *testing.T) {
	for _, alg := range []Alg{ES256, RS256} {
		key, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		if key.Alg != alg || len(key.ID) != 43 {
			t.Errorf("Generate(%s): alg %s, id %q", alg, key.Alg, key.ID)
		}
		if private, ok := key.private().(*rsa.PrivateKey); ok && private.N.BitLen() != 2048 {
			t.Errorf("Generate(%s): %d bits", alg, private.N.BitLen())
		}
	}
	for _, alg := range []Alg{"", "none", "HS256", "es256"} {
		if _, err := Generate(alg); err == nil {
			t.Errorf("Generate(%q): no error", alg)
		}
	}
}

func TestKeySurvivesPKCS8(t *testing.T) {
	for _, alg := range []Alg{ES256, RS256} {
		key := newTestKey(t, alg)
		der, err := key.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(der)
		if err != nil {
			t.Fatal(err)
		}
		if again.ID != key.ID || again.Alg != key.Alg {
			t.Errorf("%s: came back as %s %s, was %s", alg, again.Alg, again.ID, key.ID)
		}
		token, err := again.Signer("JWT", true).Sign(accessToken())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Verify(token, []Alg{alg}, only(key.Public())); err != nil {
			t.Errorf("%s: the first key does not verify the second one's token: %v", alg, err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	pkcs8 := func(key any, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	good := pkcs8(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, tt := range []struct {
		name string
		der  []byte
		want string
	}{
		{"nothing", nil, "PKCS #8"},
		{"a cut key", good[:len(good)-1], "PKCS #8"},
		{"a curve no algorithm here has", pkcs8(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), "P-256"},
		{"RSA below 2048 bits (RFC 7518 §3.3)", pkcs8(rsa.GenerateKey(rand.Reader, 1024)), "2048"},
		{"a key type without an algorithm here", pkcs8(ed, err), "ed25519"},
	} {
		if _, err := ParseKey(tt.der); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestJWKS(t *testing.T) {
	if got := string(JWKS(nil)); got != `{"keys":[]}` {
		t.Errorf("of no keys: %s", got)
	}
	keys := []*Key{newTestKey(t, ES256), newTestKey(t, RS256), rfcECKey(t)}
	var public []PublicKey
	for _, key := range keys {
		public = append(public, key.Public())
	}
	raw := JWKS(public)

	var members struct{ Keys []map[string]any }
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	var set gojose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != len(keys) {
		t.Fatalf("%d keys, want %d", len(set.Keys), len(keys))
	}
	for i, key := range keys {
		jwk := set.Keys[i]
		if jwk.KeyID != key.ID || jwk.Use != "sig" || jwk.Algorithm != string(key.Alg) || !jwk.IsPublic() {
			t.Errorf("key %d: kid %q use %q alg %q public %v", i, jwk.KeyID, jwk.Use, jwk.Algorithm, jwk.IsPublic())
		}
		if !key.private().Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(jwk.Key) {
			t.Errorf("key %d: another key came back", i)
		}
		want := []string{"alg", "e", "kid", "kty", "n", "use"}
		if key.Alg == ES256 {
			want = []string{"alg", "crv", "kid", "kty", "use", "x", "y"}
		}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(members.Keys[i]))); diff != "" {
			t.Errorf("key %d: members (-want +got):\n%s", i, diff)
		}
	}
}

// A coordinate with leading zeros keeps its width (RFC 7518 §6.2.1.2), and the
// thumbprint agrees with go-jose's over it.
func TestJWKOfAShortCoordinate(t *testing.T) {
	short := 0
	for scalar := int64(1); short < 2; scalar++ {
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(scalar).FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if point[1] != 0 && point[33] != 0 {
			continue
		}
		short++
		key, err := newKey(private)
		if err != nil {
			t.Fatal(err)
		}
		var jwk gojose.JSONWebKey
		if err := json.Unmarshal([]byte(key.public.jwk), &jwk); err != nil {
			t.Fatal(err)
		}
		sum, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := b64.EncodeToString(sum); got != key.ID {
			t.Errorf("scalar %d: kid %s, go-jose says %s", scalar, key.ID, got)
		}
	}
}

func TestPublicPEM(t *testing.T) {
	for _, alg := range []Alg{ES256, RS256} {
		key := newTestKey(t, alg)
		block, rest := pem.Decode(key.PublicPEM())
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
			t.Fatalf("%s: %q", alg, key.PublicPEM())
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := newPublicKey(public); err != nil || again.ID != key.ID {
			t.Errorf("%s: another key came back: %v", alg, err)
		}
	}
}

func TestKeyNeverPrints(t *testing.T) {
	key := rfcECKey(t)
	d := unbase64(t, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")
	inside := struct {
		p *Key
		v Key
	}{key, *key}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", key, *key, inside)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("", "key", key, "value", *key, "inside", inside, "group", slog.GroupValue(slog.Any("k", key)))
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"p": key, "v": *key}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "[secret]"); n < 8*2+2*3+2 {
		t.Errorf("[secret] was printed %d times:\n%s", n, &out)
	}
	scalar := new(big.Int).SetBytes(d)
	for _, leak := range []string{string(d), fmt.Sprintf("%x", d), fmt.Sprintf("%X", d), scalar.String(), b64.EncodeToString(d), fmt.Sprint(d), fmt.Sprintf("%#v", d)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the scalar was printed:\n%s", &out)
		}
	}
}
