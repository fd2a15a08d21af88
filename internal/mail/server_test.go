package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// postOffice is a mail server as RFC 5321 wants it, which can be told to be a
// bad one.
type postOffice struct {
	addr     string
	tls      *tls.Config       // for STARTTLS
	implicit bool              // TLS from the first byte
	offers   []string          // extensions
	replies  map[string]string // at this verb (or "greeting", "."), this instead; "" hangs up
	hangAt   string            // here it says nothing more
	hung     chan struct{}     // closed when it does

	mu        sync.Mutex
	lines     []string // what it was told, but for the content of mails
	delivered []string // mails
}

// start serves until the test ends; it then waits for every connection to be
// closed by its client, so that a sender that leaks one hangs the test.
func (p *postOffice) start(t *testing.T) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr, p.hung = l.Addr().String(), make(chan struct{})
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return p
}

func (p *postOffice) serve(conn net.Conn) {
	defer conn.Close()
	secure := p.implicit
	if p.implicit {
		conn = tls.Server(conn, p.tls)
	}
	text := textproto.NewConn(conn)
	// say answers, and reports whether the conversation goes on.
	say := func(verb, usual string) bool {
		if verb == p.hangAt {
			close(p.hung)
			_, _ = io.Copy(io.Discard, conn)
			return false
		}
		if own, ok := p.replies[verb]; ok {
			usual = own
		}
		return usual != "" && text.PrintfLine("%s", usual) == nil
	}
	if !say("greeting", "220 post.test ESMTP") {
		return
	}
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		p.note(&p.lines, line)
		verb, _, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "EHLO":
			offers := append([]string{"post.test"}, p.offers...)
			if p.tls != nil && !secure {
				offers = append(offers, "STARTTLS")
			}
			for _, o := range offers {
				if text.PrintfLine("250-%s", o) != nil {
					return
				}
			}
			if !say(verb, "250 OK") {
				return
			}
		case "STARTTLS":
			if !say(verb, "220 go on") {
				return
			}
			secure, conn = true, tls.Server(conn, p.tls)
			text = textproto.NewConn(conn)
		case "DATA":
			if !say(verb, "354 go on") {
				return
			}
			if p.replies[verb] != "" {
				continue
			}
			mail, err := text.ReadDotBytes()
			if err != nil {
				return
			}
			if _, refused := p.replies["."]; !refused {
				p.note(&p.delivered, string(mail))
			}
			if !say(".", "250 2.0.0 taken") {
				return
			}
		case "AUTH":
			if strings.HasPrefix(line, "AUTH LOGIN") {
				for _, ask := range []string{"334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"} {
					if text.PrintfLine("%s", ask) != nil {
						return
					}
					answer, err := text.ReadLine()
					if err != nil {
						return
					}
					p.note(&p.lines, answer)
				}
			}
			if !say(verb, "235 2.7.0 welcome") {
				return
			}
		case "QUIT":
			say(verb, "221 bye")
			return
		default:
			if !say(verb, "250 OK") {
				return
			}
		}
	}
}

func (p *postOffice) note(where *[]string, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*where = append(*where, what)
}

// certified is a certificate for a host, and the pool that trusts it.
func certified(t *testing.T, host string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
