package storetest

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// deed is an intent that is put to the test of faults. Its world is always the
// same, to the last id, so that what it leaves can be compared.
type deed struct {
	name  string
	setUp func(*world)
	do    func(context.Context, *world) (store.Outcome, error)
	// first is its outcome, again that of the same once more. An intent of
	// unknown fate is repeated, so again must harm nobody.
	first, again store.Outcome
}

// seen are the grants of the deeds; the zero one has the audit of what is about
// no grant.
var seen = []store.GrantID{{}, id("grant a"), id("grant b"), id("anonymous a")}

func (w *world) seeAll() snapshot {
	w.Helper()
	s := w.see(seen...)
	s.Spent, s.Leased = w.spent("j"), w.leased()
	return s
}

func rotateDeed(in store.Rotate) func(context.Context, *world) (store.Outcome, error) {
	return func(ctx context.Context, w *world) (store.Outcome, error) {
		out, err := w.s.RotateRefresh(ctx, in)
		return out.Outcome, err
	}
}

func redeemDeed(in store.Redeem) func(context.Context, *world) (store.Outcome, error) {
	return func(ctx context.Context, w *world) (store.Outcome, error) {
		out, err := w.s.RedeemCode(ctx, in)
		return out.Outcome, err
	}
}

// done is the outcome of what has none but an error.
func done(err error) (store.Outcome, error) {
	if err != nil {
		return 0, err
	}
	return store.Done, nil
}

// with changes an intent.
func with[T any](in T, change func(*T)) T {
	change(&in)
	return in
}

var deeds = func() []deed {
	a := id("grant a")
	bornA := func(w *world) { w.born("a") }
	redeemedA := func(w *world) { w.redeemed("a") }
	rotatedA := func(w *world) { w.rotatedTwice() }
	nothing := func(*world) {}
	return append(peopleDeeds(), []deed{
		{"a birth", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.Birth(ctx, w.birth("a"))
		}, store.Done, store.Taken},
		{"a redemption", bornA, redeemDeed(with(redeem(a), func(in *store.Redeem) { in.EndOnReplay, in.Report = false, true })),
			store.Done, store.Replayed},
		{"the replay of a code", redeemedA, redeemDeed(redeem(a)), store.Replayed, store.Revoked},
		{"an anonymous redemption", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			in := anonymous("a")
			in.EndOnReplay = false
			out, err := w.s.RedeemAnonymous(ctx, in)
			return out.Outcome, err
		}, store.Done, store.Replayed},
		{"a rotation", rotatedA, rotateDeed(refresh(a, 2, soon)), store.Done, store.Retried},
		{"a rotation for a retired key", rotatedA,
			rotateDeed(with(refresh(a, 2, soon), func(in *store.Rotate) { in.ActiveKey, in.Rotating = 2, false })), store.Done, store.Retried},
		{"an extension", rotatedA,
			rotateDeed(with(refresh(a, 2, rotatedAt+sixteenth+1), func(in *store.Rotate) { in.Rotating = false })), store.Done, store.Done},
		{"a retry that extends", rotatedA,
			rotateDeed(with(refresh(a, 1, rotatedAt+sixteenth+1), func(in *store.Rotate) { in.UntilUsed = true })), store.Retried, store.Retried},
		{"a refresh that writes nothing", rotatedA,
			rotateDeed(with(refresh(a, 2, soon), func(in *store.Rotate) { in.Rotating = false })), store.Done, store.Done},
		{"a token ahead", rotatedA, rotateDeed(refresh(a, 9, soon)), store.Ahead, store.Retried},
		{"the replay of a refresh token", rotatedA, rotateDeed(refresh(a, 0, soon)), store.Replayed, store.Revoked},
		{"a replay that is reported", rotatedA,
			rotateDeed(with(refresh(a, 0, soon), func(in *store.Rotate) { in.EndOnReplay, in.Report = false, true })), store.Replayed, store.Replayed},
		{"the end of a grant", redeemedA, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.EndGrant(ctx, store.End{Grant: a, Why: store.WhyRevoked, Now: soon, Trace: trace})
		}, store.Done, store.Revoked},
		{"a new user", func(w *world) { w.user = w.person("bob") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.PutUser(ctx, w.user)
		}, store.Done, store.Done},
		{"a user disabled", func(w *world) { w.born("a"); w.redeemed("b") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			u := w.person("ann")
			u.DisabledAt, u.UpdatedAt, u.CredentialVersion, u.Email = soon, soon, 2, "new@example.com"
			u.Identifiers = []store.Identifier{{Kind: "email", Value: "new@example.com"}}
			return w.s.PutUser(ctx, u)
		}, store.Done, store.Done},
		{"a name that is taken", func(w *world) { w.put(w.person("bob")); w.born("a") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			u := w.person("ann")
			u.DisabledAt, u.UpdatedAt = soon, soon
			u.Identifiers = []store.Identifier{{Kind: "email", Value: "new@example.com"}, {Kind: "username", Value: "bob"}}
			return w.s.PutUser(ctx, u)
		}, store.Taken, store.Taken},
		{"a client", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return done(w.s.PutClient(ctx, fullClient()))
		}, store.Done, store.Done},
		{"an API key", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return done(w.s.PutAPIKey(ctx, fullAPIKey()))
		}, store.Done, store.Done},
		{"a membership", func(w *world) {
			w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant"), Name: "T", CreatedAt: t0}))
		}, func(ctx context.Context, w *world) (store.Outcome, error) {
			return done(w.s.PutMembership(ctx, store.Membership{Tenant: id("tenant"), User: w.user.ID, Role: "member", CreatedAt: t0}))
		}, store.Done, store.Done},
		{"a MAC key", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.AddMACKey(ctx, fullMACKey())
		}, store.Done, store.Taken},
		{"a signing key", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.AddSigningKey(ctx, fullSigningKey())
		}, store.Done, store.Taken},
	}...)
}()

// peopleDeeds are these intents as they are put to the test of faults.
func peopleDeeds() []deed {
	nothing := func(*world) {}
	return []deed{
		{"a session", nothing, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.OpenSession(ctx, w.opening("s"))
		}, store.Done, store.Taken},
		{"the end of a session", signedInAtApp, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.EndSession(ctx, store.EndSession{Session: id("session s"), Now: soon, Trace: trace})
		}, store.Done, store.Revoked},
		{"a birth from a session", func(w *world) { w.session("s") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.Birth(ctx, with(w.birth("a"), func(b *store.Birth) { b.Grant.Session = id("session s") }))
		}, store.Done, store.Taken},
		{"a registration by invitation", func(w *world) {
			w.must(w.s.PutTenant(w.ctx, store.Tenant{ID: id("tenant t"), Name: "T", CreatedAt: t0}))
			w.user = w.person("bob")
		}, func(ctx context.Context, w *world) (store.Outcome, error) {
			in := w.registration("bob")
			in.Invitation = id("tenant t")
			out, err := w.s.Register(ctx, in)
			return out.Outcome, err
		}, store.Done, store.Done},
		{"a password reset", func(w *world) { signedInAtApp(w); w.link("l", store.PurposeReset) },
			func(ctx context.Context, w *world) (store.Outcome, error) {
				out, err := w.s.UseLink(ctx, using(id("link l"), store.PurposeReset))
				return out.Outcome, err
			}, store.Done, store.Spent},
		{"a mail's attempt", func(w *world) { w.post("m") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			l := &store.Link{ID: id("link l"), Purpose: store.PurposeReset, User: w.user.ID, ClientID: "app", CreatedAt: t0, ExpiresAt: t0 + 9}
			return w.s.AttemptMail(ctx, store.AttemptMail{Mail: id("mail m"), NextAttemptAt: t0 + 60, Link: l})
		}, store.Done, store.Taken},
		{"a user deleted", func(w *world) { w.redeemed("a"); w.session("s"); w.post("m") }, func(ctx context.Context, w *world) (store.Outcome, error) {
			return w.s.DeleteUser(ctx, store.DeleteUser{User: w.user.ID, Now: soon, Trace: trace})
		}, store.Done, store.Unknown},
	}
}
