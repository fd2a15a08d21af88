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
		browser, err := s.formerSession(t, in)
		if err != nil {
			return err
		}
		n, err := t.exec(sqlInsertSession, s.key, in.Session.ID[:], in.Session.User[:], in.Session.AuthTime,
			in.Session.CreatedAt, in.Session.ExpiresAt, in.Session.EndedAt, browser[:])
		if err == nil && n == 0 {
			err = errTaken
		}
		return err
	}))
}

// formerSession does with the browser's former session what a new one asks for,
// and tells which browser it is.
func (s *Store) formerSession(t tx, in store.OpenSession) (store.SessionID, error) {
	if in.Former == (store.SessionID{}) {
		return in.Session.ID, nil
	}
	r, err := t.one(sqlReplaceSession, s.key, in.Former[:], in.Session.User[:], in.Now)
	if err != nil {
		return store.SessionID{}, err
	}
	if r != nil {
		browser := store.SessionID(r.id())
		return browser, r.err
	}
	_, err = s.endBrowser(t, in.Former, in.Now, in.Trace)
	return in.Session.ID, err
}

// endBrowser ends a session with all of its browser; false if it had ended.
func (s *Store) endBrowser(t tx, id store.SessionID, now store.Time, trace store.Trace) (bool, error) {
	if _, err := t.exec(sqlHoldOwner, s.key, id[:]); err != nil {
		return false, err
	}
	r, err := t.one(sqlEndSession, s.key, id[:], now)
	if err != nil || r == nil {
		return false, err
	}
	browser := store.SessionID(r.id())
	if r.err != nil {
		return false, r.err
	}
	if _, err := t.exec(sqlEndSessionsOfBrowser, s.key, browser[:], now); err != nil {
		return false, err
	}
	if _, err := t.exec(sqlNotifyOfBrowser, s.key, browser[:], now); err != nil {
		return false, err
	}
	_, err = s.endGrants(t, sqlEndGrantsOfBrowser, end{store.WhySessionEnded, now, trace}, browser[:])
	return true, err
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
		found, x = true, scanSession(r)
		return r.err
	})
	if err != nil {
		return store.Session{}, false, err
	}
	return x, found, nil
}

// SessionsOf lists a user's sessions that are alive, oldest first.
func (s *Store) SessionsOf(ctx context.Context, user store.UserID, now store.Time) ([]store.Session, error) {
	return list(ctx, s, sqlSessionsOf, scanSession, user[:], now)
}

func scanSession(r *row) store.Session {
	return store.Session{
		ID: r.id(), Browser: r.id(), User: r.id(), AuthTime: r.int(), CreatedAt: r.int(), ExpiresAt: r.int(), EndedAt: r.int(),
	}
}

// EndSession ends a session and the grants that end with it.
func (s *Store) EndSession(ctx context.Context, in store.EndSession) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		ended, err := s.endBrowser(t, in.Session, in.Now, in.Trace)
		if err != nil {
			return 0, err
		}
		if !ended {
			r, err := t.one(sqlSession, s.key, in.Session[:])
			if err != nil || r == nil {
				return store.Unknown, err
			}
			return store.Revoked, nil
		}
		return store.Done, nil
	})
}

// end is how grants end.
type end struct {
	why   store.Why
	now   store.Time
	trace store.Trace
}

// endGrants revokes and counts the grants that a query finds, each with its
// audit event.
func (s *Store) endGrants(t tx, query string, e end, of any, more ...any) (int, error) {
	var ended []store.GrantID
	err := t.all(query, func(r *row) error {
		ended = append(ended, r.id())
		return r.err
	}, append([]any{s.key, of, e.now, string(e.why)}, more...)...)
	if err != nil {
		return 0, err
	}
	return len(ended), s.auditEnds(t, ended, e)
}

// endAllOf ends a user's grants and sessions.
func (s *Store) endAllOf(t tx, user store.UserID, now store.Time, why store.Why, trace store.Trace) error {
	if err := timed(now); err != nil {
		return err
	}
	if _, err := t.exec(sqlEndSessionsOfUser, s.key, user[:], now); err != nil {
		return err
	}
	if _, err := t.exec(sqlNotifyOfUser, s.key, user[:], now); err != nil {
		return err
	}
	_, err := s.endGrants(t, sqlEndGrantsOfUser, end{why, now, trace}, user[:])
	return err
}

// hashOrNull is NULL for a hash that is not set.
func hashOrNull(h store.Hash) any {
	if h == (store.Hash{}) {
		return nil
	}
	return h[:]
}
