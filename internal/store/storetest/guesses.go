package storetest

import (
	"github.com/tallystick/tallystick/internal/store"
)

var guessRules = []rule{
	{name: "guess: free ones, then only after the block, or from the known address", check: func(w *world) {
		w.user.KnownAddress = id32("home")
		w.put(w.user)
		take := func(now store.Time, address store.Hash) store.Outcome {
			out, err := w.s.TakeGuess(w.ctx, store.TakeGuess{User: w.user.ID, Address: address, Free: 3, BlockedUntil: now + 100, Now: now})
			w.must(err)
			return out
		}
		for i, tt := range []struct {
			now     store.Time
			address store.Hash
			want    store.Outcome
		}{
			{t0, store.Hash{}, store.Done}, {t0, id32("x"), store.Done}, {t0, store.Hash{}, store.Done},
			{t0, store.Hash{}, store.Refused}, {t0 + 99, id32("x"), store.Refused},
			{t0 + 99, id32("home"), store.Done}, // and blocks the others until t0+199
			{t0 + 198, id32("x"), store.Refused}, {t0 + 199, id32("x"), store.Done}, {t0 + 200, store.Hash{}, store.Refused},
		} {
			if got := take(tt.now, tt.address); got != tt.want {
				w.Errorf("guess %d: %v, want %v", i, got, tt.want)
			}
		}
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		if u.GuessFailures != 5 || u.BlockedUntil != t0+299 {
			w.Errorf("%d failures, blocked until t0+%d; want 5 and 299", u.GuessFailures, u.BlockedUntil-t0)
		}
	}},
	{name: "guess: an address that is not told is never the known one", check: func(w *world) {
		w.want("TakeGuess", store.Refused)(w.s.TakeGuess(w.ctx, store.TakeGuess{User: w.user.ID, Free: 0, BlockedUntil: t0 + 1, Now: -1}))
	}},
	{name: "guess: one that was not looked at is given back, and no more", check: func(w *world) {
		for range 2 {
			w.want("TakeGuess", store.Done)(w.s.TakeGuess(w.ctx, store.TakeGuess{User: w.user.ID, Free: 3, BlockedUntil: t0 + 1, Now: t0}))
		}
		for range 3 {
			w.must(w.s.ReturnGuess(w.ctx, w.user.ID))
		}
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		if u.GuessFailures != 0 {
			w.Errorf("%d failures, want 0", u.GuessFailures)
		}
	}},
	{name: "guess: contenders share one allowance", check: func(w *world) {
		w.race(20, func(int) { w.put(w.user) },
			func(s store.Store, _, _ int, a *tally) error {
				out, err := s.TakeGuess(w.ctx, store.TakeGuess{User: w.user.ID, Address: id32("x"), Free: 3, BlockedUntil: t0 + 100, Now: t0})
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(round int, a *tally) {
				w.wantCounts(round, a, map[store.Outcome]int{store.Done: 3, store.Refused: contenders - 3})
			})
	}},
}
