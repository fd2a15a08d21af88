package storetest

import (
	"slices"

	"github.com/tallystick/tallystick/internal/store"
)

var birthRules = []rule{
	{name: "birth: a grant and its audit event, and the user has signed in", check: func(w *world) {
		b := w.birth("a")
		b.Now = t0 + 5
		out, err := w.s.Birth(w.ctx, b)
		if err != nil || out != store.Done {
			w.Fatalf("Birth = %v, %v", out, err)
		}
		w.wantState(b.Grant.ID, store.GrantState{MACKey: 1})
		events := w.wantAudit(b.Grant.ID, store.AuditBirth)
		w.wantEvent(events[0], store.AuditEvent{
			At: t0 + 5, Kind: store.AuditBirth, Grant: b.Grant.ID, ClientID: "app", User: w.user.ID, Trace: trace,
		})
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("LastSignInAt", u.LastSignInAt, t0+5)
	}},
	{name: "birth: refused for a disabled user", check: func(w *world) {
		w.user.DisabledAt = t0
		w.put(w.user)
		w.refusedBirth(w.birth("a"))
	}},
	{name: "birth: refused if the password has changed since it was checked", check: func(w *world) {
		b := w.birth("a")
		w.user.CredentialVersion++
		w.put(w.user)
		w.refusedBirth(b)
	}},
	{name: "birth: refused for a credential that the row does not know yet", check: func(w *world) {
		b := w.birth("a")
		b.CredentialVersion++
		w.refusedBirth(b)
	}},
	{name: "birth: refused for nobody", check: func(w *world) {
		b := w.birth("a")
		b.Grant.User = id("nobody")
		w.refusedBirth(b)
	}},
	{name: "birth: repeated after an unknown fate, it neither fails nor makes a second grant", check: func(w *world) {
		g := w.redeemed("a")
		before := w.see(g)
		out, err := w.s.Birth(w.ctx, w.birth("a"))
		if err != nil || out != store.Taken {
			w.Fatalf("Birth = %v, %v; want taken", out, err)
		}
		w.same("everything", w.see(g), before)
	}},
}

func (w *world) refusedBirth(b store.Birth) { w.Helper(); w.unborn(b, store.Refused) }

// unborn wants a birth to come to nothing, and to leave everything as it is.
func (w *world) unborn(b store.Birth, want store.Outcome) {
	w.Helper()
	w.unchangedBy(b.Grant.ID, func() { w.Helper(); w.bear(b, want) })
}

func (w *world) bear(b store.Birth, want store.Outcome) store.GrantID {
	w.Helper()
	w.want("Birth", want)(w.s.Birth(w.ctx, b))
	return b.Grant.ID
}

func (w *world) wantEvent(got, want store.AuditEvent) {
	w.Helper()
	got.Node, got.Sequence = 0, 0
	w.same("audit event", got, want)
}

// replay is a second use of a code (RFC 6749 §4.1.2, §10.5), of either kind.
type replay struct {
	name                        string
	proven, endOnReplay, report bool
	want                        store.Outcome
	audit                       []store.AuditKind // beyond that of the first use
}

var replays = []replay{
	{"that proves nothing is spent", false, true, true, store.Spent, nil},
	{"that is proven ends the grant", true, true, false, store.Replayed, []store.AuditKind{store.AuditEnd}},
	{"that ends the grant is not reported besides", true, true, true, store.Replayed, []store.AuditKind{store.AuditEnd}},
	{"of a client that refuses replays is reported", true, false, true, store.Replayed, []store.AuditKind{store.AuditReplay}},
	{"reported a moment ago writes nothing", true, false, false, store.Replayed, nil},
}

// check makes the second use of g, by use, and looks at what came of it.
func (r replay) check(w *world, g store.GrantID, use func() store.Redeemed) {
	w.Helper()
	before := w.see(g)
	out := use()
	after := w.see(g)
	row := before.Grants[g]
	if r.want == store.Replayed && r.endOnReplay {
		row.RevokedAt, row.RevokedWhy = replayAt, store.WhyCodeReplayed
		if !out.Ended {
			w.Errorf("Ended = false, want true")
		}
	} else if out.Ended {
		w.Errorf("Ended = true, want false")
	}
	w.same("grant", after.Grants[g], row)
	for i, e := range w.news(g, before, after, len(r.audit)) {
		want := store.AuditEvent{
			At: replayAt, Kind: r.audit[i], Grant: g, ClientID: row.ClientID, User: row.User,
			Reason: string(store.WhyCodeReplayed), Trace: trace,
		}
		w.wantEvent(e, want)
	}
	if !slices.Contains(r.audit, store.AuditEnd) {
		return
	}
	before = after
	if again := use(); again.Ended {
		w.Errorf("Ended = true again")
	}
	w.same("everything after the replay of an ended grant", w.see(g), before)
}

const replayAt = t0 + 7*second

func redeemRules() []rule {
	all := []rule{
		{name: "redeem: the code of a live grant, once (RFC 6749 §4.1.2)", check: func(w *world) {
			g := w.born("a")
			in := redeem(g)
			in.Now, in.MACKey, in.IdleExpiresAt = t0+9, 65535, t0+9+idleLife
			w.redeem(in, store.Done)
			w.wantState(g, store.GrantState{RedeemedAt: t0 + 9, MACKey: 65535, IdleExpiresAt: t0 + 9 + idleLife})
			events := w.wantAudit(g, store.AuditBirth, store.AuditRedemption)
			w.wantEvent(events[1], store.AuditEvent{
				At: t0 + 9, Kind: store.AuditRedemption, Grant: g, ClientID: "app", User: w.user.ID, Trace: trace,
			})
		}},
		{name: "redeem: without an idle end", check: func(w *world) {
			g := w.born("a")
			in := redeem(g)
			in.IdleExpiresAt = 0
			w.redeem(in, store.Done)
			w.same("IdleExpiresAt", w.state(g).IdleExpiresAt, int64(0))
		}},
		{name: "redeem: one millisecond before the code's end", check: func(w *world) {
			in := redeem(w.born("a"))
			in.Now = codeEnd - 1
			w.redeem(in, store.Done)
		}},
		{name: "redeem: expired at the code's end", check: func(w *world) {
			in := redeem(w.born("a"))
			in.Now = codeEnd
			w.unchangedBy(in.Grant, func() { w.redeem(in, store.Expired) })
		}},
		{name: "redeem: one millisecond before the grant's absolute end", check: func(w *world) {
			g := w.born("a", func(g *store.Grant) { g.AbsoluteExpiresAt = t0 + second })
			in := redeem(g)
			in.Now = t0 + second - 1
			w.redeem(in, store.Done)
		}},
		{name: "redeem: expired at the grant's absolute end", check: func(w *world) {
			g := w.born("a", func(g *store.Grant) { g.AbsoluteExpiresAt = t0 + second })
			in := redeem(g)
			in.Now = t0 + second
			w.unchangedBy(g, func() { w.redeem(in, store.Expired) })
		}},
		{name: "redeem: a code that nobody was given is unknown", check: func(w *world) {
			in := redeem(id("never born"))
			out := w.redeem(in, store.Unknown)
			w.same("State", out.State, store.GrantState{})
			w.wantAudit(in.Grant)
		}},
		{name: "redeem: revoked before it was redeemed", check: func(w *world) {
			g := w.born("a")
			w.end(g, t0, store.Done)
			w.unchangedBy(g, func() { w.redeem(redeem(g), store.Revoked) })
		}},
		{name: "redeem: revoked and expired is revoked", check: func(w *world) {
			g := w.born("a")
			w.end(g, t0, store.Done)
			in := redeem(g)
			in.Now = codeEnd
			w.unchangedBy(g, func() { w.redeem(in, store.Revoked) })
		}},
		{name: "redeem: a replay of a revoked grant writes nothing", check: func(w *world) {
			g := w.redeemed("a")
			w.end(g, t0, store.Done)
			in := redeem(g)
			in.Report = true
			w.unchangedBy(g, func() { w.redeem(in, store.Revoked) })
		}},
		{name: "redeem: theft is seen after the code's end, too", check: func(w *world) {
			g := w.redeemed("a")
			in := redeem(g)
			in.Now = codeEnd
			if !w.redeem(in, store.Replayed).Ended {
				w.Errorf("Ended = false, want true")
			}
		}},
		{name: "redeem: theft is seen after rotations, too", check: func(w *world) {
			g := w.redeemed("a")
			w.rotate(refresh(g, 0, t0+1), store.Done)
			w.redeem(redeem(g), store.Replayed)
			w.rotate(refresh(g, 1, t0+2), store.Revoked)
		}},
		{name: "redeem: a use that proves nothing harms nobody", check: func(w *world) {
			g := w.redeemed("a")
			in := redeem(g)
			in.Proven = false
			w.redeem(in, store.Spent)
			w.rotate(refresh(g, 0, t0+1), store.Done)
		}},
	}
	for _, r := range replays {
		all = append(all, rule{name: "redeem: a second use " + r.name, check: func(w *world) {
			in := redeem(w.redeemed("a"))
			in.Now, in.Proven, in.EndOnReplay, in.Report = replayAt, r.proven, r.endOnReplay, r.report
			want := r.want
			r.check(w, in.Grant, func() store.Redeemed {
				out := w.redeem(in, want)
				want = store.Revoked
				return out
			})
		}})
	}
	return all
}

func anonymousRules() []rule {
	all := []rule{
		{name: "anonymous: the first use inserts the grant", check: func(w *world) {
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			g, found, err := w.s.Grant(w.ctx, in.Grant.ID)
			if err != nil || !found {
				w.Fatalf("Grant: found = %v, %v", found, err)
			}
			w.same("grant", g, in.Grant)
			events := w.wantAudit(in.Grant.ID, store.AuditRedemption)
			w.wantEvent(events[0], store.AuditEvent{
				At: t0, Kind: store.AuditRedemption, Grant: in.Grant.ID, ClientID: "app", Trace: trace,
			})
			w.rotate(refresh(in.Grant.ID, 0, t0+1), store.Done)
		}},
		{name: "anonymous: a second use changes nothing that the first has written", check: func(w *world) {
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			in.Grant.MACKey, in.Grant.RedeemedAt, in.Grant.Nonce, in.Proven = 2, t0+1, "other", false
			w.unchangedBy(in.Grant.ID, func() { w.redeemAnonymous(in, store.Spent) })
		}},
		{name: "anonymous: one millisecond before the code's end", check: func(w *world) {
			in := anonymous("a")
			in.Now = codeEnd - 1
			w.redeemAnonymous(in, store.Done)
		}},
		{name: "anonymous: expired at the code's end, and no row", check: func(w *world) {
			in := anonymous("a")
			in.Now = codeEnd
			w.redeemAnonymous(in, store.Expired)
			w.wantNone(in.Grant.ID)
		}},
		{name: "anonymous: a subject of another profile is taken, and no row", check: func(w *world) {
			first, in := anonymous("a"), anonymous("b")
			w.redeemAnonymous(first, store.Done)
			in.Grant.Subject = first.Grant.Subject
			w.unchangedBy(first.Grant.ID, func() { w.redeemAnonymous(in, store.Taken) })
			w.wantNone(in.Grant.ID)
			in.Grant.Subject = "another"
			w.redeemAnonymous(in, store.Done)
		}},
		{name: "anonymous: a replay with another draw of the subject is a replay", check: func(w *world) {
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			in.Grant.Subject = "another"
			w.redeemAnonymous(in, store.Replayed)
		}},
		{name: "anonymous: theft is seen after the code's end, too, while there is a row", check: func(w *world) {
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			in.Now = codeEnd
			w.redeemAnonymous(in, store.Replayed)
		}},
		{name: "anonymous: an ended grant is revoked, and its replay writes nothing", check: func(w *world) {
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			w.end(in.Grant.ID, t0, store.Done)
			in.Report = true
			w.unchangedBy(in.Grant.ID, func() { w.redeemAnonymous(in, store.Revoked) })
		}},
	}
	for _, r := range replays {
		all = append(all, rule{name: "anonymous: a second use " + r.name, check: func(w *world) {
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			in.Now, in.Proven, in.EndOnReplay, in.Report = replayAt, r.proven, r.endOnReplay, r.report
			want := r.want
			r.check(w, in.Grant.ID, func() store.Redeemed {
				out := w.redeemAnonymous(in, want)
				want = store.Revoked
				return out
			})
		}})
	}
	return all
}

// wantNone wants no trace of a grant.
func (w *world) wantNone(g store.GrantID) {
	w.Helper()
	if _, found, err := w.s.Grant(w.ctx, g); err != nil || found {
		w.Errorf("Grant: found = %v, %v; want none", found, err)
	}
	w.wantAudit(g)
}

// unchangedBy wants act to leave everything as it is.
func (w *world) unchangedBy(g store.GrantID, act func()) {
	w.Helper()
	before := w.see(g)
	act()
	w.same("everything", w.see(g), before)
}

var endRules = []rule{
	{name: "end: a live grant, with one audit event", check: func(w *world) {
		g := w.redeemed("a")
		before := w.state(g)
		w.end(g, t0+3, store.Done)
		before.RevokedAt, before.RevokedWhy = t0+3, store.WhyRevoked
		w.wantState(g, before)
		events := w.wantAudit(g, store.AuditBirth, store.AuditRedemption, store.AuditEnd)
		w.wantEvent(events[2], store.AuditEvent{
			At: t0 + 3, Kind: store.AuditEnd, Grant: g, ClientID: "app", User: w.user.ID,
			Reason: string(store.WhyRevoked), Trace: trace,
		})
		w.rotate(refresh(g, 0, t0+4), store.Revoked)
	}},
	{name: "end: a second time it is revoked already, and the first reason stays", check: func(w *world) {
		g := w.redeemed("a")
		in := redeem(g)
		w.redeem(in, store.Replayed)
		w.unchangedBy(g, func() { w.end(g, t0+3, store.Revoked) })
	}},
	{name: "end: before the code is redeemed (RFC 7009 §2.1)", check: func(w *world) {
		g := w.born("a")
		w.end(g, t0+3, store.Done)
		w.redeem(redeem(g), store.Revoked)
	}},
	{name: "end: a grant that time has ended can still be revoked", check: func(w *world) {
		g := w.redeemed("a")
		w.end(g, t0+idleLife, store.Done)
	}},
	{name: "end: no such grant", check: func(w *world) {
		w.end(id("never born"), t0, store.Unknown)
		w.wantAudit(id("never born"))
	}},
	{name: "end: only the one", check: func(w *world) {
		g, other := w.redeemed("a"), w.redeemed("b")
		w.unchangedBy(other, func() { w.end(g, t0, store.Done) })
		w.rotate(refresh(other, 0, t0+1), store.Done)
	}},
}
