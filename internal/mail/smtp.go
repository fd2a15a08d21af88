package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

const (
	// patience is what one delivery may take in all. It is below the lease that
	// the outbox's worker has on a mail, so that nobody else sends it meanwhile.
	patience = time.Minute
	// farewell is how long to wait for the answer to QUIT.
	farewell = 5 * time.Second
)

// server is a mail server that takes our mails for delivery.
type server struct {
	host     string // for TLS and AUTH
	addr     string
	implicit bool // TLS from the first byte (RFC 8314 §3.3)
	loopback bool
	from     *netmail.Address
	signIn   func(mechanisms []string) smtp.Auth // nil without a user

	patience time.Duration
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	roots    *x509.CertPool // nil for the system's
}

var errServerURL = errors.New("want smtp://[user:password@]host[:port] or smtps://…, with special characters of user and password percent-encoded")

// SMTP sends by the mail server at u, smtp://user:password@host:port or smtps://…;
// the port defaults to 587 and 465 (RFC 8314 §7.3). An smtp server has to offer
// STARTTLS unless it is on loopback. from is the address that all mails come
// from, with or without a name.
//
// The errors do not repeat u, which holds a password.
func SMTP(u, from string) (Sender, error) {
	at, err := url.Parse(u)
	if err != nil || at.Hostname() == "" || at.Opaque != "" || strings.Trim(at.Path, "/") != "" || at.RawQuery != "" || at.Fragment != "" {
		return nil, errServerURL
	}
	s := &server{host: at.Hostname(), patience: patience, dial: (&net.Dialer{}).DialContext}
	port := "587"
	switch at.Scheme {
	case "smtp":
	case "smtps":
		s.implicit, port = true, "465"
	default:
		return nil, errServerURL
	}
	if at.Port() != "" {
		port = at.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, errServerURL
	}
	s.addr = net.JoinHostPort(s.host, port)
	ip := net.ParseIP(s.host)
	s.loopback = s.host == "localhost" || ip != nil && ip.IsLoopback()

	if s.from, err = netmail.ParseAddress(from); err != nil {
		return nil, errors.New("the sender of mails is not an e-mail address")
	}
	if at.User != nil {
		user := at.User.Username()
		word, ok := at.User.Password()
		if user == "" || !ok || word == "" || strings.ContainsRune(user+word, 0) {
			return nil, errors.New("the mail server wants a user and a password, or neither")
		}
		// The password lives in this closure, where no verb of fmt finds it. It may
		// go over a plain connection on loopback only: elsewhere TLS is there by then.
		s.signIn = func(mechanisms []string) smtp.Auth {
			switch {
			case slices.Contains(mechanisms, "PLAIN"):
				return smtp.PlainAuth("", user, word, s.host, s.loopback)
			case slices.Contains(mechanisms, "LOGIN"):
				return smtp.LoginAuth(user, word, s.host, s.loopback)
			}
			return nil
		}
	}
	return s, nil
}

// Send delivers m, and returns nil once the server has taken it.
func (s *server) Send(ctx context.Context, m Message) error {
	to, err := m.recipient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	// A conversation does not know of contexts: it ends with its connection.
	conn, err := s.connect(ctx)
	if err != nil {
		return s.failure(ctx, "connection", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return s.failure(ctx, "greeting", err)
	}
	if step, err := s.introduce(c); err != nil {
		return s.failure(ctx, step, err)
	}
	if step, err := s.deliver(c, to, m); err != nil {
		return s.failure(ctx, step, err)
	}
	// The mail is the server's now. Whatever becomes of the farewell, it must
	// not be sent again.
	if c.UpdateDeadline(farewell) == nil {
		_ = c.Quit()
	}
	return nil
}

func (s *server) connect(ctx context.Context) (net.Conn, error) {
	conn, err := s.dial(ctx, "tcp", s.addr)
	if err != nil || !s.implicit {
		return conn, err
	}
	secure := tls.Client(conn, s.tls())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

func (s *server) tls() *tls.Config {
	return &tls.Config{
		ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12,
		// Where no encryption at all would do, a certificate that nobody signed
		// does too (RFC 7435); and who signs one for the relay on this machine?
		InsecureSkipVerify: s.loopback && !s.implicit, //nolint:gosec // loopback only
	}
}

// introduce comes to where mail can be handed over. With an error it tells the
// step that failed.
func (s *server) introduce(c *smtp.Client) (step string, err error) {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	if err := c.Hello(name); err != nil {
		return "EHLO", err
	}
	if !s.implicit {
		offered, _ := c.Extension("STARTTLS")
		if !offered && !s.loopback {
			return "STARTTLS", errNoTLS
		}
		if offered {
			if err := c.StartTLS(s.tls()); err != nil {
				return "STARTTLS", err
			}
		}
	}
	if s.signIn == nil {
		return "", nil
	}
	_, mechanisms := c.Extension("AUTH")
	auth := s.signIn(strings.Fields(strings.ToUpper(mechanisms)))
	if auth == nil {
		return "AUTH", errNoAuth
	}
	return "AUTH", c.Auth(auth)
}

// deliver hands the mail over, like introduce.
func (s *server) deliver(c *smtp.Client, to *netmail.Address, m Message) (step string, err error) {
	// SMTPUTF8 (RFC 6531) only where an address needs it: it asks the same of
	// every server on the way.
	international := !ascii(s.from.Address + to.Address)
	if offered, _ := c.Extension("SMTPUTF8"); international && !offered {
		return "RCPT TO", errNoUTF8
	}
	c.SkipSMTPUTF8(!international)
	if err := c.Mail("<" + s.from.Address + ">"); err != nil {
		return "MAIL FROM", err
	}
	if err := c.Rcpt("<" + to.Address + ">"); err != nil {
		return "RCPT TO", err
	}
	w, err := c.Data()
	if err != nil {
		return "DATA", err
	}
	if _, err := s.envelop(to, m).WriteTo(w); err != nil {
		return "DATA", err
	}
	return "DATA", w.Close()
}

// envelop makes the multipart/alternative message (RFC 2046 §5.1.4): the plain
// part first, the richest last.
func (s *server) envelop(to *netmail.Address, m Message) *gomail.Msg {
	e := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	e.FromMailAddress(s.from)
	e.ToMailAddress(to)
	e.Subject(strings.Join(strings.Fields(m.Subject), " "))
	e.SetDate()
	domain := s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	e.SetMessageIDWithValue(rand.Text() + "@" + domain)
	// So that no holiday notice answers it (RFC 3834 §5).
	e.SetGenHeader("Auto-Submitted", "auto-generated")
	e.SetBodyString(gomail.TypeTextPlain, m.Text)
	e.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return e
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}
