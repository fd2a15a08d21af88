package engine

import (
	"context"
	"errors"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// Mail is a mail to be written and sent now.
type Mail struct {
	Template  store.Purpose // confirm, reset, taken
	Recipient string
	Language  string
	Face      oauth.Face // of the client; "" where there is none
	ClientID  string
	Client    string // name; "" = none that somebody has vouched for
	Link      string // the artefact that goes into the link; "" for taken
	Lifetime  time.Duration
}

// The life of a mail that cannot be sent: it is tried again ever more seldom,
// and given up after twenty attempts, which is two days and a half.
const (
	mailLease   = 2 * time.Minute // a worker that has not answered by then is dead
	mailBatch   = 20
	maxAttempts = 20
	maxMailWait = 6 * time.Hour
)

func mailWait(attempts int64) time.Duration {
	if attempts >= 10 {
		return maxMailWait
	}
	return min(15*time.Second<<attempts, maxMailWait)
}

func (e *Engine) wake(worker chan struct{}) {
	select {
	case worker <- struct{}{}:
	default: // somebody has rung already
	}
}

// RunOutbox sends what is in the outbox until ctx is done: at once when something
// is put into it here, and every few seconds what other nodes or earlier
// failures have left.
func (e *Engine) RunOutbox(ctx context.Context, every time.Duration, send func(context.Context, Mail) error, log func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := e.DeliverMail(ctx, send); err != nil && ctx.Err() == nil {
			log(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-e.mail:
		case <-tick.C:
		}
	}
}

// DeliverMail tries every mail that is due, once. Its error joins what failed;
// each failure is also noted in the outbox.
func (e *Engine) DeliverMail(ctx context.Context, send func(context.Context, Mail) error) error {
	var errs []error
	for {
		due, err := e.store.DueMails(ctx, millis(e.now()), mailBatch)
		if err != nil {
			return errors.Join(append(errs, fault("due mails", err))...)
		}
		stuck := false
		for _, m := range due {
			if err := e.deliver(ctx, m, send); err != nil {
				errs = append(errs, err)
				// What the store cannot write stays due; the next round is for later.
				if refusal, ok := errors.AsType[*oauth.Error](err); ok {
					stuck = stuck || refusal.Fault()
				}
			}
		}
		if stuck || len(due) < mailBatch {
			return errors.Join(errs...)
		}
	}
}

func (e *Engine) deliver(ctx context.Context, m store.Mail, send func(context.Context, Mail) error) error {
	now := e.now()
	letter := Mail{Template: m.Template, Recipient: m.Recipient, Language: m.Language, ClientID: m.ClientID}
	attempt := store.AttemptMail{Mail: m.ID, Attempts: m.Attempts, NextAttemptAt: millis(now.Add(mailLease))}
	if m.Template != store.PurposeTaken {
		secret, id, err := e.newSecret()
		if err != nil {
			return err
		}
		letter.Lifetime = confirmLifetime
		if m.Template == store.PurposeReset {
			letter.Lifetime = resetLifetime
		}
		attempt.Link = &store.Link{
			ID: store.LinkID(id), Purpose: m.Template, User: m.User, ClientID: m.ClientID,
			CreatedAt: millis(now), ExpiresAt: millis(now.Add(letter.Lifetime)),
		}
		ring := e.keys.ring(now)
		if letter.Link, err = ring.Mint(tally.MailLink, tally.Tally{Key: ring.Active(), Secret: secret}); err != nil {
			return fault("mint link", err)
		}
	}
	client, _, err := e.store.Client(ctx, m.ClientID)
	if err != nil {
		return fault("client", err)
	}
	// Whoever registers a client himself does not write to others in our name.
	if letter.Face = client.Face; client.Source != store.SelfRegistered {
		letter.Client = client.Name
	}
	out, err := e.store.AttemptMail(ctx, attempt)
	if err != nil {
		return fault("attempt mail", err)
	}
	if out != store.Done {
		return nil // another worker has it
	}
	failure := send(ctx, letter)
	finish := store.FinishMail{Mail: m.ID, Now: millis(e.now())}
	if failure != nil {
		finish.Error = failure.Error()
		if m.Attempts+1 < maxAttempts {
			finish.NextAttemptAt = millis(e.now().Add(mailWait(m.Attempts)))
		}
	}
	// Also if the process is being stopped: a mail that was sent is not sent again.
	if err := e.store.FinishMail(context.WithoutCancel(ctx), finish); err != nil {
		return fault("finish mail", err)
	}
	return failure
}
