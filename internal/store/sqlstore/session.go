package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// OpenSession inserts a session for a user who has just proved who he is.
func (s *Store) OpenSession(ctx context.Context, in store.OpenSession) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	return undone(s.db.write(ctx, func(t tx) error {
		if ok, err := s.signIn(t, in.Session.User, in.CredentialVersion, in.Address, in.Now); err != nil {
			return err
		} else if !ok {
			return errRefused
		}
		n, err := t.exec(sqlInsertSession, s.key, in.Session.ID[:], in.Session.User[:], in.Session.AuthTime,
			in.Session.CreatedAt, in.Session.ExpiresAt, in.Session.EndedAt)
		if err == nil && n == 0 {
			err = errTaken
		}
		return err
	}))
}

// signIn tells the user that he has signed in; false if he may not. Disabling a
// user and changing his credential write this row first, too: they come before
// and refuse, or after and end what is born of it.
func (s *Store) signIn(t tx, user store.UserID, credential int64, address store.Hash, now store.Time) (bool, error) {
	n, err := t.exec(sqlSignIn, s.key, user[:], now, credential)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = t.exec(sqlForgetGuesses, s.key, user[:], hashOrNull(address))
	return true, err
}

// Session reads a session.
func (s *Store) Session(ctx context.Context, id store.SessionID) (x store.Session, found bool, err error) {
	err = s.db.read(ctx, func(t tx) error {
		r, err := t.one(sqlSession, s.key, id[:])
		if r == nil || err != nil {
			return err
		}
		found = true
		x = store.Session{ID: r.id(), User: r.id(), AuthTime: r.int(), CreatedAt: r.int(), ExpiresAt: r.int(), EndedAt: r.int()}
		return r.err
	})
	if err != nil {
		return store.Session{}, false, err
	}
	return x, found, nil
}

// EndSession ends a session and the grants that end with it.
func (s *Store) EndSession(ctx context.Context, in store.EndSession) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		n, err := t.exec(sqlEndSession, s.key, in.Session[:], in.Now)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			r, err := t.one(sqlSession, s.key, in.Session[:])
			if err != nil || r == nil {
				return store.Unknown, err
			}
			return store.Revoked, nil
		}
		return store.Done, s.endGrants(t, sqlEndGrantsOfSession, in.Session[:], in.Now, store.WhySessionEnded, in.Trace)
	})
}

// endGrants revokes the grants that a query finds, each with its audit event.
func (s *Store) endGrants(t tx, query string, of any, now store.Time, why store.Why, trace store.Trace) error {
	var ended []store.GrantID
	err := t.all(query, func(r *row) error {
		ended = append(ended, r.id())
		return r.err
	}, s.key, of, now, string(why))
	if err != nil {
		return err
	}
	for _, id := range ended {
		if err := s.audit(t, id, now, store.AuditEnd, string(why), trace); err != nil {
			return err
		}
	}
	return nil
}

// endAllOf ends a user's grants and sessions.
func (s *Store) endAllOf(t tx, user store.UserID, now store.Time, why store.Why, trace store.Trace) error {
	if err := timed(now); err != nil {
		return err
	}
	if _, err := t.exec(sqlEndSessionsOfUser, s.key, user[:], now); err != nil {
		return err
	}
	return s.endGrants(t, sqlEndGrantsOfUser, user[:], now, why, trace)
}

// hashOrNull is NULL for a hash that is not set.
func hashOrNull(h store.Hash) any {
	if h == (store.Hash{}) {
		return nil
	}
	return h[:]
}
