package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
)

var (
	errNoTLS  = errors.New("the server does not offer it, and without it mails and passwords would travel in the clear")
	errNoAuth = errors.New("the server offers neither PLAIN nor LOGIN")
	errNoUTF8 = errors.New("the server does not take addresses with other letters than ASCII's (SMTPUTF8)")
)

// failure says at which step of the conversation which server failed, and how.
func (s *server) failure(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		// Whatever the conversation died of, this is why.
		how := "given up"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			how = "no answer in time"
		}
		return fmt.Errorf("mail server %s: %s: %s: %w", s.addr, step, how, ctx.Err())
	}
	return fmt.Errorf("mail server %s: %s: %s", s.addr, step, plain(err))
}

// enhanced is the status code of RFC 3463 at the beginning of a reply.
var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// replies are what reply codes mean (RFC 5321 §4.2.3, RFC 4954 §6), for mails of
// ours.
var replies = map[int]string{
	421: "it is not available now",
	450: "the mailbox is not available now",
	451: "it has trouble of its own",
	452: "it has no room",
	454: "TLS or the sign-in is not available now",
	530: "it wants a sign-in, or TLS before it",
	534: "it wants a stronger sign-in",
	535: "it does not know this user and password",
	550: "the mailbox does not exist, or may not be written to",
	551: "the user is elsewhere",
	552: "the mailbox is full",
	553: "it does not allow this address",
	554: "its policy is against it",
}

// plain says what went wrong, by what is known to be harmless. A server's own
// words are left out, since servers like to quote: the address, a suspicious
// link, the line with the password. Its codes say the same.
func plain(err error) string {
	for _, own := range []error{errNoTLS, errNoAuth, errNoUTF8} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		code := fmt.Sprint(e.Code)
		if more := enhanced.FindString(e.Msg); more != "" {
			code += " " + more
		}
		return "refused with " + code + ", " + cmp.Or(replies[e.Code], "for a reason that only its own log knows")
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate does not hold: " + e.Err.Error()
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return e.Msg // tls: first record does not look like a TLS handshake
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error() // addresses and what the system says
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the server hung up"
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return "the connection is closed"
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return "the server does not speak SMTP"
	}
	return fmt.Sprintf("failed (%T)", err)
}
