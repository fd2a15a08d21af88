package storetest

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// purgeDeed is done whatever it finds, since another may have been there before.
func purgeDeed(table store.Table) func(context.Context, *world) (store.Outcome, error) {
	return func(ctx context.Context, w *world) (store.Outcome, error) {
		_, err := w.s.Purge(ctx, purging(table, 10))
		return done(err)
	}
}

// keepDeeds are the intents of keeping as they are put to the test of faults.
var keepDeeds = []deed{
	{"a birth at the cap", func(w *world) { w.redeemed("b") }, func(ctx context.Context, w *world) (store.Outcome, error) {
		return w.s.Birth(ctx, w.capped("a", t0, 1))
	}, store.Done, store.Taken},
	{"a lease", func(*world) {}, func(ctx context.Context, w *world) (store.Outcome, error) {
		return w.s.Lease(ctx, lease("a", t0, t0+100))
	}, store.Done, store.Done},
	{"a purge of grants", func(w *world) { revokedAt(t0)(w, "a"); w.redeemed("b") }, purgeDeed(store.TableGrants), store.Done, store.Done},
	{"a purge of registrations", func(w *world) {
		registered(t0, func(*store.User) {})(w, "bob")
		w.user = w.registration("bob").User
		w.session("s")
	}, purgeDeed(store.TableRegistrations), store.Done, store.Done},
	{"a purge of clients", func(w *world) { w.registerClient(registering("app"), store.Done) }, purgeDeed(store.TableClients), store.Done, store.Done},
	{"a purge of the audit", func(w *world) { w.redeemed("a") }, purgeDeed(store.TableAudit), store.Done, store.Done},
	{"a signing key's retirement", func(w *world) {
		w.added(w.s.AddSigningKey(w.ctx, with(fullSigningKey(), func(k *store.SigningKey) { k.RetiredAt = 0 })))
	}, func(ctx context.Context, w *world) (store.Outcome, error) {
		return w.s.RetireSigningKey(ctx, fullSigningKey().ID, t0+2)
	}, store.Done, store.Done},
}
