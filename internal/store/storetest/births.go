package storetest

import "github.com/tallystick/tallystick/internal/store"

// bearingRules are those of what a birth carries and hangs on, and of the list of
// what was born.
var bearingRules = []rule{
	{name: "birth: without a redirect URI, resources, claims and a browser", check: func(w *world) {
		g := fullGrant()
		g.RedirectURI, g.Resources, g.Claims, g.Browser = "", "", "", store.SessionID{}
		w.roundTrip(g)
	}},
	{name: "birth: without a session it is a sign-in of its own, from one it is not", check: func(w *world) {
		for name, fromSession := range map[string]bool{"own": false, "from a session": true} {
			w := w.sibling(name)
			b := with(w.birth("a"), func(b *store.Birth) { b.Address, b.Now = id32("home"), t0+9 })
			if fromSession {
				b.Session = w.session("s")
			}
			w.user.GuessFailures, w.user.BlockedUntil, w.user.KnownAddress = 7, t0+5, id32("away")
			w.put(w.user)
			w.bear(b, store.Done)
			w.user.LastSignInAt = t0 + 9
			if !fromSession {
				w.user.GuessFailures, w.user.BlockedUntil, w.user.KnownAddress = 0, 0, b.Address
			}
			u, _, err := w.s.User(w.ctx, w.user.ID)
			w.must(err)
			w.same(name, u, w.user)
		}
	}},
	{name: "birth: from a session that the grant outlives: unended, unexpired and the user's own", check: func(w *world) {
		s, ended := w.session("s"), w.session("ended")
		w.endSession(ended, t0)
		bob := w.person("bob")
		w.put(bob)
		foreign := w.opening("foreign")
		foreign.Session.User = bob.ID
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, foreign))
		from := func(s store.SessionID, now store.Time) store.Birth {
			return with(w.birth("a"), func(b *store.Birth) { b.Session, b.Now = s, now })
		}
		w.refusedBirth(from(ended, t0))
		w.refusedBirth(from(s, sessionEnd))
		w.refusedBirth(from(foreign.Session.ID, t0))
		w.refusedBirth(from(id("nobody"), t0))
		g := w.bear(from(s, sessionEnd-1), store.Done)
		w.endSession(s, sessionEnd-1)
		row, _, err := w.s.Grant(w.ctx, g)
		w.must(err)
		if row.Session != (store.SessionID{}) || row.RevokedAt != 0 {
			w.Errorf("the grant hangs on %x and is revoked at %d", row.Session, row.RevokedAt)
		}
	}},
	{name: "birth: of a client that may go, while it is there", check: func(w *world) {
		w.registerClient(registering("other"), store.Done)
		w.sibling("other").putClient("app")
		w.refusedBirth(w.held("a", "app"))
		c := w.agreement()
		w.refusedBirth(with(w.held("a", "app"), func(b *store.Birth) { b.Consent, b.Agreed = &c, true }))
		w.registerClient(registering("app"), store.Done)
		before, _, err := w.s.Client(w.ctx, "app")
		w.must(err)
		w.bear(w.held("a", "app"), store.Done)
		after, _, err := w.s.Client(w.ctx, "app")
		w.must(err)
		w.same("the client", after, before)
		w.deleteClient("app", t0+1, store.Done)
		w.refusedBirth(w.held("b", "app"))
		w.bear(with(w.held("b", "app"), func(b *store.Birth) { b.ClientMayGo = false }), store.Done)
	}},
	{name: "grants of a user: redeemed, alive and his own, oldest first", check: func(w *world) {
		const now = t0 + 10*second
		at := func(created, absolute store.Time) func(*store.Grant) {
			return func(g *store.Grant) { g.CreatedAt, g.AbsoluteExpiresAt = created, absolute }
		}
		idleUntil := func(name string, end store.Time) store.GrantID {
			g := w.born(name, at(t0+3, 0))
			w.redeem(with(redeem(g), func(in *store.Redeem) { in.IdleExpiresAt = end }), store.Done)
			return g
		}
		want := []store.GrantID{
			w.redeemed("z", at(t0+1, now+1)), w.redeemed("y", at(t0+2, 0)), idleUntil("x", now+1), w.redeemed("w", at(t0+4, 0)),
		}
		w.redeemed("ended", at(t0, now))
		idleUntil("idle", now)
		w.born("not redeemed")
		w.end(w.redeemed("revoked"), t0, store.Done)
		w.redeemAnonymous(anonymous("a"), store.Done)
		ann := w.user
		w.user = w.person("bob")
		w.put(w.user)
		w.redeemed("of bob")

		got, err := w.s.GrantsOf(w.ctx, ann.ID, now)
		w.must(err)
		var ids []store.GrantID
		for _, g := range got {
			ids = append(ids, g.ID)
			row, _, err := w.s.Grant(w.ctx, g.ID)
			w.must(err)
			w.same("grant", g, row)
		}
		w.same("grants", ids, want)
		nobodys, err := w.s.GrantsOf(w.ctx, id("nobody"), now)
		w.must(err)
		w.same("grants of nobody", len(nobodys), 0)
	}},
	{name: "sessions of a user: neither ended nor expired and his own, oldest first", check: func(w *world) {
		const now = t0 + 10*second
		open := func(name string, created store.Time, change func(*store.OpenSession)) store.SessionID {
			in := w.opening(name)
			in.Session.CreatedAt = created
			change(&in)
			w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
			return in.Session.ID
		}
		plain := func(*store.OpenSession) {}
		want := []store.SessionID{
			open("z", t0+1, func(in *store.OpenSession) { in.Session.ExpiresAt = now + 1 }), open("y", t0+2, plain),
		}
		open("expired", t0, func(in *store.OpenSession) { in.Session.ExpiresAt = now })
		w.endSession(open("ended", t0, plain), t0)
		former := open("former", t0, plain)
		want = append(want, open("in its place", t0+3, func(in *store.OpenSession) { in.Former = former }))
		bob := w.person("bob")
		w.put(bob)
		open("of bob", t0, func(in *store.OpenSession) { in.Session.User = bob.ID })

		got, err := w.s.SessionsOf(w.ctx, w.user.ID, now)
		w.must(err)
		var ids []store.SessionID
		for _, s := range got {
			ids = append(ids, s.ID)
			row, _, err := w.s.Session(w.ctx, s.ID)
			w.must(err)
			w.same("session", s, row)
		}
		w.same("sessions", ids, want)
	}},
}

// held is a birth of a client that may be deleted meanwhile.
func (w *world) held(name, client string) store.Birth {
	return with(w.birth(name), func(b *store.Birth) { b.Grant.ClientID, b.ClientMayGo = client, true })
}

func (w *world) endSession(s store.SessionID, now store.Time) {
	w.Helper()
	w.want("EndSession", store.Done)(w.s.EndSession(w.ctx, store.EndSession{Session: s, Now: now, Trace: trace}))
}
