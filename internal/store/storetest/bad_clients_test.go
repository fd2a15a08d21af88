package storetest_test

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// birthFunc stands in for one method of a store.
type birthFunc func(ctx context.Context, s store.Store, in store.Birth) (store.Outcome, error)

type badBirth struct {
	store.Store
	f birthFunc
}

func (b badBirth) Birth(ctx context.Context, in store.Birth) (store.Outcome, error) {
	return b.f(ctx, b.Store, in)
}

// readsConsentThenBirths and readsSessionThenBirths decide by what they have read,
// and hold on to nothing: right, as long as nobody else is there.

func readsConsentThenBirths(s store.Store) store.Store {
	return badBirth{s, func(ctx context.Context, s store.Store, in store.Birth) (store.Outcome, error) {
		if in.Consent != nil && !in.Agreed {
			c, found, err := s.Consent(ctx, in.Grant.User, in.Grant.ClientID)
			if err != nil || !found || c != *in.Consent {
				return store.Refused, err
			}
			in.Consent = nil
		}
		return s.Birth(ctx, in)
	}}
}

func readsSessionThenBirths(s store.Store) store.Store {
	return badBirth{s, func(ctx context.Context, s store.Store, in store.Birth) (store.Outcome, error) {
		if in.Session != (store.SessionID{}) {
			x, found, err := s.Session(ctx, in.Session)
			if err != nil || !found || x.EndedAt != 0 || x.ExpiresAt <= in.Now || x.User != in.Grant.User {
				return store.Refused, err
			}
			in.Session = store.SessionID{}
		}
		return s.Birth(ctx, in)
	}}
}

// spendsOnSuccess spends an assertion after the exchange, if it was any good: who
// has tried and failed may try again.
func spendsOnSuccess(s store.Store) store.Store {
	return badRedeem{s, func(ctx context.Context, s store.Store, in store.Redeem) (store.Redeemed, error) {
		assertion := in.Assertion
		in.Assertion = store.Spend{}
		out, err := s.RedeemCode(ctx, in)
		if err == nil && out.Outcome.Served() {
			_, err = s.Spend(ctx, assertion)
		}
		return out, err
	}}
}

// spendsApart spends an assertion before the exchange: a fault between the two
// has spent it for nothing.
func spendsApart(s store.Store) store.Store {
	return badRedeem{s, func(ctx context.Context, s store.Store, in store.Redeem) (store.Redeemed, error) {
		out, err := s.Spend(ctx, in.Assertion)
		if err != nil || out == store.Spent {
			return store.Redeemed{Outcome: store.Reused}, err
		}
		in.Assertion = store.Spend{}
		return s.RedeemCode(ctx, in)
	}}
}
