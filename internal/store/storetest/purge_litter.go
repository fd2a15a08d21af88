package storetest

import (
	"fmt"
	"slices"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

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

// selfRegistered makes a client that has registered itself at a time.
func selfRegistered(at store.Time, change ...func(*store.Client)) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		in := registering(name)
		in.Client.CreatedAt = at
		for _, f := range change {
			f(&in.Client)
		}
		w.registerClient(in, store.Done)
	}
}

// withGrant makes one that had a user, and what became of it.
func withGrant(end func(*world, store.GrantID)) func(*world, string) {
	return func(w *world, name string) {
		w.Helper()
		selfRegistered(t0)(w, name)
		end(w, w.bear(w.held(name, name), store.Done))
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
	{store.TableClients, func(w *world, name string) bool {
		_, found, err := w.s.Client(w.ctx, name)
		w.must(err)
		return found
	}, []leftover{
		{"never used", selfRegistered(endedBefore), true},
		{"not used yet", selfRegistered(endedNow), false},
		{"of an operator", func(w *world, name string) {
			w.putClient(name, func(c *store.Client) { c.Source, c.CreatedAt = "api", t0 })
		}, false},
		{"may have tokens for itself", selfRegistered(t0, func(c *store.Client) {
			c.GrantTypes = append(c.GrantTypes, oauth.ClientCredentials)
		}), false},
		{"with a consent alone", func(w *world, name string) {
			selfRegistered(t0)(w, name)
			w.end(w.agreed(name, with(w.agreement(), func(c *store.Consent) { c.ClientID = name })), t0, store.Done)
			w.same("grants that are deleted", w.purged(store.TableGrants, 10), 1)
		}, false},
		{"with a user who registered with it", func(w *world, name string) {
			selfRegistered(t0)(w, name)
			w.put(with(w.person(name), func(u *store.User) { u.ClientID = name }))
		}, false},
		{"with a code", withGrant(func(*world, store.GrantID) {}), false},
		{"with a grant that is over", withGrant(func(w *world, g store.GrantID) { w.end(g, t0, store.Done) }), false},
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
