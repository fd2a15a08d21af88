package storetest

import "github.com/tallystick/tallystick/internal/store"

var userRules = []rule{
	{name: "user: found by id and by each identifier, and by nothing else", check: func(w *world) {
		bob := w.person("bob")
		w.put(bob)
		u, found, err := w.s.User(w.ctx, bob.ID)
		if err != nil || !found {
			w.Fatalf("User: found = %v, %v", found, err)
		}
		w.same("user", u, bob)
		for _, i := range bob.Identifiers {
			u, found, err := w.s.UserByIdentifier(w.ctx, i.Value)
			if err != nil || !found {
				w.Fatalf("UserByIdentifier(%q): found = %v, %v", i.Value, found, err)
			}
			w.same("user", u, bob)
		}
		for _, value := range []string{"", "BOB", "bo", "bob_", "%", "email"} {
			if _, found, err := w.s.UserByIdentifier(w.ctx, value); err != nil || found {
				w.Errorf("UserByIdentifier(%q): found = %v, %v; want none", value, found, err)
			}
		}
		if _, found, err := w.s.User(w.ctx, id("nobody")); err != nil || found {
			w.Errorf("User: found = %v, %v; want none", found, err)
		}
	}},
	{name: "user: replaced but for the times of birth and sign-in", check: func(w *world) {
		b := w.birth("a")
		b.Now = t0 + 7
		out, err := w.s.Birth(w.ctx, b)
		if err != nil || out != store.Done {
			w.Fatalf("Birth = %v, %v", out, err)
		}
		changed := store.User{
			ID: w.user.ID, Identifiers: []store.Identifier{{Kind: "email", Value: "new@example.com"}},
			Claims: []byte(`{}`), Email: "New@example.com", PasswordHash: "", CredentialVersion: 9,
			CreatedAt: t0 + 50, UpdatedAt: t0 + 60, LastSignInAt: t0 + 70,
		}
		w.put(changed)
		changed.CreatedAt, changed.LastSignInAt = t0, t0+7
		u, _, err := w.s.User(w.ctx, w.user.ID)
		w.must(err)
		w.same("user", u, changed)
	}},
	{name: "user: an identifier that was given up is free", check: func(w *world) {
		w.user.Identifiers = w.user.Identifiers[:1]
		w.put(w.user)
		bob := w.person("bob")
		bob.Identifiers[1].Value = "ann"
		w.put(bob)
		u, _, err := w.s.UserByIdentifier(w.ctx, "ann")
		w.must(err)
		w.same("user", u.ID, bob.ID)
	}},
	{name: "user: an identifier of somebody else is taken", check: func(w *world) {
		w.taken(func(u *store.User) { u.Identifiers[1].Value = "ann" })
	}},
	{name: "user: an e-mail address that is somebody's user name is taken", check: func(w *world) {
		w.user.Identifiers = append(w.user.Identifiers, store.Identifier{Kind: "username", Value: "ann@example.org"})
		w.put(w.user)
		w.taken(func(u *store.User) { u.Identifiers[0].Value = "ann@example.org" })
	}},
	{name: "user: disabled, all of its grants and no others end", check: func(w *world) {
		w.endsGrants(func(u *store.User) { u.DisabledAt = u.UpdatedAt }, store.WhyUserDisabled)
	}},
	{name: "user: a new credential ends all of the user's grants and no others", check: func(w *world) {
		w.endsGrants(func(u *store.User) { u.CredentialVersion++ }, store.WhyCredential)
	}},
	{name: "user: any other change ends no grant", check: func(w *world) {
		g, h := w.born("a"), w.redeemed("b")
		before := w.see(g, h)
		w.user.Email, w.user.Identifiers, w.user.UpdatedAt = "x@example.com", nil, t0+9
		w.user.Claims, w.user.EmailVerified = []byte(`{"a":1}`), false
		w.put(w.user)
		after := w.see(g, h)
		w.same("grants", after.Grants, before.Grants)
		w.same("audit", after.Audit, before.Audit)
		w.rotate(refresh(h, 0, t0+10), store.Done)
	}},
	{name: "user: enabled again, old grants stay ended and new ones are born", check: func(w *world) {
		g := w.redeemed("a")
		w.user.DisabledAt, w.user.UpdatedAt = t0+1, t0+1
		w.put(w.user)
		w.user.DisabledAt, w.user.UpdatedAt = 0, t0+2
		w.put(w.user)
		w.rotate(refresh(g, 0, t0+3), store.Revoked)
		w.redeemed("b")
	}},
	{name: "membership: oldest first, replaced, and named by the tenant", check: func(w *world) {
		tenants := []store.Tenant{
			{ID: id("tenant z"), Name: "Zoë's", CreatedAt: t0}, {ID: id("tenant a"), Name: "A", CreatedAt: t0 + 1},
		}
		var want []store.Membership
		for i, t := range tenants {
			w.must(w.s.PutTenant(w.ctx, t))
			m := store.Membership{Tenant: t.ID, TenantName: t.Name, User: w.user.ID, Role: "member", CreatedAt: t0 + 10 - store.Time(i)}
			w.must(w.s.PutMembership(w.ctx, m))
			want = append([]store.Membership{m}, want...)
		}
		w.memberships(want)
		want[1].Role, want[0].TenantName = "admin", "B"
		w.must(w.s.PutMembership(w.ctx, want[1]))
		w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: want[0].Tenant, Name: "B", CreatedAt: t0 + 1}))
		w.memberships(want)
		w.user = w.person("bob")
		w.memberships(nil)
	}},
}

func (w *world) memberships(want []store.Membership) {
	w.Helper()
	got, err := w.s.Memberships(w.ctx, w.user.ID)
	w.must(err)
	w.same("memberships", got, want)
}

// taken wants a user who claims another's identifier to change nothing: neither
// by being born nor, once he is there, by any other part of the same intent.
func (w *world) taken(claim func(*store.User)) {
	w.Helper()
	bob := w.person("bob")
	claim(&bob)
	refused := func() {
		w.Helper()
		if out, err := w.s.PutUser(w.ctx, bob); err != nil || out != store.Taken {
			w.Fatalf("PutUser = %v, %v; want taken", out, err)
		}
	}
	refused()
	if _, found, err := w.s.User(w.ctx, bob.ID); err != nil || found {
		w.Errorf("User: found = %v, %v; want none", found, err)
	}
	ann := w.user
	w.user = w.person("bob")
	w.put(w.user)
	g := w.redeemed("a")
	before := w.see(g)
	bob.DisabledAt, bob.CredentialVersion, bob.Email, bob.UpdatedAt = t0+1, 2, "other@example.com", t0+1
	refused()
	w.same("everything", w.see(g), before)
	for _, i := range ann.Identifiers {
		u, _, err := w.s.UserByIdentifier(w.ctx, i.Value)
		w.must(err)
		w.same("owner of "+i.Value, u.ID, ann.ID)
	}
}

// endsGrants wants a change of the user to end its grants, and only those.
func (w *world) endsGrants(change func(*store.User), why store.Why) {
	w.Helper()
	born, used := w.born("born"), w.redeemed("used")
	ended := w.redeemed("ended before")
	w.end(ended, t0+1, store.Done)
	profile := anonymous("a")
	w.redeemAnonymous(profile, store.Done)
	ann := w.user
	w.user = w.person("bob")
	w.put(w.user)
	bobs := w.redeemed("of bob")
	w.user = ann

	all := []store.GrantID{born, used, ended, profile.Grant.ID, bobs}
	before := w.see(all...)
	w.user.UpdatedAt = t0 + 77
	change(&w.user)
	w.put(w.user)
	after := w.see(all...)

	want := before
	for _, id := range []store.GrantID{born, used} {
		g := want.Grants[id]
		g.RevokedAt, g.RevokedWhy = t0+77, why
		want.Grants[id] = g
		want.Audit[id] = append(want.Audit[id], store.AuditEvent{
			At: t0 + 77, Kind: store.AuditEnd, Grant: id, ClientID: g.ClientID, User: g.User, Reason: string(why),
		})
	}
	want.User = after.User
	w.same("grants and audit", after, want)
	w.redeem(redeem(born), store.Revoked)
	w.rotate(refresh(used, 0, t0+78), store.Revoked)
	w.rotate(refresh(bobs, 0, t0+78), store.Done)
	w.rotate(refresh(profile.Grant.ID, 0, t0+78), store.Done)
}

var issuerRules = []rule{
	{name: "issuer: what happens in one does not show in another with the same ids", check: func(w *world) {
		a, b := w.sibling("a"), w.sibling("b")
		var all []store.GrantID
		for _, w := range []*world{a, b} {
			all = []store.GrantID{w.born("code"), w.redeemed("refresh"), w.redeemed("end"), w.born("ahead"), w.redeemed("replay")}
			in := anonymous("a")
			w.redeemAnonymous(in, store.Done)
			all = append(all, in.Grant.ID)
			w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant"), Name: "T", CreatedAt: t0}))
			w.must(w.s.PutMembership(w.ctx, store.Membership{Tenant: id("tenant"), User: w.user.ID, Role: "member", CreatedAt: t0}))
			w.must(w.s.PutClient(w.ctx, fullClient()))
			w.must(w.s.PutAPIKey(w.ctx, fullAPIKey()))
			w.added(w.s.AddMACKey(w.ctx, fullMACKey()))
			w.added(w.s.AddSigningKey(w.ctx, fullSigningKey()))
		}
		before := b.see(all...)

		a.redeem(redeem(id("grant code")), store.Done)
		a.rotate(refresh(id("grant refresh"), 0, t0+second), store.Done)
		a.rotate(refresh(id("grant ahead"), 3, t0+second), store.Ahead)
		idle := refresh(id("grant refresh"), 1, t0+900*second)
		idle.Rotating = false
		a.rotate(idle, store.Done)
		a.redeem(redeem(id("grant replay")), store.Replayed)
		a.end(id("grant end"), t0+1, store.Done)
		a.born("only here")
		client, tenant := fullClient(), store.Tenant{ID: id("tenant"), Name: "U", CreatedAt: t0}
		client.Name = "another"
		a.must(a.s.PutClient(a.ctx, client))
		a.must(a.s.PutTenant(a.ctx, tenant))
		a.must(a.s.PutMembership(a.ctx, store.Membership{Tenant: tenant.ID, User: a.user.ID, Role: "admin", CreatedAt: t0}))
		a.user.DisabledAt, a.user.CredentialVersion, a.user.Email = t0+5, 2, "x@example.com"
		a.user.Identifiers[0].Value = "x@example.com"
		a.put(a.user)

		b.same("everything of the other issuer", b.see(all...), before)
		b.wantNone(id("grant only here"))
		u, found, err := b.s.UserByIdentifier(b.ctx, "ann@example.com")
		if err != nil || !found || u.ID != b.user.ID {
			b.Errorf("UserByIdentifier: found = %v, %v", found, err)
		}
	}},
	{name: "issuer: nothing of one is found in another", check: func(w *world) {
		a, b := w.sibling("a"), w.sibling("b")
		if a.s.Issuer() == b.s.Issuer() || a.s.Issuer() == (store.IssuerID{}) {
			w.Fatalf("the ids of the issuers are %x and %x", a.s.Issuer(), b.s.Issuer())
		}
		g := a.redeemed("a")
		client, key := fullClient(), fullAPIKey()
		a.must(a.s.PutClient(a.ctx, client))
		a.must(a.s.PutAPIKey(a.ctx, key))
		bob := a.person("bob")
		a.put(bob)

		b.wantNone(g)
		b.redeem(redeem(g), store.Unknown)
		b.rotate(refresh(g, 0, t0), store.Unknown)
		b.end(g, t0, store.Unknown)
		if _, found, err := b.s.Client(b.ctx, client.ID); err != nil || found {
			b.Errorf("Client: found = %v, %v", found, err)
		}
		if _, found, err := b.s.APIKey(b.ctx, key.Hash); err != nil || found {
			b.Errorf("APIKey: found = %v, %v", found, err)
		}
		if _, found, err := b.s.User(b.ctx, bob.ID); err != nil || found {
			b.Errorf("User: found = %v, %v", found, err)
		}
		if _, found, err := b.s.UserByIdentifier(b.ctx, "bob"); err != nil || found {
			b.Errorf("UserByIdentifier: found = %v, %v", found, err)
		}
		// The same name is somebody else here.
		carol := b.person("carol")
		carol.Identifiers = bob.Identifiers
		b.put(carol)
		for w, want := range map[*world]store.UserID{a: bob.ID, b: carol.ID} {
			u, _, err := w.s.UserByIdentifier(w.ctx, "bob")
			w.must(err)
			w.same("bob", u.ID, want)
		}
		birth := b.birth("of bob")
		birth.Grant.User = bob.ID
		b.refusedBirth(birth)
	}},
	{name: "issuer: two handles are one issuer", check: func(w *world) {
		g := w.redeemed("a")
		other := w.d.Store(w.name)
		if other.Issuer() != w.s.Issuer() {
			w.Fatalf("the ids are %x and %x", other.Issuer(), w.s.Issuer())
		}
		out, err := other.EndGrant(w.ctx, store.End{Grant: g, Why: store.WhyRevoked, Now: t0, Trace: trace})
		if err != nil || out != store.Done {
			w.Fatalf("EndGrant = %v, %v", out, err)
		}
		w.rotate(refresh(g, 0, t0), store.Revoked)
	}},
}

func (w *world) added(out store.Outcome, err error) {
	w.Helper()
	if err != nil || out != store.Done {
		w.Fatalf("added = %v, %v; want done", out, err)
	}
}
