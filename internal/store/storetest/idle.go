package storetest

import (
	"fmt"

	"github.com/tallystick/tallystick/internal/store"
)

// sixteenth of the idle life has passed: exactly 15/16 is left.
const sixteenth = idleLife / 16

// unwritten are the uses of a token that write nothing but an extension.
var unwritten = []struct {
	name       string
	generation uint32
	rotating   bool
	want       store.Outcome
}{
	{"a refresh without rotation", 2, false, store.Done},
	{"a retry", 1, true, store.Retried},
	{"a retry without rotation", 1, false, store.Retried},
}

// idleRules hold the writes down and the sessions up: security.md calls a
// refresh that loses a used session an outage.
var idleRules = []rule{
	{name: "idle: no write while 15/16 of the life is left", check: func(w *world) {
		for _, u := range unwritten {
			w := w.sibling(u.name)
			in := refresh(w.rotatedTwice(), u.generation, rotatedAt+sixteenth)
			in.Rotating, in.UntilUsed = u.rotating, true
			w.unchangedBy(in.Grant, func() { w.rotate(in, u.want) })
		}
	}},
	{name: "idle: extended one millisecond later", check: func(w *world) {
		for _, u := range unwritten {
			w := w.sibling(u.name)
			in := refresh(w.rotatedTwice(), u.generation, rotatedAt+sixteenth+1)
			in.Rotating, in.UntilUsed = u.rotating, true
			want := w.state(in.Grant)
			want.IdleExpiresAt = in.Now + idleLife
			w.rotate(in, u.want)
			w.wantState(in.Grant, want)
		}
	}},
	{name: "idle: no extension without an idle life", check: func(w *world) {
		for _, u := range unwritten {
			w := w.sibling(u.name)
			in := refresh(w.rotatedTwice(), u.generation, rotatedAt+sixteenth+1)
			in.Rotating, in.UntilUsed, in.IdleLife = u.rotating, true, 0
			w.unchangedBy(in.Grant, func() { w.rotate(in, u.want) })
		}
	}},
	{name: "idle: a token without an idle end gets one when the client has an idle life", check: func(w *world) {
		g := w.born("a")
		first := redeem(g)
		first.IdleExpiresAt = 0
		w.redeem(first, store.Done)
		in := refresh(g, 0, t0+second)
		in.Rotating = false
		w.rotate(in, store.Done)
		w.same("IdleExpiresAt", w.state(g).IdleExpiresAt, t0+second+idleLife)
	}},
	{name: "idle: a replay and an unknown key extend nothing", check: func(w *world) {
		g := w.rotatedTwice()
		in := refresh(g, 0, rotatedAt+sixteenth+1)
		in.EndOnReplay = false
		w.unchangedBy(g, func() { w.rotate(in, store.Replayed) })
		in.Presented, in.PresentedKey, in.Rotating = 2, 7, false
		w.unchangedBy(g, func() { w.rotate(in, store.Unknown) })
	}},
	{name: "idle: a session that is used daily never expires by it", check: func(w *world) {
		for _, life := range []int64{shortestDaily, 14 * day} {
			for _, u := range unwritten {
				w.usedDaily(u.name, life, u.rotating, func(store.Rotated) uint32 { return u.generation }, u.want)
			}
			w.usedDaily("a rotation", life, true, func(out store.Rotated) uint32 { return out.State.Generation }, store.Done)
		}
	}},
}

const (
	day = 24 * 3600 * second
	// shortestDaily is the shortest idle life that daily use survives: the last
	// use that writes nothing leaves 15/16 of it.
	shortestDaily = day/15*16 + 16
)

// usedDaily uses a grant for a month, each second time at the worst moment: as
// late as possible without a write.
func (w *world) usedDaily(how string, life int64, rotating bool, next func(store.Rotated) uint32, want store.Outcome) {
	w.Helper()
	w = w.sibling(fmt.Sprint(how, " ", life))
	in := refresh(w.redeemed("a"), 0, t0)
	in.IdleLife, in.UntilUsed = life, true
	w.rotate(in, store.Done)
	in.Presented = 1
	out := w.rotate(in, store.Done)
	in.Rotating = rotating
	for i := range 60 {
		in.Presented = next(out)
		in.Now += []store.Time{life / 16, day}[i%2]
		out = w.rotate(in, want)
	}
}
