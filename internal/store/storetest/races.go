package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tallystick/tallystick/internal/store"
)

// Of 200 codes with 20 warm contenders each, PostgreSQL under READ COMMITTED
// lost 198 to a read-then-write store; one code with 1,000 contenders on a cold
// pool showed nothing in two runs of three. So: many objects, few contenders.
const (
	rounds     = 200
	contenders = 20
)

// tally counts the outcomes of one round.
type tally struct {
	mu     sync.Mutex
	counts map[store.Outcome]int
	states map[store.GrantState]int // of the answers that were served
	ended  int
}

func (a *tally) add(out store.Outcome, state store.GrantState, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[out]++
	if out.Served() {
		state.IdleExpiresAt = 0 // a retry may have extended it
		a.states[state]++
	}
	if ended {
		a.ended++
	}
}

// race releases the contenders of each round together, on two handles that have
// been in use: prepare sets the round up, try is a contender's one intent.
func (w *world) race(rounds int, prepare func(round int), try func(s store.Store, round, contender int, a *tally) error, judge func(round int, a *tally)) {
	w.Helper()
	// On one idle core a contender reads and writes before the next one runs, and
	// nothing is seen: so each lets the others run at every call of its driver.
	w.tap.Hook(func(_ Kind, _ string, perform func() error) error {
		err := perform()
		runtime.Gosched()
		return err
	})
	defer w.tap.Hook(nil)
	handles := []store.Store{w.s, w.d.Store(w.name)}
	for round := range rounds {
		if w.Failed() {
			return
		}
		prepare(round)
		a := &tally{counts: map[store.Outcome]int{}, states: map[store.GrantState]int{}}
		var ready, done sync.WaitGroup
		gate := make(chan struct{})
		for c := range contenders {
			ready.Add(1)
			done.Go(func() {
				s := handles[c%len(handles)]
				_, err := s.ConfigVersion(w.ctx)
				ready.Done()
				<-gate
				if err == nil {
					err = try(s, round, c, a)
				}
				if err != nil {
					w.Errorf("round %d, contender %d: %v", round, c, err)
				}
			})
		}
		ready.Wait()
		close(gate)
		done.Wait()
		judge(round, a)
	}
}

// wantCounts wants exactly these outcomes.
func (w *world) wantCounts(round int, a *tally, want map[store.Outcome]int) {
	w.Helper()
	w.same(fmt.Sprintf("round %d: outcomes", round), a.counts, want)
}

func (w *world) redeemTry(s store.Store, in store.Redeem, a *tally) error {
	out, err := s.RedeemCode(w.ctx, in)
	if err == nil {
		a.add(out.Outcome, out.State, out.Ended)
	}
	return err
}

func (w *world) rotateTry(s store.Store, in store.Rotate, a *tally) error {
	out, err := s.RotateRefresh(w.ctx, in)
	if err == nil {
		a.add(out.Outcome, out.State, out.Ended)
	}
	return err
}

func nth(round int) store.GrantID { return id("grant %d", round) }

var raceRules = []rule{
	{name: "race: 200 codes × 20 redemptions, one succeeds (security.md E1)", check: func(w *world) {
		w.race(rounds, func(i int) { w.born(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error {
				in := redeem(nth(i))
				in.Now, in.EndOnReplay = t0+store.Time(c), false
				return w.redeemTry(s, in, a)
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Replayed: contenders - 1})
				w.wantAudit(nth(i), store.AuditBirth, store.AuditRedemption)
			})
	}},
	{name: "race: 20 codes × 20 redemptions that end on replay, one succeeds and one ends", check: func(w *world) {
		w.race(rounds/10, func(i int) { w.born(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error { return w.redeemTry(s, redeem(nth(i)), a) },
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Replayed: 1, store.Revoked: contenders - 2})
				w.same("replays that ended the grant", a.ended, 1)
				w.wantAudit(nth(i), store.AuditBirth, store.AuditRedemption, store.AuditEnd)
			})
	}},
	{name: "race: 40 replays that end a grant among its rotations tell of the row as they leave it", check: func(w *world) {
		var out store.Redeemed // of the replay
		w.race(rounds/5, func(i int) { w.redeemed(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) (err error) {
				if c == contenders/2 {
					out, err = s.RedeemCode(w.ctx, redeem(nth(i)))
					return err
				}
				return w.rotateTry(s, with(refresh(nth(i), uint32(c%4), t0), func(in *store.Rotate) { in.EndOnReplay = false }), a)
			},
			func(i int, _ *tally) {
				w.same("the replay's outcome", out.Outcome, store.Replayed)
				w.same("the replay's state", out.State, w.state(nth(i)))
			})
	}},
	{name: "race: 200 anonymous codes × 20 redemptions, one succeeds", check: func(w *world) {
		w.race(rounds, func(int) {},
			func(s store.Store, i, c int, a *tally) error {
				in := anonymous(fmt.Sprint(i))
				in.EndOnReplay = false
				out, err := s.RedeemAnonymous(w.ctx, in)
				a.add(out.Outcome, out.State, out.Ended)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Replayed: contenders - 1})
				w.wantAudit(id("anonymous %d", i), store.AuditRedemption)
			})
	}},
	{name: "race: 20 profiles that draw one subject, one gets it", check: func(w *world) {
		w.race(rounds/10, func(int) {},
			func(s store.Store, i, c int, a *tally) error {
				in := anonymous(fmt.Sprint(i, " ", c))
				in.Grant.Subject = fmt.Sprint("subject ", i)
				out, err := s.RedeemAnonymous(w.ctx, in)
				a.add(out.Outcome, out.State, out.Ended)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
			})
	}},
	{name: "race: 200 refresh tokens × 20 uses inside the window, one successor (security.md E3)", check: func(w *world) {
		w.race(rounds, func(i int) { w.redeemed(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error {
				return w.rotateTry(s, refresh(nth(i), 0, t0+store.Time(c)), a)
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Retried: contenders - 1})
				w.same("distinct successors", len(a.states), 1)
				w.same("generation", w.state(nth(i)).Generation, uint32(1))
			})
	}},
	{name: "race: 200 refresh tokens × 20 uses without a window, one succeeds and one ends (security.md E2)", check: func(w *world) {
		w.race(rounds, func(i int) { w.redeemed(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error {
				in := refresh(nth(i), 0, t0)
				in.RetryWindow = 0
				return w.rotateTry(s, in, a)
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Replayed: 1, store.Revoked: contenders - 2})
				w.same("replays that ended the grant", a.ended, 1)
				w.same("why", w.state(nth(i)).RevokedWhy, store.WhyRefreshReplayed)
				w.wantAudit(nth(i), store.AuditBirth, store.AuditRedemption, store.AuditEnd)
			})
	}},
	{name: "race: 20 tokens ahead × 20 uses, one successor and one audit event", check: func(w *world) {
		w.race(rounds/10, func(i int) { w.redeemed(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error { return w.rotateTry(s, refresh(nth(i), 7, t0), a) },
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Ahead: 1, store.Retried: contenders - 1})
				w.same("distinct successors", len(a.states), 1)
				w.wantAudit(nth(i), store.AuditBirth, store.AuditRedemption, store.AuditAhead)
			})
	}},
	{name: "race: 20 tokens under a retired key × 20 uses without rotation, one successor", check: func(w *world) {
		w.race(rounds/10, func(i int) { w.redeemed(fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error {
				in := refresh(nth(i), 0, t0)
				in.Rotating, in.ActiveKey = false, 2
				return w.rotateTry(s, in, a)
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Retried: contenders - 1})
				w.same("distinct successors", len(a.states), 1)
			})
	}},
	{name: "race: once an end is acknowledged, no refresh is served", check: func(w *world) {
		var ended atomic.Bool
		w.race(rounds/8, func(i int) { w.redeemed(fmt.Sprint(i)); ended.Store(false) },
			func(s store.Store, i, c int, a *tally) error {
				if c == 0 {
					out, err := s.EndGrant(w.ctx, store.End{Grant: nth(i), Why: store.WhyRevoked, Now: t0, Trace: trace})
					ended.Store(true)
					if err == nil && out != store.Done {
						err = fmt.Errorf("EndGrant = %v", out)
					}
					return err
				}
				// Each contender goes on until it is refused: some rotate, some retry,
				// some do not rotate.
				for generation := uint32(0); ; {
					after := ended.Load()
					in := refresh(nth(i), generation, t0)
					in.Rotating, in.EndOnReplay = c%3 != 0, false
					out, err := s.RotateRefresh(w.ctx, in)
					switch {
					case err != nil:
						return err
					case out.Outcome == store.Revoked:
						return nil
					case after:
						return fmt.Errorf("%v after the end", out.Outcome)
					}
					generation = out.State.Generation
					runtime.Gosched() // a bad store may have made no call
				}
			},
			func(i int, _ *tally) { w.same("why", w.state(nth(i)).RevokedWhy, store.WhyRevoked) })
	}},
	{name: "race: a user disabled during births has no live grant", check: func(w *world) {
		w.race(rounds/8,
			func(int) { w.user.DisabledAt = 0; w.put(w.user) },
			func(s store.Store, i, c int, a *tally) error {
				if c == contenders/2 {
					u := w.user
					u.DisabledAt = t0
					out, err := s.PutUser(w.ctx, u)
					if err == nil && out != store.Done {
						err = fmt.Errorf("PutUser = %v", out)
					}
					return err
				}
				out, err := s.Birth(w.ctx, w.birth(fmt.Sprint(i, " ", c)))
				if err == nil && out != store.Done && out != store.Refused {
					err = fmt.Errorf("birth is %v", out)
				}
				return err
			},
			func(i int, _ *tally) {
				for c := range contenders {
					g, found, err := w.s.Grant(w.ctx, id("grant %d %d", i, c))
					w.must(err)
					if found && g.RevokedAt == 0 {
						w.Errorf("round %d: the grant of contender %d lives", i, c)
					}
				}
			})
	}},
	{name: "race: one name and 20 users, one gets it", check: func(w *world) {
		w.race(rounds/10, func(int) {},
			func(s store.Store, i, c int, a *tally) error {
				u := w.person(fmt.Sprint(i, " ", c))
				u.Identifiers = []store.Identifier{{Kind: []string{"email", "username"}[c/2%2], Value: fmt.Sprint("name ", i)}}
				out, err := s.PutUser(w.ctx, u)
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
			})
	}},
	{name: "race: one number and 20 keys, one gets it", check: func(w *world) {
		w.race(rounds/10, func(int) {},
			func(s store.Store, i, c int, a *tally) error {
				k := fullMACKey()
				k.Number, k.Sealed = uint16(i+1), []byte{byte(c)}
				out, err := s.AddMACKey(w.ctx, k)
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
			})
	}},
	{name: "race: the config version counts each of 20 changes", check: func(w *world) {
		var before int64
		w.race(rounds/10,
			func(int) {
				var err error
				before, err = w.s.ConfigVersion(w.ctx)
				w.must(err)
			},
			func(s store.Store, i, c int, a *tally) error {
				client := fullClient()
				client.Name = fmt.Sprint(c)
				return s.PutClient(w.ctx, client)
			},
			func(i int, _ *tally) {
				after, err := w.s.ConfigVersion(w.ctx)
				w.must(err)
				w.same("ConfigVersion", after, before+contenders)
			})
	}},
}
