package sqlstore

import (
	"context"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// Consent reads what a user has let a client have.
func (s *Store) Consent(ctx context.Context, user store.UserID, clientID string) (store.Consent, bool, error) {
	found, err := list(ctx, s, sqlConsent, scanConsent, user[:], clientID)
	if err != nil || len(found) == 0 {
		return store.Consent{}, false, err
	}
	return found[0], true, nil
}

// ConsentsOf lists a user's consents by client id.
func (s *Store) ConsentsOf(ctx context.Context, user store.UserID) ([]store.Consent, error) {
	consents, err := list(ctx, s, sqlConsentsOf, scanConsent, user[:])
	// Not by SQL, where the order of text is the database's.
	slices.SortFunc(consents, func(a, b store.Consent) int { return strings.Compare(a.ClientID, b.ClientID) })
	return consents, err
}

func scanConsent(r *row) store.Consent {
	return store.Consent{
		User: r.id(), ClientID: r.text(), Scope: oauth.Scope(r.text()), Resources: oauth.Resources(r.text()),
		Claims: r.text(), GivenAt: r.int(),
	}
}

// WithdrawConsent forgets a consent and ends the grants that hang on it. The
// consent goes first, so that no birth that relies on it comes after.
func (s *Store) WithdrawConsent(ctx context.Context, in store.WithdrawConsent) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		n, err := t.exec(sqlWithdrawConsent, s.key, in.User[:], in.ClientID)
		if err != nil {
			return 0, err
		}
		ended, err := s.endGrants(t, sqlEndGrantsOfConsent, end{store.WhyConsent, in.Now, in.Trace}, in.User[:], in.ClientID)
		if err != nil {
			return 0, err
		}
		switch {
		case n != 0:
			return store.Done, s.auditConsent(t, in)
		case ended == 0:
			return store.Unknown, nil
		}
		return store.Done, nil // the ends of its grants tell of it
	})
}
