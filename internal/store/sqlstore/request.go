package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// PushRequest inserts a pushed authorization request.
func (s *Store) PushRequest(ctx context.Context, in store.PushRequest) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		if ok, err := s.spend(t, in.Assertion); err != nil || !ok {
			return store.Reused, err
		}
		q := in.Request
		n, err := t.exec(sqlPushRequest, s.key, q.ID[:], q.ClientID, string(q.Params), q.CreatedAt, q.ExpiresAt, q.UsedAt,
			in.Now, int64(in.PerClient))
		if err != nil || n != 0 {
			return store.Done, err
		}
		r, err := t.one(sqlRequest, s.key, q.ID[:])
		if err != nil || r != nil {
			return store.Taken, err
		}
		return store.Refused, nil
	})
}

// Request reads a pushed authorization request.
func (s *Store) Request(ctx context.Context, id store.RequestID) (store.Request, bool, error) {
	found, err := list(ctx, s, sqlRequest, func(r *row) store.Request {
		return store.Request{
			ID: r.id(), ClientID: r.text(), Params: []byte(r.text()), CreatedAt: r.int(), ExpiresAt: r.int(), UsedAt: r.int(),
		}
	}, id[:])
	if err != nil || len(found) == 0 {
		return store.Request{}, false, err
	}
	return found[0], true, nil
}

// Spend spends what may be used once.
func (s *Store) Spend(ctx context.Context, in store.Spend) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		if ok, err := s.spend(t, in); err != nil || !ok {
			return store.Spent, err
		}
		return store.Done, nil
	})
}

// spend reports whether something has not been spent before.
func (s *Store) spend(t tx, in store.Spend) (bool, error) {
	if in.ID == (store.Hash{}) {
		return true, nil
	}
	// One without an end would be forgotten at once.
	if err := timed(min(in.Now, in.ExpiresAt)); err != nil {
		return false, err
	}
	n, err := t.exec(sqlSpend, s.key, in.ID[:], in.ExpiresAt, in.Now)
	return n != 0, err
}

// reused spends a client's assertion. If it was spent before, the config version
// is all that there is to answer.
func (s *Store) reused(t tx, assertion store.Spend) (config int64, reused bool, err error) {
	if ok, err := s.spend(t, assertion); err != nil || ok {
		return 0, false, err
	}
	config, err = s.configVersion(t)
	return config, true, err
}
