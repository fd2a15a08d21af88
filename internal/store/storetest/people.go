package storetest

import (
	"context"
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

// letter is a mail to the world's user.
func (w *world) letter(name string) store.Mail {
	return store.Mail{
		ID: id("mail %s", name), Template: store.PurposeReset, Recipient: w.user.Email, Address: id32(w.user.Email), Language: "de", User: w.user.ID, ClientID: "app",
		CreatedAt: t0, NextAttemptAt: t0,
	}
}

func (w *world) post(name string) store.MailID {
	w.Helper()
	m := w.letter(name)
	w.want("RequestMail", store.Done)(w.s.RequestMail(w.ctx, store.RequestMail{Mail: m, PerHour: 1000, Now: t0}))
	return m.ID
}

// link makes a link by way of a mail, as a worker does.
func (w *world) link(name string, purpose store.Purpose) store.LinkID {
	w.Helper()
	l := &store.Link{ID: id("link %s", name), Purpose: purpose, User: w.user.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: t0 + 1000}
	w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: w.post("for " + name), NextAttemptAt: t0 + 60, Link: l}))
	return l.ID
}

func (w *world) use(in store.UseLink, want store.Outcome) {
	w.Helper()
	out, err := w.s.UseLink(w.ctx, in)
	if err != nil || out.Outcome != want || (want == store.Done) != (out.User != store.UserID{}) {
		w.Fatalf("UseLink = %v, %v; want %v", out, err, want)
	}
}

func using(l store.LinkID, purpose store.Purpose) store.UseLink {
	return store.UseLink{Link: l, Purpose: purpose, ClientID: "app", PasswordHash: "new hash", Now: t0 + 999, Trace: trace}
}

var linkRules = []rule{
	{name: "link: confirms an address, once", check: func(w *world) {
		w.user.EmailVerified = false
		w.put(w.user)
		l := w.link("l", store.PurposeConfirm)
		have, found, err := w.s.Link(w.ctx, l)
		if err != nil || !found {
			w.Fatalf("Link: found = %v, %v", found, err)
		}
		w.same("link", have, store.Link{ID: l, Purpose: store.PurposeConfirm, User: w.user.ID, ClientID: "app",
			CredentialVersion: w.user.CredentialVersion, CreatedAt: t0, ExpiresAt: t0 + 1000})
		w.use(using(l, store.PurposeConfirm), store.Done)
		w.use(using(l, store.PurposeConfirm), store.Spent)
		w.user.EmailVerified, w.user.UpdatedAt = true, t0+999
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("user", u, w.user)
	}},
	{name: "link: resets a password, once, and ends the user's grants and sessions", check: func(w *world) {
		g, s := w.redeemed("a"), w.session("s")
		l := w.link("l", store.PurposeReset)
		w.use(using(l, store.PurposeReset), store.Done)
		w.use(using(l, store.PurposeReset), store.Spent)
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		if u.PasswordHash != "new hash" || u.CredentialVersion != w.user.CredentialVersion+1 || !u.EmailVerified {
			w.Errorf("the user is %+v", u)
		}
		if st := w.state(g); st.RevokedWhy != store.WhyCredential || w.ended(s) != t0+999 {
			w.Errorf("the grant is revoked for %q, the session ended at %d", st.RevokedWhy, w.ended(s))
		}
	}},
	{name: "link: of another client, for another purpose, unknown, expired: refused and unspent", check: func(w *world) {
		l := w.link("l", store.PurposeReset)
		w.use(with(using(l, store.PurposeReset), func(in *store.UseLink) { in.ClientID = "other" }), store.Unknown)
		w.use(using(l, store.PurposeConfirm), store.Unknown)
		w.use(using(id("nobody"), store.PurposeReset), store.Unknown)
		w.use(with(using(l, store.PurposeReset), func(in *store.UseLink) { in.Now = t0 + 1000 }), store.Expired)
		w.use(using(l, store.PurposeReset), store.Done)
	}},
	{name: "link: is good for the credential that it was made for, and for an enabled user", check: func(w *world) {
		old, l := w.link("old", store.PurposeReset), store.LinkID{}
		w.user.CredentialVersion++
		w.put(w.user)
		w.use(using(old, store.PurposeReset), store.Refused)
		l = w.link("new", store.PurposeReset)
		w.user.DisabledAt = t0
		w.put(w.user)
		w.use(using(l, store.PurposeReset), store.Refused)
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("user", u, w.user)
	}},
	{name: "link: 20 contenders, one use", check: func(w *world) {
		var l store.LinkID
		w.race(50, func(round int) { l = w.link(fmt.Sprint(round), store.PurposeConfirm) },
			func(s store.Store, _, _ int, a *tally) error {
				out, err := s.UseLink(w.ctx, using(l, store.PurposeConfirm))
				a.add(out.Outcome, store.GrantState{}, false)
				return err
			},
			func(round int, a *tally) {
				w.wantCounts(round, a, map[store.Outcome]int{store.Done: 1, store.Spent: contenders - 1})
			})
	}},
}

func (w *world) outbox() []store.Mail {
	w.Helper()
	m, err := w.s.Mails(w.ctx, 100)
	w.must(err)
	return m
}

var outboxRules = []rule{
	{name: "outbox: a mail goes to the spelling that the user gave, not to the one asked for", check: func(w *world) {
		w.user.Email = "Ann@Example.com"
		w.put(w.user)
		m := w.letter("m")
		m.Recipient, m.User = "ann@example.com", store.UserID{}
		w.want("RequestMail", store.Done)(w.s.RequestMail(w.ctx, store.RequestMail{Mail: m, PerHour: 1, Now: t0}))
		m.Recipient, m.User = "Ann@Example.com", w.user.ID
		w.same("outbox", w.outbox(), []store.Mail{m})
	}},
	{name: "outbox: nothing for an unknown address and for a disabled user", check: func(w *world) {
		m := w.letter("m")
		m.Recipient = "nobody@example.com"
		w.want("RequestMail", store.Unknown)(w.s.RequestMail(w.ctx, store.RequestMail{Mail: m, PerHour: 1, Now: t0}))
		w.user.DisabledAt = t0
		w.put(w.user)
		w.want("RequestMail", store.Unknown)(w.s.RequestMail(w.ctx, store.RequestMail{Mail: w.letter("m"), PerHour: 1, Now: t0}))
		w.same("outbox", w.outbox(), []store.Mail(nil))
	}},
	{name: "outbox: so many of a template an hour", check: func(w *world) {
		ask := func(name string, template store.Purpose, now store.Time) store.Outcome {
			m := w.letter(name)
			m.Template, m.CreatedAt = template, now
			out, err := w.s.RequestMail(w.ctx, store.RequestMail{Mail: m, PerHour: 2, Now: now})
			w.must(err)
			return out
		}
		got := []store.Outcome{
			ask("a", store.PurposeReset, t0), ask("b", store.PurposeReset, t0), ask("c", store.PurposeReset, t0+3600*second-1),
			ask("d", store.PurposeConfirm, t0), ask("e", store.PurposeReset, t0+3600*second),
		}
		w.same("outcomes", got, []store.Outcome{store.Done, store.Done, store.Refused, store.Done, store.Done})
	}},
	{name: "outbox: an attempt is one worker's, and makes one link", check: func(w *world) {
		var m store.MailID
		w.race(50, func(round int) { m = w.post(fmt.Sprint(round)) },
			func(s store.Store, round, c int, a *tally) error {
				l := &store.Link{ID: id("link %d %d", round, c), Purpose: store.PurposeReset, User: w.user.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: t0 + 9}
				out, err := s.AttemptMail(w.ctx, store.AttemptMail{Mail: m, NextAttemptAt: t0 + 60, Link: l})
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(round int, a *tally) {
				w.wantCounts(round, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
				links := 0
				for c := range contenders {
					_, found, err := w.s.Link(w.ctx, id("link %d %d", round, c))
					w.must(err)
					if found {
						links++
					}
				}
				if links != 1 {
					w.Errorf("round %d: %d links", round, links)
				}
			})
	}},
	{name: "outbox: due, leased, failed, due again, sent, forgotten", check: func(w *world) {
		m := w.post("m")
		due := func(now store.Time) int {
			d, err := w.s.DueMails(w.ctx, now, 10)
			w.must(err)
			return len(d)
		}
		attempt := func(n int64) {
			w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: m, Attempts: n, NextAttemptAt: t0 + 60}))
		}
		got := []int{due(t0 - 1), due(t0)}
		attempt(0)
		got = append(got, due(t0+59), due(t0+60))
		w.must(w.s.FinishMail(w.ctx, store.FinishMail{Mail: m, Error: "no", NextAttemptAt: t0 + 90, Now: t0 + 1}))
		got = append(got, due(t0+89), due(t0+90))
		attempt(1)
		if box := w.outbox(); len(box) != 1 || box[0].LastError != "no" || box[0].Attempts != 2 || box[0].Recipient == "" {
			w.Errorf("outbox: %+v", box)
		}
		w.must(w.s.FinishMail(w.ctx, store.FinishMail{Mail: m, Now: t0 + 95}))
		got = append(got, due(t0+1e6))
		w.same("due", got, []int{0, 1, 0, 1, 0, 1, 0})
		if box := w.outbox(); len(box) != 1 || box[0].Recipient != "" || box[0].SentAt != t0+95 || box[0].LastError != "" {
			w.Errorf("outbox: %+v", box)
		}
		w.want("AttemptMail, after it was sent", store.Taken)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: m, Attempts: 2, NextAttemptAt: t0 + 60}))
	}},
	{name: "outbox: given up is not due", check: func(w *world) {
		m := w.post("m")
		w.must(w.s.FinishMail(w.ctx, store.FinishMail{Mail: m, Error: "no", Now: t0}))
		if d, err := w.s.DueMails(w.ctx, t0+1e9, 10); err != nil || len(d) != 0 {
			w.Errorf("due: %v, %v", d, err)
		}
	}},
}

// registration is the intent of a new user with an address of its own.
func (w *world) registration(name string) store.Register {
	u := w.person(name)
	u.EmailVerified, u.ClientID, u.ReferralCode, u.Identifiers, u.Pending = false, "app", "code-"+name, nil, u.Identifiers[0].Value
	m := w.letter("confirm " + name)
	m.Template, m.Recipient, m.Address, m.User = store.PurposeConfirm, u.Email, id32(u.Email), u.ID
	taken := w.letter("taken " + name)
	taken.Template, taken.Recipient, taken.Address = store.PurposeTaken, u.Email, id32(u.Email)
	return store.Register{
		User: u, Tenant: store.Tenant{ID: id("tenant %s", name), Name: name, CreatedAt: t0}, Mail: m, MailIfTaken: taken, PerHour: 5, Now: t0, Trace: trace,
	}
}

func (w *world) register(in store.Register, want store.Registered) {
	w.Helper()
	out, err := w.s.Register(w.ctx, in)
	if err != nil || out != want {
		w.Fatalf("Register = %v, %v; want %v", out, err, want)
	}
}

var accountRules = []rule{
	{name: "register: user, tenant, membership and mail", check: func(w *world) {
		in := w.registration("bob")
		w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
		u, _, err := w.s.User(w.ctx, in.User.ID)
		w.must(err)
		w.same("user", u, in.User)
		m, err := w.s.Memberships(w.ctx, u.ID)
		w.must(err)
		w.same("memberships", m, []store.Membership{{Tenant: in.Tenant.ID, TenantName: "bob", User: u.ID, Role: "admin", CreatedAt: t0}})
		w.same("outbox", w.outbox(), []store.Mail{in.Mail})
	}},
	{name: "register: again before the address is confirmed: two users, of whom the first to confirm has the name", check: func(w *world) {
		in, again := w.registration("bob"), w.registration("bob")
		again.User.ID, again.User.PasswordHash, again.Tenant.ID, again.Mail.ID = id("user other"), "other hash", id("tenant other"), id("mail other")
		w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
		w.register(again, store.Registered{Outcome: store.Done, User: again.User.ID})
		if _, found, err := w.s.UserByIdentifier(w.ctx, "bob@example.com"); err != nil || found {
			w.Errorf("the name is somebody's before it is confirmed: %v, %v", found, err)
		}
		links := map[store.UserID]store.LinkID{}
		for _, r := range []store.Register{in, again} {
			l := &store.Link{ID: id("link %x", r.User.ID), Purpose: store.PurposeConfirm, User: r.User.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: t0 + 1000}
			w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: r.Mail.ID, NextAttemptAt: t0 + 60, Link: l}))
			links[r.User.ID] = l.ID
		}
		w.use(using(links[in.User.ID], store.PurposeConfirm), store.Done)
		w.use(using(links[again.User.ID], store.PurposeConfirm), store.Refused)
		in.User.Identifiers = []store.Identifier{{Kind: "email", Value: "bob@example.com"}}
		in.User.Pending, in.User.EmailVerified, in.User.UpdatedAt = "", true, t0+999
		u, _, err := w.s.UserByIdentifier(w.ctx, "bob@example.com")
		w.must(err)
		w.same("user", u, in.User)
		other, _, err := w.s.User(w.ctx, again.User.ID)
		w.must(err)
		w.same("the other", other, again.User)
	}},
	{name: "register: over the limit of mails nothing happens, in the same words", check: func(w *world) {
		for i := range 4 {
			in := w.registration("bob")
			in.User.ID, in.Tenant.ID, in.Mail.ID, in.PerHour = id("user %d", i), id("tenant %d", i), id("mail %d", i), 2
			w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
			if _, found, err := w.s.User(w.ctx, in.User.ID); err != nil || found != (i < 2) {
				w.Errorf("registration %d: found = %v, %v", i, found, err)
			}
		}
		if n := len(w.outbox()); n != 2 {
			w.Errorf("%d mails, want 2", n)
		}
	}},
	{name: "register: with a verified address: a mail to its owner, and nothing else", check: func(w *world) {
		in := w.registration("ann")
		in.User.ID, in.User.PasswordHash = id("user other"), "other hash"
		w.register(in, store.Registered{Outcome: store.Taken, User: w.user.ID})
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("user", u, w.user)
		box := w.outbox()
		if len(box) != 1 || box[0].Template != store.PurposeTaken || box[0].User != w.user.ID {
			w.Errorf("outbox: %+v", box)
		}
		if _, found, err := w.s.Tenant(w.ctx, in.Tenant.ID); err != nil || found {
			w.Errorf("there is a tenant: %v, %v", found, err)
		}
	}},
	{name: "register: by invitation a member; by an unknown one nothing", check: func(w *world) {
		in := w.registration("bob")
		in.Invitation = id("tenant nobody")
		w.register(in, store.Registered{Outcome: store.Refused})
		if _, found, err := w.s.User(w.ctx, in.User.ID); err != nil || found || len(w.outbox()) != 0 {
			w.Errorf("found = %v, %v; outbox %v", found, err, w.outbox())
		}
		w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant t"), Name: "T", CreatedAt: t0}))
		in.Invitation = id("tenant t")
		w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
		m, err := w.s.Members(w.ctx, id("tenant t"))
		w.must(err)
		w.same("members", m, []store.Membership{{Tenant: id("tenant t"), TenantName: "T", User: in.User.ID, Role: "member", CreatedAt: t0}})
	}},
	{name: "register: 20 contenders confirm one address, one has it", check: func(w *world) {
		link := func(round, c int) store.LinkID { return id("link %d %d", round, c) }
		w.race(20, func(round int) {
			for c := range contenders {
				in := w.registration(fmt.Sprint("r", round))
				in.User.ID, in.Tenant.ID, in.Mail.ID, in.PerHour = id("user %d %d", round, c), id("tenant %d %d", round, c), id("mail %d %d", round, c), 1000
				w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
				l := &store.Link{ID: link(round, c), Purpose: store.PurposeConfirm, User: in.User.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: t0 + 1000}
				w.want("AttemptMail", store.Done)(w.s.AttemptMail(w.ctx, store.AttemptMail{Mail: in.Mail.ID, NextAttemptAt: t0 + 60, Link: l}))
			}
		},
			func(s store.Store, round, c int, a *tally) error {
				out, err := s.UseLink(w.ctx, using(link(round, c), store.PurposeConfirm))
				a.add(out.Outcome, store.GrantState{}, false)
				return err
			},
			func(round int, a *tally) {
				w.wantCounts(round, a, map[store.Outcome]int{store.Done: 1, store.Refused: contenders - 1})
			})
	}},
	{name: "profile: claims and attributes, and nothing else", check: func(w *world) {
		in := store.UpdateProfile{User: w.user.ID, SeenClaims: w.user.Claims, Claims: []byte(`{"a":"ü"}`), Attributes: []byte(`{"b":1}`), Now: t0 + 4, Trace: trace}
		w.want("UpdateProfile", store.Done)(w.s.UpdateProfile(w.ctx, in))
		w.user.Claims, w.user.Attributes, w.user.UpdatedAt = in.Claims, in.Attributes, t0+4
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("user", u, w.user)
		w.want("UpdateProfile of what it was", store.Taken)(w.s.UpdateProfile(w.ctx, in))
		in.User = id("nobody")
		w.want("UpdateProfile of nobody", store.Unknown)(w.s.UpdateProfile(w.ctx, in))
	}},
	{name: "deletion: the user and all that is his; his name is free", check: func(w *world) {
		w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant"), Name: "T", CreatedAt: t0}))
		w.must(w.s.PutMembership(w.ctx, store.Membership{Tenant: id("tenant"), User: w.user.ID, Role: "admin", CreatedAt: t0}))
		bob := w.person("bob")
		w.put(bob)
		g, s, l := w.redeemed("a"), w.session("s"), w.link("l", store.PurposeReset)
		in := store.DeleteUser{User: w.user.ID, Now: t0 + 5, Trace: trace}
		w.want("DeleteUser", store.Done)(w.s.DeleteUser(w.ctx, in))
		w.want("DeleteUser, again", store.Unknown)(w.s.DeleteUser(w.ctx, in))
		if st := w.state(g); st.RevokedAt != t0+5 || st.RevokedWhy != store.WhyUserDeleted {
			w.Errorf("the grant: %+v", st)
		}
		_, user, err1 := w.s.User(w.ctx, w.user.ID)
		_, name, err2 := w.s.UserByIdentifier(w.ctx, "ann@example.com")
		_, session, err3 := w.s.Session(w.ctx, s)
		_, link, err4 := w.s.Link(w.ctx, l)
		members, err5 := w.s.Members(w.ctx, id("tenant"))
		for _, err := range []error{err1, err2, err3, err4, err5} {
			w.must(err)
		}
		if user || name || session || link || len(members) != 0 || len(w.outbox()) != 0 {
			w.Errorf("left: user %v, name %v, session %v, link %v, members %v, mails %v", user, name, session, link, members, w.outbox())
		}
		u, found, err := w.s.User(w.ctx, bob.ID)
		if err != nil || !found {
			w.Fatalf("bob: found = %v, %v", found, err)
		}
		w.same("bob", u, bob)
		again := w.registration("ann")
		again.User.ID = id("user again")
		w.register(again, store.Registered{Outcome: store.Done, User: again.User.ID})
	}},
	{name: "users of a client: by page, oldest first, by referral code, counted", check: func(w *world) {
		for i, name := range []string{"b1", "b2", "b3"} {
			in := w.registration(name)
			in.User.CreatedAt, in.User.UpdatedAt = t0+store.Time(i), t0+store.Time(i)
			w.register(in, store.Registered{Outcome: store.Done, User: in.User.ID})
		}
		names := func(code string, offset, limit int) (out []string) {
			page, total, err := w.s.UsersOf(w.ctx, "app", code, offset, limit)
			w.must(err)
			for _, u := range page {
				out = append(out, u.Email)
			}
			return append(out, fmt.Sprint(total))
		}
		w.same("all", names("", 0, 10), []string{"b1@example.com", "b2@example.com", "b3@example.com", "3"})
		w.same("second page of two", names("", 2, 2), []string{"b3@example.com", "3"})
		w.same("beyond", names("", 9, 2), []string{"3"})
		w.same("by code", names("code-b2", 0, 10), []string{"b2@example.com", "1"})
		if page, total, err := w.s.UsersOf(w.ctx, "other", "", 0, 10); err != nil || total != 0 || len(page) != 0 {
			w.Errorf("another client's: %v, %d, %v", page, total, err)
		}
	}},
	{name: "people: two issuers never meet", check: func(w *world) {
		other := w.sibling("other")
		s, l := w.session("s"), w.link("l", store.PurposeReset)
		other.want("EndSession", store.Unknown)(other.s.EndSession(w.ctx, store.EndSession{Session: s, Now: t0}))
		other.use(using(l, store.PurposeReset), store.Unknown)
		if _, found, err := other.s.Session(w.ctx, s); err != nil || found || len(other.outbox()) != 0 {
			w.Errorf("found = %v, %v; outbox %v", found, err, other.outbox())
		}
		other.want("DeleteUser", store.Done)(other.s.DeleteUser(w.ctx, store.DeleteUser{User: w.user.ID, Now: t0}))
		if _, found, err := w.s.User(w.ctx, w.user.ID); err != nil || !found {
			w.Errorf("deleted from another issuer: %v, %v", found, err)
		}
	}},
}

// peopleDeeds are these intents as they are put to the test of faults.
func peopleDeeds() []deed {
	nothing := func(*world) {}
	return []deed{
		{"a session", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.OpenSession(ctx, w.opening("s"))
		}, store.Done, store.Taken},
		{"the end of a session", func(w *world) { w.born("a", hangsOn(w.session("s"))) }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.EndSession(ctx, store.EndSession{Session: id("session s"), Now: soon, Trace: trace})
		}, store.Done, store.Revoked},
		{"a birth from a session", func(w *world) { w.session("s") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.Birth(ctx, with(w.birth("a"), func(b *store.Birth) { b.Grant.Session = id("session s") }))
		}, store.Done, store.Taken},
		{"a registration by invitation", func(w *world) {
			w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant t"), Name: "T", CreatedAt: t0}))
			w.user = w.person("bob")
		}, func(ctx context.Context, w *world) (store.Outcome, error) {
			in := w.registration("bob")
			in.Invitation = id("tenant t")
			out, err := w.s.Register(ctx, in)
			return out.Outcome, err
		}, store.Done, store.Done},
		{"a password reset", func(w *world) { w.redeemed("a"); w.session("s"); w.link("l", store.PurposeReset) },
			func(ctx context.Context, w *world) (store.Outcome, error) {
				out, err := w.s.UseLink(ctx, using(id("link l"), store.PurposeReset))
				return out.Outcome, err
			}, store.Done, store.Spent},
		{"a mail's attempt", func(w *world) { w.post("m") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			l := &store.Link{ID: id("link l"), Purpose: store.PurposeReset, User: w.user.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: t0 + 9}
			return w.s.AttemptMail(ctx, store.AttemptMail{Mail: id("mail m"), NextAttemptAt: t0 + 60, Link: l})
		}, store.Done, store.Taken},
		{"a user deleted", func(w *world) { w.redeemed("a"); w.session("s"); w.post("m") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.DeleteUser(ctx, store.DeleteUser{User: w.user.ID, Now: soon, Trace: trace})
		}, store.Done, store.Unknown},
	}
}
