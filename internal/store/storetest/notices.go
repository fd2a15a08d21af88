package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/store"
)

// never is later than any notice is due.
const never = t0 + 1e12

func (w *world) due(now store.Time) []store.Notice {
	w.Helper()
	n, err := w.s.DueNotices(w.ctx, now, 100)
	w.must(err)
	slices.SortFunc(n, func(a, b store.Notice) int {
		return cmp.Or(int(a.NextAttemptAt-b.NextAttemptAt), strings.Compare(a.ClientID, b.ClientID), slices.Compare(a.Browser[:], b.Browser[:]))
	})
	return n
}

func silent(c *store.Client) { c.BackchannelLogout = "" }

// visit makes a grant for a client that is born in a browser.
func (w *world) visit(client string, browser store.SessionID, change ...func(*store.Grant)) store.GrantID {
	w.Helper()
	return w.redeemed(fmt.Sprintf("at %s in %x", client, browser), append(change, func(g *store.Grant) {
		g.ClientID, g.Browser, g.Subject = client, browser, fmt.Sprintf("%x at %s", g.User, client)
	})...)
}

// notice is what comes of a visit when the session ends.
func (w *world) notice(client string, browser store.SessionID, at store.Time) store.Notice {
	return store.Notice{
		Browser: browser, ClientID: client, Subject: fmt.Sprintf("%x at %s", w.user.ID, client), CreatedAt: at, NextAttemptAt: at,
	}
}

// endings are the ways in which a user's session s ends, at endingAt.
var endings = []struct {
	name string
	end  func(w *world, s store.SessionID)
	all  bool // of the user's sessions end
}{
	{"the session is ended", func(w *world, s store.SessionID) { w.endSession(s, endingAt) }, false},
	{"another user signs in in the same browser", func(w *world, s store.SessionID) {
		in := w.opening("of bob")
		in.Session.User, in.Former, in.Now = w.person("bob").ID, s, endingAt
		w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, in))
	}, false},
	{"the password is changed", func(w *world, _ store.SessionID) {
		w.user.CredentialVersion++
		w.user.UpdatedAt = endingAt
		w.put(w.user)
	}, true},
	{"the user is disabled", func(w *world, _ store.SessionID) {
		w.user.DisabledAt, w.user.UpdatedAt = endingAt, endingAt
		w.put(w.user)
	}, true},
	{"the user is deleted", func(w *world, _ store.SessionID) {
		w.want("DeleteUser", store.Done)(w.s.DeleteUser(w.ctx, store.DeleteUser{User: w.user.ID, Now: endingAt, Trace: trace}))
	}, true},
	{"the password is reset by a link", func(w *world, _ store.SessionID) {
		l := w.link("l", store.PurposeReset)
		w.use(with(using(l, store.PurposeReset), func(in *store.UseLink) { in.Now = endingAt }), store.Done)
	}, true},
}

const endingAt = t0 + 999

func noticeRules() []rule {
	all := []rule{
		{name: "notice: one for the browser, however often the user has signed in in it", check: func(w *world) {
			w.putClient("app")
			first := w.session("first")
			w.visit("app", first, hangsOn(first))
			second := w.opening("second")
			second.Former, second.Now = first, t0+5
			w.want("OpenSession", store.Done)(w.s.OpenSession(w.ctx, second))
			w.redeemed("later", func(g *store.Grant) {
				g.Browser, g.Session, g.Subject = first, second.Session.ID, w.notice("app", first, 0).Subject
			})
			w.same("notices, while the session goes on", w.due(never), []store.Notice{})
			w.endSession(second.Session.ID, t0+9)
			w.same("notices", w.due(never), []store.Notice{w.notice("app", first, t0+9)})
		}},
		{name: "notice: none for what had ended already, told or not", check: func(w *world) {
			w.putClient("app")
			w.putClient("told")
			s := w.session("s")
			w.visit("app", s)
			w.visit("told", s)
			w.endSession(s, t0+1)
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: s, ClientID: "told", Now: t0 + 2}))
			want := []store.Notice{w.notice("app", s, t0+1)}
			w.want("EndSession, again", store.Revoked)(w.s.EndSession(w.ctx, store.EndSession{Session: s, Now: t0 + 3}))
			w.want("DeleteUser", store.Done)(w.s.DeleteUser(w.ctx, store.DeleteUser{User: w.user.ID, Now: t0 + 4, Trace: trace}))
			w.same("notices", w.due(never), want)
		}},
		{name: "notice: none where a grant ends and no session does", check: func(w *world) {
			for _, client := range []string{"app", "other", "third"} {
				w.putClient(client)
			}
			s := w.session("s")
			w.visit("app", s)
			w.end(w.visit("other", s), t0+1, store.Done)
			w.withdraw("app", t0+1, store.Done)
			w.visit("third", s)
			w.deleteClient("third", t0+1, store.Done)
			w.same("notices", w.due(never), []store.Notice{})
		}},
		{name: "notice: none to a client that was deleted before", check: func(w *world) {
			w.putClient("app")
			s := w.session("s")
			w.visit("app", s)
			w.deleteClient("app", t0+1, store.Done)
			w.endSession(s, t0+2)
			w.same("notices", w.due(never), []store.Notice{})
		}},
		{name: "notice: odd strings", check: func(w *world) {
			s := w.session("s")
			var want []store.Notice
			for i, o := range odd {
				if o == "" {
					continue
				}
				w.putClient(o)
				w.redeemed(fmt.Sprint(i), func(g *store.Grant) { g.ClientID, g.Subject, g.Browser = o, o, s })
				want = append(want, store.Notice{Browser: s, ClientID: o, Subject: o, CreatedAt: t0, NextAttemptAt: t0})
			}
			w.endSession(s, t0)
			slices.SortFunc(want, func(a, b store.Notice) int { return strings.Compare(a.ClientID, b.ClientID) })
			w.same("notices", w.due(t0), want)
		}},
		{name: "notice: births against the end of their session, each client of a grant is told", check: func(w *world) {
			for n := range contenders {
				w.putClient(fmt.Sprint(n))
			}
			told := 0
			w.race(rounds/5, func(i int) { w.session(fmt.Sprint(i)) },
				func(s store.Store, i, n int, _ *tally) error {
					session := store.SessionID(id("session %d", i))
					if n == contenders/2 {
						_, err := s.EndSession(w.ctx, store.EndSession{Session: session, Now: t0 + 1})
						return err
					}
					_, err := s.Birth(w.ctx, with(w.birth(fmt.Sprint(i, " ", n)), func(b *store.Birth) {
						b.Session, b.Grant.Browser, b.Grant.ClientID = session, session, fmt.Sprint(n)
					}))
					return err
				},
				func(i int, _ *tally) {
					notices, err := w.s.DueNotices(w.ctx, never, 100_000)
					w.must(err)
					has := map[string]bool{}
					for _, n := range notices {
						has[n.ClientID] = true
						told++
						// Told, so that the next round has the list to itself.
						w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: n.Browser, ClientID: n.ClientID, Now: t0 + 2}))
					}
					for n := range contenders {
						_, born, err := w.s.Grant(w.ctx, id("grant %d %d", i, n))
						w.must(err)
						if born != has[fmt.Sprint(n)] {
							w.Errorf("round %d, client %d: born %v, told %v", i, n, born, has[fmt.Sprint(n)])
						}
					}
				})
			if told == 0 {
				w.Errorf("no birth came before the end in any round")
			}
		}},
		{name: "notice: few of one client are due at once, and those that are due the longest", check: func(w *world) {
			w.putClient("dead")
			w.putClient("well")
			for n := range store.Time(6) {
				s := w.session(fmt.Sprint("dead ", n))
				w.visit("dead", s)
				w.endSession(s, t0+5-n) // the last one is due the longest
			}
			s := w.session("well")
			w.visit("well", s)
			w.endSession(s, t0+9)
			var got []string
			for _, n := range w.due(t0 + 10) {
				got = append(got, fmt.Sprint(n.ClientID, " ", n.NextAttemptAt-t0))
			}
			w.same("due", got, []string{"dead 0", "dead 1", "dead 2", "dead 3", "well 9"})
		}},
		{name: "notice: an attempt is one worker's", check: func(w *world) {
			w.putClient("app")
			var s store.SessionID
			w.race(rounds/10, func(i int) {
				s = w.session(fmt.Sprint(i))
				w.visit("app", s)
				w.endSession(s, t0)
			},
				func(handle store.Store, _, _ int, a *tally) error {
					out, err := handle.AttemptNotice(w.ctx, store.AttemptNotice{Browser: s, ClientID: "app", NextAttemptAt: t0 + 60})
					a.add(out, store.GrantState{}, false)
					return err
				},
				func(i int, a *tally) {
					w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
				})
		}},
		{name: "notice: due, leased, failed, due again, told", check: func(w *world) {
			w.putClient("app")
			s := w.session("s")
			w.visit("app", s)
			w.endSession(s, t0)
			n := w.notice("app", s, t0)
			want := func(now store.Time, ns ...store.Notice) { w.Helper(); w.same("due", w.due(now), ns) }
			attempt := func(seen int64, next store.Time, out store.Outcome) {
				w.Helper()
				w.want("AttemptNotice", out)(w.s.AttemptNotice(w.ctx, store.AttemptNotice{Browser: s, ClientID: "app", Attempts: seen, NextAttemptAt: next}))
			}
			finish := func(in store.FinishNotice) {
				w.Helper()
				in.Browser, in.ClientID = s, "app"
				w.must(w.s.FinishNotice(w.ctx, in))
			}
			want(t0 - 1)
			want(t0, n)
			attempt(1, t0+60, store.Taken)
			attempt(0, t0+60, store.Done)
			attempt(0, t0+60, store.Taken)
			n.Attempts, n.NextAttemptAt = 1, t0+60
			want(t0 + 59)
			want(t0+60, n)
			finish(store.FinishNotice{Error: "no", NextAttemptAt: t0 + 90, Now: t0 + 1})
			n.LastError, n.NextAttemptAt = "no", t0+90
			want(t0 + 89)
			want(t0+90, n)
			attempt(1, t0+150, store.Done)
			finish(store.FinishNotice{Now: t0 + 95})
			want(never)
			attempt(2, t0+200, store.Taken)
			want(never)
		}},
		{name: "notice: told stays told, whatever a slow worker says", check: func(w *world) {
			w.putClient("app")
			s := w.session("s")
			w.visit("app", s)
			w.endSession(s, t0)
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: s, ClientID: "app", Now: t0 + 1}))
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: s, ClientID: "app", Error: "no", NextAttemptAt: t0 + 9, Now: t0 + 2}))
			w.same("due", w.due(never), []store.Notice{})
		}},
		{name: "notice: given up is not due, and cannot be tried", check: func(w *world) {
			w.putClient("app")
			s := w.session("s")
			w.visit("app", s)
			w.endSession(s, t0)
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: s, ClientID: "app", Error: "no", Now: t0}))
			w.same("due", w.due(never), []store.Notice{})
			w.want("AttemptNotice", store.Taken)(w.s.AttemptNotice(w.ctx, store.AttemptNotice{Browser: s, ClientID: "app", NextAttemptAt: t0 + 60}))
		}},
		{name: "notice: an attempt and its end are one client's in one browser", check: func(w *world) {
			w.putClient("app")
			w.putClient("other")
			s, elsewhere := w.session("s"), w.session("elsewhere")
			for _, visit := range []store.Notice{{Browser: s, ClientID: "app"}, {Browser: s, ClientID: "other"}, {Browser: elsewhere, ClientID: "app"}} {
				w.visit(visit.ClientID, visit.Browser)
			}
			w.endSession(s, t0)
			w.endSession(elsewhere, t0)
			w.want("AttemptNotice", store.Done)(w.s.AttemptNotice(w.ctx, store.AttemptNotice{Browser: s, ClientID: "app", NextAttemptAt: t0 + 60}))
			w.must(w.s.FinishNotice(w.ctx, store.FinishNotice{Browser: s, ClientID: "app", Now: t0}))
			w.want("AttemptNotice of nobody", store.Taken)(w.s.AttemptNotice(w.ctx, store.AttemptNotice{Browser: s, ClientID: "nobody", NextAttemptAt: t0 + 60}))
			w.same("due", w.due(t0), []store.Notice{w.notice("app", elsewhere, t0), w.notice("other", s, t0)})
		}},
		{name: "notice: the longest due first, so many as are asked for", check: func(w *world) {
			w.putClient("app")
			order := []string{"c", "a", "d", "b"}
			for i, name := range order {
				s := w.session(name)
				w.visit("app", s)
				w.endSession(s, t0+store.Time(i))
			}
			first := id("session c")
			w.want("AttemptNotice", store.Done)(w.s.AttemptNotice(w.ctx, store.AttemptNotice{Browser: first, ClientID: "app", NextAttemptAt: t0 + 9}))
			order = append(order[1:], "c")
			for limit := range 6 {
				got, err := w.s.DueNotices(w.ctx, t0+9, limit)
				w.must(err)
				var browsers, want []store.SessionID
				for _, n := range got {
					browsers = append(browsers, n.Browser)
				}
				for _, name := range order[:min(limit, len(order))] {
					want = append(want, id("session %s", name))
				}
				w.same(fmt.Sprint("the first ", limit), browsers, want)
			}
		}},
	}
	for _, e := range endings {
		all = append(all, rule{name: "notice: one for each browser and client, when " + e.name, check: func(w *world) {
			w.putClient("app")
			w.putClient("other")
			w.putClient("silent", silent)
			s, elsewhere := w.session("s"), w.session("elsewhere")
			w.visit("app", s, hangsOn(s))
			w.redeemed("again", func(g *store.Grant) { g.Browser, g.Subject = s, w.notice("app", s, 0).Subject })
			w.visit("other", s)
			w.visit("silent", s, hangsOn(s))
			w.visit("unregistered", s)
			w.visit("app", elsewhere, hangsOn(elsewhere))
			w.redeemed("in no browser", func(g *store.Grant) { g.ClientID = "other" })
			ann := w.user
			w.user = w.person("bob")
			w.put(w.user)
			bobs := w.session("bob's")
			w.visit("app", bobs, hangsOn(bobs))
			w.user = ann

			e.end(w, s)
			want := []store.Notice{w.notice("app", s, endingAt), w.notice("other", s, endingAt)}
			if e.all {
				want = append(want, w.notice("app", elsewhere, endingAt))
			}
			slices.SortFunc(want, func(a, b store.Notice) int {
				return cmp.Or(strings.Compare(a.ClientID, b.ClientID), slices.Compare(a.Browser[:], b.Browser[:]))
			})
			w.same("notices before", w.due(endingAt-1), []store.Notice{})
			w.same("notices", w.due(endingAt), want)
		}})
	}
	return all
}
