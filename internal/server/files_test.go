package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/server"
)

// Only what a known proxy has written tells who a client is.
func TestTrustProxies(t *testing.T) {
	known := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"a stranger who claims to be one", "203.0.113.9:4", []string{"198.51.100.1"}, "203.0.113.9:4"},
		{"through the proxy", "10.1.1.1:4", []string{"198.51.100.1"}, "198.51.100.1:0"},
		{"what the client wrote itself does not count", "10.1.1.1:4", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1:0"},
		{"in a header of its own", "10.1.1.1:4", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1:0"},
		{"through two proxies", "10.1.1.1:4", []string{"198.51.100.1, 10.2.2.2"}, "198.51.100.1:0"},
		{"nothing but proxies", "10.1.1.1:4", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3:0"},
		{"no header", "10.1.1.1:4", nil, "10.1.1.1:0"},
		{"no address", "10.1.1.1:4", []string{"198.51.100.1, unknown"}, "10.1.1.1:0"},
		{"version 6", "[::1]:4", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		{"version 4 in version 6", "[::ffff:10.1.1.1]:4", []string{"::ffff:198.51.100.1"}, "198.51.100.1:0"},
	} {
		got := ""
		h := server.TrustProxies(known, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.peer, tt.forwarded
		if h.ServeHTTP(httptest.NewRecorder(), r); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// writeCertificate puts a new certificate and its key into files; at is their time.
func writeCertificate(t *testing.T, dir, name string, at time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// A renewed certificate is served without a restart; half of a renewal is waited out.
func TestCertificateIsRenewed(t *testing.T) {
	dir, at := t.TempDir(), time.Now()
	certFile, keyFile := writeCertificate(t, dir, "first", at)
	now := at
	conf, err := server.TLSAt(certFile, keyFile, slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		t.Helper()
		c, err := conf.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.Subject.CommonName
	}
	for _, step := range []struct {
		name, want string
		do         func()
	}{
		{"at first", "first", func() {}},
		{"renewed, and not looked at yet", "first", func() { writeCertificate(t, dir, "second", at.Add(time.Minute)) }},
		{"looked at", "second", func() { now = now.Add(10 * time.Second) }},
		{"half renewed", "second", func() {
			other, _ := writeCertificate(t, t.TempDir(), "third", at)
			text, err := os.ReadFile(other)
			if err == nil {
				err = os.WriteFile(certFile, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(10 * time.Second)
		}},
		{"gone", "second", func() { _ = os.Remove(certFile); now = now.Add(10 * time.Second) }},
		{"renewed in whole", "fourth", func() {
			writeCertificate(t, dir, "fourth", at.Add(time.Hour))
			now = now.Add(10 * time.Second)
		}},
	} {
		step.do()
		if got := served(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if _, err := server.TLS(certFile, filepath.Join(dir, "none.key"), nil); err == nil || !strings.Contains(err.Error(), "none.key") {
		t.Errorf("no key: %v", err)
	}
}

// A SQLite file has one server.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	first, err := server.Lock("sqlite:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Lock(path); err == nil || !strings.Contains(err.Error(), "in use by another tallystick") {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := server.Lock(path)
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	defer second.Close()
	for range 2 {
		if _, err := server.Lock("postgres://u@db/x"); err != nil {
			t.Error(err)
		}
	}
	if _, err := server.Lock("sqlite:/nowhere/at/all.db"); err == nil || err.Error() != "the database /nowhere/at/all.db cannot be made: no such file or directory" {
		t.Error(err)
	}
}

func TestMasterKey(t *testing.T) {
	dir := t.TempDir()
	path, db := filepath.Join(dir, "key"), filepath.Join(dir, "t.db")
	_, made, err := server.MasterKey("", path, "sqlite:"+db)
	if err != nil || !made {
		t.Fatalf("a new one: %v, made %v", err, made)
	}
	if _, made, err := server.MasterKey("", path, "sqlite:"+db); err != nil || made {
		t.Errorf("the same again: %v, made %v", err, made)
	}
	word, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lost := filepath.Join(dir, "lost")
	if _, made, err := server.MasterKey("", lost, "sqlite:"+db); err == nil || made || !strings.Contains(err.Error(), "lost is missing, but there is a database") {
		t.Errorf("a database without its key: %v, made %v", err, made)
	}
	if _, err := os.Stat(lost); err == nil {
		t.Error("a key was made for a database that has another")
	}
	if m, made, err := server.MasterKey(string(word), lost, db); err != nil || made || m == nil {
		t.Errorf("by a word: %v, made %v", err, made)
	}
	if _, _, err := server.MasterKey("s3cret", lost, db); err == nil || !strings.HasPrefix(err.Error(), server.MasterKeyVariable+": ") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("no key: %v", err)
	}
}
