package sqlstore

import (
	"context"
	"errors"
	"math"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// errContention: other nodes changed the row each time between a write that did
// not match and the look why.
var errContention = errors.New("store: too much contention for one grant")

const attempts = 4

// Grant reads a grant.
func (s *Store) Grant(ctx context.Context, id store.GrantID) (g store.Grant, found bool, err error) {
	err = s.db.read(ctx, func(t tx) error {
		r, err := t.one(sqlGrant, s.key, id[:])
		if r == nil || err != nil {
			return err
		}
		found, g = true, scanGrant(r)
		return r.err
	})
	if err != nil {
		return store.Grant{}, false, err
	}
	return g, found, nil
}

// Birth inserts a grant for a user who has just proved who he is. Taken if there
// is a grant of this id; then nothing changes.
func (s *Store) Birth(ctx context.Context, b store.Birth) (store.Outcome, error) {
	err := s.db.write(ctx, func(t tx) error {
		if ok, err := s.mayBear(t, b); err != nil {
			return err
		} else if !ok {
			return errRefused
		}
		if _, born, err := s.insert(t, &b.Grant); err != nil {
			return err
		} else if !born {
			return errTaken
		}
		return s.audit(t, b.Grant.ID, b.Now, store.AuditBirth, "", b.Trace)
	})
	return undone(err)
}

// mayBear writes the rows that a birth hangs on, first of all: whoever ends one
// of them comes before and refuses the birth, or after and ends it.
func (s *Store) mayBear(t tx, b store.Birth) (bool, error) {
	if b.Grant.Session == (store.SessionID{}) {
		return s.signIn(t, b.Grant.User, b.CredentialVersion, b.Address, b.Now)
	}
	n, err := t.exec(sqlSignIn, s.key, b.Grant.User[:], b.Now, b.CredentialVersion)
	if err != nil || n == 0 {
		return false, err
	}
	n, err = t.exec(sqlHoldSession, s.key, b.Grant.Session[:], b.Grant.User[:], b.Now)
	return n != 0, err
}

// insert reports whether the row is new, and if so the config version.
func (s *Store) insert(t tx, g *store.Grant) (config int64, born bool, err error) {
	var user, challenge any = nil, []byte{}
	if g.User != (store.UserID{}) {
		user = g.User[:]
	}
	if g.HasChallenge {
		challenge = g.CodeChallenge[:]
	}
	var session any
	if g.Session != (store.SessionID{}) {
		session = g.Session[:]
	}
	r, err := t.one(sqlInsertGrant, s.key,
		g.ID[:], g.ClientID, g.Subject, user, string(g.Scope), g.Nonce, g.AuthTime, g.RedirectURI, challenge,
		g.CreatedAt, g.CodeExpiresAt, g.AbsoluteExpiresAt, session, hashOrNull(g.StateHash),
		g.RedeemedAt, int64(g.Generation), int64(g.MACKey), g.RotatedAt, g.IdleExpiresAt, g.RevokedAt, string(g.RevokedWhy))
	if r == nil || err != nil {
		return 0, false, err
	}
	return r.int(), true, r.err
}

// RedeemCode spends the code of a grant.
func (s *Store) RedeemCode(ctx context.Context, in store.Redeem) (out store.Redeemed, err error) {
	if err := timed(in.Now); err != nil {
		return out, err
	}
	return intent(ctx, s, func(t tx) (store.Redeemed, error) {
		r, err := t.one(sqlRedeem, s.key, in.Grant[:], in.Now, int64(in.MACKey), in.IdleExpiresAt)
		if err != nil {
			return store.Redeemed{}, err
		}
		if r == nil {
			return s.notRedeemed(t, in)
		}
		out := store.Redeemed{Outcome: store.Done, State: store.GrantState{
			RedeemedAt: in.Now, Generation: generation(r), RotatedAt: r.int(),
			MACKey: in.MACKey, IdleExpiresAt: in.IdleExpiresAt,
		}, ConfigVersion: r.int()}
		if r.err != nil {
			return out, r.err
		}
		return out, s.audit(t, in.Grant, in.Now, store.AuditRedemption, "", in.Trace)
	})
}

// RedeemAnonymous inserts a grant by the redemption of its code.
func (s *Store) RedeemAnonymous(ctx context.Context, in store.RedeemAnonymous) (store.Redeemed, error) {
	if err := timed(in.Now); err != nil {
		return store.Redeemed{}, err
	}
	in.Grant.RedeemedAt = in.Now
	return intent(ctx, s, func(t tx) (store.Redeemed, error) {
		onTime := in.Now < in.Grant.CodeExpiresAt
		if onTime {
			config, born, err := s.insert(t, &in.Grant)
			if err != nil {
				return store.Redeemed{}, err
			}
			if born {
				out := store.Redeemed{Outcome: store.Done, State: in.Grant.GrantState, ConfigVersion: config}
				return out, s.audit(t, in.Grant.ID, in.Now, store.AuditRedemption, "", in.Trace)
			}
		}
		out, err := s.notRedeemed(t, store.Redeem{
			Grant: in.Grant.ID, Now: in.Now,
			Proven: in.Proven, EndOnReplay: in.EndOnReplay, Report: in.Report, Trace: in.Trace,
		})
		if err == nil && out.Outcome == store.Unknown {
			// No row, so it was not redeemed; on time, something else stood in the way.
			out.Outcome = store.Expired
			if onTime {
				out.Outcome = store.Taken
			}
		}
		return out, err
	})
}

// notRedeemed says why a code was not redeemed, and does what a replay leads to.
func (s *Store) notRedeemed(t tx, in store.Redeem) (store.Redeemed, error) {
	g, err := s.state(t, in.Grant)
	out := store.Redeemed{State: g.GrantState, ConfigVersion: g.configVersion}
	switch {
	case err != nil:
		return out, err
	case !g.found:
		out.Outcome = store.Unknown
	case g.RevokedAt != 0:
		out.Outcome = store.Revoked
	case g.RedeemedAt == 0:
		out.Outcome = store.Expired
	case !in.Proven:
		out.Outcome = store.Spent
	default:
		out.Outcome = store.Replayed
		out.Ended, err = s.replayed(t, in.Grant, replay{
			store.WhyCodeReplayed, in.EndOnReplay, in.Report, in.Now, in.Trace}, &out.State)
	}
	return out, err
}

// replay is what a replay leads to.
type replay struct {
	why         store.Why
	endOnReplay bool
	report      bool
	now         store.Time
	trace       store.Trace
}

// replayed ends or reports. state is the row's, before and after.
func (s *Store) replayed(t tx, id store.GrantID, r replay, state *store.GrantState) (ended bool, err error) {
	if r.endOnReplay {
		n, err := t.exec(sqlEndGrant, s.key, id[:], r.now, string(r.why))
		if err != nil {
			return false, err
		}
		if n == 0 {
			return false, errContention // it was alive in this very transaction
		}
		state.RevokedAt, state.RevokedWhy = r.now, r.why
		return true, s.audit(t, id, r.now, store.AuditEnd, string(r.why), r.trace)
	}
	if r.report {
		return false, s.audit(t, id, r.now, store.AuditReplay, string(r.why), r.trace)
	}
	return false, nil
}

// EndGrant revokes a grant.
func (s *Store) EndGrant(ctx context.Context, in store.End) (store.Outcome, error) {
	if err := timed(in.Now); err != nil {
		return 0, err
	}
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		n, err := t.exec(sqlEndGrant, s.key, in.Grant[:], in.Now, string(in.Why))
		if err != nil {
			return 0, err
		}
		if n != 0 {
			return store.Done, s.audit(t, in.Grant, in.Now, store.AuditEnd, string(in.Why), in.Trace)
		}
		g, err := s.state(t, in.Grant)
		if err != nil || g.found {
			return store.Revoked, err
		}
		return store.Unknown, nil
	})
}

// intent runs f in one transaction. What f returns is the answer only if it has
// been committed: who does not wait for that must not look at it either, since
// f may still be running.
func intent[T any](ctx context.Context, s *Store, f func(tx) (T, error)) (T, error) {
	var out, none T
	if err := s.db.write(ctx, func(t tx) (err error) { out, err = f(t); return err }); err != nil {
		return none, err
	}
	return out, nil
}

// grantState is what a diagnosis needs of a row.
type grantState struct {
	store.GrantState
	found             bool
	absoluteExpiresAt store.Time
	configVersion     int64 // also if there is no row
}

func (s *Store) state(t tx, id store.GrantID) (g grantState, err error) {
	r, err := t.one(sqlGrantState, s.key, id[:])
	if err != nil {
		return g, err
	}
	if r == nil {
		if r, err = t.one(sqlConfigVersion, s.key); r == nil || err != nil {
			return g, err
		}
		g.configVersion = r.int()
		return g, r.err
	}
	g.found, g.GrantState = true, scanGrantState(r)
	g.absoluteExpiresAt, g.configVersion = r.int(), r.int()
	return g, r.err
}

func scanGrant(r *row) (g store.Grant) {
	g.ID, g.ClientID, g.Subject, g.User = r.id(), r.text(), r.text(), r.idOrNull()
	g.Scope, g.Nonce, g.AuthTime, g.RedirectURI = oauth.Scope(r.text()), r.text(), r.int(), r.text()
	if challenge := r.blob(); len(challenge) != 0 {
		g.HasChallenge = copy(g.CodeChallenge[:], challenge) == len(g.CodeChallenge)
	}
	g.CreatedAt, g.CodeExpiresAt, g.AbsoluteExpiresAt = r.int(), r.int(), r.int()
	g.Session, g.StateHash = r.idOrNull(), r.hashOrNull()
	g.GrantState = scanGrantState(r)
	return g
}

func scanGrantState(r *row) (g store.GrantState) {
	g.RedeemedAt, g.Generation = r.int(), generation(r)
	key := r.int()
	if key < 0 || key > math.MaxUint16 {
		r.wrong("MAC key number")
	}
	g.MACKey, g.RotatedAt, g.IdleExpiresAt = uint16(key), r.int(), r.int()
	g.RevokedAt, g.RevokedWhy = r.int(), store.Why(r.text())
	return g
}

func generation(r *row) uint32 {
	g := r.int()
	if g < 0 || g > math.MaxUint32 {
		r.wrong("generation")
	}
	return uint32(g)
}
