package mail

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	word = "hunter2+/@"
	from = "Tallystick <no-reply@id.example.com>"
)

// sender is one that believes the post office to be at host, by scheme.
func sender(t *testing.T, p *postOffice, scheme, host string, roots *x509.CertPool) *server {
	t.Helper()
	s, err := SMTP(scheme+"://"+host, from)
	if err != nil {
		t.Fatal(err)
	}
	own := s.(*server)
	own.roots = roots
	own.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.addr)
	}
	return own
}

// readMail takes a delivered mail apart, as a mail program does.
func readMail(t *testing.T, raw string) (header netmail.Header, parts map[string]string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/alternative" {
		t.Fatalf("media type %q, %v", mediaType, err)
	}
	parts = map[string]string{}
	var order []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
			t.Errorf("transfer encoding %q", got)
		}
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, part.Header.Get("Content-Type"))
		parts[order[len(order)-1]] = string(content)
	}
	if diff := cmp.Diff([]string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"}, order); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	return m.Header, parts
}

func TestDelivery(t *testing.T) {
	serverTLS, roots := certified(t, "post.test")
	_, strangers := certified(t, "elsewhere.test")
	sent := compose(t, letter("reset", "de"))
	sent.Text += ".\n..\nA line that begins with a dot, and one that is one.\n"
	plainAuth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00zoe@post\x00"+word))
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const user = "zoe%40post:hunter2+%2F%40@"
	tests := []struct {
		name   string
		office *postOffice
		scheme string
		host   string
		roots  *x509.CertPool
		want   []string // what the office heard, in order
	}{
		{"loopback, in the clear", &postOffice{}, "smtp", "localhost", nil,
			[]string{"EHLO", "MAIL FROM:<no-reply@id.example.com>", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}},
		{"loopback, signed in", &postOffice{offers: []string{"AUTH PLAIN LOGIN"}}, "smtp", user + "127.0.0.2", nil,
			[]string{"EHLO", plainAuth, "MAIL FROM:<no-reply@id.example.com>", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}},
		{"loopback takes STARTTLS if it is offered, whoever signed the certificate", &postOffice{tls: serverTLS}, "smtp", "[::1]:2525", strangers,
			[]string{"EHLO", "STARTTLS", "EHLO", "MAIL FROM:<no-reply@id.example.com>", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}},
		{"elsewhere by STARTTLS", &postOffice{tls: serverTLS, offers: []string{"AUTH LOGIN PLAIN", "8BITMIME", "SMTPUTF8"}}, "smtp", user + "post.test", roots,
			[]string{"EHLO", "STARTTLS", "EHLO", plainAuth, "MAIL FROM:<no-reply@id.example.com> BODY=8BITMIME", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}},
		{"elsewhere by TLS", &postOffice{tls: serverTLS, implicit: true, offers: []string{"AUTH LOGIN"}}, "smtps", user + "post.test", roots,
			[]string{"EHLO", "AUTH LOGIN", b64("zoe@post"), b64(word), "MAIL FROM:<no-reply@id.example.com>", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}},
		{"a failed farewell is no failed delivery", &postOffice{replies: map[string]string{"QUIT": "500 5.5.1 never heard of"}}, "smtp", "localhost", nil,
			[]string{"EHLO", "MAIL FROM:<no-reply@id.example.com>", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := time.Now().Truncate(time.Second)
			p := tt.office.start(t)
			if err := sender(t, p, tt.scheme, tt.host, tt.roots).Send(t.Context(), sent); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			for i, line := range p.lines {
				if strings.HasPrefix(line, "EHLO ") {
					p.lines[i] = "EHLO"
				}
			}
			if diff := cmp.Diff(tt.want, p.lines); diff != "" {
				t.Errorf("conversation (-want +got):\n%s", diff)
			}
			if len(p.delivered) != 1 {
				t.Fatalf("%d mails were delivered", len(p.delivered))
			}
			header, parts := readMail(t, p.delivered[0])
			want := map[string]string{"text/plain; charset=UTF-8": sent.Text, "text/html; charset=UTF-8": sent.HTML}
			if diff := cmp.Diff(want, parts); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
			if err != nil || subject != sent.Subject {
				t.Errorf("subject %q, %v", subject, err)
			}
			for name, want := range map[string]string{
				"From": `"Tallystick" <no-reply@id.example.com>`, "To": "<zoe@example.com>",
				"Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			date, err := header.Date()
			if err != nil || date.Before(before) || date.After(time.Now()) {
				t.Errorf("date %v, %v", date, err)
			}
			if id := header.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@id.example.com>") || len(id) < 40 {
				t.Errorf("message id %q", id)
			}
			checkHeaders(t, header)
		})
	}
}

// checkHeaders finds headers that are not ours.
func checkHeaders(t *testing.T, h netmail.Header) {
	t.Helper()
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(h))); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for name, values := range h {
		if len(values) != 1 {
			t.Errorf("%s stands there %d times", name, len(values))
		}
	}
}

func TestMessageIDsDiffer(t *testing.T) {
	p := (&postOffice{}).start(t)
	s := sender(t, p, "smtp", "localhost", nil)
	ids := map[string]bool{}
	for range 3 {
		if err := s.Send(t.Context(), compose(t, letter("taken", "en"))); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range p.delivered {
		header, _ := readMail(t, raw)
		ids[header.Get("Message-Id")] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids for 3 mails", len(ids))
	}
}

// A line break in a field is refused or becomes harmless, and never a header, a
// recipient or a command.
func TestNoHeaderInjection(t *testing.T) {
	const evil = "x\r\nBcc: b@example.org\r\nX-Evil: 1\r\n\r\n.\r\nRSET\r\n"
	good := Message{To: "zoe@example.com", Subject: "s", Text: "t", HTML: "<p>h</p>"}
	tests := []struct {
		name    string
		change  func(*Message)
		from    string
		refused bool
	}{
		{"To", func(m *Message) { m.To += "\r\nBcc: b@example.org" }, from, true},
		{"To, by a bare LF", func(m *Message) { m.To += "\nBcc: b@example.org" }, from, true},
		{"To, folded", func(m *Message) { m.To += "\r\n (x)" }, from, true},
		{"To, in an encoded word", func(m *Message) { m.To = "=?utf-8?q?=0D=0ABcc:?= <zoe@example.com>" }, from, true},
		{"To, in a quoted local part", func(m *Message) { m.To = "\"zoe\r\n\"@example.com" }, from, true},
		{"Subject", func(m *Message) { m.Subject = evil }, from, false},
		{"Subject, with only spaces in a long line", func(m *Message) { m.Subject = "x" + strings.Repeat(" ", 200) + "\r\n \r\nX-Evil: 1" }, from, false},
		{"Subject, with other line breaks", func(m *Message) { m.Subject = "x\x00\x0b\x0c\r\u0085\u2028X-Evil: 1\x1b" }, from, false},
		{"Text", func(m *Message) { m.Text = evil }, from, false},
		{"HTML", func(m *Message) { m.HTML = evil }, from, false},
		{"Links", func(m *Message) { m.Links = []string{evil} }, from, false},
		{"the sender's name", func(*Message) {}, "=?utf-8?q?x=0D=0AX-Evil=3A_1?= <no-reply@id.example.com>", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := (&postOffice{}).start(t)
			s := sender(t, p, "smtp", "localhost", nil)
			a, err := netmail.ParseAddress(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			s.from = a
			m := good
			tt.change(&m)
			err = s.Send(t.Context(), m)
			if tt.refused {
				if !errors.Is(err, errRecipient) || len(p.lines) != 0 {
					t.Fatalf("error %v, and the server heard %q", err, p.lines)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"MAIL FROM:<no-reply@id.example.com>", "RCPT TO:<zoe@example.com>", "DATA", "QUIT"}
			if diff := cmp.Diff(want, p.lines[1:]); diff != "" {
				t.Errorf("conversation (-want +got):\n%s", diff)
			}
			header, _ := readMail(t, p.delivered[0])
			checkHeaders(t, header)
		})
	}
	t.Run("the sender's address", func(t *testing.T) {
		for _, from := range []string{"a@example.com\r\nBcc: b@example.org", "a\r\nBcc: x <a@example.com>", "a@example.com, b@example.com", ""} {
			if _, err := SMTP("smtp://localhost", from); err == nil {
				t.Errorf("%q is taken for an address", from)
			}
		}
	})
}

func TestInternationalAddress(t *testing.T) {
	m := compose(t, letter("confirm", "de"))
	m.To = "zoë@müller.example"
	p := (&postOffice{offers: []string{"SMTPUTF8"}}).start(t)
	if err := sender(t, p, "smtp", "localhost", nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"MAIL FROM:<no-reply@id.example.com> SMTPUTF8", "RCPT TO:<zoë@müller.example>"}, p.lines[1:3]); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	header, _ := readMail(t, p.delivered[0])
	if got := header.Get("To"); got != "<zoë@müller.example>" {
		t.Errorf("To: %q", got)
	}

	p = (&postOffice{}).start(t)
	err := sender(t, p, "smtp", "localhost", nil).Send(t.Context(), m)
	if err == nil || !strings.Contains(err.Error(), "SMTPUTF8") {
		t.Errorf("error %v", err)
	}
	checkPlain(t, err)
}

func TestServerURL(t *testing.T) {
	for u, want := range map[string]struct {
		addr     string
		implicit bool
		loopback bool
	}{
		"smtp://post.example.com":              {"post.example.com:587", false, false},
		"smtps://post.example.com/":            {"post.example.com:465", true, false},
		"smtp://user:word@post.example.com:25": {"post.example.com:25", false, false},
		"smtp://localhost:1025":                {"localhost:1025", false, true},
		"smtp://127.0.0.1":                     {"127.0.0.1:587", false, true},
		"smtp://[::1]:25":                      {"[::1]:25", false, true},
		"smtp://localhost.example.com":         {"localhost.example.com:587", false, false},
		"smtp://127.0.0.1.example.com":         {"127.0.0.1.example.com:587", false, false},
	} {
		s, err := SMTP(u, from)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		got := s.(*server)
		if got.addr != want.addr || got.implicit != want.implicit || got.loopback != want.loopback {
			t.Errorf("%s: %s, TLS %v, loopback %v", u, got.addr, got.implicit, got.loopback)
		}
		if got.tls().InsecureSkipVerify != (want.loopback && !want.implicit) {
			t.Errorf("%s: certificates are checked: %v", u, !got.tls().InsecureSkipVerify)
		}
	}
	for _, u := range []string{
		"", "post.example.com", "post.example.com:587", "https://post.example.com", "smtp:", "smtp://", "smtp://:25", "smtp:post",
		"smtp://post.example.com:0", "smtp://post.example.com:65536", "smtp://post.example.com:smtp",
		"smtp://post.example.com/path", "smtp://post.example.com?x=1", "smtp://post.example.com#x",
		"smtp://zoe@post.example.com", "smtp://:hunter2@post.example.com", "smtp://zoe:@post.example.com", "smtp://zoe:hunter2%00@post.example.com",
		"smtp://zoe:hunter2/@post.example.com", "smtp://zoe:hunter2%zz@post.example.com", "smtp://zoe:hunter2\n@post.example.com", "://hunter2",
	} {
		s, err := SMTP(u, from)
		if err == nil {
			t.Errorf("%q is taken: %v", u, s)
			continue
		}
		checkPlain(t, err)
	}
}

func TestSenderHidesItsPassword(t *testing.T) {
	s, err := SMTP("smtps://zoe:hunter2@post.example.com", from)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{s, *s.(*server)} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, "hunter2") || strings.Contains(got, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s prints %s", verb, got)
			}
		}
	}
}
