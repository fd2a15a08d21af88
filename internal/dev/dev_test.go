package dev

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOptionsCheck(t *testing.T) {
	good := Options{Listen: "127.0.0.1:0", Data: "x"}
	for name, change := range map[string]func(*Options){
		"defaults":              func(*Options) {},
		"IPv6 loopback":         func(o *Options) { o.Listen = "[::1]:0" },
		"localhost":             func(o *Options) { o.Listen = "localhost:8080" },
		"an issuer elsewhere":   func(o *Options) { o.Issuer = "https://as.example" },
		"a further redirect":    func(o *Options) { o.Redirects = []string{"https://app.example/cb"} },
		"mails by SMTP":         func(o *Options) { o.SMTP = "smtp://127.0.0.1:2525" },
		"another 127 address":   func(o *Options) { o.Listen = "127.0.0.2:8080" },
		"an issuer with a port": func(o *Options) { o.Issuer = "http://127.0.0.1:9000" },
	} {
		o := good
		change(&o)
		if err := o.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		change func(*Options)
		flag   string
	}{
		"beyond loopback":     {func(o *Options) { o.Listen = "0.0.0.0:8080" }, "--listen"},
		"every address":       {func(o *Options) { o.Listen = ":8080" }, "--listen"},
		"a name":              {func(o *Options) { o.Listen = "as.example:8080" }, "--listen"},
		"no port":             {func(o *Options) { o.Listen = "127.0.0.1" }, "--listen"},
		"no directory":        {func(o *Options) { o.Data = "" }, "--data"},
		"an issuer with path": {func(o *Options) { o.Issuer = "https://as.example/x" }, "--issuer"},
		"an issuer with user": {func(o *Options) { o.Issuer = "https://u@as.example" }, "--issuer"},
		"a plain redirect":    {func(o *Options) { o.Redirects = []string{"http://app.example/cb"} }, "--client-redirect"},
		"no mail server":      {func(o *Options) { o.SMTP = "mail.example" }, "--smtp"},
	} {
		o := good
		tt.change(&o)
		if err := o.Check(); err == nil || !strings.HasPrefix(err.Error(), tt.flag) {
			t.Errorf("%s: %v, want a fault of %s", name, err, tt.flag)
		}
	}
}

// A page elsewhere whose name leads to this machine reads nothing.
func TestDevPagesAreLocal(t *testing.T) {
	h := local("https://as.example:8443", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "localhost:8080": 200, "localhost": 200, "[::1]:8080": 200, "as.example:8443": 200, "as.example": 200,
		"evil.example": 421, "evil.example:8080": 421, "127.0.0.1.evil.example": 421, "": 421, "10.0.0.1": 421, "localhost.evil.example": 421,
	} {
		r := httptest.NewRequest("GET", "/dev/mail", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("Host %q: %d, want %d", host, rec.Code, want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"/a/b.pem": "/a/b.pem", "/a b": "'/a b'", "it's": `'it'\''s'`, "": ""} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
