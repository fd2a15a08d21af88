package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// DueNotices lists notices that are to be tried now.
func (s *Store) DueNotices(ctx context.Context, now store.Time, limit int) ([]store.Notice, error) {
	return list(ctx, s, sqlDueNotices, scanNotice, now, int64(limit))
}

func scanNotice(r *row) store.Notice {
	return store.Notice{
		Browser: r.id(), ClientID: r.text(), Subject: r.text(),
		CreatedAt: r.int(), NextAttemptAt: r.int(), Attempts: r.int(), SentAt: r.int(), LastError: r.text(),
	}
}

// AttemptNotice counts an attempt.
func (s *Store) AttemptNotice(ctx context.Context, in store.AttemptNotice) (store.Outcome, error) {
	return s.add(ctx, sqlAttemptNotice, s.key, in.Browser[:], in.ClientID, in.Attempts, in.NextAttemptAt)
}

// FinishNotice notes what came of an attempt.
func (s *Store) FinishNotice(ctx context.Context, in store.FinishNotice) error {
	if in.Error == "" {
		return s.put(ctx, sqlNoticeSent, s.key, in.Browser[:], in.ClientID, in.Now)
	}
	return s.put(ctx, sqlNoticeFailed, s.key, in.Browser[:], in.ClientID, in.Error, in.NextAttemptAt)
}
