package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

// assertionEnd is later than anything that the rules do with an assertion.
const assertionEnd = t0 + 24*3600*second

func assertion(name string) store.Spend {
	return store.Spend{ID: id32("assertion " + name), ExpiresAt: assertionEnd, Now: t0}
}

// spent looks whether an assertion is spent. Only to spend it tells, so it is
// spent until now: what expires at once is anybody's again.
func (w *world) spent(name string) bool {
	w.Helper()
	look := assertion(name)
	look.ExpiresAt = look.Now
	out, err := w.s.Spend(w.ctx, look)
	w.must(err)
	return out == store.Spent
}

// exchange is a use of a code or a refresh token by a client that authenticates
// by an assertion.
type exchange func(assertion store.Spend) (store.Outcome, error)

// redeems and rotates make one of the grant a, on what setUp has made.

func redeems(setUp func(*world), change func(*store.Redeem)) func(*world) exchange {
	return func(w *world) exchange {
		setUp(w)
		return func(a store.Spend) (store.Outcome, error) {
			in := with(redeem(id("grant a")), change)
			in.Assertion = a
			out, err := w.s.RedeemCode(w.ctx, in)
			return out.Outcome, err
		}
	}
}

func rotates(change func(*store.Rotate)) func(*world) exchange {
	return func(w *world) exchange {
		w.rotatedTwice()
		return func(a store.Spend) (store.Outcome, error) {
			in := with(refresh(id("grant a"), 2, soon), change)
			in.Assertion = a
			out, err := w.s.RotateRefresh(w.ctx, in)
			return out.Outcome, err
		}
	}
}

type exchangeRow struct {
	name  string
	setUp func(*world) exchange
	want  store.Outcome
}

var exchanges = func() []exchangeRow {
	asIs := func(*store.Redeem) {}
	bornA := func(w *world) { w.born("a") }
	redeemedA := func(w *world) { w.redeemed("a") }
	return []exchangeRow{
		{"a redemption", redeems(bornA, asIs), store.Done},
		{"an unknown code", redeems(func(*world) {}, asIs), store.Unknown},
		{"an expired code", redeems(bornA, func(in *store.Redeem) { in.Now = codeEnd }), store.Expired},
		{"a spent code", redeems(redeemedA, func(in *store.Redeem) { in.Proven = false }), store.Spent},
		{"a replayed code", redeems(redeemedA, asIs), store.Replayed},
		{"a replayed code that is not even reported", redeems(redeemedA, func(in *store.Redeem) { in.EndOnReplay = false }), store.Replayed},
		{"a revoked code", redeems(func(w *world) { w.end(w.born("a"), t0, store.Done) }, asIs), store.Revoked},

		{"a rotation", rotates(func(*store.Rotate) {}), store.Done},
		{"a refresh that writes nothing", rotates(func(in *store.Rotate) { in.Rotating = false }), store.Done},
		{"an extension", rotates(func(in *store.Rotate) { in.Rotating, in.Now = false, rotatedAt+sixteenth+1 }), store.Done},
		{"a retry", rotates(func(in *store.Rotate) { in.Presented = 1 }), store.Retried},
		{"a retry without rotation", rotates(func(in *store.Rotate) { in.Presented, in.Rotating = 1, false }), store.Retried},
		{"a token ahead", rotates(func(in *store.Rotate) { in.Presented = 9 }), store.Ahead},
		{"an unknown refresh token", rotates(func(in *store.Rotate) { in.Grant = id("never born") }), store.Unknown},
		{"an unknown refresh token without rotation", rotates(func(in *store.Rotate) { in.PresentedKey, in.ActiveKey, in.Rotating = 7, 7, false }), store.Unknown},
		{"an expired refresh token", rotates(func(in *store.Rotate) { in.Now = idleEnd }), store.Expired},
		{"an expired refresh token without rotation", rotates(func(in *store.Rotate) { in.Now, in.Rotating = idleEnd, false }), store.Expired},
		{"a replayed refresh token", rotates(func(in *store.Rotate) { in.Presented = 0 }), store.Replayed},
		{"a replayed refresh token that is not even reported", rotates(func(in *store.Rotate) { in.Presented, in.EndOnReplay = 0, false }), store.Replayed},
		{"a revoked refresh token", func(w *world) exchange {
			do := rotates(func(in *store.Rotate) { in.Rotating = false })(w)
			w.end(id("grant a"), soon, store.Done)
			return do
		}, store.Revoked},
	}
}()

// once makes an exchange with the assertion that is so named.
func (w *world) once(do exchange, name string, want store.Outcome) {
	w.Helper()
	w.want("with the assertion "+name, want)(do(assertion(name)))
}

func spendRules() []rule {
	all := []rule{
		{name: "spend: once, until it has expired", check: func(w *world) {
			for i, tt := range []struct {
				id           string
				now, expires store.Time
				want         store.Outcome
			}{
				{"a", t0, t0 + 100, store.Done},
				{"a", t0, t0 + 100, store.Spent},
				{"a", t0 + 1, t0 + 5, store.Spent}, // shortens nothing
				{"a", t0 + 6, t0 + 999, store.Spent},
				{"b", t0 + 6, t0 + 100, store.Done},
				{"a", t0 + 99, t0 + 999, store.Spent}, // and extends nothing
				{"a", t0 + 100, t0 + 200, store.Done},
				{"a", t0 + 199, t0 + 999, store.Spent},
				{"a", t0 + 200, t0 + 300, store.Done},
				{"b", t0 + 300, t0 + 400, store.Done},
			} {
				out, err := w.s.Spend(w.ctx, store.Spend{ID: id32(tt.id), ExpiresAt: tt.expires, Now: tt.now})
				if err != nil || out != tt.want {
					w.Errorf("%d: %v, %v; want %v", i, out, err, tt.want)
				}
			}
		}},
		{name: "spend: nothing, as often as you like", check: func(w *world) {
			for range 2 {
				w.want("Spend", store.Done)(w.s.Spend(w.ctx, store.Spend{}))
				w.want("Spend", store.Done)(w.s.Spend(w.ctx, store.Spend{ExpiresAt: assertionEnd, Now: t0}))
			}
			w.push(with(pushing("r"), func(in *store.PushRequest) { in.Assertion = store.Spend{ExpiresAt: assertionEnd, Now: t0} }), store.Done)
		}},
		{name: "spend: 200 × 20 at once, one of each", check: func(w *world) {
			w.race(rounds, func(int) {},
				func(s store.Store, i, _ int, a *tally) error {
					out, err := s.Spend(w.ctx, assertion(fmt.Sprint(i)))
					a.add(out, store.GrantState{}, false)
					return err
				},
				func(i int, a *tally) {
					w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Spent: contenders - 1})
				})
		}},
		{name: "spend: an expired one, 20 at once, one has it", check: func(w *world) {
			w.race(rounds/10, func(i int) {
				w.want("Spend", store.Done)(w.s.Spend(w.ctx, store.Spend{ID: id32(fmt.Sprint(i)), ExpiresAt: t0 + 5, Now: t0}))
			},
				func(s store.Store, i, _ int, a *tally) error {
					out, err := s.Spend(w.ctx, store.Spend{ID: id32(fmt.Sprint(i)), ExpiresAt: t0 + 10, Now: t0 + 5})
					a.add(out, store.GrantState{}, false)
					return err
				},
				func(i int, a *tally) {
					w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Spent: contenders - 1})
				})
		}},
		{name: "assertion: 20 codes × 20 redemptions by one, one succeeds and the others look at nothing", check: func(w *world) {
			w.race(rounds/10, func(i int) { w.born(fmt.Sprint(i)) },
				func(s store.Store, i, _ int, a *tally) error {
					in := redeem(nth(i))
					in.Assertion = assertion(fmt.Sprint(i))
					return w.redeemTry(s, in, a)
				},
				func(i int, a *tally) {
					w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Reused: contenders - 1})
					w.wantAudit(nth(i), store.AuditBirth, store.AuditRedemption)
				})
		}},
		{name: "assertion: a retry with a new one has the same successor", check: func(w *world) {
			in := refresh(w.redeemed("a"), 0, t0+1)
			in.Assertion = assertion("j")
			first := w.rotate(in, store.Done)
			in.Assertion = assertion("k")
			w.same("state", w.rotate(in, store.Retried).State, first.State)
		}},
	}
	for _, e := range exchanges {
		all = append(all,
			rule{name: "assertion: " + e.name + " spends it", check: func(w *world) {
				do := e.setUp(w)
				w.once(do, "j", e.want)
				if !w.spent("j") {
					w.Errorf("it is unspent")
				}
				w.unchangedBy(id("grant a"), func() { w.once(do, "j", store.Reused) })
			}},
			rule{name: "assertion: " + e.name + " with one that was used looks at nothing", check: func(w *world) {
				do := e.setUp(w)
				w.want("Spend", store.Done)(w.s.Spend(w.ctx, assertion("j")))
				w.unchangedBy(id("grant a"), func() { w.once(do, "j", store.Reused) })
				w.once(do, "k", e.want)
			}})
	}
	return all
}
