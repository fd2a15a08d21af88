package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

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

// tenant makes a tenant and its members, who are called after it and a number.
func (w *world) tenant(name string, members int) store.TenantID {
	w.Helper()
	t := store.Tenant{ID: id("tenant %s", name), Name: name, CreatedAt: t0}
	w.must(w.s.PutTenant(w.ctx, t))
	for i := range members {
		u := w.person(fmt.Sprint(name, " ", i))
		w.put(u)
		w.must(w.s.PutMembership(w.ctx, store.Membership{Tenant: t.ID, User: u.ID, Role: "admin", CreatedAt: t0}))
	}
	return t.ID
}

func (w *world) wantTenant(t store.TenantID, want bool) {
	w.Helper()
	if _, found, err := w.s.Tenant(w.ctx, t); err != nil || found != want {
		w.Errorf("Tenant: found = %v, %v; want %v", found, err, want)
	}
}

func (w *world) deletePerson(name string) {
	w.Helper()
	w.want("DeleteUser", store.Done)(w.s.DeleteUser(w.ctx, store.DeleteUser{User: w.person(name).ID, Now: t0, Trace: trace}))
}

func (w *world) register(in store.Register, want store.Registered) {
	w.Helper()
	out, err := w.s.Register(w.ctx, in)
	if err != nil || out != want {
		w.Fatalf("Register = %v, %v; want %v", out, err, want)
	}
}

var accountRules = []rule{
	{name: "register: 20 at once with one address, so many users come to be as there may be mails", check: func(w *world) {
		in := func(i, c int) store.Register {
			r := w.registration(fmt.Sprint(i, " ", c))
			r.User.Pending, r.Mail.Address = fmt.Sprint(i, "@example.com"), id32(fmt.Sprint(i))
			return r
		}
		w.race(rounds/5, func(int) {}, func(s store.Store, i, c int, a *tally) error {
			out, err := s.Register(w.ctx, in(i, c))
			a.add(out.Outcome, store.GrantState{}, false)
			return err
		}, func(i int, a *tally) {
			w.wantCounts(i, a, map[store.Outcome]int{store.Done: contenders}) // to tell nobody
			users := 0
			for c := range contenders {
				_, found, err := w.s.User(w.ctx, in(i, c).User.ID)
				w.must(err)
				if found {
					users++
				}
			}
			w.same(fmt.Sprintf("round %d: users", i), users, in(i, 0).PerHour)
		})
	}},
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
		w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant t"), Name: "T", CreatedAt: t0}))
		in := w.registration("bob")
		in.Invitation = id("tenant nobody")
		w.register(in, store.Registered{Outcome: store.Refused})
		if _, found, err := w.s.User(w.ctx, in.User.ID); err != nil || found || len(w.outbox()) != 0 {
			w.Errorf("found = %v, %v; outbox %v", found, err, w.outbox())
		}
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
	{name: "deletion: a tenant goes with its last member", check: func(w *world) {
		t := w.tenant("t", 2)
		w.deletePerson("t 0")
		w.wantTenant(t, true)
		w.deletePerson("t 1")
		w.wantTenant(t, false)
		late := w.registration("late")
		late.Invitation = t
		w.register(late, store.Registered{Outcome: store.Refused})
	}},
	{name: "deletion: 20 members at once, their tenant goes with the last", check: func(w *world) {
		w.race(rounds/10, func(i int) { w.tenant(fmt.Sprint(i), contenders) },
			func(s store.Store, i, n int, a *tally) error {
				out, err := s.DeleteUser(w.ctx, store.DeleteUser{User: w.person(fmt.Sprint(i, " ", n)).ID, Now: t0, Trace: trace})
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: contenders})
				w.wantTenant(id("tenant %d", i), false)
			})
	}},
	{name: "deletion: of the last member against those who join, who joins has a tenant", check: func(w *world) {
		w.race(rounds/10, func(i int) { w.tenant(fmt.Sprint(i), 1) },
			func(s store.Store, i, n int, a *tally) error {
				if n == contenders/2 {
					_, err := s.DeleteUser(w.ctx, store.DeleteUser{User: w.person(fmt.Sprint(i, " 0")).ID, Now: t0, Trace: trace})
					return err
				}
				in := w.registration(fmt.Sprint("new ", i, " ", n))
				in.Invitation = id("tenant %d", i)
				out, err := s.Register(w.ctx, in)
				a.add(out.Outcome, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				members, err := w.s.Members(w.ctx, id("tenant %d", i)) // of one that is gone there are none
				w.must(err)
				w.same(fmt.Sprintf("round %d: members", i), len(members), a.counts[store.Done])
				w.wantTenant(id("tenant %d", i), len(members) > 0)
			})
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
