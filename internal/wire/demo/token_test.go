package demo

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signedJWT is a fresh RSA key in PEM, and a JWT that it has signed.
func signedJWT(t *testing.T) (public, jwt string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwt = segment(`{"alg":"RS256","typ":"JWT"}`) + "." + segment(`{"sub":"7"}`)
	sum := sha256.Sum256([]byte(jwt))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), jwt + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestDecodeToken(t *testing.T) {
	jwt := segment(`{"alg":"ES256"}`) + "." + segment(`{"iat":1735689600,"exp":1735689690,"auth_time":1735689599,"nbf":"soon"}`) + "." + segment(strings.Repeat("s", 64))
	iat := time.Unix(1735689600, 0).UTC()
	want := token{
		Name:    "access_token",
		Header:  []line{{"", "{"}, {`  "alg"`, `: "ES256"`}, {"", "}"}},
		Payload: []line{{"", "{"}, {`  "iat"`, ": 1735689600,"}, {`  "exp"`, ": 1735689690,"}, {`  "auth_time"`, ": 1735689599,"}, {`  "nbf"`, `: "soon"`}, {"", "}"}},
		Moments: []moment{
			{Claim: "auth_time", At: iat.Add(-time.Second)}, {Claim: "iat", At: iat},
			{Claim: "exp", At: iat.Add(90 * time.Second), After: 90 * time.Second},
		},
		Signature: "c3Nzc3Nzc3…c3Nzc3Nzcw", Bytes: 64,
	}
	got := decodeToken("access_token", jwt)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if m := got.Moments[2]; m.Hours() != 0 || m.Seconds() != 90 {
		t.Errorf("90 s are told as %d hours or %d seconds", m.Hours(), m.Seconds())
	}
	if m := (moment{After: 24 * time.Hour}); m.Hours() != 24 {
		t.Errorf("a day is told as %d hours", m.Hours())
	}
}

func TestWhatIsNoToken(t *testing.T) {
	object, array := segment("{}"), segment("[]")
	tests := []struct{ name, in string }{
		{"nothing", ""},
		{"an opaque token", "tsr_AAAA"},
		{"two parts", object + "." + object},
		{"five parts, a JWE (RFC 7516 §7.1)", object + "....x"},
		{"a header that is no object", array + "." + object + ".AA"},
		{"a payload that is no object", object + "." + array + ".AA"},
		{"a payload that is cut short", object + "." + segment(`{"a":`) + ".AA"},
		{"padding (RFC 7515 §2)", object + "." + object + "=.AA"},
		{"the other base64", object + "." + object + ".+/"},
		{"longer than anything of ours", object + "." + object + "." + strings.Repeat("A", maxToken)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(token{Name: "id_token"}, decodeToken("id_token", tt.in)); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMomentsOutOfRange(t *testing.T) {
	for _, payload := range []string{
		`{"exp":1e300}`, `{"exp":-1}`, `{"exp":0}`, `{"exp":253402300800}`, `{"exp":null}`, `{"exp":"1735689600"}`, `{"exp":[1]}`, `[]`,
	} {
		if got := moments([]byte(payload)); got != nil {
			t.Errorf("moments of %s: %v", payload, got)
		}
	}
	if got := moments([]byte(`{"exp":1735689600.9}`)); len(got) != 1 || got[0].At != time.Unix(1735689600, 0).UTC() {
		t.Errorf("a NumericDate with a fraction (RFC 7519 §2): %v", got)
	}
}

func FuzzDecodeToken(f *testing.F) {
	f.Add(someJWT)
	f.Add("..")
	f.Add(segment("{}") + "." + segment(`{"exp":1e400,"iat":-0.0}`) + ".")
	f.Add(segment("{}\n{}") + "." + segment("{}") + ".AA")
	f.Fuzz(func(t *testing.T, s string) {
		got := decodeToken("access_token", s)
		if len(got.Header) == 0 {
			if diff := cmp.Diff(token{Name: "access_token"}, got); diff != "" {
				t.Errorf("half a token (-want +got):\n%s", diff)
			}
			return
		}
		if strings.Count(s, ".") != 2 || len(s) > maxToken || len(got.Payload) == 0 || got.Bytes > len(s) || len(got.Signature) > len(s)+len("…") {
			t.Errorf("%q decodes to %+v", s, got)
		}
		for _, m := range got.Moments {
			if m.At.Year() < 1970 || m.At.Year() > 9999 || m.After < 0 {
				t.Errorf("%q: %+v", s, m)
			}
		}
	})
}

func TestProveKey(t *testing.T) {
	public, jwt := signedJWT(t)
	other, _ := signedJWT(t)
	answer := func(pem string) []byte { return []byte(`{"items":[{"value":` + quoteJSON(pem) + `}]}`) }
	// The same claims under another header: what counts is RS256 and this key
	// (RFC 8725 §3.1).
	_, rest, _ := strings.Cut(jwt, ".")
	tests := []struct {
		name string
		body []byte
		jwt  string
		want bool
	}{
		{"the key that signed", answer(public), jwt, true},
		{"another key", answer(other), jwt, false},
		{"another header", answer(public), segment(`{"alg":"none"}`) + "." + rest, false},
		{"no signature", answer(public), jwt[:strings.LastIndexByte(jwt, '.')+1], false},
		{"no token", answer(public), "", false},
		{"a key of another kind", answer(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))), jwt, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := proveKey(tt.body, tt.jwt)
			if p == nil || p.Verified != tt.want {
				t.Errorf("proof %+v, want verified %v", p, tt.want)
			}
		})
	}
	if p := proveKey([]byte(`{"items":[{"value":"no key"}]}`), jwt); p != nil {
		t.Errorf("a proof without a key: %+v", p)
	}
}
