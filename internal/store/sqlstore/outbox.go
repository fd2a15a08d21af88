package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// RequestMail puts a mail into the outbox for a user found by its address. For
// an unknown one it commits as well, so that the time tells nothing.
func (s *Store) RequestMail(ctx context.Context, in store.RequestMail) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		r, err := t.one(sqlUserIDByIdentifier, s.key, in.Mail.Recipient)
		if err != nil || r == nil {
			return store.Unknown, err
		}
		id := store.UserID(r.id())
		if r.err != nil {
			return 0, r.err
		}
		r, err = t.one(sqlUserEmail, s.key, id[:])
		if err != nil || r == nil {
			return store.Unknown, err
		}
		r.id()
		m := in.Mail
		m.Recipient = r.text() // as the user has written it
		if r.err != nil {
			return 0, r.err
		}
		full, err := s.mailsAreMany(t, m, in.PerHour, in.Now)
		if err != nil || full {
			return store.Refused, err
		}
		return store.Done, s.insertMail(t, m, id)
	})
}

// putMail leaves a mail out without a word where there were too many.
func (s *Store) putMail(t tx, m store.Mail, to store.UserID, perHour int, now store.Time) error {
	full, err := s.mailsAreMany(t, m, perHour, now)
	if err != nil || full {
		return err
	}
	return s.insertMail(t, m, to)
}

// mailsAreMany counts the mails to an address. Those who write to one queue up, so
// that each sees what the others have put into the outbox.
func (s *Store) mailsAreMany(t tx, m store.Mail, perHour int, now store.Time) (bool, error) {
	if _, err := t.exec(sqlQueueForAddress, s.key, m.Address[:], now+hour); err != nil {
		return false, err
	}
	r, err := t.one(sqlCountMails, s.key, m.Address[:], string(m.Template), now-hour)
	if err != nil {
		return false, err
	}
	n := r.int()
	return n >= int64(perHour), r.err
}

func (s *Store) insertMail(t tx, m store.Mail, to store.UserID) error {
	_, err := t.exec(sqlInsertMail, s.key, m.ID[:], string(m.Template), m.Recipient, m.Address[:], m.Language, to[:], m.ClientID, m.CreatedAt, m.NextAttemptAt)
	return err
}

// DueMails lists mails that are to be tried now.
func (s *Store) DueMails(ctx context.Context, now store.Time, limit int) ([]store.Mail, error) {
	return list(ctx, s, sqlDueMails, scanMail, now, int64(limit))
}

// Mails lists what is in the outbox, newest first.
func (s *Store) Mails(ctx context.Context, limit int) ([]store.Mail, error) {
	return list(ctx, s, sqlMails, scanMail, int64(limit))
}

func scanMail(r *row) store.Mail {
	return store.Mail{
		ID: r.id(), Template: store.Purpose(r.text()), Recipient: r.text(), Address: r.hash(), Language: r.text(), User: r.id(), ClientID: r.text(),
		CreatedAt: r.int(), NextAttemptAt: r.int(), Attempts: r.int(), SentAt: r.int(), LastError: r.text(),
	}
}

// AttemptMail counts an attempt and makes its link.
func (s *Store) AttemptMail(ctx context.Context, in store.AttemptMail) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		r, err := t.one(sqlAttemptMail, s.key, in.Mail[:], in.Attempts, in.NextAttemptAt)
		if err != nil || r == nil {
			return store.Taken, err
		}
		if in.Link == nil {
			return store.Done, nil
		}
		l := in.Link
		_, err = t.exec(sqlInsertLink, s.key, l.ID[:], string(l.Purpose), l.User[:], l.ClientID, l.CreatedAt, l.ExpiresAt)
		return store.Done, err
	})
}

// FinishMail notes what came of an attempt.
func (s *Store) FinishMail(ctx context.Context, in store.FinishMail) error {
	if in.Error == "" {
		return s.put(ctx, sqlMailSent, s.key, in.Mail[:], in.Now)
	}
	return s.put(ctx, sqlMailFailed, s.key, in.Mail[:], in.Error, in.NextAttemptAt)
}
