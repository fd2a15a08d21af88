package storetest

import (
	"fmt"
	"slices"

	"github.com/tallystick/tallystick/internal/store"
)

// purgeAt is the time before which is purged what ended.
const purgeAt = t0 + 500*second

// purged goes through a table until the end, and wants no step to take more than
// its limit.
func (w *world) purged(table store.Table, limit int) store.Purged {
	w.Helper()
	const most = 200
	var sum store.Purged
	in := store.Purge{Table: table, Limit: limit, Before: purgeAt}
	for range most {
		out, err := w.s.Purge(w.ctx, in)
		if err != nil {
			w.Fatalf("Purge of %s: %v", table, err)
		}
		if out.Deleted > limit {
			w.Errorf("%d of %d rows deleted at once", out.Deleted, limit)
		}
		sum.Deleted += out.Deleted
		sum.MACKeys = append(sum.MACKeys, out.MACKeys...)
		if out.Cursor == nil {
			slices.Sort(sum.MACKeys)
			sum.MACKeys = slices.Compact(sum.MACKeys)
			return sum
		}
		in.Cursor = out.Cursor
	}
	w.Fatalf("a lap through %s has no end", table)
	return sum
}

// leftover is one row of a table, made so that it has ended in time or not.
type leftover struct {
	name string
	make func(w *world, name string)
	gone bool
}

// litter is what a table is full of.
type litter struct {
	table store.Table
	there func(w *world, name string) bool // nil: nothing shows it but the number
	rows  []leftover
}

// made fills the table.
func (l litter) made(w *world) {
	w.Helper()
	for _, row := range l.rows {
		row.make(w, row.name)
	}
}

// check purges the table by parts of each size, and wants all to go that ended,
// nothing else, and nothing of another issuer.
func (l litter) check(w *world) {
	w.Helper()
	other := w.sibling("other")
	l.made(other)
	for _, limit := range []int{1, 2, 3, 1000} {
		w := w.within("by %d", limit)
		l.made(w)
		gone := 0
		for _, row := range l.rows {
			if row.gone {
				gone++
			}
		}
		w.same("number of rows that are deleted", w.purged(l.table, limit).Deleted, gone)
		w.same("number of rows that are deleted afterwards", w.purged(l.table, limit).Deleted, 0)
		if l.there == nil {
			continue
		}
		for _, row := range l.rows {
			if there := l.there(w, row.name); there == row.gone {
				w.Errorf("%q: there = %v, want %v", row.name, there, !row.gone)
			}
			if !l.there(other, row.name) {
				w.Errorf("%q of another issuer is gone", row.name)
			}
		}
	}
}

// ended, endedNow: what ended one millisecond before, or at the time.
const (
	endedBefore = purgeAt - 1
	endedNow    = purgeAt
)

// usedUntil makes a grant whose refresh token is idle from a time on.
func usedUntil(idle store.Time, change ...func(*store.Grant)) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		g := w.born(name, change...)
		w.redeem(with(redeem(g), func(in *store.Redeem) { in.IdleExpiresAt = idle }), store.Done)
	}
}

func revokedAt(at store.Time, change ...func(*store.Grant)) func(*world, string) {
	return func(w *world, name string) { w.Helper(); w.end(w.redeemed(name, change...), at, store.Done) }
}

func codeUntil(end store.Time) func(*store.Grant) {
	return func(g *store.Grant) { g.CodeExpiresAt = end }
}

func absolutelyUntil(end store.Time) func(*store.Grant) {
	return func(g *store.Grant) { g.AbsoluteExpiresAt = end }
}

// inBrowser makes an expired grant that was born in a browser, whose session then
// becomes what end makes of it.
func inBrowser(open func(*store.OpenSession), end func(*world, store.SessionID)) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		in := w.opening(name)
		open(&in)
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		usedUntil(endedBefore, func(g *store.Grant) { g.Browser = in.Session.ID })(w, name)
		end(w, in.Session.ID)
	}
}

func sessionUntil(end store.Time) func(*store.OpenSession) {
	return func(in *store.OpenSession) { in.Session.ExpiresAt = end }
}

func asItIs(*world, store.SessionID) {}

func endsAt(at store.Time) func(*world, store.SessionID) {
	return func(w *world, s store.SessionID) { w.Helper(); w.endSession(s, at) }
}

// opened makes a session, and what it becomes.
func opened(until store.Time, end func(*world, store.SessionID)) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		in := w.opening(name)
		in.Session.ExpiresAt = until
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		end(w, in.Session.ID)
	}
}

// bears makes a grant that hangs on a session, alive or not.
func bears(alive bool) func(*world, store.SessionID) {
	return func(w *world, s store.SessionID) {
		w.Helper()
		g := w.born(fmt.Sprintf("of %x", s), hangsOn(s))
		if !alive {
			w.end(g, t0, store.Done)
		}
	}
}

// linked makes a link by way of a mail; it is used at a time, if that is not 0.
func linked(until, usedAt store.Time) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		l := &store.Link{ID: id("link %s", name), Purpose: store.PurposeConfirm, User: w.user.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: until}
		w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: w.post("for " + name), NextAttemptAt: t0 + 60, Link: l}))
		if usedAt != 0 {
			w.use(with(using(l.ID, l.Purpose), func(in *store.UseLink) { in.Now = usedAt }), store.Done)
		}
	}
}

// mailed makes a mail of a time; finish is nil for one that is still waiting.
func mailed(at store.Time, finish *store.FinishMail) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		m := w.letter(name)
		m.CreatedAt, m.NextAttemptAt = at, at
		w.want("RequestMail", store.Done)(w.s.RequestMail(w.ctx, store.RequestMail{Mail: m, PerHour: 1000, Now: at}))
		if finish != nil {
			in := *finish
			in.Mail = m.ID
			w.must(w.s.FinishMail(w.ctx, in))
		}
	}
}

// told makes a notice of a time; finish is nil for one that is still waiting.
func told(client string, at store.Time, finish *store.FinishNotice) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		w.putClient(client)
		s := w.session(name)
		w.visit(client, s)
		w.endSession(s, at)
		if finish != nil {
			in := *finish
			in.Browser, in.ClientID = s, client
			w.must(w.s.FinishNotice(w.ctx, in))
		}
	}
}

// registered makes a user who has not confirmed his address.
func registered(at store.Time, change func(*store.User)) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		in := w.registration(name)
		in.User.CreatedAt = at
		w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
		change(&in.User)
		w.put(in.User)
	}
}

var litters = []litter{
	{store.TableGrants, func(w *world, name string) bool {
		_, found, err := w.s.Grant(w.ctx, id("grant %s", name))
		w.must(err)
		return found
	}, []leftover{
		{"revoked", revokedAt(endedBefore), true},
		{"revoked now", revokedAt(endedNow), false},
		{"idle", usedUntil(endedBefore), true},
		{"idle now", usedUntil(endedNow), false},
		{"expired", usedUntil(0, absolutelyUntil(endedBefore)), true},
		{"expired now", usedUntil(0, absolutelyUntil(endedNow)), false},
		{"never redeemed", func(w *world, name string) { w.born(name, codeUntil(endedBefore)) }, true},
		{"could still be redeemed", func(w *world, name string) { w.born(name, codeUntil(endedNow)) }, false},
		{"revoked, with a code that has not expired", revokedAt(t0, codeUntil(endedNow)), false},
		{"alive for ever", usedUntil(0), false},
		{"in a browser that is signed in", inBrowser(sessionUntil(endedNow), asItIs), false},
		{"in a browser whose session has expired", inBrowser(sessionUntil(endedBefore), asItIs), true},
		{"in a browser that was signed out", inBrowser(sessionUntil(endedNow), endsAt(endedNow)), true},
	}},
	{store.TableSessions, func(w *world, name string) bool {
		_, found, err := w.s.Session(w.ctx, id("session %s", name))
		w.must(err)
		return found
	}, []leftover{
		{"ended", opened(sessionEnd, endsAt(endedBefore)), true},
		{"ended now", opened(sessionEnd, endsAt(endedNow)), false},
		{"expired", opened(endedBefore, asItIs), true},
		{"expired now", opened(endedNow, asItIs), false},
		{"open", opened(sessionEnd, asItIs), false},
		{"expired, and a living grant ends with it", opened(endedBefore, bears(true)), false},
		{"expired, and its grant has ended", opened(endedBefore, bears(false)), true},
	}},
	{store.TableLinks, func(w *world, name string) bool {
		_, found, err := w.s.Link(w.ctx, id("link %s", name))
		w.must(err)
		return found
	}, []leftover{
		{"used", linked(sessionEnd, endedBefore), true},
		{"used now", linked(sessionEnd, endedNow), false},
		{"expired", linked(endedBefore, 0), true},
		{"expired now", linked(endedNow, 0), false},
	}},
	{store.TableMails, func(w *world, name string) bool {
		return slices.ContainsFunc(w.outbox(), func(m store.Mail) bool { return m.ID == id("mail %s", name) })
	}, []leftover{
		{"sent", mailed(endedBefore, &store.FinishMail{Now: endedBefore}), true},
		{"sent, of now", mailed(endedNow, &store.FinishMail{Now: endedNow}), false},
		{"given up", mailed(endedBefore, &store.FinishMail{Error: "no", Now: endedBefore}), true},
		{"to be tried again", mailed(endedBefore, &store.FinishMail{Error: "no", NextAttemptAt: t0 + 1, Now: t0}), false},
		{"to be tried", mailed(t0, nil), false},
	}},
	// Two clients of one browser, so that the key's second half counts.
	{store.TableNotices, nil, []leftover{
		{"told", told("app", endedBefore, &store.FinishNotice{Now: endedBefore}), true},
		{"told now", told("app", endedNow, &store.FinishNotice{Now: endedNow}), false},
		{"given up", told("app", endedBefore, &store.FinishNotice{Error: "no", Now: endedBefore}), true},
		{"to be tried again", told("app", endedBefore, &store.FinishNotice{Error: "no", NextAttemptAt: t0 + 1, Now: t0}), false},
		{"to be tried", told("ünother", t0, nil), false},
		{"two clients", func(w *world, name string) {
			w.Helper()
			s := w.session(name)
			for _, client := range []string{"app", "ünother"} {
				w.putClient(client)
				w.visit(client, s)
			}
			w.endSession(s, endedBefore)
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: s, ClientID: "ünother", Now: endedBefore}))
		}, true},
	}},
	{store.TableRequests, func(w *world, name string) bool {
		_, found, err := w.s.Request(w.ctx, id("request %s", name))
		w.must(err)
		return found
	}, []leftover{
		{"expired", func(w *world, name string) {
			w.push(with(pushing(name), func(in *store.PushRequest) { in.Request.ExpiresAt = endedBefore }), store.Done)
		}, true},
		{"expired now", func(w *world, name string) {
			w.push(with(pushing(name), func(in *store.PushRequest) { in.Request.ExpiresAt = endedNow }), store.Done)
		}, false},
	}},
	{store.TableSpent, func(w *world, name string) bool { return w.spent(name) }, []leftover{
		{"expired", func(w *world, name string) {
			w.want("Spend", store.Done)(w.s.Spend(w.ctx, with(assertion(name), func(in *store.Spend) { in.ExpiresAt = endedBefore })))
		}, true},
		{"expired now", func(w *world, name string) {
			w.want("Spend", store.Done)(w.s.Spend(w.ctx, with(assertion(name), func(in *store.Spend) { in.ExpiresAt = endedNow })))
		}, false},
	}},
	{store.TableRegistrations, func(w *world, name string) bool {
		_, found, err := w.s.User(w.ctx, id("user %s", name))
		w.must(err)
		return found
	}, []leftover{
		{"never confirmed", registered(endedBefore, func(*store.User) {}), true},
		{"not confirmed yet", registered(endedNow, func(*store.User) {}), false},
		{"confirmed", registered(endedBefore, func(u *store.User) {
			u.Identifiers, u.Pending = []store.Identifier{{Kind: "email", Value: u.Email}}, ""
		}), false},
		{"changes his address", registered(endedBefore, func(u *store.User) {
			u.Identifiers = []store.Identifier{{Kind: "username", Value: u.Pending}}
		}), false},
		{"made by an operator, without a name", registered(endedBefore, func(u *store.User) { u.Pending = "" }), false},
	}},
	{store.TableAudit, func(w *world, name string) bool {
		if name == aboutNoGrant {
			return len(w.audit(store.GrantID{})) != 0
		}
		return len(w.audit(id("grant %s", name))) != 0
	}, []leftover{
		{aboutNoGrant, func(*world, string) {}, true}, // the world's user was created
		{"told", toldOf(endedBefore), true},
		{"told too", toldOf(t0), true},
		{"told now", toldOf(endedNow), false},
		{"told later", toldOf(endedNow + 1), false},
	}},
}

const aboutNoGrant = "about no grant"

// toldOf makes a grant with its one event.
func toldOf(at store.Time) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		w.bear(with(w.birth(name), func(b *store.Birth) { b.Now = at }), store.Done)
	}
}

func purgeRules() []rule {
	var all []rule
	tables := slices.Clone(store.Tables)
	for _, l := range litters {
		all = append(all, rule{name: "purge: of " + string(l.table) + ", what ended before, no more at once than asked for", check: l.check})
		tables = slices.DeleteFunc(tables, func(t store.Table) bool { return t == l.table })
	}
	all = append(all, rule{name: "purge: there is a rule for every table", check: func(w *world) { w.same("tables without", tables, []store.Table{}) }})
	return append(all, purgeStories...)
}

var purgeStories = []rule{
	{name: "purge: of grants, tells the MAC keys of those that are left, and writes no audit", check: func(w *world) {
		key := func(k uint16) func(*store.Rotate) { return func(in *store.Rotate) { in.ActiveKey = k } }
		w.redeemed("under 1")
		w.rotate(with(refresh(w.redeemed("under 2"), 0, t0), key(2)), store.Done)
		w.rotate(with(refresh(w.redeemed("too"), 0, t0), key(2)), store.Done)
		gone := w.redeemed("under 65535")
		w.rotate(with(refresh(gone, 0, t0), key(65535)), store.Done)
		for _, limit := range []int{1, 2, 1000} {
			w.same("keys", w.purged(store.TableGrants, limit).MACKeys, []uint16{1, 2, 65535})
		}
		w.end(gone, t0, store.Done)
		before := w.see(gone)
		w.same("keys that are left", w.purged(store.TableGrants, 2), store.Purged{Deleted: 1, MACKeys: []uint16{1, 2}})
		w.same("audit", w.see(gone).Audit, before.Audit)
		w.rotate(refresh(gone, 1, t0), store.Unknown)
	}},
	{name: "purge: of the audit, also one grant's events go by parts", check: func(w *world) {
		w.end(w.redeemed("a"), t0, store.Done)
		w.same("deleted", w.purged(store.TableAudit, 1).Deleted, 4) // with that of the user
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
		w.same("deleted", w.purged(store.TableNotices, 1).Deleted, 2)
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
		w.same("deleted", w.purged(store.TableGrants, 10).Deleted, 0)
		w.endSession(s, endedBefore)
		w.same("notices", len(w.due(never)), 1)
		w.same("deleted after the logout", w.purged(store.TableGrants, 10).Deleted, 1)
	}},
	{name: "purge: of grants and sessions that hang on one another, all go in the end", check: func(w *world) {
		in := w.opening("s")
		in.Session.ExpiresAt = endedBefore
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		usedUntil(endedBefore, hangsOn(in.Session.ID), func(g *store.Grant) { g.Browser = in.Session.ID })(w, "a")
		w.same("grants deleted", w.purged(store.TableGrants, 10).Deleted, 1)
		w.same("sessions deleted", w.purged(store.TableSessions, 10).Deleted, 1)
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
		w.same("deleted", w.purged(store.TableRegistrations, 10).Deleted, 1)
		got, want := w.see(), twin.see()
		w.same("what is left", got, want)
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
	{name: "purge: of no table, of no rows or before no time is an error", check: func(w *world) {
		revokedAt(t0)(w, "a")
		for _, in := range []store.Purge{
			{Table: "users", Limit: 10, Before: purgeAt}, {Limit: 10, Before: purgeAt},
			{Table: store.TableGrants, Before: purgeAt}, {Table: store.TableGrants, Limit: -1, Before: purgeAt},
			{Table: store.TableGrants, Limit: 10},
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
					_, err := s.Purge(w.ctx, store.Purge{Table: store.TableGrants, Limit: 1000, Before: idle + 1})
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
				_, err := s.Purge(w.ctx, store.Purge{Table: store.TableRegistrations, Limit: 1000, Before: purgeAt})
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
			n, in := 0, store.Purge{Table: store.TableGrants, Limit: 7, Before: purgeAt}
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
