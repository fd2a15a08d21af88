package wire

import (
	"encoding/base64"
	"net/url"
	"testing"
)

func basic(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
}

func TestParseBasic(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, tt := range []struct{ name, in, id, secret string }{
		{"the example of RFC 6749 §4.1.3", "czZCaGRSa3F0MzpnWDFmQmF0M2JW", "s6BhdRkqt3", "gX1fBat3bV"},
		{"every byte is encoded (RFC 6749 §2.3.1)", basic(string(every), string(every)), string(every), string(every)},
		{"a second colon is the secret's", base64.StdEncoding.EncodeToString([]byte("a:b:c")), "a", "b:c"},
		{"a plus is a space", base64.StdEncoding.EncodeToString([]byte("a:b+c")), "a", "b c"},
		{"an empty secret", basic("a", ""), "a", ""},
		{"an empty id", basic("", "b"), "", "b"},
	} {
		id, secret, ok := ParseBasic(tt.in)
		if !ok || id != tt.id || secret != tt.secret {
			t.Errorf("%s: %q %q %t", tt.name, id, secret, ok)
		}
	}
	for _, tt := range []struct{ name, in string }{
		{"nothing", ""},
		{"no colon", base64.StdEncoding.EncodeToString([]byte("abc"))},
		{"not base64", "a:b"},
		{"no padding", "YTpiYw"},
		{"too much padding", "YTpi===="},
		{"the alphabet of URLs (RFC 4648 §5)", base64.URLEncoding.EncodeToString([]byte("a:\xfb\xff\xfe"))},
		{"something behind it", "YTpi garbage"},
		{"another parameter", `YTpi, charset="UTF-8"`},
		{"a line end inside", "YT\npi"},
		{"stray bits in the last character", "YTpiYz=="},
		{"half an escape", base64.StdEncoding.EncodeToString([]byte("a:%4"))},
		{"an escape that is none", base64.StdEncoding.EncodeToString([]byte("%zz:b"))},
	} {
		if id, secret, ok := ParseBasic(tt.in); ok {
			t.Errorf("%s: taken as %q %q", tt.name, id, secret)
		}
	}
}

func TestAuthorization(t *testing.T) {
	for _, tt := range []struct {
		name         string
		in           []string
		scheme, rest string
		refused      bool
	}{
		{"none", nil, "", "", false},
		{"the scheme is case-insensitive (RFC 9110 §11.1)", []string{"bASIC x"}, "basic", "x", false},
		{"several spaces (RFC 9110 §11.4)", []string{"Basic   x y"}, "basic", "x y", false},
		{"the scheme alone", []string{"Basic"}, "basic", "", false},
		{"two headers", []string{"Basic x", "Basic x"}, "", "", true},
	} {
		scheme, rest, err := Authorization(tt.in)
		if scheme != tt.scheme || rest != tt.rest || (err != nil) != tt.refused {
			t.Errorf("%s: %q %q %v", tt.name, scheme, rest, err)
		}
	}
}

// Whatever stands in the header is refused, or says the same when it is written
// again by the rule.
func FuzzParseBasic(f *testing.F) {
	for _, s := range []string{"", "YTpi", "YTpiYz==", "YTpi\n", "Og==", "a:b", "JTQ6", basic("a:b", "%+"), "czZCaGRSa3F0MzpnWDFmQmF0M2JW", "OjolOg=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, secret, ok := ParseBasic(s)
		if !ok {
			if id != "" || secret != "" {
				t.Errorf("refused, but told %q %q", id, secret)
			}
			return
		}
		if id2, secret2, ok := ParseBasic(basic(id, secret)); !ok || id2 != id || secret2 != secret {
			t.Errorf("%q %q became %q %q", id, secret, id2, secret2)
		}
	})
}
