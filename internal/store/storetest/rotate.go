package storetest

import "github.com/tallystick/tallystick/internal/store"

// The row that the table below begins with: generation 2 under key 1.
const (
	rotatedAt   = t0 + 2*second
	idleEnd     = rotatedAt + idleLife
	absoluteEnd = t0 + 2000*second // after the idle end
	soon        = rotatedAt + second
)

func (w *world) rotatedTwice() store.GrantID {
	w.Helper()
	g := w.redeemed("a", func(g *store.Grant) { g.AbsoluteExpiresAt = absoluteEnd })
	w.rotate(refresh(g, 0, t0+second), store.Done)
	w.rotate(refresh(g, 1, rotatedAt), store.Done)
	w.wantState(g, store.GrantState{RedeemedAt: t0, Generation: 2, MACKey: 1, RotatedAt: rotatedAt, IdleExpiresAt: idleEnd})
	return g
}

// use is one line of the table at store.Rotate.
type use struct {
	name string
	in   func(*store.Rotate) // from: rotating client, current token, a second after its birth
	want store.Outcome
	row  func(*store.GrantState) // what becomes of the row; nil = nothing
	// audit is the one event that is written, if any; why its reason.
	audit store.AuditKind
	why   store.Why
}

// becomes is a rotation to a generation under a key.
func becomes(generation uint32, key uint16, at store.Time) func(*store.GrantState) {
	return func(s *store.GrantState) {
		s.Generation, s.MACKey, s.RotatedAt, s.IdleExpiresAt = generation, key, at, at+idleLife
	}
}

func ends(at store.Time) func(*store.GrantState) {
	return func(s *store.GrantState) { s.RevokedAt, s.RevokedWhy = at, store.WhyRefreshReplayed }
}

func extends(to store.Time) func(*store.GrantState) {
	return func(s *store.GrantState) { s.IdleExpiresAt = to }
}

var uses = []use{
	// Presented = g.
	{name: "the current token of a rotating client", in: func(*store.Rotate) {}, want: store.Done, row: becomes(3, 1, soon)},
	{name: "without an idle life", in: func(in *store.Rotate) { in.IdleLife = 0 }, want: store.Done,
		row: func(s *store.GrantState) { becomes(3, 1, soon)(s); s.IdleExpiresAt = 0 }},
	{name: "rotated_at does not go back with the clock", in: func(in *store.Rotate) { in.Now = rotatedAt - 500 }, want: store.Done,
		row: func(s *store.GrantState) {
			becomes(3, 1, rotatedAt)(s)
			s.IdleExpiresAt = rotatedAt - 500 + idleLife
		}},
	{name: "the current token of a client that does not rotate", in: func(in *store.Rotate) { in.Rotating = false }, want: store.Done},
	{name: "a retired key rotates a rotating client's token", in: func(in *store.Rotate) { in.ActiveKey = 2 },
		want: store.Done, row: becomes(3, 2, soon)},
	{name: "a retired key rotates whatever the policy", in: func(in *store.Rotate) { in.ActiveKey, in.Rotating = 2, false },
		want: store.Done, row: becomes(3, 2, soon)},
	{name: "the current generation under another key is unknown", in: func(in *store.Rotate) { in.PresentedKey = 2 }, want: store.Unknown},
	{name: "the current generation under the active, but not the row's key", in: func(in *store.Rotate) { in.PresentedKey, in.ActiveKey = 2, 2 },
		want: store.Unknown},
	{name: "another key without rotation is unknown, too", in: func(in *store.Rotate) { in.PresentedKey, in.Rotating = 2, false },
		want: store.Unknown},

	// Presented = g−1.
	{name: "the parent inside the window", in: parent(soon), want: store.Retried},
	{name: "the parent in the window's last millisecond", in: parent(rotatedAt + window - 1), want: store.Retried},
	{name: "the parent at the window's end", in: parent(rotatedAt + window), want: store.Replayed,
		row: ends(rotatedAt + window), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "the parent without a window", in: func(in *store.Rotate) { parent(rotatedAt)(in); in.RetryWindow = 0 },
		want: store.Replayed, row: ends(rotatedAt), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "the parent without a window, by a clock that is behind",
		in:   func(in *store.Rotate) { parent(rotatedAt - 1)(in); in.RetryWindow = 0 },
		want: store.Replayed, row: ends(rotatedAt - 1), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "the parent inside the window, by a clock that is behind", in: parent(rotatedAt - second), want: store.Retried},
	{name: "the parent long after, until used", in: func(in *store.Rotate) { parent(rotatedAt + 100*second)(in); in.UntilUsed = true },
		want: store.Retried},
	{name: "the parent long after, of a client that does not rotate",
		in:   func(in *store.Rotate) { parent(rotatedAt + 100*second)(in); in.Rotating = false },
		want: store.Retried},
	{name: "a retry is minted under the row's key", in: func(in *store.Rotate) { parent(soon)(in); in.PresentedKey, in.ActiveKey = 7, 2 },
		want: store.Retried},

	// Presented < g−1, and what a replay does.
	{name: "the grandparent inside the window", in: func(in *store.Rotate) { in.Presented = 0 }, want: store.Replayed,
		row: ends(soon), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "the grandparent, until used", in: func(in *store.Rotate) { in.Presented, in.UntilUsed = 0, true }, want: store.Replayed,
		row: ends(soon), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "the grandparent of a client that does not rotate", in: func(in *store.Rotate) { in.Presented, in.Rotating = 0, false },
		want: store.Replayed, row: ends(soon), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "the grandparent under another key", in: func(in *store.Rotate) { in.Presented, in.PresentedKey = 0, 7 },
		want: store.Replayed, row: ends(soon), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "a replay that ends the grant is not reported besides", in: func(in *store.Rotate) { in.Presented, in.Report = 0, true },
		want: store.Replayed, row: ends(soon), audit: store.AuditEnd, why: store.WhyRefreshReplayed},
	{name: "a replay is reported, and the grant lives",
		in:   func(in *store.Rotate) { in.Presented, in.EndOnReplay, in.Report = 0, false, true },
		want: store.Replayed, audit: store.AuditReplay, why: store.WhyRefreshReplayed},
	{name: "a replay that was reported a moment ago writes nothing",
		in: func(in *store.Rotate) { in.Presented, in.EndOnReplay = 0, false }, want: store.Replayed},

	// Presented > g: the store lost commits.
	{name: "ahead by one", in: func(in *store.Rotate) { in.Presented = 3 }, want: store.Ahead, row: becomes(4, 1, soon), audit: store.AuditAhead},
	{name: "ahead by many", in: func(in *store.Rotate) { in.Presented = 90 }, want: store.Ahead, row: becomes(91, 1, soon), audit: store.AuditAhead},
	{name: "ahead, of a client that does not rotate", in: func(in *store.Rotate) { in.Presented, in.Rotating = 3, false },
		want: store.Ahead, row: becomes(4, 1, soon), audit: store.AuditAhead},
	{name: "ahead, under a key that the row never had", in: func(in *store.Rotate) { in.Presented, in.PresentedKey, in.ActiveKey = 3, 7, 2 },
		want: store.Ahead, row: becomes(4, 2, soon), audit: store.AuditAhead},
	{name: "ahead, by a clock that is behind", in: func(in *store.Rotate) { in.Presented, in.Now = 3, rotatedAt-500 },
		want: store.Ahead, audit: store.AuditAhead, row: func(s *store.GrantState) {
			becomes(4, 1, rotatedAt)(s)
			s.IdleExpiresAt = rotatedAt - 500 + idleLife
		}},
	{name: "ahead to the last generation", in: func(in *store.Rotate) { in.Presented = 1<<32 - 2 },
		want: store.Ahead, row: becomes(1<<32-1, 1, soon), audit: store.AuditAhead},
	{name: "the last generation has no successor", in: func(in *store.Rotate) { in.Presented = 1<<32 - 1 }, want: store.Expired},
}

func parent(now store.Time) func(*store.Rotate) {
	return func(in *store.Rotate) { in.Presented, in.Now = 1, now }
}

// check performs u on a row of generation 2.
func (u use) check(w *world) {
	g := w.rotatedTwice()
	in := refresh(g, 2, soon)
	u.in(&in)
	before := w.see(g)
	out := w.rotate(in, u.want)
	after := w.see(g)
	row := before.Grants[g]
	if u.row != nil {
		u.row(&row.GrantState)
	}
	w.same("grant", after.Grants[g], row)
	if want := u.audit == store.AuditEnd; out.Ended != want {
		w.Errorf("Ended = %v, want %v", out.Ended, want)
	}
	if u.audit == "" {
		w.news(g, before, after, 0)
		return
	}
	events := w.news(g, before, after, 1)
	if u.audit == store.AuditAhead {
		// The reason is for people: it may say how far.
		events[0].Reason = ""
	}
	w.wantEvent(events[0], store.AuditEvent{
		At: in.Now, Kind: u.audit, Grant: g, ClientID: row.ClientID, User: row.User, Reason: string(u.why), Trace: trace,
	})
}

// presentations are a token of each place in the grant's life.
var presentations = []struct {
	name       string
	generation uint32
	key        uint16
	rotating   bool
	live       store.Outcome // of a grant that lives, with a window until used
}{
	{"the current token", 2, 1, true, store.Done},
	{"the current token without rotation", 2, 1, false, store.Done},
	{"the current generation under another key", 2, 7, true, store.Unknown},
	{"the parent", 1, 1, true, store.Retried},
	{"the parent without rotation", 1, 1, false, store.Retried},
	{"the grandparent", 0, 1, true, store.Replayed},
	{"a token ahead", 5, 1, true, store.Ahead},
}

func rotateRules() []rule {
	var all []rule
	for _, u := range uses {
		all = append(all, rule{name: "rotate: " + u.name, check: u.check})
	}
	for _, end := range []struct {
		name string
		at   store.Time
	}{{"idle", idleEnd}, {"absolute", absoluteEnd}} {
		all = append(all,
			rule{name: "rotate: every token is expired at the " + end.name + " end, and nothing is written", check: func(w *world) {
				g := w.rotatedTwice()
				if end.at == absoluteEnd {
					w.extendTo(g, absoluteEnd+1)
				}
				w.refusesAll(g, end.at, store.Expired)
			}},
			rule{name: "rotate: not expired one millisecond before the " + end.name + " end", check: func(w *world) {
				for _, p := range presentations {
					w := w.sibling(p.name)
					g := w.rotatedTwice()
					if end.at == absoluteEnd {
						w.extendTo(g, absoluteEnd+1)
					}
					in := refresh(g, p.generation, end.at-1)
					in.PresentedKey, in.Rotating, in.UntilUsed = p.key, p.rotating, true
					w.rotate(in, p.live)
				}
			}})
	}
	return append(all, rotateStories...)
}

// extendTo moves the idle end without a rotation.
func (w *world) extendTo(g store.GrantID, end store.Time) {
	w.Helper()
	in := refresh(g, 2, idleEnd-1)
	in.Rotating, in.IdleLife = false, end-in.Now
	w.rotate(in, store.Done)
	w.same("IdleExpiresAt", w.state(g).IdleExpiresAt, end)
}

// refusesAll presents every token at a time and wants nothing but a refusal.
func (w *world) refusesAll(g store.GrantID, now store.Time, want store.Outcome) {
	w.Helper()
	before := w.see(g)
	for _, p := range presentations {
		for _, activeKey := range []uint16{1, 2} {
			in := refresh(g, p.generation, now)
			in.PresentedKey, in.ActiveKey, in.Rotating, in.UntilUsed, in.Report = p.key, activeKey, p.rotating, true, true
			w.rotate(in, want)
			w.same(p.name+": everything", w.see(g), before)
		}
	}
}

var rotateStories = []rule{
	{name: "rotate: every token of a revoked grant is revoked, and nothing is written", check: func(w *world) {
		g := w.rotatedTwice()
		w.end(g, soon, store.Done)
		w.refusesAll(g, soon, store.Revoked)
	}},
	{name: "rotate: a grant that nobody was given is unknown", check: func(w *world) {
		in := refresh(id("never born"), 0, t0)
		out := w.rotate(in, store.Unknown)
		w.same("State", out.State, store.GrantState{})
		in.Rotating = false
		w.rotate(in, store.Unknown)
		w.wantNone(in.Grant)
	}},
	{name: "rotate: generation 0 has no parent", check: func(w *world) {
		g := w.redeemed("a")
		in := refresh(g, 1<<32-1, t0)
		w.unchangedBy(g, func() { w.rotate(in, store.Expired) })
	}},
	{name: "rotate: a retry has the same successor as the rotation, each time", check: func(w *world) {
		g := w.redeemed("a")
		done := w.rotate(refresh(g, 0, t0+1), store.Done)
		for i := range store.Time(3) {
			again := w.rotate(refresh(g, 0, t0+2+i), store.Retried)
			w.same("State", again.State, done.State)
		}
		// The answer was lost three times; the successor works, and only once.
		w.rotate(refresh(g, 1, t0+9), store.Done)
		w.rotate(refresh(g, 0, t0+10), store.Replayed)
	}},
	{name: "rotate: a retry does not move the window", check: func(w *world) {
		g := w.redeemed("a")
		w.rotate(refresh(g, 0, t0), store.Done)
		w.rotate(refresh(g, 0, t0+window-1), store.Retried)
		w.rotate(refresh(g, 0, t0+window), store.Replayed)
	}},
	{name: "rotate: until used ends by the use of the successor", check: func(w *world) {
		g := w.redeemed("a")
		untilUsed := func(generation uint32, now store.Time, want store.Outcome) {
			in := refresh(g, generation, now)
			in.UntilUsed = true
			w.rotate(in, want)
		}
		untilUsed(0, t0, store.Done)
		untilUsed(0, t0+900*second, store.Retried)
		untilUsed(1, t0+900*second, store.Done)
		untilUsed(0, t0+900*second, store.Replayed)
	}},
	{name: "rotate: a replayed grant serves nobody", check: func(w *world) {
		g := w.rotatedTwice()
		in := refresh(g, 0, soon)
		w.rotate(in, store.Replayed)
		w.refusesAll(g, soon+1, store.Revoked)
	}},
	{name: "rotate: after a replay that is refused, the owner is served", check: func(w *world) {
		g := w.rotatedTwice()
		in := refresh(g, 0, soon)
		in.EndOnReplay = false
		w.rotate(in, store.Replayed)
		w.rotate(refresh(g, 2, soon), store.Done)
	}},
	{name: "rotate: a retired key, retried long after by a client that does not rotate", check: func(w *world) {
		g := w.redeemed("a")
		in := refresh(g, 0, t0+1)
		in.ActiveKey, in.Rotating, in.RetryWindow = 2, false, 0
		done := w.rotate(in, store.Done)
		in.Now = t0 + 90*second
		again := w.rotate(in, store.Retried)
		w.same("State", again.State, done.State)
		// And the successor stays, now that its key is the active one.
		in.Presented, in.PresentedKey = 1, 2
		w.unchangedBy(g, func() { w.rotate(in, store.Done) })
	}},
	{name: "rotate: ahead again is a retry with the same successor", check: func(w *world) {
		g := w.rotatedTwice()
		ahead := w.rotate(refresh(g, 9, soon), store.Ahead)
		again := w.rotate(refresh(g, 9, soon+1), store.Retried)
		w.same("State", again.State, ahead.State)
		w.rotate(refresh(g, 10, soon+2), store.Done)
		w.rotate(refresh(g, 2, soon+3), store.Replayed)
	}},
	{name: "rotate: ahead of a code that the store does not know to be redeemed, which is spent by it", check: func(w *world) {
		for _, generation := range []uint32{0, 4} {
			w := w.sibling(string('a' + rune(generation)))
			g := w.born("a")
			out := w.rotate(refresh(g, generation, codeEnd+5), store.Ahead)
			w.same("State", out.State, store.GrantState{
				RedeemedAt: codeEnd + 5, Generation: generation + 1, MACKey: 1, RotatedAt: codeEnd + 5, IdleExpiresAt: codeEnd + 5 + idleLife,
			})
			w.wantAudit(g, store.AuditBirth, store.AuditAhead)
			w.redeem(redeem(g), store.Replayed)
		}
	}},
	{name: "rotate: ahead of a code that is not redeemed, of a client that does not rotate", check: func(w *world) {
		g := w.born("a")
		in := refresh(g, 0, t0+5)
		in.Rotating = false
		w.rotate(in, store.Ahead)
		in.Now++
		w.rotate(in, store.Retried)
	}},
	{name: "rotate: not ahead of a revoked or expired code", check: func(w *world) {
		g := w.born("a")
		w.end(g, t0, store.Done)
		w.unchangedBy(g, func() { w.rotate(refresh(g, 0, t0), store.Revoked) })
		g = w.born("b", func(g *store.Grant) { g.AbsoluteExpiresAt = t0 + 1 })
		w.unchangedBy(g, func() { w.rotate(refresh(g, 0, t0+1), store.Expired) })
	}},
	{name: "rotate: the last generation is served until it is used", check: func(w *world) {
		g := w.redeemed("a")
		w.rotate(refresh(g, 1<<32-2, t0), store.Ahead)
		w.rotate(refresh(g, 1<<32-2, t0+1), store.Retried)
		w.unchangedBy(g, func() { w.rotate(refresh(g, 1<<32-1, t0+2), store.Expired) })
	}},
}
