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

// GrantsOf lists a user's grants that are alive, oldest first.
func (s *Store) GrantsOf(ctx context.Context, user store.UserID, now store.Time) ([]store.Grant, error) {
	return list(ctx, s, sqlGrantsOf, scanGrant, user[:], now)
}

// RedeemCode spends the code of a grant.
func (s *Store) RedeemCode(ctx context.Context, in store.Redeem) (out store.Redeemed, err error) {
	if err := timed(in.Now); err != nil {
		return out, err
	}
	return intent(ctx, s, func(t tx) (store.Redeemed, error) {
		if config, reused, err := s.reused(t, in.Assertion); err != nil || reused {
			return store.Redeemed{Outcome: store.Reused, ConfigVersion: config}, err
		}
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
	for range attempts {
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
			if errors.Is(err, errContention) {
				continue // another has ended it meanwhile: look again
			}
		}
		return out, err
	}
	return store.Redeemed{}, errContention
}

// replay is what a replay leads to.
type replay struct {
	why         store.Why
	endOnReplay bool
	report      bool
	now         store.Time
	trace       store.Trace
}

// replayed ends or reports. state is the row's before, and becomes what it is after.
func (s *Store) replayed(t tx, id store.GrantID, r replay, state *store.GrantState) (ended bool, err error) {
	if r.endOnReplay {
		n, err := t.exec(sqlEndGrant, s.key, id[:], r.now, string(r.why))
		if err != nil {
			return false, err
		}
		if n == 0 {
			return false, errContention // it was alive a moment ago
		}
		// Between the look and this another may have rotated; from now on nobody can.
		g, err := s.state(t, id)
		if err != nil {
			return false, err
		}
		*state = g.GrantState
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
		g.configVersion, err = s.configVersion(t)
		return g, err
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
	g.Resources, g.Claims, g.Browser = oauth.Resources(r.text()), r.text(), r.idOrNull()
	g.GrantState = scanGrantState(r)
	return g
}

func scanGrantState(r *row) (g store.GrantState) {
	g.RedeemedAt, g.Generation = r.int(), generation(r)
	g.MACKey, g.RotatedAt, g.IdleExpiresAt = macKey(r), r.int(), r.int()
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
