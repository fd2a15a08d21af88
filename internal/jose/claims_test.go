package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// atob decodes a segment as a browser does: the standard alphabet, no padding
// needed (WHATWG Infra, forgiving-base64 decode).
func atob(t testing.TB, segment string) []byte {
	t.Helper()
	b, err := base64.RawStdEncoding.Strict().DecodeString(segment)
	if err != nil {
		t.Fatalf("atob(%q): %v", segment, err)
	}
	return b
}

// read returns the members of an object after its way through base64url and
// atob, and fails if a byte breaks the rule of Claims.
func read(t testing.TB, c *Claims) map[string]any {
	t.Helper()
	if c.err != nil {
		t.Fatal(c.err)
	}
	object := c.object()
	for _, b := range object {
		if b < 0x20 || b > 0x7e || strings.IndexByte("?~><&", b) >= 0 {
			t.Fatalf("byte %#x in %q", b, object)
		}
	}
	back := atob(t, b64.EncodeToString(object))
	if !bytes.Equal(back, object) {
		t.Fatalf("atob gave %q, want %q", back, object)
	}
	var members map[string]any
	if err := json.Unmarshal(back, &members); err != nil {
		t.Fatalf("%v in %s", err, back)
	}
	return members
}

func TestClaimsText(t *testing.T) {
	for _, tt := range []struct {
		name string
		add  func(*Claims)
		want string
	}{
		{"no member", func(c *Claims) {}, `{}`},
		{"members keep their order", func(c *Claims) { c.String("b", "x"); c.String("a", "y") }, `{"b":"x","a":"y"}`},
		{"integers", func(c *Claims) { c.Int("a", -1<<63); c.Int("b", 1<<63-1) }, `{"a":-9223372036854775808,"b":9223372036854775807}`},
		{"booleans", func(c *Claims) { c.Bool("a", true); c.Bool("b", false) }, `{"a":true,"b":false}`},
		{"no strings", func(c *Claims) { c.Strings("aud", nil) }, `{"aud":[]}`},
		{"strings", func(c *Claims) { c.Strings("aud", []string{"a", "ü"}) }, `{"aud":["a","\u00fc"]}`},
		{"the characters that make - and _", func(c *Claims) { c.String("s", "?~>\x7f") }, `{"s":"\u003f\u007e\u003e\u007f"}`},
		{"quote, backslash and HTML", func(c *Claims) { c.String("s", `"\<&/`) }, `{"s":"\u0022\u005c\u003c\u0026/"}`},
		{"control characters (RFC 8259 §7)", func(c *Claims) { c.String("s", "\x00\n\x1f") }, `{"s":"\u0000\u000a\u001f"}`},
		{"a surrogate pair (RFC 8259 §7)", func(c *Claims) { c.String("s", "a🔑b") }, `{"s":"a\ud83d\udd11b"}`},
		{"the ends of the planes", func(c *Claims) { c.String("s", "\uffff\U00010000\U0010ffff") }, `{"s":"\uffff\ud800\udc00\udbff\udfff"}`},
		{"bytes that are not UTF-8", func(c *Claims) { c.String("s", "a\xffb\xed\xa0\x80") }, `{"s":"a\ufffdb\ufffd\ufffd\ufffd"}`},
		{"a name is a string too", func(c *Claims) { c.Bool("https://x/?ä", true) }, `{"https://x/\u003f\u00e4":true}`},
		{"raw JSON loses its white space", func(c *Claims) { c.JSON("j", json.RawMessage(" {\t\"a\" :\r\n[ 1.50e+2 , null,true ]} ")) }, `{"j":{"a":[1.50e+2,null,true]}}`},
		{"raw JSON strings are written anew", func(c *Claims) { c.JSON("j", json.RawMessage(`["ü?","\u00fc\/\t\"\\","\ud83d\udd11"]`)) },
			`{"j":["\u00fc\u003f","\u00fc/\u0009\u0022\u005c","\ud83d\udd11"]}`},
		{"raw JSON with half a surrogate pair", func(c *Claims) { c.JSON("j", json.RawMessage(`"\ud83d x"`)) }, `{"j":"\ufffd x"}`},
		{"raw JSON with bytes that are not UTF-8", func(c *Claims) { c.JSON("j", json.RawMessage("\"\xff\"")) }, `{"j":"\ufffd"}`},
	} {
		for kind, c := range map[string]*Claims{"new": NewClaims(), "zero": {}} {
			tt.add(c)
			if got := string(c.object()); got != tt.want {
				t.Errorf("%s (%s):\n got %s\nwant %s", tt.name, kind, got, tt.want)
			}
			read(t, c)
		}
	}
}

func TestClaimsRemembersAFault(t *testing.T) {
	s := rfcECKey(t).Signer("JWT", false)
	for _, tt := range []struct {
		name string
		add  func(*Claims)
		want string
	}{
		{"a name set twice (RFC 7519 §4)", func(c *Claims) { c.String("sub", "a"); c.Int("n", 1); c.String("sub", "b") }, `"sub" is set twice`},
		{"a name set twice by raw JSON", func(c *Claims) { c.String("sub", "a"); c.JSON("sub", json.RawMessage(`"b"`)) }, `"sub" is set twice`},
		{"no raw JSON", func(c *Claims) { c.JSON("j", nil) }, `"j" is not JSON`},
		{"cut raw JSON", func(c *Claims) { c.JSON("j", json.RawMessage(`{"a":"b`)) }, `"j" is not JSON`},
		{"two raw values", func(c *Claims) { c.JSON("j", json.RawMessage(`1,"iss":2`)) }, `"j" is not JSON`},
		{"the first of two faults", func(c *Claims) { c.JSON("j", nil); c.JSON("k", nil) }, `"j" is not JSON`},
	} {
		c := NewClaims()
		tt.add(c)
		c.String("last", "fine")
		if token, err := s.Sign(c); err == nil || !strings.Contains(err.Error(), tt.want) || token != "" {
			t.Errorf("%s: %q, %v; want an error with %q", tt.name, token, err, tt.want)
		}
	}
}

// Each character at each of the three places of a base64 group.
func TestClaimsSweep(t *testing.T) {
	for r := rune(0); r <= 0x2fff; r++ {
		for _, before := range []string{"", "x", "xx"} {
			c := NewClaims()
			want := before + string(r) + "y"
			c.String("s", want)
			if got := read(t, c)["s"]; got != want {
				t.Fatalf("%U after %q: got %q, want %q", r, before, got, want)
			}
		}
	}
}

// randomString draws from every plane, with a bias to ASCII and, if asked, some
// bytes that are not UTF-8.
func randomString(r *rand.Rand, invalid bool) string {
	var s []byte
	for range r.IntN(40) {
		switch r.IntN(6) {
		case 0, 1:
			s = append(s, byte(r.IntN(0x80)))
		case 2:
			s = append(s, string(rune(r.IntN(0x800)))...)
		case 3:
			s = append(s, string(rune(r.IntN(0xd800)))...)
		case 4:
			s = append(s, string(rune(r.IntN(17)<<16|r.IntN(0xd800)))...)
		case 5:
			if invalid {
				s = append(s, byte(0x80+r.IntN(0x80)))
			}
		}
	}
	return string(s)
}

func TestClaimsProperty(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	for range 5000 {
		c, want := NewClaims(), map[string]any{}
		for i := range 1 + r.IntN(5) {
			name := string(rune('a'+i)) + randomString(r, false)
			switch r.IntN(3) {
			case 0:
				s := randomString(r, true)
				c.String(name, s)
				want[name] = string([]rune(s))
			case 1:
				list := []any{}
				var strs []string
				for range r.IntN(4) {
					s := randomString(r, true)
					strs, list = append(strs, s), append(list, string([]rune(s)))
				}
				c.Strings(name, strs)
				want[name] = list
			case 2:
				value := map[string]any{randomString(r, false): []any{randomString(r, false), 1.5, nil, true}}
				raw, err := json.MarshalIndent(value, "", "\t")
				if err != nil {
					t.Fatal(err)
				}
				c.JSON(name, raw)
				want[name] = value
			}
		}
		if diff := cmp.Diff(want, read(t, c)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func FuzzClaimsString(f *testing.F) {
	f.Add("sub", "plain")
	f.Add("https://example.com/?a~b", "<&>\x7f\"\\\x00")
	f.Add("", "\xed\xa0\x80\xff🔑\U0010ffff")
	f.Fuzz(func(t *testing.T, name, value string) {
		c := NewClaims()
		c.Int("before", 1)
		c.String("x"+name, value)
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		c.JSON("y"+name, raw)
		got := read(t, c)
		name, value = string([]rune(name)), string([]rune(value))
		if got["x"+name] != value || got["y"+name] != value {
			t.Errorf("got %q, want %q under %q", got, value, name)
		}
	})
}
