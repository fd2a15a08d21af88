package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/store"
)

var errInjected = errors.New("storetest: an injected fault")

// fault is what befalls the n-th call of the driver, for every n that an intent
// gets to.
type fault struct {
	name string
	// strike is asked at the n-th call, and at those after it with after = true.
	strike func(f *strike, after bool, perform func() error) error
	// skips are the calls of which it leaves what it leaves of the one before or after.
	skips   []Kind
	crashes bool // after it the database is opened anew
	// harmless: the driver says that nothing has happened and that another try may
	// help, so there is one and nobody learns of it.
	harmless bool
}

var faults = []fault{
	{name: "a call fails", strike: func(_ *strike, after bool, perform func() error) error {
		if after {
			return perform()
		}
		return errInjected
	}},
	{name: "a call is performed and its answer lost", skips: []Kind{Prepare}, strike: func(_ *strike, after bool, perform func() error) error {
		if after {
			return perform()
		}
		return errors.Join(errInjected, perform())
	}},
	{name: "every call fails from one on", skips: []Kind{Prepare, Next}, strike: func(*strike, bool, func() error) error { return errInjected }},
	// A crash before a call leaves what one after the call before it does.
	{name: "a crash after a call", skips: []Kind{Connect, Prepare, Begin, Next}, crashes: true, strike: func(_ *strike, after bool, perform func() error) error {
		if after {
			return errInjected
		}
		return errors.Join(errInjected, perform())
	}},
	{name: "the caller goes away", skips: []Kind{Prepare, Next}, strike: func(f *strike, _ bool, perform func() error) error {
		f.leave()
		return perform()
	}},
}

// strike is one fault at one call.
type strike struct {
	fault
	ctx    context.Context // of the intents
	cancel context.CancelFunc

	mu     sync.Mutex
	calls  int
	hit    bool // there was the call
	left   bool // the caller has
	begun  bool // a transaction was
	commit bool // a commit was begun
}

// strike lets f befall the n-th call of a kind; "" = of any.
func (w *world) strike(f fault, of Kind, n int) *strike {
	s := &strike{fault: f}
	s.ctx, s.cancel = context.WithCancel(w.ctx)
	w.tap.Hook(func(kind Kind, sql string, perform func() error) error {
		runtime.Gosched() // or a batch would be of one, on one core
		s.mu.Lock()
		after := s.hit
		if !after && (of == "" || of == kind) && !slices.Contains(f.skips, kind) {
			s.calls++
			s.hit = s.calls == n
		}
		hit := s.hit
		s.begun = s.begun || kind == Begin
		// A statement outside of any transaction commits by itself.
		s.commit = s.commit || kind == Commit || !s.begun && strings.HasPrefix(sql, "UPDATE")
		s.mu.Unlock()
		if !hit {
			return perform()
		}
		err := s.fault.strike(s, after, perform)
		if after && kind == Connect && err != nil {
			s.leave() // nobody waits for a database that is gone
		}
		return err
	})
	return s
}

// struck ends the fault and reports whether there was such a call.
func (w *world) struck(s *strike) bool {
	w.Helper()
	w.tap.Hook(nil)
	s.cancel()
	if s.crashes {
		w.d.Reopen()
		w.s = w.d.Store(w.name)
	}
	// The database is well again, so the next intent works; and when it has been
	// answered, so has what was left behind.
	if err := w.s.Ready(w.ctx); err != nil {
		w.Errorf("Ready, after the fault: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hit
}

// leave is the end of the caller's waiting.
func (s *strike) leave() {
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	s.cancel()
}

// committing reports whether a commit may have been begun, as far as the caller
// can know.
func (s *strike) committing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commit || s.left
}

// wantFate holds an intent that met a fault to the contract of errors: nothing
// has happened, or it has happened and is answered, or nobody can tell.
// happened is what the database says.
func (w *world) wantFate(s *strike, err error, happened bool) {
	w.Helper()
	switch unknown := errors.Is(err, store.ErrUnknownFate); {
	case err == nil && !happened:
		w.Errorf("acknowledged, but it has not happened")
	case err != nil && !unknown && happened:
		w.Errorf("it has happened, but the error does not say that this may be: %v", err)
	case unknown && !s.committing():
		w.Errorf("of unknown fate before there was a commit: %v", err)
	case err != nil && s.harmless:
		w.Errorf("not tried again: %v", err)
	}
}

// named is a T that says where in a rule it is.
type named struct {
	T
	where string
}

func (n named) Errorf(format string, args ...any) {
	n.Helper()
	n.T.Errorf("%s: %s", n.where, fmt.Sprintf(format, args...))
}
func (n named) Fatalf(format string, args ...any) {
	n.Helper()
	n.T.Fatalf("%s: %s", n.where, fmt.Sprintf(format, args...))
}

// within is a new issuer with the name of a place in a rule.
func (w *world) within(format string, args ...any) *world {
	where := fmt.Sprintf(format, args...)
	return newWorld(named{w.T, where}, w.d, w.tap, w.name+" "+where)
}

// maxCalls is more than an intent makes of its driver.
const maxCalls = 1000

// suffer performs a deed with a fault at each of its calls in turn.
func (d deed) suffer(w *world, f fault) {
	w.Helper()
	twin := w.within("%s", d.name)
	d.setUp(twin)
	before := twin.seeAll()
	if out, err := d.do(twin.ctx, twin); err != nil || out != d.first {
		twin.Fatalf("without a fault = %v, %v; want %v", out, err, d.first)
	}
	after := twin.seeAll()

	for n := 1; n < maxCalls; n++ {
		if w.Failed() {
			return
		}
		w := w.within("%s, call %d", d.name, n)
		actor, observer := w.s, w.d.Store(w.name) // on another node, where there are several
		w.s = observer
		d.setUp(w)
		w.s = actor
		s := w.strike(f, "", n)
		out, err := d.do(s.ctx, w)
		w.tap.Hook(nil)
		w.must(actor.Ready(w.ctx))
		w.s = observer
		if !w.struck(s) {
			if n == 1 {
				w.Fatalf("no call was seen")
			}
			return
		}
		now := w.seeAll()
		happened := !cmp.Equal(now, before) || cmp.Equal(after, before) && err == nil
		if happened {
			w.same("everything, which must be as before or as after", now, after)
		}
		w.wantFate(s, err, happened)
		if err == nil && out != d.first {
			w.Errorf("= %v, want %v", out, d.first)
		}
		want := d.first
		if !cmp.Equal(now, before) {
			want = d.again
		}
		if out, err := d.do(w.ctx, w); err != nil || out != want {
			w.Errorf("once more = %v, %v; want %v", out, err, want)
		}
		if want == d.first && d.first != d.again {
			w.same("everything, once it has happened", w.seeAll(), after)
		}
	}
	w.Fatalf("%s: more than %d calls", d.name, maxCalls)
}

const batch = 8

// sufferTogether performs a batch of intents at once, with a fault at each of
// their calls in turn: what befalls one must not make a lie of another's answer.
// Calls are counted by kind, since how many share a commit is up to the moment:
// there is always a first commit.
func sufferTogether(w *world, f fault) {
	for _, kind := range []Kind{Begin, Exec, Query, Next, Commit} {
		n := 1
		for !w.Failed() && w.sufferOnce(f, kind, n) {
			n++
		}
		if kind == Commit && n == 1 && !w.Failed() {
			w.Fatalf("no commit was seen")
		}
	}
}

func (w *world) sufferOnce(f fault, kind Kind, n int) (hit bool) {
	w = w.within("%s %d", kind, n)
	var done sync.WaitGroup
	gate := make(chan struct{})
	var errs [batch]error
	s := w.strike(f, kind, n)
	for i := range batch {
		done.Go(func() {
			<-gate
			var out store.Redeemed
			if out, errs[i] = w.s.RedeemAnonymous(s.ctx, anonymous(fmt.Sprint(i))); errs[i] == nil && out.Outcome != store.Done {
				w.Errorf("intent %d = %v", i, out.Outcome)
			}
		})
	}
	close(gate)
	done.Wait()
	hit = w.struck(s)
	for i, err := range errs {
		in := anonymous(fmt.Sprint(i))
		in.EndOnReplay = false
		_, happened, readErr := w.s.Grant(w.ctx, in.Grant.ID)
		w.must(readErr)
		w.wantFate(s, err, happened)
		want := store.Done
		if happened {
			want = store.Replayed
		}
		w.redeemAnonymous(in, want)
		w.wantAudit(in.Grant.ID, store.AuditRedemption)
	}
	return hit
}

func faultRules(again error) []rule {
	var all []rule
	faults := faults
	if again != nil {
		faults = append(slices.Clip(faults), fault{name: "the database asks for another try", skips: []Kind{Connect, Prepare, Next}, harmless: true,
			strike: func(_ *strike, after bool, perform func() error) error {
				if after {
					return perform()
				}
				return again
			}})
	}
	for _, f := range faults {
		all = append(all,
			rule{name: "fault: " + f.name + ", at every call of every intent", breaks: true, check: func(w *world) {
				for _, d := range deeds {
					d.suffer(w, f)
				}
			}},
			rule{name: "fault: " + f.name + ", at every call around clients", breaks: true, check: func(w *world) {
				for _, d := range clientDeeds {
					d.suffer(w, f)
				}
			}},
			rule{name: "fault: " + f.name + ", at every call of keeping", breaks: true, check: func(w *world) {
				for _, d := range keepDeeds {
					d.suffer(w, f)
				}
			}},
			rule{name: "fault: " + f.name + ", at every call of a batch", breaks: true, check: func(w *world) { sufferTogether(w, f) }})
	}
	return append(all, faultStories...)
}

var faultStories = []rule{
	{name: "fault: what was acknowledged is there after a crash", breaks: true, check: func(w *world) {
		all := slices.Concat(deeds, clientDeeds, keepDeeds)
		worlds, want := make([]*world, len(all)), make([]snapshot, len(all))
		for i, d := range all {
			twin := w.within("%s, twin", d.name)
			d.setUp(twin)
			_, err := d.do(twin.ctx, twin)
			twin.must(err)
			want[i] = twin.seeAll()

			worlds[i] = w.within("%s", d.name)
			d.setUp(worlds[i])
			if out, err := d.do(w.ctx, worlds[i]); err != nil || out != d.first {
				worlds[i].Fatalf("= %v, %v; want %v", out, err, d.first)
			}
		}
		w.d.Reopen()
		for i, w := range worlds {
			w.s = w.d.Store(w.name)
			w.same("everything", w.seeAll(), want[i])
		}
	}},
	{name: "fault: nothing is begun for a caller who has gone before", check: func(w *world) {
		gone, cancel := context.WithCancel(w.ctx)
		cancel()
		for _, d := range slices.Concat(deeds, clientDeeds, keepDeeds) {
			w := w.within("%s", d.name)
			d.setUp(w)
			before := w.seeAll()
			_, err := d.do(gone, w)
			w.must(w.s.Ready(w.ctx))
			if now := w.seeAll(); !reflect.DeepEqual(now, before) {
				w.same("everything", now, before)
			}
			if err == nil && d.first != d.again {
				w.Errorf("acknowledged")
			}
		}
	}},
	{name: "fault: not ready while no commit can be made, and ready again by itself", breaks: true, check: func(w *world) {
		w.must(w.s.Ready(w.ctx))
		s := w.strike(fault{strike: func(*strike, bool, func() error) error { return errInjected }}, "", 1)
		_, err := w.s.EndGrant(w.ctx, store.End{Grant: id("never born"), Why: store.WhyRevoked, Now: t0})
		if err == nil {
			w.Errorf("EndGrant: no error")
		}
		if err := w.s.Ready(w.ctx); err == nil {
			w.Errorf("Ready: no error")
		}
		if !w.struck(s) {
			w.Errorf("no call was seen")
		}
		w.redeemed("a")
	}},
}
