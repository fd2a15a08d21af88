package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// Birth inserts a grant for a user who has just proved who he is. Taken if there
// is a grant of this id; then nothing changes.
func (s *Store) Birth(ctx context.Context, b store.Birth) (store.Outcome, error) {
	if err := timed(b.Now); err != nil {
		return 0, err
	}
	return undone(s.db.write(ctx, func(t tx) error {
		// The client before the consent, as who deletes it comes to them.
		for _, may := range []func(tx, *store.Birth) (bool, error){s.mayBear, s.holdClient, s.hasAgreed} {
			if ok, err := may(t, &b); err != nil {
				return err
			} else if !ok {
				return errRefused
			}
		}
		if b.Request != (store.RequestID{}) {
			n, err := t.exec(sqlUseRequest, s.key, b.Request[:], b.Grant.ClientID, b.Now)
			if err != nil {
				return err
			}
			if n == 0 {
				return errSpent
			}
		}
		if _, born, err := s.insert(t, &b.Grant); err != nil {
			return err
		} else if !born {
			return errTaken
		}
		if err := s.audit(t, b.Grant.ID, b.Now, store.AuditBirth, "", b.Trace); err != nil {
			return err
		}
		return s.endOldest(t, &b)
	}))
}

// mayBear writes the rows that a birth hangs on, first of all: whoever ends one
// of them comes before and refuses the birth, or after and ends it.
func (s *Store) mayBear(t tx, b *store.Birth) (bool, error) {
	session := b.Session
	if session == (store.SessionID{}) {
		session = b.Grant.Session
	}
	if session == (store.SessionID{}) {
		return s.signIn(t, b.Grant.User, b.CredentialVersion, b.Address, b.Now)
	}
	n, err := t.exec(sqlSignIn, s.key, b.Grant.User[:], b.Now, b.CredentialVersion)
	if err != nil || n == 0 {
		return false, err
	}
	n, err = t.exec(sqlHoldSession, s.key, session[:], b.Grant.User[:], b.Now)
	return n != 0, err
}

// holdClient writes the row of a client that may go, in the same way as mayBear.
func (s *Store) holdClient(t tx, b *store.Birth) (bool, error) {
	if !b.ClientMayGo {
		return true, nil
	}
	n, err := t.exec(sqlHoldClient, s.key, b.Grant.ClientID)
	return n != 0, err
}

// hasAgreed writes what the user has agreed to just now, or asks for what he
// agreed to before, in the same way as mayBear.
func (s *Store) hasAgreed(t tx, b *store.Birth) (bool, error) {
	c := b.Consent
	if c == nil {
		return true, nil
	}
	args := []any{s.key, b.Grant.User[:], b.Grant.ClientID, string(c.Scope), string(c.Resources), c.Claims}
	if b.Agreed {
		_, err := t.exec(sqlAgree, append(args, c.GivenAt)...)
		return true, err
	}
	n, err := t.exec(sqlHoldConsent, args...)
	return n != 0, err
}

// insert reports whether the row is new, and if so the config version.
func (s *Store) insert(t tx, g *store.Grant) (config int64, born bool, err error) {
	challenge := []byte{}
	if g.HasChallenge {
		challenge = g.CodeChallenge[:]
	}
	r, err := t.one(sqlInsertGrant, s.key,
		g.ID[:], g.ClientID, g.Subject, idOrNull(g.User), string(g.Scope), g.Nonce, g.AuthTime, g.RedirectURI, challenge,
		g.CreatedAt, g.CodeExpiresAt, g.AbsoluteExpiresAt, idOrNull(g.Session), hashOrNull(g.StateHash),
		string(g.Resources), g.Claims, idOrNull(g.Browser),
		g.RedeemedAt, int64(g.Generation), int64(g.MACKey), g.RotatedAt, g.IdleExpiresAt, g.RevokedAt, string(g.RevokedWhy))
	if r == nil || err != nil {
		return 0, false, err
	}
	return r.int(), true, r.err
}

// idOrNull is NULL for an id that is not set.
func idOrNull[ID ~[16]byte](id ID) any {
	if id == *new(ID) {
		return nil
	}
	return id[:]
}
