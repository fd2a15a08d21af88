package storetest

import (
	"fmt"
	"slices"

	"github.com/tallystick/tallystick/internal/store"
)

// lease is what a node asks for that wants to be the only one from now on.
func lease(node string, now, until store.Time) store.Lease {
	return store.Lease{Name: "purge", Holder: id("node %s", node), Now: now, Until: until}
}

// leased looks whether somebody has the lease. Only to ask for it tells, so it is
// asked for until now: it ends at once.
func (w *world) leased() bool {
	w.Helper()
	out, err := w.s.Lease(w.ctx, lease("that looks", t0, t0))
	w.must(err)
	return out == store.Taken
}

var leaseRules = []rule{
	{name: "lease: one node has it, until it ends or is given back", check: func(w *world) {
		for i, step := range []struct {
			node       string
			now, until store.Time
			want       store.Outcome
		}{
			{"a", t0, t0 + 100, store.Done},
			{"b", t0 + 99, t0 + 999, store.Taken},
			{"a", t0 + 99, t0 + 200, store.Done},
			{"b", t0 + 199, t0 + 999, store.Taken}, // it was prolonged
			{"b", t0 + 200, t0 + 300, store.Done},
			{"a", t0 + 200, t0 + 999, store.Taken}, // the former has lost it
			{"b", t0 + 250, t0 + 250, store.Done},
			{"a", t0 + 250, t0 + 300, store.Done},
		} {
			if out, err := w.s.Lease(w.ctx, lease(step.node, step.now, step.until)); err != nil || out != step.want {
				w.Errorf("step %d = %v, %v; want %v", i, out, err, step.want)
			}
		}
		other := lease("b", t0, t0+100)
		other.Name = "another"
		w.want("Lease of another name", store.Done)(w.s.Lease(w.ctx, other))
		w.want("Lease in another issuer", store.Done)(w.sibling("other").s.Lease(w.ctx, lease("c", t0, t0+100)))
	}},
	{name: "lease: taken by a clock that was an hour ahead, it can be had by the next who asks", check: func(w *world) {
		const hour = 3600 * second
		for i, step := range []struct {
			node       string
			now, until store.Time
			want       store.Outcome
		}{
			{"ahead", t0 + hour, t0 + hour + 180*second, store.Done},
			{"a", t0, t0 + 180*second, store.Taken},
			{"a", t0, t0 + 180*second - 1, store.Done},
			{"b", t0, t0 + 180*second, store.Taken},
			{"years ahead", t0 + 1e12, t0 + 1e12 + 180*second, store.Done},
			{"b", t0, t0 + 180*second, store.Done},
			{"years ahead", t0, t0 + 180*second, store.Taken},
		} {
			if out, err := w.s.Lease(w.ctx, lease(step.node, step.now, step.until)); err != nil || out != step.want {
				w.Errorf("step %d = %v, %v; want %v", i, out, err, step.want)
			}
		}
	}},
	{name: "lease: new or ended, 20 nodes at once, one has it", check: func(w *world) {
		w.race(rounds/5, func(i int) {
			if i%2 == 0 {
				in := lease("that died", t0, t0+5)
				in.Name = fmt.Sprint(i)
				w.want("Lease", store.Done)(w.s.Lease(w.ctx, in))
			}
		}, func(s store.Store, i, c int, a *tally) error {
			in := lease(fmt.Sprint(c), t0+5, t0+10)
			in.Name = fmt.Sprint(i)
			out, err := s.Lease(w.ctx, in)
			a.add(out, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
		})
	}},
}

var retirementRules = []rule{
	{name: "signing key: retired, and the earliest time holds", check: func(w *world) {
		k, other := fullSigningKey(), fullSigningKey()
		k.RetiredAt = 0
		other.Number, other.ID, other.RetiredAt = 2, "another", 0
		b := w.sibling("other")
		for _, w := range []*world{w, b} {
			w.added(w.s.AddSigningKey(w.ctx, k))
			w.added(w.s.AddSigningKey(w.ctx, other))
		}
		for _, step := range []struct{ at, want store.Time }{{t0 + 50, t0 + 50}, {t0 + 60, t0 + 50}, {t0 + 40, t0 + 40}, {t0 + 40, t0 + 40}} {
			w.want("RetireSigningKey", store.Done)(w.s.RetireSigningKey(w.ctx, k.ID, step.at))
			got, err := w.s.SigningKeys(w.ctx)
			w.must(err)
			retired := k
			retired.RetiredAt = step.want
			w.same(fmt.Sprintf("keys, retired at +%d", step.at-t0), got, []store.SigningKey{retired, other})
		}
		w.want("RetireSigningKey of none", store.Unknown)(w.s.RetireSigningKey(w.ctx, "nobody's", t0))
		if out, err := w.s.RetireSigningKey(w.ctx, other.ID, 0); err == nil {
			w.Errorf("RetireSigningKey at no time = %v, want an error", out)
		}
		got, err := b.s.SigningKeys(b.ctx)
		b.must(err)
		b.same("keys of the other issuer", got, []store.SigningKey{k, other})
	}},
	{name: "signing key: retired by 20 at once, the earliest time holds", check: func(w *world) {
		w.race(rounds/10, func(i int) {
			k := fullSigningKey()
			k.Number, k.ID, k.RetiredAt = i, fmt.Sprint(i), 0
			w.added(w.s.AddSigningKey(w.ctx, k))
		}, func(s store.Store, i, c int, a *tally) error {
			out, err := s.RetireSigningKey(w.ctx, fmt.Sprint(i), t0+store.Time((c+7)%contenders))
			a.add(out, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			w.wantCounts(i, a, map[store.Outcome]int{store.Done: contenders})
			keys, err := w.s.SigningKeys(w.ctx)
			w.must(err)
			n := slices.IndexFunc(keys, func(k store.SigningKey) bool { return k.ID == fmt.Sprint(i) })
			w.same("RetiredAt", keys[n].RetiredAt, t0)
		})
	}},
}

// capped is a birth by a client of which a user may have no more than most.
func (w *world) capped(name string, created store.Time, most int) store.Birth {
	return with(w.birth(name), func(b *store.Birth) { b.Grant.CreatedAt, b.Most = created, most })
}

// wantEnded wants a grant to have been ended by a birth, once.
func (w *world) wantEnded(g store.GrantID, at store.Time) {
	w.Helper()
	state := w.state(g)
	if state.RevokedAt != at || state.RevokedWhy != store.WhyTooMany {
		w.Errorf("revoked at %d, %q; want %d, %q", state.RevokedAt, state.RevokedWhy, at, store.WhyTooMany)
	}
	var told []store.AuditEvent
	for _, e := range w.audit(g) {
		if e.Kind == store.AuditEnd {
			e.Node, e.Sequence = 0, 0
			told = append(told, e)
		}
	}
	w.same("what is told of its end", told, []store.AuditEvent{{
		At: at, Kind: store.AuditEnd, Grant: g, ClientID: "app", User: w.user.ID, Reason: string(store.WhyTooMany), Trace: trace,
	}})
}

var capRules = []rule{
	{name: "birth: at the cap, the oldest beyond end, each with an audit event", check: func(w *world) {
		var all []store.GrantID
		for i := range 5 { // the second of them is the oldest, as clocks may have it
			created := t0 + store.Time(i)
			if i == 0 {
				created = t0 + 1
			} else if i == 1 {
				created = t0
			}
			g := w.bear(w.capped(fmt.Sprint(i), created, 0), store.Done)
			w.redeem(redeem(g), store.Done)
			all = append(all, g)
		}
		before := w.see(all...)
		g := w.bear(with(w.capped("new", t0+9, 4), func(b *store.Birth) { b.Now = t0 + 9 }), store.Done)
		w.wantEnded(all[1], t0+9)
		w.wantEnded(all[0], t0+9)
		for _, g := range all[2:] {
			w.same("a grant that is not beyond", w.see(all...).Grants[g], before.Grants[g])
		}
		w.same("RevokedAt of the new one", w.state(g).RevokedAt, store.Time(0))
		w.rotate(refresh(all[0], 0, t0+9), store.Revoked)
		w.rotate(refresh(all[2], 0, t0+9), store.Done)
	}},
	{name: "birth: a cap counts the living of the user and the client, codes too", check: func(w *world) {
		const now = codeEnd
		birth := func(name string) {
			w.Helper()
			w.bear(with(w.capped(name, now, 3), func(b *store.Birth) { b.Now, b.Grant.CodeExpiresAt = now, now+60*second }), store.Done)
		}
		bob := w.person("bob")
		w.put(bob)
		code := w.born("code", func(g *store.Grant) { g.CodeExpiresAt = now + 1 })
		used := w.redeemed("used", func(g *store.Grant) { g.CreatedAt = t0 - 1 })
		others := []store.GrantID{
			w.born("an expired code"),
			w.redeemed("of another client", func(g *store.Grant) { g.ClientID = "other" }),
			w.redeemed("of another user", func(g *store.Grant) { g.User = bob.ID }),
			w.redeemed("expired", func(g *store.Grant) { g.AbsoluteExpiresAt = now }),
			w.redeemed("ended"),
		}
		w.end(others[4], t0, store.Done)
		idle := w.born("idle")
		w.redeem(with(redeem(idle), func(in *store.Redeem) { in.IdleExpiresAt = now }), store.Done)
		others = append(others, idle)
		before := w.see(append(others, code, used)...)
		birth("new")
		after := w.see(append(others, code, used)...)
		w.same("grants below the cap", after.Grants, before.Grants)
		birth("newer")
		w.wantEnded(used, now) // the older of the two
		birth("newest")
		w.wantEnded(code, now)
		after = w.see(append(others, code, used)...)
		for _, g := range others {
			w.same("a grant that does not count", after.Grants[g], before.Grants[g])
		}
	}},
	{name: "birth: the new one is never beyond the cap, whatever its clock says", check: func(w *world) {
		first := w.bear(w.capped("a", t0, 1), store.Done)
		second := w.bear(with(w.capped("b", t0-1000, 1), func(b *store.Birth) { b.Now = t0 + 1 }), store.Done)
		w.wantEnded(first, t0+1)
		w.same("RevokedAt", w.state(second).RevokedAt, store.Time(0))
		w.redeem(redeem(second), store.Done)
	}},
	{name: "birth: repeated at the cap, it ends no other", check: func(w *world) {
		first := w.bear(w.capped("a", t0, 2), store.Done)
		w.bear(w.capped("b", t0, 2), store.Done)
		w.unchangedBy(first, func() { w.bear(w.capped("b", t0, 1), store.Taken) })
		w.unchangedBy(first, func() { w.refusedBirth(with(w.capped("c", t0, 1), func(b *store.Birth) { b.CredentialVersion++ })) })
	}},
	{name: "birth: 20 at once at the cap, as many live as may", check: func(w *world) {
		const most = 3
		w.race(rounds/10, func(i int) {
			for n := range most {
				w.bear(with(w.capped(fmt.Sprintf("first %d %d", i, n), t0, 0), func(b *store.Birth) { b.Grant.ClientID = fmt.Sprint("app", i) }), store.Done)
			}
		}, func(s store.Store, i, c int, a *tally) error {
			in := w.capped(fmt.Sprint(i, " ", c), t0+1+store.Time(c), most)
			in.Grant.ClientID = fmt.Sprint("app", i)
			out, err := s.Birth(w.ctx, in)
			a.add(out, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			w.wantCounts(i, a, map[store.Outcome]int{store.Done: contenders})
			var all []store.GrantID
			for n := range most {
				all = append(all, id("grant first %d %d", i, n))
			}
			for c := range contenders {
				all = append(all, id("grant %d %d", i, c))
			}
			alive := 0
			for n, g := range all {
				ends := 0
				for _, e := range w.audit(g) {
					if e.Kind == store.AuditEnd {
						ends++
					}
				}
				if w.state(g).RevokedAt == 0 {
					alive++
					w.same("ends of one that lives", ends, 0)
				} else {
					w.same("ends of one that was ended", ends, 1)
				}
				if n < most {
					w.same("one that was there before: its end", w.state(g).RevokedWhy, store.WhyTooMany)
				}
			}
			w.same(fmt.Sprintf("round %d: living", i), alive, most)
		})
	}},
	{name: "birth: at the cap while the oldest is refreshed, exactly that one ends", check: func(w *world) {
		w.race(rounds/8, func(i int) {
			for n := range 3 {
				name := fmt.Sprint(i, " ", n)
				g := w.bear(with(w.capped(name, t0+store.Time(n), 0), func(b *store.Birth) { b.Grant.ClientID = fmt.Sprint("app", i) }), store.Done)
				w.redeem(redeem(g), store.Done)
			}
		}, func(s store.Store, i, c int, _ *tally) error {
			if c == contenders/2 {
				in := w.capped(fmt.Sprint("new ", i), t0+9, 3)
				in.Grant.ClientID = fmt.Sprint("app", i)
				out, err := s.Birth(w.ctx, in)
				if err == nil && out != store.Done {
					err = fmt.Errorf("birth is %v", out)
				}
				return err
			}
			out, err := s.RotateRefresh(w.ctx, with(refresh(id("grant %d 0", i), uint32(c%3), t0), func(in *store.Rotate) { in.EndOnReplay = false }))
			if err == nil && out.Outcome == store.Unknown {
				err = fmt.Errorf("a refresh is %v", out.Outcome)
			}
			return err
		}, func(i int, _ *tally) {
			w.same("why the oldest ended", w.state(id("grant %d 0", i)).RevokedWhy, store.WhyTooMany)
			for _, g := range []store.GrantID{id("grant %d 1", i), id("grant %d 2", i), id("grant new %d", i)} {
				w.same("RevokedAt of another", w.state(g).RevokedAt, store.Time(0))
			}
		})
	}},
}
