package mail

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// secrets must not stand in an error: the password, as it is and as it travels,
// and what the mail says and whom to.
var secrets = []string{
	word, "hunter2", base64.StdEncoding.EncodeToString([]byte("\x00zoe@post\x00" + word)), base64.StdEncoding.EncodeToString([]byte(word)),
	"SECRET", link, "zoe@example.com", "zoë", "Acme", "password for",
}

// checkPlain holds an error to be one line that gives nothing away.
func checkPlain(t *testing.T, err error) {
	t.Helper()
	for _, shown := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
		for _, secret := range secrets {
			if strings.Contains(shown, secret) {
				t.Errorf("%q in the error: %s", secret, shown)
			}
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("more than a line: %q", err)
	}
}

func TestRefusals(t *testing.T) {
	serverTLS, roots := certified(t, "post.test")
	_, strangers := certified(t, "post.test")
	const user = "zoe%40post:hunter2+%2F%40@"
	// A server that says all it knows.
	echo := " no: zoe@example.com " + link + " " + word + " " + base64.StdEncoding.EncodeToString([]byte("\x00zoe@post\x00"+word))
	refuses := func(verb, reply string) *postOffice {
		return &postOffice{offers: []string{"AUTH PLAIN"}, replies: map[string]string{verb: reply + echo}}
	}
	tests := []struct {
		name   string
		office *postOffice
		scheme string
		host   string
		roots  *x509.CertPool
		want   string // with the address of the server before it
	}{
		{"at the greeting", refuses("greeting", "421 4.3.2"), "smtp", user + "localhost", nil,
			"greeting: refused with 421 4.3.2, it is not available now"},
		{"at the password", refuses("AUTH", "535 5.7.8"), "smtp", user + "localhost", nil,
			"AUTH: refused with 535 5.7.8, it does not know this user and password"},
		{"at the sender", refuses("MAIL", "553"), "smtp", user + "localhost", nil,
			"MAIL FROM: refused with 553, it does not allow this address"},
		{"at the recipient", refuses("RCPT", "550 5.1.1"), "smtp", user + "localhost", nil,
			"RCPT TO: refused with 550 5.1.1, the mailbox does not exist, or may not be written to"},
		{"at the recipient, for now", refuses("RCPT", "450 4.2.0"), "smtp", user + "localhost", nil,
			"RCPT TO: refused with 450 4.2.0, the mailbox is not available now"},
		{"before the content", refuses("DATA", "452 4.3.1"), "smtp", user + "localhost", nil,
			"DATA: refused with 452 4.3.1, it has no room"},
		{"at the content", refuses(".", "554 5.7.1"), "smtp", user + "localhost", nil,
			"DATA: refused with 554 5.7.1, its policy is against it"},
		{"with a code that is nobody's", refuses(".", "599 9.9.9"), "smtp", user + "localhost", nil,
			"DATA: refused with 599, for a reason that only its own log knows"},
		{"in no SMTP", refuses("RCPT", "HTTP/1.1 400"), "smtp", user + "localhost", nil,
			"RCPT TO: the server does not speak SMTP"},
		{"by hanging up", &postOffice{replies: map[string]string{".": ""}}, "smtp", "localhost", nil,
			"DATA: the server hung up"},
		{"no sign-in offered", &postOffice{}, "smtp", user + "localhost", nil,
			"AUTH: the server offers neither PLAIN nor LOGIN"},
		{"no sign-in of ours offered", &postOffice{offers: []string{"AUTH NTLM"}}, "smtp", user + "localhost", nil,
			"AUTH: the server offers neither PLAIN nor LOGIN"},
		{"no STARTTLS elsewhere, so no password in the clear", &postOffice{offers: []string{"AUTH PLAIN"}}, "smtp", user + "post.test", nil,
			"STARTTLS: the server does not offer it, and without it mails and passwords would travel in the clear"},
		{"STARTTLS refused", &postOffice{tls: serverTLS, replies: map[string]string{"STARTTLS": "454 4.7.0" + echo}}, "smtp", user + "post.test", roots,
			"STARTTLS: refused with 454 4.7.0, TLS or the sign-in is not available now"},
		{"a stranger's certificate by STARTTLS", &postOffice{tls: serverTLS, offers: []string{"AUTH PLAIN"}}, "smtp", user + "post.test", strangers,
			"STARTTLS: its certificate does not hold: x509: certificate signed by unknown authority"},
		{"a stranger's certificate by TLS", &postOffice{tls: serverTLS, implicit: true}, "smtps", user + "post.test", strangers,
			"connection: its certificate does not hold: x509: certificate signed by unknown authority"},
		{"a stranger's certificate by TLS, on loopback too", &postOffice{tls: serverTLS, implicit: true}, "smtps", user + "localhost", nil,
			"connection: its certificate does not hold: x509: certificate is valid for post.test, not localhost"},
		{"another host's certificate", &postOffice{tls: serverTLS, implicit: true}, "smtps", user + "post2.test", roots,
			"connection: its certificate does not hold: x509: certificate is valid for post.test, not post2.test"},
		{"TLS to a server without", &postOffice{}, "smtps", user + "post.test", roots,
			"connection: first record does not look like a TLS handshake"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.office.start(t)
			s := sender(t, p, tt.scheme, tt.host, tt.roots)
			err := s.Send(t.Context(), compose(t, letter("reset", "en")))
			if err == nil {
				t.Fatal("it was sent")
			}
			checkPlain(t, err)
			if got, ok := strings.CutPrefix(err.Error(), "mail server "+s.addr+": "); !ok || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.delivered) != 0 {
				t.Error("it was delivered")
			}
			if strings.HasPrefix(tt.want, "STARTTLS") && slices.ContainsFunc(p.lines, func(l string) bool { return strings.HasPrefix(l, "AUTH") }) {
				t.Error("it was told the password in the clear")
			}
		})
	}
}

func TestDeadServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s, err := SMTP("smtp://zoe%40post:hunter2+%2F%40@"+addr, from)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), compose(t, letter("reset", "en")))
	want := "mail server " + addr + ": connection: dial tcp " + addr + ": connect: connection refused"
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	checkPlain(t, err)
}

func TestHangingServer(t *testing.T) {
	serverTLS, roots := certified(t, "post.test")
	for _, at := range []string{"greeting", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		t.Run(at, func(t *testing.T) {
			p := (&postOffice{tls: serverTLS, offers: []string{"AUTH PLAIN"}, hangAt: at}).start(t)
			s := sender(t, p, "smtp", "zoe%40post:hunter2+%2F%40@post.test", roots)

			// The caller gives up once the server hangs.
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-p.hung; cancel() }()
			err := s.Send(ctx, compose(t, letter("reset", "en")))
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "given up") {
				t.Fatalf("error %v", err)
			}
			checkPlain(t, err)
		})
	}
	for _, scheme := range []string{"smtp", "smtps"} {
		t.Run("deadline of the caller, "+scheme, func(t *testing.T) {
			p := (&postOffice{hangAt: "greeting"}).start(t)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			err := sender(t, p, scheme, "post.test", roots).Send(ctx, compose(t, letter("reset", "en")))
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer in time") {
				t.Fatalf("error %v", err)
			}
			checkPlain(t, err)
		})
	}
	t.Run("own patience", func(t *testing.T) {
		p := (&postOffice{hangAt: "RCPT"}).start(t)
		s := sender(t, p, "smtp", "localhost", nil)
		if s.patience != patience || patience >= 2*time.Minute {
			t.Errorf("the patience is %v, and the outbox's lease two minutes", s.patience)
		}
		s.patience = 200 * time.Millisecond
		err := s.Send(t.Context(), compose(t, letter("reset", "en")))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("a mail that was taken is sent, though the caller left", func(t *testing.T) {
		p := (&postOffice{hangAt: "QUIT"}).start(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-p.hung; cancel() }()
		if err := sender(t, p, "smtp", "localhost", nil).Send(ctx, compose(t, letter("reset", "en"))); err != nil {
			t.Fatal(err)
		}
	})
}
