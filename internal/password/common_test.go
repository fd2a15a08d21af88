package password

import (
	"strings"
	"testing"
)

func TestCommon(t *testing.T) {
	for word, want := range map[string]bool{
		"password": true, "Password": true, "PASSWORD1": true, "password2026!": true, "12345678": true, "qwertyuiop": true,
		"correct horse battery staple": false, "sj7k-yhsi-bxwd-nw7j": false, "": false, "password\n": false, "password\npassword": false, "passwordpasswor": false,
	} {
		if got := Common(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
}

// A list that was cut or re-sorted by accident would let through what it should
// not.
func TestCommonList(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(common, "\n"), "\n")
	if len(lines) < 10000 {
		t.Errorf("%d passwords, want at least 10,000", len(lines))
	}
	for _, l := range lines {
		if len(l) < 8 || l != strings.ToLower(l) || !Common(l) {
			t.Fatalf("%q", l)
		}
	}
}

func BenchmarkCommon(b *testing.B) {
	for b.Loop() {
		Common("sj7k-yhsi-bxwd-nw7j")
	}
}
