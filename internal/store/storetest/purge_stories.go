package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

var purgeStories = []rule{
	{name: "purge: of grants, writes no audit and leaves what there is, and the token is of no grant", check: func(w *world) {
		gone, kept := w.redeemed("a"), w.redeemed("b")
		w.end(gone, t0, store.Done)
		before := w.see(gone, kept)
		w.same("deleted", w.purged(store.TableGrants, 2), 1)
		w.same("audit", w.see(gone, kept).Audit, before.Audit)
		w.rotate(refresh(gone, 0, t0), store.Unknown)
		w.rotate(refresh(kept, 0, t0), store.Done)
	}},
	{name: "purge: of the audit, also one grant's events go by parts", check: func(w *world) {
		w.end(w.redeemed("a"), t0, store.Done)
		w.same("deleted", w.purged(store.TableAudit, 1), 4) // with that of the user
		w.wantAudit(id("grant a"))
	}},
	{name: "purge: of notices, also one browser's go by parts", check: func(w *world) {
		s := w.session("s")
		for _, client := range []string{"app", "ünother"} {
			w.putClient(client)
			w.visit(client, s)
		}
		w.endSession(s, t0)
		for _, n := range w.due(never) {
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: n.Browser, ClientID: n.ClientID, Now: t0}))
		}
		w.same("deleted", w.purged(store.TableNotices, 1), 2)
	}},
	{name: "purge: of sessions, the grants of one that was replaced still end with its browser", check: func(w *world) {
		first := w.session("first")
		g := w.redeemed("a", hangsOn(first))
		second := w.opening("second")
		second.Former = first
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, second))
		w.purged(store.TableSessions, 10)
		w.endSession(second.Session.ID, t0)
		w.same("why", w.state(g).RevokedWhy, store.WhySessionEnded)
	}},
	{name: "purge: of grants, a client is told of a logout though its grant was over long before", check: func(w *world) {
		w.putClient("app")
		s := w.session("s")
		usedUntil(t0+1, func(g *store.Grant) { g.Browser = s })(w, "a")
		w.same("deleted", w.purged(store.TableGrants, 10), 0)
		w.endSession(s, endedBefore)
		w.same("notices", len(w.due(never)), 1)
		w.same("deleted after the logout", w.purged(store.TableGrants, 10), 1)
	}},
	{name: "purge: of grants and sessions that hang on one another, all go in the end", check: func(w *world) {
		in := w.opening("s")
		in.Session.ExpiresAt = endedBefore
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		usedUntil(endedBefore, hangsOn(in.Session.ID), func(g *store.Grant) { g.Browser = in.Session.ID })(w, "a")
		w.same("grants deleted", w.purged(store.TableGrants, 10), 1)
		w.same("sessions deleted", w.purged(store.TableSessions, 10), 1)
	}},
	{name: "purge: a registration goes with all that DeleteUser would delete", check: func(w *world) {
		anns := w.redeemed("of ann")
		in := w.registration("bob")
		make := func(w *world) {
			w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
			w.user = in.User
			c := w.agreement()
			w.bear(with(w.consenting("a", c, true), func(b *store.Birth) { b.Grant.Session = w.session("s") }), store.Done)
			l := &store.Link{ID: id("link l"), Purpose: store.PurposeConfirm, User: w.user.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: sessionEnd}
			w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: in.Mail.ID, NextAttemptAt: t0 + 60, Link: l}))
		}
		twin := w.sibling("twin")
		make(twin)
		before := twin.see()
		twin.want("DeleteUser", store.Done)(twin.s.DeleteUser(twin.ctx, store.DeleteUser{User: in.User.ID, Now: t0, Trace: trace}))
		make(w)
		w.same("deleted", w.purged(store.TableRegistrations, 10), 1)
		got, want := w.see(), twin.see()
		w.same("what is left", got, want)
		w.wantTenant(in.Tenant.ID, false)
		twin.wantTenant(in.Tenant.ID, false)
		if len(before.Memberships) == 0 || len(before.Mails) == 0 || len(before.Consents) == 0 || before.Session == got.Session ||
			before.Link == got.Link || before.User.ID == got.User.ID {
			w.Errorf("there was nothing to delete: %+v", before)
		}
		w.rotate(refresh(id("grant a"), 0, t0), store.Unknown)
		w.rotate(refresh(anns, 0, t0), store.Done)
		ann, found, err := w.s.User(w.ctx, id("user ann"))
		if err != nil || !found || len(ann.Identifiers) != 2 {
			w.Errorf("another user: %+v, %v, %v", ann, found, err)
		}
	}},
	{name: "purge: of clients, with all that is theirs, one audit event each, and caches are told", check: func(w *world) {
		key := fullAPIKey()
		for _, client := range []string{"a", "b"} {
			selfRegistered(t0)(w, client)
		}
		key.ClientID = "a"
		w.must(w.s.PutAPIKey(w.ctx, key))
		selfRegistered(endedNow)(w, "young")
		none := store.GrantID{}
		before := w.see(none)
		w.counted(func() { w.same("deleted", w.purged(store.TableClients, 10), 2) })
		for i, e := range w.news(none, before, w.see(none), 2) {
			w.wantEvent(e, store.AuditEvent{At: purgeNow, Kind: store.AuditClient, ClientID: []string{"a", "b"}[i], Reason: "never used"})
		}
		if _, found, err := w.s.APIKey(w.ctx, key.Hash); err != nil || found {
			w.Errorf("APIKey: found = %v, %v", found, err)
		}
		w.wantSecrets("young", *registering("young").Secret)
		w.putClient("a")
		w.wantSecrets("a")
		w.nothingWritten(func() { w.purged(store.TableClients, 10) })
	}},
	{name: "purge: of clients, there is room for others then", check: func(w *world) {
		one := func(in *store.RegisterClient) { in.Most = 1 }
		w.registerClient(with(registering("a"), one), store.Done)
		w.registerClient(with(registering("b"), one), store.Refused)
		w.purged(store.TableClients, 10)
		w.registerClient(with(registering("b"), one), store.Done)
	}},
	{name: "purge: of a client against births that hold it, it goes before all of them or stays", check: func(w *world) {
		name := func(round int) string { return fmt.Sprint("client ", round) }
		users := w.crowd()
		w.race(rounds/2, func(i int) { selfRegistered(t0)(w, name(i)) }, func(s store.Store, i, n int, a *tally) error {
			if n == contenders/2 {
				_, err := s.Purge(w.ctx, purging(store.TableClients, 1000))
				return err
			}
			b := w.held(fmt.Sprint(i, " ", n), name(i))
			b.Grant.User = users[n]
			out, err := s.Birth(w.ctx, b)
			a.add(out, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			c, found, err := w.s.Client(w.ctx, name(i))
			w.must(err)
			want := store.Refused
			if found {
				want = store.Done
				w.same("its secrets", len(c.Secrets), 1)
			}
			w.wantCounts(i, a, map[store.Outcome]int{want: contenders - 1})
		})
	}},
	{name: "purge: of no table, of no rows or before no time is an error", check: func(w *world) {
		revokedAt(t0)(w, "a")
		for _, in := range []store.Purge{
			purging("users", 10), purging("", 10), purging(store.TableGrants, 0), purging(store.TableGrants, -1),
			with(purging(store.TableGrants, 10), func(in *store.Purge) { in.Before = 0 }),
			with(purging(store.TableGrants, 10), func(in *store.Purge) { in.Now = 0 }),
		} {
			w.unchangedBy(id("grant a"), func() {
				if out, err := w.s.Purge(w.ctx, in); err == nil {
					w.Errorf("Purge(%+v) = %+v, want an error", in, out)
				}
			})
		}
	}},
	{name: "purge: against rotations of a grant at its idle end, one that was served is never lost", check: func(w *world) {
		// A node whose clock is ahead purges what another still serves.
		const idle = codeEnd + 100
		w.race(rounds/2, func(i int) { usedUntil(idle)(w, fmt.Sprint(i)) },
			func(s store.Store, i, c int, a *tally) error {
				if c%4 == 3 {
					_, err := s.Purge(w.ctx, with(purging(store.TableGrants, 1000), func(in *store.Purge) { in.Before = idle + 1 }))
					return err
				}
				return w.rotateTry(s, refresh(nth(i), 0, idle-1), a)
			},
			func(i int, a *tally) {
				g, found, err := w.s.Grant(w.ctx, nth(i))
				w.must(err)
				served := a.counts[store.Done]
				if served > 1 || found != (served == 1) || found && g.Generation != 1 {
					w.Errorf("round %d: %v, and there = %v, generation %d", i, a.counts, found, g.Generation)
				}
			})
	}},
	{name: "purge: of a registration against its confirmation, one of them has it", check: func(w *world) {
		w.race(rounds/5, func(i int) {
			in := w.registration(fmt.Sprint(i))
			w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
			l := &store.Link{ID: id("link %d", i), Purpose: store.PurposeConfirm, User: in.User.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: sessionEnd}
			w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: in.Mail.ID, NextAttemptAt: t0 + 60, Link: l}))
		}, func(s store.Store, i, c int, a *tally) error {
			if c%4 == 3 {
				_, err := s.Purge(w.ctx, purging(store.TableRegistrations, 1000))
				return err
			}
			out, err := s.UseLink(w.ctx, using(id("link %d", i), store.PurposeConfirm))
			a.add(out.Outcome, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			u, found, err := w.s.User(w.ctx, id("user %d", i))
			w.must(err)
			confirmed := a.counts[store.Done]
			if confirmed > 1 || found != (confirmed == 1) || found && (len(u.Identifiers) != 1 || !u.EmailVerified) {
				w.Errorf("round %d: %v, and there = %v: %+v", i, a.counts, found, u)
			}
			byName, named, err := w.s.UserByIdentifier(w.ctx, fmt.Sprintf("%d@example.com", i))
			if err != nil || named != found || byName.ID != u.ID {
				w.Errorf("round %d: found by his name = %v, %v", i, named, err)
			}
		})
	}},
	{name: "purge: by 20 at once, each row goes once", check: func(w *world) {
		for i := range rounds {
			revokedAt(t0)(w, fmt.Sprint(i))
		}
		deleted := make(chan int, contenders)
		w.race(1, func(int) {}, func(s store.Store, _, _ int, _ *tally) error {
			n, in := 0, purging(store.TableGrants, 7)
			for {
				out, err := s.Purge(w.ctx, in)
				n += out.Deleted
				if err != nil || out.Cursor == nil {
					deleted <- n
					return err
				}
				in.Cursor = out.Cursor
			}
		}, func(int, *tally) {
			sum := 0
			for range contenders {
				sum += <-deleted
			}
			w.same("deleted by all", sum, rounds)
		})
	}},
}
