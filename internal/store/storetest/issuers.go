package storetest

import "github.com/tallystick/tallystick/internal/store"

// furnish gives an issuer one of everything around clients.
func (w *world) furnish() []store.GrantID {
	w.Helper()
	b := w.belongingsOf("app")
	w.registerClient(registering("registered"), store.Done)
	s := w.session("s")
	w.push(pushing("r"), store.Done)
	w.want("Spend", store.Done)(w.s.Spend(w.ctx, assertion("j")))
	told := w.visit("app", w.session("told"))
	w.endSession(id("session told"), t0)
	return append(b.grants, w.visit("app", s), told, store.GrantID{})
}

var issuerClientRules = []rule{
	{name: "issuer: what becomes of clients, consents and sessions in one does not show in another", check: func(w *world) {
		a, b := w.sibling("a"), w.sibling("b")
		a.furnish()
		all := b.furnish()
		all = append(all, id("grant begun"))
		before := b.see(all...)

		notice := b.due(never)[0]
		a.want("AttemptNotice", store.Done)(a.s.AttemptNotice(a.ctx, store.AttemptNotice{Browser: notice.Browser, ClientID: notice.ClientID, NextAttemptAt: t0 + 60}))
		a.must(a.s.FinishNotice(a.ctx, store.FinishNotice{Browser: notice.Browser, ClientID: notice.ClientID, Error: "no", NextAttemptAt: t0 + 99}))
		a.must(a.s.FinishNotice(a.ctx, store.FinishNotice{Browser: notice.Browser, ClientID: notice.ClientID, Now: t0}))
		changed := a.agreement()
		changed.Scope = "openid"
		begun := a.consenting("begun", changed, true)
		begun.Request, begun.Session = id("request r"), id("session s")
		a.bear(begun, store.Done)
		a.putSecret(with(secret("app", "s", t0), func(s *store.ClientSecret) { s.ExpiresAt = 0 }))
		a.must(a.s.DeleteClientSecret(a.ctx, "registered", registering("registered").Secret.Hash))
		a.withdraw("app", t0+1, store.Done)
		a.deleteClient("app", t0+2, store.Done)
		a.endSession(id("session s"), t0+3)
		a.want("DeleteUser", store.Done)(a.s.DeleteUser(a.ctx, store.DeleteUser{User: a.user.ID, Now: t0 + 4, Trace: trace}))

		b.same("everything of the other issuer", b.see(all...), before)
		if _, found, err := b.s.APIKey(b.ctx, id32("key of app")); err != nil || !found {
			b.Errorf("APIKey: found = %v, %v", found, err)
		}
	}},
	{name: "issuer: nothing around clients of one is found in another", check: func(w *world) {
		a, b := w.sibling("a"), w.sibling("b")
		a.furnish()
		b.same("consents", b.see().Consents, []store.Consent{})
		b.same("notices", b.due(never), []store.Notice{})
		b.wantNoRequest(id("request r"))
		if _, found, err := b.s.Consent(b.ctx, b.user.ID, "app"); err != nil || found {
			b.Errorf("Consent: found = %v, %v", found, err)
		}
		if b.spent("j") {
			b.Errorf("the other's assertion is spent")
		}
		grants, err := b.s.GrantsOf(b.ctx, b.user.ID, t0)
		b.must(err)
		sessions, err := b.s.SessionsOf(b.ctx, b.user.ID, t0)
		b.must(err)
		b.same("grants", len(grants), 0)
		b.same("sessions", len(sessions), 0)

		b.refusedBirth(b.consenting("a", b.agreement(), false))
		b.refusedBirth(with(b.birth("a"), func(b *store.Birth) { b.Session = id("session s") }))
		b.unborn(b.begunWith(id("request r"), "a"), store.Spent)
		b.withdraw("app", t0, store.Unknown)
		b.deleteClient("app", t0, store.Unknown)
		b.want("AttemptNotice", store.Taken)(b.s.AttemptNotice(b.ctx, store.AttemptNotice{Browser: id("session told"), ClientID: "app", NextAttemptAt: t0 + 60}))
		// Here the client is another one, without a secret and without a URI to be
		// told at; and of those that registered themselves there is none.
		b.registerClient(with(registering("app"), func(in *store.RegisterClient) {
			in.Most, in.Secret, in.Client.BackchannelLogout = 1, nil, ""
		}), store.Done)
		b.wantSecrets("app")
		s := b.session("s")
		b.visit("app", s)
		b.endSession(s, t0)
		b.same("notices of a client that is told elsewhere", b.due(never), []store.Notice{})
		b.push(with(pushing("r"), func(in *store.PushRequest) { in.PerClient = 1 }), store.Done)
	}},
}
