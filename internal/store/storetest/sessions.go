package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

const sessionEnd = t0 + 7*24*3600*second

// opening is the intent of a sign-in of the world's user.
func (w *world) opening(name string) store.OpenSession {
	return store.OpenSession{
		Session:           store.Session{ID: id("session %s", name), User: w.user.ID, AuthTime: t0, CreatedAt: t0, ExpiresAt: sessionEnd},
		CredentialVersion: w.user.CredentialVersion, Address: id32("home"), Now: t0, Trace: trace,
	}
}

func id32(name string) (h store.Hash) {
	half := id("%s", name)
	copy(h[:], half[:])
	copy(h[16:], half[:])
	return h
}

func (w *world) session(name string) store.SessionID {
	w.Helper()
	in := w.opening(name)
	w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
	return in.Session.ID
}

// want holds an intent's outcome to the wanted one.
func (w *world) want(intent string, want store.Outcome) func(store.Outcome, error) {
	w.Helper()
	return func(got store.Outcome, err error) {
		w.Helper()
		if err != nil || got != want {
			w.Fatalf("%s = %v, %v; want %v", intent, got, err, want)
		}
	}
}

func (w *world) ended(session store.SessionID) store.Time {
	w.Helper()
	s, found, err := w.s.Session(w.ctx, session)
	if err != nil || !found {
		w.Fatalf("Session: found = %v, %v", found, err)
	}
	return s.EndedAt
}

// hangsOn makes a grant end with a session.
func hangsOn(session store.SessionID) func(*store.Grant) {
	return func(g *store.Grant) { g.Session = session }
}

var sessionRules = []rule{
	{name: "session: opened, it is there, and the user has signed in", check: func(w *world) {
		in := w.opening("s")
		w.user.GuessFailures, w.user.BlockedUntil = 7, t0+5
		w.put(w.user)
		in.Now = t0 + 9
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		s, found, err := w.s.Session(w.ctx, in.Session.ID)
		if err != nil || !found {
			w.Fatalf("Session: found = %v, %v", found, err)
		}
		in.Session.Browser = in.Session.ID
		w.same("session", s, in.Session)
		w.user.LastSignInAt, w.user.GuessFailures, w.user.BlockedUntil, w.user.KnownAddress = t0+9, 0, 0, in.Address
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("user", u, w.user)
	}},
	{name: "session: refused to a disabled user and to an old credential, and nothing changes", check: func(w *world) {
		old := w.opening("old")
		old.CredentialVersion--
		before := w.see()
		w.want("OpenSession", store.Refused)(w.s.OpenSession(w.ctx, old))
		w.same("world", w.see(), before)
		w.user.DisabledAt, w.user.UpdatedAt = t0, t0
		w.put(w.user)
		w.want("OpenSession", store.Refused)(w.s.OpenSession(w.ctx, w.opening("disabled")))
		for _, name := range []string{"old", "disabled"} {
			if _, found, err := w.s.Session(w.ctx, id("session %s", name)); err != nil || found {
				w.Errorf("session %s: found = %v, %v", name, found, err)
			}
		}
	}},
	{name: "session: its end ends the grants that hang on it, and no others", check: func(w *world) {
		s, other := w.session("s"), w.session("other")
		mine, second := w.redeemed("mine", hangsOn(s)), w.born("second", hangsOn(s))
		free, foreign := w.redeemed("free"), w.redeemed("foreign", hangsOn(other))
		before := w.see(mine, second, free, foreign)
		end := store.EndSession{Session: s, Now: t0 + 5, Trace: trace}
		w.want("EndSession", store.Done)(w.s.EndSession(w.ctx, end))
		w.want("EndSession, again", store.Revoked)(w.s.EndSession(w.ctx, end))
		after := w.see(mine, second, free, foreign)
		for _, g := range []store.GrantID{mine, second} {
			if st := after.Grants[g].GrantState; st.RevokedAt != t0+5 || st.RevokedWhy != store.WhySessionEnded {
				w.Errorf("a grant of the session: revoked at %d, %q", st.RevokedAt, st.RevokedWhy)
			}
			if e := w.news(g, before, after, 1)[0]; e.Kind != store.AuditEnd || e.Reason != string(store.WhySessionEnded) {
				w.Errorf("audit: %+v", e)
			}
		}
		w.same("a grant without a session", after.Grants[free], before.Grants[free])
		w.same("a grant of another session", after.Grants[foreign], before.Grants[foreign])
		if w.ended(s) != t0+5 || w.ended(other) != 0 {
			w.Errorf("ended at %d, the other at %d", w.ended(s), w.ended(other))
		}
	}},
	{name: "session: a new one of the same user takes the former's place; both end together", check: func(w *world) {
		former := w.session("former")
		g := w.redeemed("a", hangsOn(former))
		in := w.opening("new")
		in.Former, in.Now = former, t0+5
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		s, _, err := w.s.Session(w.ctx, in.Session.ID)
		w.must(err)
		old, _, err := w.s.Session(w.ctx, former)
		w.must(err)
		if s.Browser != former || old.ExpiresAt != t0+5 || old.EndedAt != 0 || w.state(g).RevokedAt != 0 {
			w.Errorf("new %+v, former %+v, grant %+v", s, old, w.state(g))
		}
		w.want("EndSession", store.Done)(w.s.EndSession(w.ctx, store.EndSession{Session: in.Session.ID, Now: t0 + 9}))
		if w.ended(former) != t0+9 || w.state(g).RevokedAt != t0+9 {
			w.Errorf("the former ended at %d, its grant at %d", w.ended(former), w.state(g).RevokedAt)
		}
	}},
	{name: "session: a former whose place was taken, or that has expired, is the user's own all the same", check: func(w *world) {
		w.putClient("app")
		for name, now := range map[string]store.Time{"taken": t0 + 5, "expired": sessionEnd} {
			former := w.session("former " + name)
			g := w.redeemed(name, hangsOn(former), func(g *store.Grant) { g.Browser = former })
			for i := range 2 { // a form that is sent twice
				in := w.opening(fmt.Sprint(name, " ", i))
				in.Former, in.Now, in.Session.ExpiresAt = former, now, sessionEnd+9
				w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
			}
			for i := range 2 {
				s, _, err := w.s.Session(w.ctx, id("session %s %d", name, i))
				w.must(err)
				if s.Browser != former || s.EndedAt != 0 {
					w.Errorf("%s, %d: browser %x, ended at %d", name, i, s.Browser, s.EndedAt)
				}
			}
			f, _, err := w.s.Session(w.ctx, former)
			w.must(err)
			if f.ExpiresAt > now || f.EndedAt != 0 || w.state(g).RevokedAt != 0 {
				w.Errorf("%s: former %+v, grant %+v", name, f, w.state(g))
			}
		}
		w.same("notices", w.due(never), []store.Notice{})
	}},
	{name: "session: a former that has ended leaves no browser", check: func(w *world) {
		former := w.session("former")
		w.endSession(former, t0+1)
		in := w.opening("new")
		in.Former, in.Now = former, t0+5
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		s, _, err := w.s.Session(w.ctx, in.Session.ID)
		w.must(err)
		w.same("browser", s.Browser, in.Session.ID)
		w.same("end of the former", w.ended(former), store.Time(t0+1))
	}},
	{name: "session: a new one of another user ends the former with its grants", check: func(w *world) {
		former := w.session("former")
		g := w.redeemed("a", hangsOn(former))
		bob := w.person("bob")
		w.put(bob)
		in := w.opening("new")
		in.Session.User, in.Former, in.Now = bob.ID, former, t0+5
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
		s, _, err := w.s.Session(w.ctx, in.Session.ID)
		w.must(err)
		if s.Browser != in.Session.ID || w.ended(former) != t0+5 || w.state(g).RevokedWhy != store.WhySessionEnded {
			w.Errorf("new %+v, the former ended at %d, grant %+v", s, w.ended(former), w.state(g))
		}
	}},
	{name: "session: the end of an unknown one", check: func(w *world) {
		w.want("EndSession", store.Unknown)(w.s.EndSession(w.ctx, store.EndSession{Session: id("nobody"), Now: t0}))
	}},
	{name: "session: a birth needs it unended, unexpired and the user's own", check: func(w *world) {
		s, ended := w.session("s"), w.session("ended")
		w.want("EndSession", store.Done)(w.s.EndSession(w.ctx, store.EndSession{Session: ended, Now: t0}))
		bob := w.person("bob")
		w.put(bob)
		foreign := w.opening("foreign")
		foreign.Session.User = bob.ID
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, foreign))
		for name, b := range map[string]store.Birth{
			"ended":   with(w.birth("a"), func(b *store.Birth) { b.Grant.Session = ended }),
			"expired": with(w.birth("a"), func(b *store.Birth) { b.Grant.Session, b.Now = s, sessionEnd }),
			"foreign": with(w.birth("a"), func(b *store.Birth) { b.Grant.Session = foreign.Session.ID }),
			"unknown": with(w.birth("a"), func(b *store.Birth) { b.Grant.Session = id("nobody") }),
		} {
			before := w.see(seen...)
			if out, err := w.s.Birth(w.ctx, b); err != nil || out != store.Refused {
				w.Errorf("%s: Birth = %v, %v; want refused", name, out, err)
			}
			w.same(name, w.see(seen...), before)
		}
		last := with(w.birth("a"), func(b *store.Birth) { b.Grant.Session, b.Now = s, sessionEnd-1 })
		w.want("Birth, a millisecond before the session's end", store.Done)(w.s.Birth(w.ctx, last))
	}},
	{name: "session: ended by a new credential and by disabling", check: func(w *world) {
		s := w.session("s")
		w.user.CredentialVersion++
		w.user.UpdatedAt = t0 + 3
		w.put(w.user)
		second := w.session("second")
		w.user.DisabledAt, w.user.UpdatedAt = t0+4, t0+4
		w.put(w.user)
		if w.ended(s) != t0+3 || w.ended(second) != t0+4 {
			w.Errorf("ended at %d and %d, want %d and %d", w.ended(s), w.ended(second), t0+3, t0+4)
		}
	}},
	{name: "session: ended while others follow the last of its browser, none of the browser lives on", check: func(w *world) {
		var browser, last store.SessionID
		follow := func(s store.Store, name string) error {
			in := w.opening(name)
			in.Former = last
			out, err := s.OpenSession(w.ctx, in)
			if err == nil && out != store.Done {
				err = fmt.Errorf("OpenSession = %v", out)
			}
			return err
		}
		w.race(rounds, func(i int) {
			browser = w.session(fmt.Sprint(i))
			last = browser
			w.must(follow(w.s, fmt.Sprint(i, " last")))
			last = id("session %d last", i)
		}, func(s store.Store, i, c int, _ *tally) error {
			if c%4 != 0 {
				return follow(s, fmt.Sprint(i, " ", c))
			}
			_, err := s.EndSession(w.ctx, store.EndSession{Session: []store.SessionID{browser, last}[c/4%2], Now: t0 + 1})
			return err
		}, func(i int, _ *tally) {
			for c := range contenders {
				if c%4 == 0 {
					continue
				}
				s, found, err := w.s.Session(w.ctx, id("session %d %d", i, c))
				w.must(err)
				if !found || s.Browser == browser && s.EndedAt == 0 {
					w.Errorf("round %d: the session of contender %d lives on in the browser (found = %v)", i, c, found)
				}
			}
		})
	}},
	{name: "session: ended against births, no grant of it stays alive", check: func(w *world) {
		var s store.SessionID
		grants := map[int][]store.GrantID{}
		w.race(40, func(round int) { s = w.session(fmt.Sprint("r", round)) },
			func(handle store.Store, round, c int, _ *tally) error {
				if c == contenders/2 {
					_, err := handle.EndSession(w.ctx, store.EndSession{Session: s, Now: t0 + 1})
					return err
				}
				_, err := handle.Birth(w.ctx, with(w.birth(fmt.Sprint(round, " ", c)), func(b *store.Birth) { b.Grant.Session = s }))
				return err
			},
			func(round int, _ *tally) {
				for c := range contenders {
					g, found, err := w.s.Grant(w.ctx, id("grant %s", fmt.Sprint(round, " ", c)))
					w.must(err)
					if found && g.RevokedAt == 0 {
						grants[round] = append(grants[round], g.ID)
					}
				}
				if n := len(grants[round]); n != 0 {
					w.Errorf("round %d: %d grants outlive their session", round, n)
				}
			})
	}},
}
