package storetest_test

import (
	"context"
	"strings"
	"sync"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

// wrapped is a database whose stores are worse than they were.
type wrapped struct {
	storetest.Database
	wrap func(store.Store) store.Store // nil = they are not
}

func (w wrapped) Store(issuer string) store.Store {
	s := w.Database.Store(issuer)
	if w.wrap != nil {
		s = w.wrap(s)
	}
	return s
}

// rotateFunc and redeemFunc stand in for one method of a store.
type (
	rotateFunc func(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error)
	redeemFunc func(ctx context.Context, s store.Store, in store.Redeem) (store.Redeemed, error)
)

type badRotate struct {
	store.Store
	f rotateFunc
}

func (b badRotate) RotateRefresh(ctx context.Context, in store.Rotate) (store.Rotated, error) {
	return b.f(ctx, b.Store, in)
}

type badRedeem struct {
	store.Store
	f redeemFunc
}

func (b badRedeem) RedeemCode(ctx context.Context, in store.Redeem) (store.Redeemed, error) {
	return b.f(ctx, b.Store, in)
}

func rotating(f rotateFunc) func(store.Store) store.Store {
	return func(s store.Store) store.Store { return badRotate{s, f} }
}

// rotated and redeemed misunderstand what they were asked.
func rotated(change func(*store.Rotate)) func(store.Store) store.Store {
	return rotating(func(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error) {
		change(&in)
		return s.RotateRefresh(ctx, in)
	})
}

func redeemed(change func(*store.Redeem)) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		return badRedeem{s, func(ctx context.Context, s store.Store, in store.Redeem) (store.Redeemed, error) {
			change(&in)
			return s.RedeemCode(ctx, in)
		}}
	}
}

// readsThenRedeems decides by what it has read, and then writes whatever the row
// has become. So do the three after it.
func readsThenRedeems(s store.Store) store.Store {
	return badRedeem{s, func(ctx context.Context, s store.Store, in store.Redeem) (store.Redeemed, error) {
		g, _, err := s.Grant(ctx, in.Grant)
		if err != nil || g.RedeemedAt != 0 {
			return store.Redeemed{Outcome: store.Replayed, State: g.GrantState}, err
		}
		return s.RedeemCode(ctx, in)
	}}
}

func readsThenRotates(s store.Store) store.Store {
	return badRotate{s, func(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error) {
		g, _, err := s.Grant(ctx, in.Grant)
		switch {
		case err != nil:
			return store.Rotated{}, err
		case g.RevokedAt != 0:
			return store.Rotated{Outcome: store.Revoked, State: g.GrantState}, nil
		case g.Generation == in.Presented:
			return s.RotateRefresh(ctx, in)
		case in.RetryWindow > 0:
			return store.Rotated{Outcome: store.Retried, State: g.GrantState}, nil
		}
		_, err = s.EndGrant(ctx, store.End{Grant: in.Grant, Why: store.WhyRefreshReplayed, Now: in.Now})
		return store.Rotated{Outcome: store.Replayed, State: g.GrantState, Ended: true}, err
	}}
}

type readsThenInsertsStore struct{ store.Store }

func readsThenInserts(s store.Store) store.Store { return readsThenInsertsStore{s} }

func (s readsThenInsertsStore) RedeemAnonymous(ctx context.Context, in store.RedeemAnonymous) (store.Redeemed, error) {
	g, found, err := s.Grant(ctx, in.Grant.ID)
	if err != nil || found {
		return store.Redeemed{Outcome: store.Replayed, State: g.GrantState}, err
	}
	return s.Store.RedeemAnonymous(ctx, in)
}

type readsThenBirthsStore struct{ store.Store }

func readsThenBirths(s store.Store) store.Store { return readsThenBirthsStore{s} }

func (s readsThenBirthsStore) Birth(ctx context.Context, in store.Birth) (store.Outcome, error) {
	u, _, err := s.User(ctx, in.Grant.User)
	if err != nil || u.DisabledAt != 0 {
		return store.Refused, err
	}
	return s.Store.Birth(ctx, in)
}

// servesFromMemory stands a cache before the refresh of clients that do not
// rotate: right until another handle writes.
func servesFromMemory(s store.Store) store.Store {
	var cache sync.Map // of store.GrantID → store.Rotated
	return badRotate{s, func(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error) {
		if out, ok := cache.Load(in.Grant); ok && !in.Rotating {
			return out.(store.Rotated), nil
		}
		out, err := s.RotateRefresh(ctx, in)
		if err == nil && out.Outcome.Served() {
			cache.Store(in.Grant, out)
		}
		return out, err
	}}
}

// mintsSibling gives each retry a successor of its own, as grace windows do that
// keep no successor.
func mintsSibling(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error) {
	out, err := s.RotateRefresh(ctx, in)
	if err != nil || out.Outcome != store.Retried {
		return out, err
	}
	in.Presented, in.PresentedKey = out.State.Generation, out.State.MACKey
	out, err = s.RotateRefresh(ctx, in)
	out.Outcome = store.Retried
	return out, err
}

func answersParent(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error) {
	out, err := s.RotateRefresh(ctx, in)
	if out.Outcome == store.Retried {
		out.State.Generation = in.Presented
	}
	return out, err
}

// servesGrandparent has a window per token instead of one for the parent.
func servesGrandparent(ctx context.Context, s store.Store, in store.Rotate) (store.Rotated, error) {
	g, _, err := s.Grant(ctx, in.Grant)
	if err == nil && in.Presented+1 < g.Generation && in.Now-g.RotatedAt < in.RetryWindow {
		in.Presented = g.Generation - 1
	}
	if err != nil {
		return store.Rotated{}, err
	}
	return s.RotateRefresh(ctx, in)
}

// noTransactions lets each statement commit by itself.
func noTransactions() storetest.Hook {
	return func(kind storetest.Kind, _ string, perform func() error) error {
		switch kind {
		case storetest.Begin, storetest.Commit, storetest.Rollback:
			return nil
		}
		return perform()
	}
}

// swallows takes a failure of a kind of call for a success.
func swallows(kind storetest.Kind, in string) func() storetest.Hook {
	return func() storetest.Hook {
		return func(k storetest.Kind, sql string, perform func() error) error {
			err := perform()
			if k == kind && strings.Contains(sql, in) {
				return nil
			}
			return err
		}
	}
}

// commitsLate says that a commit is done and makes it before the next call, on
// whatever connection: nobody can tell, unless the process dies in between.
func commitsLate() storetest.Hook {
	var mu sync.Mutex
	owed := func() error { return nil }
	return func(kind storetest.Kind, _ string, perform func() error) error {
		mu.Lock()
		defer mu.Unlock()
		err := owed()
		owed = func() error { return nil }
		if kind == storetest.Commit && err == nil {
			owed = perform
			return nil
		}
		if err != nil {
			return err
		}
		return perform()
	}
}
