package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

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
	{name: "outbox: 20 ask at once for a mail to one address, so many are Done as there may be", check: func(w *world) {
		w.race(rounds/5, func(int) {}, func(s store.Store, i, c int, a *tally) error {
			m := w.letter(fmt.Sprint(i, " ", c))
			m.Address = id32(fmt.Sprint("address ", i))
			out, err := s.RequestMail(w.ctx, store.RequestMail{Mail: m, PerHour: 5, Now: t0})
			a.add(out, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			w.wantCounts(i, a, map[store.Outcome]int{store.Done: 5, store.Refused: contenders - 5})
		})
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
	{name: "outbox: sent stays sent, whatever a slow worker says", check: func(w *world) {
		m := w.post("m")
		w.must(w.s.FinishMail(w.ctx, store.FinishMail{Mail: m, Now: t0 + 1}))
		w.must(w.s.FinishMail(w.ctx, store.FinishMail{Mail: m, Error: "no", NextAttemptAt: t0 + 9, Now: t0 + 2}))
		if d, err := w.s.DueMails(w.ctx, t0+1e9, 10); err != nil || len(d) != 0 {
			w.Errorf("due: %v, %v", d, err)
		}
	}},
	{name: "outbox: given up is not due", check: func(w *world) {
		m := w.post("m")
		w.must(w.s.FinishMail(w.ctx, store.FinishMail{Mail: m, Error: "no", Now: t0}))
		if d, err := w.s.DueMails(w.ctx, t0+1e9, 10); err != nil || len(d) != 0 {
			w.Errorf("due: %v, %v", d, err)
		}
	}},
}
