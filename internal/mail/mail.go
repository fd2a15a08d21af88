// Package mail writes the mails that users get and sends them: by SMTP, or in
// development into a mailbox that is a page. A mail says what it is, which app
// asked for it, how long its link is good, and what to do if it was somebody
// else. Nothing that a stranger chose can become a header, markup or a second
// recipient.
package mail

import (
	"context"
	"errors"
	netmail "net/mail"
)

// Message is a mail that is ready to be sent.
type Message struct {
	To      string // one address, without a name
	Subject string
	Text    string
	HTML    string
	Links   []string // what the reader is to click, as they stand in the text
}

// Sender takes a mail for delivery. Its error says in plain words what failed,
// and nothing of what the mail says, whom it is for, or any password: it goes
// into logs and into the outbox. With an error the mail may be sent again.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

var errRecipient = errors.New("the mail has no valid recipient")

// recipient is the address of a message. What is not exactly one bare address
// (a name, a comment, folded lines, a group) is refused, so that parsing it
// cannot find a second one.
func (m Message) recipient() (*netmail.Address, error) {
	a, err := netmail.ParseAddress(m.To)
	if err != nil || a.Name != "" || a.Address != m.To {
		return nil, errRecipient
	}
	return a, nil
}
