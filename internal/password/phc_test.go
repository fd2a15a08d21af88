package password

import (
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	const salt, hash = "MDEyMzQ1Njc4OWFiY2RlZg", "gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0"
	encoded := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + hash }
	if _, err := parse(encoded("m=64,t=1,p=1")); err != nil {
		t.Fatalf("what all rows are made from: %v", err)
	}
	bytes := func(n int) string { return b64.EncodeToString(make([]byte, n)) }
	h := New(small, 1)
	for _, tt := range []struct{ name, encoded string }{
		{"nothing", ""},
		{"a plain password", "correct horse battery staple"},
		{"bcrypt", "$2b$12$abcdefghijklmnopqrstuu5Lp1Q1Zb5gq0n2yWv9cJ6vJm0aRkJ3e"},
		{"argon2i", "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + hash},
		{"argon2d", "$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + hash},
		{"version 16", "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + hash},
		{"no version", "$argon2id$m=64,t=1,p=1$" + salt + "$" + hash},
		{"no leading dollar", strings.TrimPrefix(encoded("m=64,t=1,p=1"), "$")},
		{"a further field", encoded("m=64,t=1,p=1") + "$"},
		{"no hash", "$argon2id$v=19$m=64,t=1,p=1$" + salt},
		{"another order", encoded("t=1,m=64,p=1")},
		{"a parameter missing", encoded("m=64,t=1")},
		{"a parameter more", encoded("m=64,t=1,p=1,keyid=x")},
		{"a parameter without a value", encoded("m=64,t=,p=1")},
		{"a leading zero", encoded("m=064,t=1,p=1")},
		{"zero passes", encoded("m=64,t=0,p=1")},
		{"a sign", encoded("m=+64,t=1,p=1")},
		{"a negative number", encoded("m=64,t=-1,p=1")},
		{"white space", encoded("m=64, t=1, p=1")},
		{"hexadecimal", encoded("m=0x40,t=1,p=1")},
		{"more than 128 MiB", encoded("m=131073,t=1,p=1")},
		{"4 TiB", encoded("m=4294967295,t=1,p=1")},
		{"memory that overflows 32 bits", encoded("m=4294967360,t=1,p=1")},
		{"17 passes", encoded("m=64,t=17,p=1")},
		{"threads that overflow 8 bits", encoded("m=64,t=1,p=257")},
		{"memory below 8 KiB per lane (RFC 9106 §3.1)", encoded("m=31,t=1,p=4")},
		{"a salt below 8 bytes (RFC 9106 §3.1)", "$argon2id$v=19$m=64,t=1,p=1$" + bytes(7) + "$" + hash},
		{"a salt of 65 bytes", "$argon2id$v=19$m=64,t=1,p=1$" + bytes(65) + "$" + hash},
		{"an empty hash", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$"},
		{"a hash of 15 bytes", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + bytes(15)},
		{"a hash of 65 bytes", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + bytes(65)},
		{"padding", encoded("m=64,t=1,p=1") + "="},
		{"the URL alphabet", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.ReplaceAll(hash, "/", "_")},
		{"stray bits in the last character", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + hash[:42] + "1"},
		{"a line end at the end", encoded("m=64,t=1,p=1") + "\n"},
		{"a line end in the salt, which Go's decoder skips", "$argon2id$v=19$m=64,t=1,p=1$" + salt[:4] + "\n" + salt[4:] + "$" + hash},
		{"a megabyte", encoded("m=64,t=1,p=1") + strings.Repeat("A", 1<<20)},
	} {
		if ok, err := h.Verify(t.Context(), tt.encoded, "correct horse battery staple"); err != ErrEncoding || ok {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
		if !NeedsRehash(tt.encoded, small) {
			t.Errorf("%s: needs no rehash", tt.name)
		}
	}
}

func TestNeedsRehash(t *testing.T) {
	sized := func(p Params, salt, hash int) string {
		return phc{Params: p, salt: make([]byte, salt), hash: make([]byte, hash)}.String()
	}
	p := Params{Memory: 64, Time: 2, Threads: 1}
	for _, tt := range []struct {
		name    string
		encoded string
		want    bool
	}{
		{"the same parameters", sized(p, 16, 32), false},
		{"less memory", sized(Params{Memory: 63, Time: 2, Threads: 1}, 16, 32), true},
		{"more memory", sized(Params{Memory: 65, Time: 2, Threads: 1}, 16, 32), true},
		{"another number of passes", sized(Params{Memory: 64, Time: 1, Threads: 1}, 16, 32), true},
		{"another number of lanes", sized(Params{Memory: 64, Time: 2, Threads: 2}, 16, 32), true},
		{"a shorter salt", sized(p, 8, 32), true},
		{"a shorter hash", sized(p, 16, 16), true},
	} {
		if got := NeedsRehash(tt.encoded, p); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// What is accepted has one spelling and parameters within bounds.
func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0")
	f.Add("$argon2id$v=19$m=64,t=1,p=4$AAECAwQFBgc$mXGjJCrnC3874nSSM5L1zA")
	f.Add("$argon2id$v=19$m=4294967295,t=016,p=+1$AAECAwQFBgc$mXGjJCrnC3874nSSM5L1zB")
	f.Add("$argon2i$v=19$m=64,t=1$AAEC\nAwQFBgc$$")
	f.Fuzz(func(t *testing.T, encoded string) {
		e, err := parse(encoded)
		if err != nil {
			return
		}
		if got := e.String(); got != encoded {
			t.Errorf("%q is written as %q", encoded, got)
		}
		if err := e.Check(); err != nil {
			t.Errorf("%q: %v", encoded, err)
		}
	})
}
