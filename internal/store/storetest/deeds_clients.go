package storetest

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// signedInAtApp makes a session and a grant of it, and a client to be told of its
// end.
func signedInAtApp(w *world) {
	w.putClient("app")
	s := w.session("s")
	w.born("a", hangsOn(s), func(g *store.Grant) { g.Browser = s })
}

// clientDeeds are the intents around clients as they are put to the test of
// faults. What has spent an assertion is Reused when it is repeated, and what has
// spent a request is Spent.
var clientDeeds = func() []deed {
	nothing := func(*world) {}
	redeemedA := func(w *world) { w.redeemed("a") }
	return []deed{
		{"a birth of all that there is", func(w *world) {
			w.agreed("b", w.agreement())
			w.session("s")
			w.push(pushing("r"), store.Done)
		}, func(ctx context.Context, w *world) (store.Outcome, error) {
			c := w.agreement()
			c.Scope, c.GivenAt = "email openid profile", t0+5
			b := w.consenting("a", c, true)
			b.Session, b.Request = id("session s"), id("request r")
			return w.s.Birth(ctx, b)
		}, store.Done, store.Spent},
		{"a birth of a client that may go", func(w *world) { w.registerClient(registering("app"), store.Done) }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.Birth(ctx, w.held("a", "app"))
		}, store.Done, store.Taken},
		{"a birth that relies on a consent", func(w *world) { w.agreed("b", w.agreement()) }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.Birth(ctx, w.consenting("a", w.agreement(), false))
		}, store.Done, store.Taken},
		{"a consent withdrawn", func(w *world) { w.agreed("a", w.agreement()); w.redeemed("b") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.WithdrawConsent(ctx, store.WithdrawConsent{User: w.user.ID, ClientID: "app", Now: soon, Trace: trace})
		}, store.Done, store.Unknown},

		{"a request pushed with an assertion", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.PushRequest(ctx, with(pushing("r"), func(in *store.PushRequest) { in.Assertion = assertion("j") }))
		}, store.Done, store.Reused},
		{"an assertion", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.Spend(ctx, assertion("j"))
		}, store.Done, store.Spent},
		{"a redemption with an assertion", func(w *world) { w.born("a") },
			redeemDeed(with(redeem(id("grant a")), func(in *store.Redeem) { in.Assertion = assertion("j") })), store.Done, store.Reused},
		{"the replay of a code with an assertion", redeemedA,
			redeemDeed(with(redeem(id("grant a")), func(in *store.Redeem) { in.Assertion = assertion("j") })), store.Replayed, store.Reused},
		{"a refresh that writes nothing but its assertion", redeemedA,
			rotateDeed(with(refresh(id("grant a"), 0, t0), func(in *store.Rotate) { in.Assertion, in.Rotating = assertion("j"), false })), store.Done, store.Reused},

		{"a secret", func(w *world) { w.putClient("app") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return done(w.s.PutClientSecret(ctx, secret("app", "a", t0)))
		}, store.Done, store.Done},
		{"a registration of a client", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.RegisterClient(ctx, registering("app"))
		}, store.Done, store.Taken},
		{"a client deleted", func(w *world) {
			w.putClient("app")
			w.putSecret(secret("app", "a", t0))
			w.agreed("a", w.agreement())
			w.redeemed("b")
		}, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.DeleteClient(ctx, store.DeleteClient{ClientID: "app", Now: soon, Trace: trace})
		}, store.Done, store.Unknown},

		{"a notice's attempt", func(w *world) { signedInAtApp(w); w.endSession(id("session s"), t0) }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.AttemptNotice(ctx, store.AttemptNotice{Browser: id("session s"), ClientID: "app", NextAttemptAt: t0 + 60})
		}, store.Done, store.Taken},
	}
}()
