package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// agreement is what the world's user lets the app have.
func (w *world) agreement() store.Consent {
	return store.Consent{
		User: w.user.ID, ClientID: "app", Scope: "email openid", Resources: "https://a.example/ https://b.example/",
		Claims: "address phone_number", GivenAt: t0 + 1,
	}
}

// consenting is a birth with a consent: one that is given just now, or one that
// was seen before.
func (w *world) consenting(name string, c store.Consent, agreed bool) store.Birth {
	return with(w.birth(name), func(b *store.Birth) { b.Grant.ClientID, b.Consent, b.Agreed = c.ClientID, &c, agreed })
}

// agreed makes a grant with its consent.
func (w *world) agreed(name string, c store.Consent) store.GrantID {
	w.Helper()
	return w.bear(w.consenting(name, c, true), store.Done)
}

func (w *world) wantConsents(user store.UserID, want ...store.Consent) {
	w.Helper()
	got, err := w.s.ConsentsOf(w.ctx, user)
	w.must(err)
	w.same("consents", got, want)
}

func (w *world) withdraw(client string, now store.Time, want store.Outcome) {
	w.Helper()
	in := store.WithdrawConsent{User: w.user.ID, ClientID: client, Now: now, Trace: trace}
	w.want("WithdrawConsent", want)(w.s.WithdrawConsent(w.ctx, in))
}

// changesOfConsent are what makes a consent another one than was seen.
var changesOfConsent = []struct {
	name   string
	change func(*store.Consent)
}{
	{"more scope", func(c *store.Consent) { c.Scope = "email openid profile" }},
	{"less scope", func(c *store.Consent) { c.Scope = "openid" }},
	{"no scope", func(c *store.Consent) { c.Scope = "" }},
	{"other resources", func(c *store.Consent) { c.Resources = "https://a.example/" }},
	{"no resources", func(c *store.Consent) { c.Resources = "" }},
	{"other claims", func(c *store.Consent) { c.Claims = "address" }},
	{"no claims", func(c *store.Consent) { c.Claims = "" }},
}

var consentRules = []rule{
	{name: "consent: given, it is there", check: func(w *world) {
		c := w.agreement()
		w.fields(c)
		if _, found, err := w.s.Consent(w.ctx, c.User, c.ClientID); err != nil || found {
			w.Fatalf("Consent, before: found = %v, %v", found, err)
		}
		w.agreed("a", c)
		got, found, err := w.s.Consent(w.ctx, c.User, c.ClientID)
		if err != nil || !found {
			w.Fatalf("Consent: found = %v, %v", found, err)
		}
		w.same("consent", got, c)
		for _, other := range []store.Consent{{User: id("nobody"), ClientID: c.ClientID}, {User: c.User, ClientID: "APP"}} {
			if _, found, err := w.s.Consent(w.ctx, other.User, other.ClientID); err != nil || found {
				w.Errorf("Consent of %x for %q: found = %v, %v", other.User, other.ClientID, found, err)
			}
		}
	}},
	{name: "consent: given again, the last one stands", check: func(w *world) {
		c := w.agreement()
		w.agreed("a", c)
		c.Scope, c.Resources, c.Claims, c.GivenAt = "openid", "", "name", t0+7
		w.agreed("b", c)
		w.wantConsents(w.user.ID, c)
	}},
	{name: "consent: odd strings", check: func(w *world) {
		for i, s := range odd {
			c := w.agreement()
			c.ClientID, c.Scope, c.Resources, c.Claims = s, oauth.Scope(s), oauth.Resources(s), s
			w.agreed(fmt.Sprint("a ", i), c)
			got, _, err := w.s.Consent(w.ctx, c.User, c.ClientID)
			w.must(err)
			w.same("consent", got, c)
			w.bear(w.consenting(fmt.Sprint("b ", i), c, false), store.Done)
		}
	}},
	{name: "consent: a user's by client id, byte by byte", check: func(w *world) {
		var want []store.Consent
		for _, client := range []string{"B", "a", "b", "z-1"} {
			c := w.agreement()
			c.ClientID = client
			want = append(want, c)
		}
		for i := range want {
			w.agreed(fmt.Sprint(i), want[len(want)-1-i])
		}
		ann := w.user
		w.user = w.person("bob")
		w.put(w.user)
		w.agreed("of bob", w.agreement())
		w.wantConsents(ann.ID, want...)
		w.wantConsents(w.user.ID, w.agreement())
	}},
	{name: "consent: none of a birth that comes to nothing", check: func(w *world) {
		g := w.agreed("a", w.agreement())
		other := w.agreement()
		other.Scope, other.GivenAt = "openid profile", t0+9
		b := w.consenting("b", other, true)
		w.unborn(with(b, func(b *store.Birth) { b.Grant.ID = g }), store.Taken)
		w.unborn(with(b, func(b *store.Birth) { b.CredentialVersion++ }), store.Refused)
		w.unborn(with(b, func(b *store.Birth) { b.Session = id("nobody") }), store.Refused)
		w.unborn(with(b, func(b *store.Birth) { b.Request = id("request nobody's") }), store.Spent)
	}},
	{name: "consent: seen before and still there, it stays as it is", check: func(w *world) {
		for name, c := range map[string]store.Consent{
			"full": w.agreement(), "empty": {User: w.user.ID, ClientID: "app", GivenAt: t0},
		} {
			w := w.sibling(name)
			w.agreed("a", c)
			w.bear(w.consenting("b", c, false), store.Done)
			w.wantConsents(w.user.ID, c)
		}
	}},
	{name: "consent: seen before and changed since, the birth is refused", check: func(w *world) {
		for _, tt := range changesOfConsent {
			w := w.within("%s", tt.name)
			c := w.agreement()
			seen := c
			tt.change(&c)
			w.agreed("a", c)
			w.refusedBirth(w.consenting("b", seen, false))
		}
	}},
	{name: "consent: none, withdrawn, another client's and another user's, the birth is refused", check: func(w *world) {
		ann, c := w.user, w.agreement()
		b := w.consenting("b", c, false)
		w.refusedBirth(b)

		w.agreed("a", c)
		w.withdraw("app", t0+1, store.Done)
		w.refusedBirth(b)

		c.ClientID = "other"
		w.agreed("at another", c)
		w.refusedBirth(b)

		w.user = w.person("bob")
		w.put(w.user)
		w.agreed("of bob", w.agreement())
		w.user = ann
		w.refusedBirth(b)
	}},
	{name: "consent: asked for by nobody, a birth needs and writes none", check: func(w *world) {
		w.born("a")
		w.wantConsents(w.user.ID)
	}},
	{name: "consent: withdrawn, the user's grants for the client end, and no others", check: func(w *world) {
		redeem := func(g store.GrantID) store.GrantID {
			w.redeem(redeem(g), store.Done)
			return g
		}
		used, free := redeem(w.agreed("used", w.agreement())), w.redeemed("free")
		born, ended := w.agreed("born", w.agreement()), w.redeemed("ended before")
		w.end(ended, t0+1, store.Done)
		elsewhere := w.agreement()
		elsewhere.ClientID = "other"
		other := redeem(w.agreed("at another", elsewhere))
		profile := anonymous("a")
		w.redeemAnonymous(profile, store.Done)
		ann := w.user
		w.user = w.person("bob")
		w.put(w.user)
		bobs := redeem(w.agreed("of bob", w.agreement()))
		bob := w.agreement()
		w.user = ann

		all := []store.GrantID{used, free, born, ended, other, profile.Grant.ID, bobs}
		want := w.see(all...)
		w.withdraw("app", t0+5, store.Done)
		for _, id := range []store.GrantID{used, free, born} {
			g := want.Grants[id]
			g.RevokedAt, g.RevokedWhy = t0+5, store.WhyConsent
			want.Grants[id] = g
			want.Audit[id] = append(want.Audit[id], store.AuditEvent{
				At: t0 + 5, Kind: store.AuditEnd, Grant: id, ClientID: "app", User: ann.ID, Reason: string(store.WhyConsent), Trace: trace,
			})
		}
		want.Consents = []store.Consent{elsewhere}
		w.same("everything", w.see(all...), want)
		w.wantConsents(w.person("bob").ID, bob)
		w.withdraw("app", t0+6, store.Unknown)
		w.same("everything, after it was withdrawn again", w.see(all...), want)
	}},
	{name: "consent: withdrawn where there is only a consent, or only a grant, or neither", check: func(w *world) {
		w.nothingWritten(func() { w.withdraw("app", t0, store.Unknown) })
		w.end(w.agreed("a", w.agreement()), t0, store.Done)
		told := func(events int, act func()) []store.AuditEvent {
			w.Helper()
			before := w.see(store.GrantID{})
			act()
			return w.news(store.GrantID{}, before, w.see(store.GrantID{}), events)
		}
		w.wantEvent(told(1, func() { w.withdraw("app", t0+7, store.Done) })[0],
			store.AuditEvent{At: t0 + 7, Kind: store.AuditConsent, ClientID: "app", User: w.user.ID, Trace: trace})
		g := w.redeemed("b")
		w.nothingWritten(func() { w.withdraw("other", t0, store.Unknown) })
		told(0, func() { w.withdraw("app", t0+1, store.Done) })
		w.same("why", w.state(g).RevokedWhy, store.WhyConsent)
	}},
	{name: "consent: erased with its user", check: func(w *world) {
		w.agreed("a", w.agreement())
		w.want("DeleteUser", store.Done)(w.s.DeleteUser(w.ctx, store.DeleteUser{User: w.user.ID, Now: t0 + 1, Trace: trace}))
		w.wantConsents(w.user.ID)
	}},
	{name: "consent: withdrawn against births that rely on it, none of their grants stays alive", check: func(w *world) {
		c := w.agreement()
		w.raceOfConsent(false, func(i int) { w.agreed(fmt.Sprint("first ", i), c) }, func(i, n int, g store.Grant) {
			w.Errorf("round %d: the grant of contender %d outlives its consent", i, n)
		})
	}},
	{name: "consent: withdrawn against births that give it, no grant stays alive without", check: func(w *world) {
		c := w.agreement()
		w.raceOfConsent(true, func(i int) { w.agreed(fmt.Sprint("first ", i), c) }, func(i, n int, g store.Grant) {
			if _, found, err := w.s.Consent(w.ctx, c.User, c.ClientID); err != nil || !found {
				w.Errorf("round %d: the grant of contender %d has no consent (%v)", i, n, err)
			}
		})
	}},
}

// raceOfConsent withdraws a consent among births and shows the grants that live.
func (w *world) raceOfConsent(agreed bool, prepare func(round int), alive func(round, contender int, g store.Grant)) {
	w.Helper()
	w.race(rounds/5, prepare,
		func(s store.Store, i, n int, _ *tally) error {
			if n == contenders/2 {
				out, err := s.WithdrawConsent(w.ctx, store.WithdrawConsent{User: w.user.ID, ClientID: "app", Now: t0 + 1, Trace: trace})
				if err == nil && out != store.Done {
					err = fmt.Errorf("WithdrawConsent = %v", out)
				}
				return err
			}
			out, err := s.Birth(w.ctx, w.consenting(fmt.Sprint(i, " ", n), w.agreement(), agreed))
			if err == nil && out != store.Done && (agreed || out != store.Refused) {
				err = fmt.Errorf("birth is %v", out)
			}
			return err
		},
		func(i int, _ *tally) {
			for n := range contenders {
				g, found, err := w.s.Grant(w.ctx, id("grant %d %d", i, n))
				w.must(err)
				if found && g.RevokedAt == 0 {
					alive(i, n, g)
				}
			}
		})
}
