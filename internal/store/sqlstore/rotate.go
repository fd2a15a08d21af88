package sqlstore

import (
	"context"
	"errors"
	"math"

	"github.com/tallystick/tallystick/internal/store"
)

// lastGeneration has no successor.
const lastGeneration = math.MaxUint32

// RotateRefresh uses a refresh token.
func (s *Store) RotateRefresh(ctx context.Context, in store.Rotate) (out store.Rotated, err error) {
	if err := timed(in.Now); err != nil {
		return out, err
	}
	if !rotates(in) && in.Assertion.ID == (store.Hash{}) {
		// Most such uses write nothing; they need not wait for the writer.
		var settled bool
		err := s.db.read(ctx, func(t tx) error {
			g, err := s.state(t, in.Grant)
			out, settled = look(in, g)
			return err
		})
		if err != nil || settled {
			return out, err
		}
	}
	if rotates(in) && in.Presented != lastGeneration && in.Assertion.ID == (store.Hash{}) {
		// The condition decides without anything beside it: what it does not match goes
		// the long way.
		matched := false
		_, err := s.db.alone(ctx, sqlRotate, func(r *row) (err error) {
			matched = true
			out, err = rotated(store.Done, in, r)
			return err
		}, s.rotation(in)...)
		if err != nil || matched {
			return out, err
		}
	}
	return intent(ctx, s, func(t tx) (store.Rotated, error) {
		if config, reused, err := s.reused(t, in.Assertion); err != nil || reused {
			return store.Rotated{Outcome: store.Reused, ConfigVersion: config}, err
		}
		return s.rotate(t, in)
	})
}

// rotates: the current token is to be exchanged for its successor.
func rotates(in store.Rotate) bool { return in.Rotating || in.PresentedKey != in.ActiveKey }

func (s *Store) rotate(t tx, in store.Rotate) (out store.Rotated, err error) {
	for range attempts {
		if rotates(in) && in.Presented != lastGeneration {
			r, err := t.one(sqlRotate, s.rotation(in)...)
			if err != nil {
				return out, err
			}
			if r != nil {
				return rotated(store.Done, in, r)
			}
		}
		g, err := s.state(t, in.Grant)
		if err != nil {
			return out, err
		}
		out, settled := look(in, g)
		if settled {
			return out, nil
		}
		if out.Outcome == store.Done && rotates(in) {
			continue // another has made the row what is presented meanwhile: rotate that
		}
		switch out.Outcome {
		case store.Done, store.Retried:
			out.State.IdleExpiresAt = store.IdleEnd(in.Now, in.IdleLife)
			n, err := t.exec(sqlExtend, s.key, in.Grant[:], int64(g.Generation), g.IdleExpiresAt, out.State.IdleExpiresAt)
			if err != nil || n != 0 {
				return out, err
			}
		case store.Ahead:
			r, err := t.one(sqlAhead, s.key, in.Grant[:], int64(in.Presented), int64(in.Presented)+1,
				int64(in.ActiveKey), in.Now, store.IdleEnd(in.Now, in.IdleLife))
			if err != nil {
				return out, err
			}
			if r != nil {
				if out, err = rotated(store.Ahead, in, r); err != nil {
					return out, err
				}
				return out, s.audit(t, in.Grant, in.Now, store.AuditAhead, "", in.Trace)
			}
		case store.Replayed:
			out.Ended, err = s.replayed(t, in.Grant, replay{
				store.WhyRefreshReplayed, in.EndOnReplay, in.Report, in.Now, in.Trace}, &out.State)
			if errors.Is(err, errContention) {
				continue // another has ended it meanwhile: look again
			}
			return out, err
		}
	}
	return out, errContention
}

func (s *Store) rotation(in store.Rotate) []any {
	return []any{s.key, in.Grant[:], int64(in.Presented), int64(in.PresentedKey),
		int64(in.ActiveKey), in.Now, store.IdleEnd(in.Now, in.IdleLife)}
}

// rotated is the row after a rotation. All that it does not return is what was
// written, and what was asked for.
func rotated(outcome store.Outcome, in store.Rotate, r *row) (store.Rotated, error) {
	out := store.Rotated{Outcome: outcome, State: store.GrantState{
		RedeemedAt: r.int(), RotatedAt: r.int(),
		Generation: in.Presented + 1, MACKey: in.ActiveKey, IdleExpiresAt: store.IdleEnd(in.Now, in.IdleLife),
	}, ConfigVersion: r.int()}
	return out, r.err
}

// look judges a use that has not matched the rotation's condition. settled: the
// outcome needs no write.
func look(in store.Rotate, g grantState) (out store.Rotated, settled bool) {
	out = store.Rotated{Outcome: judge(in, g), State: g.GrantState, ConfigVersion: g.configVersion}
	switch out.Outcome {
	case store.Done:
		// A rotation that did not match although it should have: try again.
		return out, !rotates(in) && !store.ExtendIdle(g.IdleExpiresAt, in.Now, in.IdleLife)
	case store.Retried:
		return out, !store.ExtendIdle(g.IdleExpiresAt, in.Now, in.IdleLife)
	case store.Ahead:
		return out, false
	case store.Replayed:
		return out, !in.EndOnReplay && !in.Report
	}
	return out, true
}

// judge is the table of store.Rotate.
func judge(in store.Rotate, g grantState) store.Outcome {
	p := in.Presented
	over := func(end store.Time) bool { return end != 0 && end <= in.Now }
	switch {
	case !g.found:
		return store.Unknown
	case g.RevokedAt != 0:
		return store.Revoked
	case over(g.absoluteExpiresAt), over(g.IdleExpiresAt):
		return store.Expired
	case p > g.Generation, p == g.Generation && g.RedeemedAt == 0:
		if p == lastGeneration {
			return store.Expired
		}
		return store.Ahead
	case g.RedeemedAt == 0:
		return store.Unknown // older than the birth
	case p == g.Generation:
		if in.PresentedKey != g.MACKey {
			return store.Unknown
		}
		if rotates(in) && p == lastGeneration {
			return store.Expired
		}
		return store.Done
	case p == g.Generation-1 && (in.UntilUsed || !in.Rotating || max(in.Now-g.RotatedAt, 0) < in.RetryWindow):
		return store.Retried
	}
	return store.Replayed
}
