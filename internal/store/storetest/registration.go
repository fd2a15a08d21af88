package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

// registering is the intent of a client that registers itself, with a secret.
func registering(client string) store.RegisterClient {
	c := fullClient()
	c.ID, c.Source = client, store.SelfRegistered
	s := secret(client, client, t0)
	return store.RegisterClient{Client: c, Secret: &s, Most: 100, Now: t0 + 1, Trace: trace}
}

func (w *world) registerClient(in store.RegisterClient, want store.Outcome) {
	w.Helper()
	w.want("RegisterClient", want)(w.s.RegisterClient(w.ctx, in))
}

func (w *world) deleteClient(client string, now store.Time, want store.Outcome) {
	w.Helper()
	w.want("DeleteClient", want)(w.s.DeleteClient(w.ctx, store.DeleteClient{ClientID: client, Now: now, Trace: trace}))
}

// nothingWritten wants an act to leave everything as it is, also the audit of what
// is about no grant.
func (w *world) nothingWritten(act func()) { w.Helper(); w.unchangedBy(store.GrantID{}, act) }

// administered wants an act to write one event about a client, and no other that
// is about no grant.
func (w *world) administered(client string, at store.Time, act func()) {
	w.Helper()
	none := store.GrantID{}
	before := w.see(none)
	act()
	e := w.news(none, before, w.see(none), 1)[0]
	e.Reason = ""
	w.wantEvent(e, store.AuditEvent{At: at, Kind: store.AuditClient, ClientID: client, Trace: trace})
}

// crowd makes a user for each contender, so that their births do not wait for one
// another.
func (w *world) crowd() (users [contenders]store.UserID) {
	w.Helper()
	for n := range users {
		u := w.person(fmt.Sprint("of contender ", n))
		w.put(u)
		users[n] = u.ID
	}
	return users
}

// belongings are all that a client may have.
type belongings struct {
	client store.Client
	secret store.ClientSecret
	key    store.APIKey
	grants []store.GrantID
}

func (w *world) belongingsOf(client string) belongings {
	w.Helper()
	b := belongings{secret: secret(client, "s", t0), key: fullAPIKey()}
	w.putClient(client)
	w.putSecret(b.secret)
	b.key.ClientID, b.key.Hash = client, id32("key of "+client)
	w.must(w.s.PutAPIKey(w.ctx, b.key))
	c := w.agreement()
	c.ClientID = client
	b.grants = append(b.grants, w.agreed("born at "+client, c),
		w.redeemed("used at "+client, func(g *store.Grant) { g.ClientID = client }))
	profile := anonymous("at " + client)
	profile.Grant.ClientID = client
	w.redeemAnonymous(profile, store.Done)
	b.grants = append(b.grants, profile.Grant.ID)
	b.client, _, _ = w.s.Client(w.ctx, client)
	return b
}

var registrationRules = []rule{
	{name: "registration: a client, its secret, one audit event, and caches are told", check: func(w *world) {
		in := registering("app")
		w.administered("app", t0+1, func() {
			w.counted(func() { w.registerClient(in, store.Done) })
		})
		in.Client.Secrets = []store.ClientSecret{*in.Secret}
		got, found, err := w.s.Client(w.ctx, "app")
		if err != nil || !found {
			w.Fatalf("Client: found = %v, %v", found, err)
		}
		w.same("client", got, in.Client)
	}},
	{name: "registration: without a secret", check: func(w *world) {
		in := registering("app")
		in.Secret = nil
		w.registerClient(in, store.Done)
		w.wantSecrets("app")
	}},
	{name: "registration: an id that there is, is taken, and nothing changes", check: func(w *world) {
		w.putClient("app", func(c *store.Client) { c.Name, c.Face = "first", face })
		w.nothingWritten(func() { w.registerClient(registering("app"), store.Taken) })
		w.registerClient(registering("second"), store.Done)
		again := registering("second")
		again.Client.Name, again.Secret.Hash = "again", id32("another secret")
		w.nothingWritten(func() { w.registerClient(again, store.Taken) })
	}},
	{name: "registration: so many that registered themselves", check: func(w *world) {
		w.putClient("from a file")
		for _, source := range []string{"dev", "api"} {
			w.putClient(source, func(c *store.Client) { c.Source = source })
		}
		in := func(name string) store.RegisterClient {
			return with(registering(name), func(in *store.RegisterClient) { in.Most = 2 })
		}
		w.registerClient(in("a"), store.Done)
		w.registerClient(in("b"), store.Done)
		w.nothingWritten(func() { w.registerClient(in("c"), store.Refused) })
		w.nothingWritten(func() { w.registerClient(with(in("c"), func(in *store.RegisterClient) { in.Most = 0 }), store.Refused) })
		w.deleteClient("a", t0, store.Done)
		w.registerClient(in("c"), store.Done)
	}},
	{name: "registration: 20 of one id, one gets it, with its own secret", check: func(w *world) {
		w.race(rounds/10, func(int) {},
			func(s store.Store, i, n int, a *tally) error {
				in := registering(fmt.Sprint(i))
				in.Client.Name, in.Secret.Hash, in.Most = fmt.Sprint(n), id32(fmt.Sprint("secret ", n)), 1000
				out, err := s.RegisterClient(w.ctx, in)
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Taken: contenders - 1})
				c, _, err := w.s.Client(w.ctx, fmt.Sprint(i))
				w.must(err)
				if len(c.Secrets) != 1 || c.Secrets[0].Hash != id32("secret "+c.Name) {
					w.Errorf("round %d: the client of contender %s has the secrets %+v", i, c.Name, c.Secrets)
				}
			})
	}},
	{name: "registration: 20 share what is left", check: func(w *world) {
		w.race(5, func(int) {},
			func(s store.Store, i, n int, a *tally) error {
				in := registering(fmt.Sprint(i, " ", n))
				in.Most = 3 * (i + 1)
				out, err := s.RegisterClient(w.ctx, in)
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 3, store.Refused: contenders - 3})
			})
	}},
	{name: "client deleted: with all that is its own, and its grants end", check: func(w *world) {
		b, other := w.belongingsOf("app"), w.belongingsOf("other")
		all := append(b.grants, other.grants...)
		want := w.see(all...)
		w.administered("app", t0+5, func() {
			w.counted(func() { w.deleteClient("app", t0+5, store.Done) })
		})
		for _, id := range b.grants {
			g := want.Grants[id]
			g.RevokedAt, g.RevokedWhy = t0+5, store.WhyClientDeleted
			want.Grants[id] = g
			want.Audit[id] = append(want.Audit[id], store.AuditEvent{
				At: t0 + 5, Kind: store.AuditEnd, Grant: id, ClientID: "app", User: g.User, Reason: string(store.WhyClientDeleted), Trace: trace,
			})
		}
		want.ConfigVersion++
		want.Clients = []store.Client{other.client}
		c := w.agreement()
		c.ClientID = "other"
		want.Consents = []store.Consent{c}
		w.same("everything", w.see(all...), want)

		if _, found, err := w.s.Client(w.ctx, "app"); err != nil || found {
			w.Errorf("Client: found = %v, %v", found, err)
		}
		if _, found, err := w.s.APIKey(w.ctx, b.key.Hash); err != nil || found {
			w.Errorf("APIKey: found = %v, %v", found, err)
		}
		if k, _, err := w.s.APIKey(w.ctx, other.key.Hash); err != nil || k != other.key {
			w.Errorf("the other's API key = %+v, %v", k, err)
		}
		w.putClient("app")
		w.wantSecrets("app")
	}},
	{name: "client deleted: the grants of other users end, too, and those that had ended stay as they are", check: func(w *world) {
		w.putClient("app")
		ended := w.redeemed("ended")
		w.end(ended, t0, store.Done)
		before := w.see(ended)
		w.user = w.person("bob")
		w.put(w.user)
		bobs := w.agreed("of bob", w.agreement())
		w.deleteClient("app", t0+5, store.Done)
		after := w.see(ended, bobs)
		w.same("the grant that had ended", after.Grants[ended], before.Grants[ended])
		w.same("its audit", after.Audit[ended], before.Audit[ended])
		w.same("why", after.Grants[bobs].RevokedWhy, store.WhyClientDeleted)
		w.wantConsents(w.user.ID)
	}},
	{name: "client deleted: of 450 grants each is told once, under a name of its own", check: func(w *world) {
		w.putClient("app")
		type name struct{ node, sequence int64 }
		grants, told := make([]store.GrantID, 450), map[name]bool{}
		for i := range grants {
			grants[i] = w.born(fmt.Sprint(i))
		}
		w.deleteClient("app", t0+5, store.Done)
		for _, g := range grants {
			events := w.audit(g)
			for _, e := range events {
				told[name{e.Node, e.Sequence}] = true
			}
			if len(events) != 2 {
				w.Fatalf("events: %+v", events)
			}
			e := events[1]
			e.Node, e.Sequence = 0, 0
			w.same("the last event", e, store.AuditEvent{At: t0 + 5, Kind: store.AuditEnd, Grant: g, ClientID: "app",
				User: w.user.ID, Reason: string(store.WhyClientDeleted), Trace: trace})
		}
		w.same("names", len(told), 2*len(grants))
	}},
	{name: "client deleted: against births that hold it, none of their grants stays alive", check: func(w *world) {
		name := func(round int) string { return fmt.Sprint("client ", round) }
		users := w.crowd()
		w.race(rounds/2, func(i int) { w.registerClient(registering(name(i)), store.Done) },
			func(s store.Store, i, n int, a *tally) error {
				if n == contenders/2 {
					out, err := s.DeleteClient(w.ctx, store.DeleteClient{ClientID: name(i), Now: t0 + 1, Trace: trace})
					if err == nil && out != store.Done {
						err = fmt.Errorf("DeleteClient = %v", out)
					}
					return err
				}
				c := w.agreement()
				c.ClientID, c.User = name(i), users[n]
				out, err := s.Birth(w.ctx, with(w.held(fmt.Sprint(i, " ", n), c.ClientID), func(b *store.Birth) {
					b.Grant.User, b.Consent, b.Agreed = c.User, &c, true
				}))
				if err == nil && out != store.Done && out != store.Refused {
					err = fmt.Errorf("birth is %v", out)
				}
				return err
			},
			func(i int, _ *tally) {
				for n := range contenders {
					g, found, err := w.s.Grant(w.ctx, id("grant %d %d", i, n))
					if w.must(err); found {
						w.same("why a grant has ended", g.RevokedWhy, store.WhyClientDeleted)
					}
					w.wantConsents(users[n])
				}
			})
	}},
	{name: "client deleted: an unknown one, and nothing changes", check: func(w *world) {
		b := w.belongingsOf("app")
		before := w.see(b.grants...)
		w.nothingWritten(func() { w.deleteClient("APP", t0, store.Unknown) })
		w.same("everything", w.see(b.grants...), before)
		w.deleteClient("app", t0, store.Done)
		w.nothingWritten(func() { w.deleteClient("app", t0, store.Unknown) })
	}},
}
