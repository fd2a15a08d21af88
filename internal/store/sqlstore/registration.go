package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// PutClientSecret inserts or replaces a secret and counts the config version up.
func (s *Store) PutClientSecret(ctx context.Context, x store.ClientSecret) error {
	return s.configure(ctx, sqlPutSecret, s.secretRow(x)...)
}

func (s *Store) secretRow(x store.ClientSecret) []any {
	return []any{s.key, x.ClientID, x.Hash[:], x.CreatedAt, x.ExpiresAt}
}

// DeleteClientSecret takes a secret away and counts the config version up.
func (s *Store) DeleteClientSecret(ctx context.Context, clientID string, hash store.Hash) error {
	return s.configure(ctx, sqlDeleteSecret, s.key, clientID, hash[:])
}

// RegisterClient inserts a client that registers itself.
func (s *Store) RegisterClient(ctx context.Context, in store.RegisterClient) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	in.Client.Source = store.SelfRegistered
	row, err := s.clientRow(in.Client)
	if err != nil {
		return 0, err
	}
	return undone(s.db.write(ctx, func(t tx) error {
		// The issuer's row makes registrations queue, so that none is missed when
		// they are counted.
		if _, err := t.exec(sqlBumpConfigVersion, s.key); err != nil {
			return err
		}
		n, err := t.exec(sqlRegisterClient, append(row, int64(in.Most))...)
		if err != nil {
			return err
		}
		if n == 0 {
			return s.notRegistered(t, in.Client.ID)
		}
		if in.Secret != nil {
			if _, err := t.exec(sqlPutSecret, s.secretRow(*in.Secret)...); err != nil {
				return err
			}
		}
		return s.auditClient(t, in.Client.ID, in.Now, "registered", in.Trace)
	}))
}

func (s *Store) notRegistered(t tx, id string) error {
	r, err := t.one(sqlClientExists, s.key, id)
	switch {
	case err != nil:
		return err
	case r != nil:
		return errTaken
	}
	return errRefused
}

// endMost is how many grants of a client end in one transaction, which is a matter of
// a tenth of a second.
const endMost = 1_000

// DeleteClient erases a client.
func (s *Store) DeleteClient(ctx context.Context, in store.DeleteClient) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	for {
		out, err := intent(ctx, s, func(t tx) (store.Outcome, error) { return s.deleteClient(t, in) })
		if err != nil || out != 0 {
			return out, err
		}
	}
}

// deleteClient holds the row first, so that of two that delete it one does. The outcome
// is 0 while there may be grants left to end; then the client is still there.
func (s *Store) deleteClient(t tx, in store.DeleteClient) (store.Outcome, error) {
	n, err := t.exec(sqlHoldClient, s.key, in.ClientID)
	if err != nil || n == 0 {
		return store.Unknown, err
	}
	// The consents before the grants, as births and who withdraws one come to them.
	if _, err := t.exec(sqlDeleteConsentsOfClient, s.key, in.ClientID); err != nil {
		return 0, err
	}
	// Until there are none: of those that it finds others may end some at this moment.
	for left := endMost; ; {
		if left == 0 {
			return 0, nil
		}
		ended, err := s.endGrants(t, sqlEndGrantsOfClient, end{store.WhyClientDeleted, in.Now, in.Trace}, in.ClientID, int64(left))
		if err != nil {
			return 0, err
		}
		if ended == 0 {
			break
		}
		left -= ended
	}
	if _, err := t.exec(sqlDeleteClient, s.key, in.ClientID); err != nil {
		return 0, err
	}
	if err := s.clientGone(t, in.ClientID, in.Now, "deleted", in.Trace); err != nil {
		return 0, err
	}
	_, err = t.exec(sqlBumpConfigVersion, s.key)
	return store.Done, err
}

// clientGone deletes what a client leaves behind, and tells why it went.
func (s *Store) clientGone(t tx, id string, now store.Time, why string, trace store.Trace) error {
	for _, query := range []string{sqlDeleteSecretsOfClient, sqlDeleteAPIKeysOfClient, sqlDeleteConsentsOfClient} {
		if _, err := t.exec(query, s.key, id); err != nil {
			return err
		}
	}
	return s.auditClient(t, id, now, why, trace)
}
