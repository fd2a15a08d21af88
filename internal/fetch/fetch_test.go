package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// peer is a server on loopback that counts the connections that reach it.
type peer struct {
	*httptest.Server
	reached *atomic.Int32
	taken   chan struct{} // one per connection
}

func newPeer(t *testing.T, start func(*httptest.Server), handler http.HandlerFunc) peer {
	t.Helper()
	p := peer{Server: httptest.NewUnstartedServer(handler), reached: new(atomic.Int32), taken: make(chan struct{}, 64)}
	p.Listener = counting{p.Listener, p}
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(p.Server)
	t.Cleanup(p.Close)
	return p
}

type counting struct {
	net.Listener
	p peer
}

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.p.reached.Add(1)
		l.p.taken <- struct{}{}
	}
	return conn, err
}

// wantUntouched fails if anything has connected to p. Connections are accepted
// in their order, so one more tells that no other is on its way.
func (p peer) wantUntouched(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-p.taken
	if n := p.reached.Load(); n != 1 {
		t.Errorf("%d connections were made", n-1)
	}
}

func (p peer) port() string {
	return p.Listener.Addr().String()[strings.LastIndexByte(p.Listener.Addr().String(), ':'):]
}

// trusting returns a Fetcher for development that trusts the certificate of p.
func (p peer) trusting() *Fetcher {
	roots := x509.NewCertPool()
	if p.Certificate() != nil {
		roots.AddCert(p.Certificate())
	}
	return New(Config{Loopback: true, RootCAs: roots})
}

func document(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, `{"keys":[]}`)
}

func TestGet(t *testing.T) {
	var seen []http.Header
	p := newPeer(t, (*httptest.Server).StartTLS, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
		document(w, r)
	})
	f := p.trusting()
	for _, get := range []func(context.Context, string, ...string) ([]byte, error){f.Get, f.Fresh} {
		body, err := get(t.Context(), p.URL+"/keys?a=b#fragment", "application/jwk-set+json", "application/json")
		if err != nil || string(body) != `{"keys":[]}` {
			t.Fatalf("body %q, error %v", body, err)
		}
	}
	// No cookie comes back, no compression is offered, no connection is kept.
	want := http.Header{
		"Accept": {"application/jwk-set+json, application/json"}, "Accept-Encoding": {"identity"},
		"Connection": {"close"}, "User-Agent": {"tallystick"},
	}
	if diff := cmp.Diff([]http.Header{want, want}, seen); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if n := p.reached.Load(); n != 2 {
		t.Errorf("%d connections for two requests", n)
	}
	for _, transport := range []*http.Transport{f.secure, f.plain} {
		if transport.Proxy != nil {
			t.Error("a proxy would resolve and dial in our place")
		}
	}
}

func TestGetRefusesAnAnswer(t *testing.T) {
	inside := newPeer(t, (*httptest.Server).Start, document)
	full := strings.Repeat("x", maxBody)
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // "" for none
	}{
		{"the largest body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "APPLICATION/JSON")
			_, _ = io.WriteString(w, full)
		}, ""},
		{"one byte more", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, full+"x")
		}, "more than 65536 bytes"},
		{"a body without an end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := io.WriteString(w, full); err != nil {
					return
				}
			}
		}, "more than 65536 bytes"},
		{"headers without an end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", full)
		}, "not HTTP"},
		{"less than was promised", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{}")
		}, "broke"},
		{"no HTTP, and nothing of it is told", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "hunter2 hunter2\r\n\r\n")
			_ = conn.Close()
		}, "not HTTP"},
		{"gzip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			document(w, r)
		}, "compressed"},
		{"a coding that says it is none", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			document(w, r)
		}, ""},
		{"another media type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "{}")
		}, "media type application/json"},
		{"a media type that begins alike", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/jsonp")
		}, "media type"},
		{"no media type", func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, "media type"},
		{"a redirect to an inside address", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, http.StatusFound)
		}, "status 302"},
		{"a permanent redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, http.StatusPermanentRedirect)
		}, "status 308"},
		{"not found", http.NotFound, "status 404"},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		{"half of it", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusPartialContent)
		}, "status 206"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, (*httptest.Server).Start, tt.answer)
			body, err := p.trusting().Get(t.Context(), p.URL+"/?token=hunter2", "application/json")
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || body != nil {
				t.Errorf("%d bytes, error %v, want one with %q", len(body), err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
	inside.wantUntouched(t)
}

func TestAnyMediaType(t *testing.T) {
	p := newPeer(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Header["Accept"]; ok {
			t.Error("an Accept header without a type")
		}
		w.Header()["Content-Type"] = nil
	})
	if _, err := p.trusting().Get(t.Context(), p.URL); err != nil {
		t.Error(err)
	}
}

func TestPost(t *testing.T) {
	inside := newPeer(t, (*httptest.Server).Start, document)
	var got []string
	p := newPeer(t, (*httptest.Server).StartTLS, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.Header.Get("Content-Type")+" "+r.FormValue("logout_token"))
		status := map[string]int{"/200": 200, "/204": 204, "/400": 400, "/503": 503, "/303": 303}[r.URL.Path]
		w.Header().Set("Location", inside.URL)
		w.WriteHeader(status)
		for status == http.StatusOK { // longer than anybody reads
			if _, err := io.WriteString(w, strings.Repeat("x", maxBody)); err != nil {
				return
			}
		}
	})
	f := p.trusting()
	for path, want := range map[string]int{"/200": 200, "/204": 204, "/400": 400, "/503": 503, "/303": 303} {
		got = nil
		status, err := f.Post(t.Context(), p.URL+path, url.Values{"logout_token": {"a&b"}})
		if status != want || (err != nil) != (want == 303) {
			t.Errorf("%s: status %d, error %v", path, status, err)
		}
		if diff := cmp.Diff([]string{"POST application/x-www-form-urlencoded a&b"}, got); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", path, diff)
		}
	}
	inside.wantUntouched(t)

	before := p.reached.Load()
	for _, uri := range []string{p.URL + "/200#x", "http://client.example.com/", "https://10.0.0.1/"} {
		if status, err := f.Post(t.Context(), uri, nil); status != 0 || err == nil {
			t.Errorf("%s: status %d, error %v", uri, status, err)
		}
	}
	if p.reached.Load() != before {
		t.Error("a refused URI was connected to")
	}
}

func TestTLS(t *testing.T) {
	p := newPeer(t, (*httptest.Server).StartTLS, document)
	old := newPeer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		s.StartTLS()
	}, document)
	plain := newPeer(t, (*httptest.Server).Start, document)
	for _, tt := range []struct {
		name string
		f    *Fetcher
		uri  string
		want error
	}{
		{"a certificate that nobody we trust has signed", New(Config{Loopback: true, RootCAs: x509.NewCertPool()}), p.URL, errTrust},
		{"another host's certificate", p.trusting(), "https://localhost" + p.port(), errOther},
		{"TLS 1.1 (RFC 8996)", old.trusting(), old.URL, errAnswer},
		{"no TLS", p.trusting(), "https://" + plain.Listener.Addr().String(), errAnswer},
		{"TLS where none is expected", p.trusting(), "http://" + p.Listener.Addr().String(), nil},
	} {
		_, err := tt.f.Get(t.Context(), tt.uri, "application/json")
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	expired := p.trusting()
	expired.secure.TLSClientConfig.Time = func() time.Time { return p.Certificate().NotAfter.AddDate(1, 0, 0) }
	if _, err := expired.Get(t.Context(), p.URL); !errors.Is(err, errExpired) {
		t.Errorf("an expired certificate: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	p := newPeer(t, (*httptest.Server).Start, document)
	p.Close()
	if _, err := p.trusting().Get(t.Context(), p.URL); !errors.Is(err, errConnect) {
		t.Errorf("error %v", err)
	}
}
