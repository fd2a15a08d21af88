package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// away is a database whose clock is ahead of ours, and that answers after a while.
type away struct {
	ahead, took time.Duration
	err         error
	here        *time.Time
}

func (a *away) now(context.Context) (time.Time, error) {
	there := a.here.Add(a.took / 2).Add(a.ahead)
	*a.here = a.here.Add(a.took)
	return there, a.err
}

func testClock() (*clock, *away) {
	here := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &away{here: &here}
	return &clock{source: a.now, local: func() time.Time { return here }}, a
}

func TestClockFollowsTheDatabase(t *testing.T) {
	c, a := testClock()
	if err := c.ready(); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("before the first measure: %v", err)
	}
	for _, tt := range []struct {
		name        string
		ahead, took time.Duration
		err         error
		offset      time.Duration // wanted
		fails       bool
		red         string
	}{
		{"in step, by what can be told", 3 * time.Millisecond, 20 * time.Millisecond, nil, 0, false, ""},
		{"two seconds are drift", 2 * time.Second, 0, nil, 2 * time.Second, false, ""},
		{"the same again, and an answer that took its time", 2 * time.Second, 900 * time.Millisecond, nil, 2 * time.Second, false, ""},
		{"an answer that took too long tells nothing", time.Hour, 1001 * time.Millisecond, nil, 2 * time.Second, true, ""},
		{"no answer", time.Hour, 0, errors.New("away"), 2 * time.Second, true, ""},
		{"set forward: followed, and not relied on", time.Hour, 0, nil, time.Hour, false, "moved by 59m58s"},
		{"found there again", time.Hour, 0, nil, time.Hour, false, ""},
		{"set back", -time.Minute, 0, nil, -time.Minute, false, "moved by -1h1m0s"},
		{"and forth", time.Hour, 0, nil, time.Hour, false, "moved by 1h1m0s"},
		{"no answer: still not relied on", time.Hour, 0, errors.New("away"), time.Hour, true, "moved by 1h1m0s"},
		{"found there again", time.Hour, 0, nil, time.Hour, false, ""},
	} {
		a.ahead, a.took, a.err = tt.ahead, tt.took, tt.err
		if err := c.measure(t.Context()); (err != nil) != tt.fails {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := c.Now().Sub(*a.here); got != tt.offset {
			t.Errorf("%s: the offset is %v, want %v", tt.name, got, tt.offset)
		}
		err := c.ready()
		if (err != nil) != (tt.red != "") || err != nil && !strings.Contains(err.Error(), tt.red) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.red)
		}
	}
	*a.here = a.here.Add(clockStale + time.Second)
	if err := c.ready(); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("nothing heard for long: %v", err)
	}
}

// A machine that is busy for a moment does not keep a server from starting; one that
// stays so does, and so does a database that does not answer.
func TestClockAsksAgainAtTheStart(t *testing.T) {
	const slow = 1129 * time.Millisecond
	for _, tt := range []struct {
		name  string
		took  []time.Duration // of the answers; the last one's is that of all further
		err   error           // of the last one
		asked int             // wanted
		want  string
	}{
		{"at once", []time.Duration{0}, nil, 1, ""},
		{"the third time", []time.Duration{slow, slow, 0}, nil, 3, ""},
		{"never", []time.Duration{slow}, nil, 9, "took too long: 1.129s"},
		{"no answer", []time.Duration{0}, errors.New("away"), 1, "away"},
		{"away after a slow answer", []time.Duration{slow, 0}, errors.New("away"), 2, "away"},
	} {
		c, a := testClock()
		start, asked := *a.here, 0
		c.source = func(ctx context.Context) (time.Time, error) {
			last := asked >= len(tt.took)-1
			if a.took = tt.took[min(asked, len(tt.took)-1)]; last {
				a.err = tt.err
			}
			asked++
			return a.now(ctx)
		}
		err := c.begin(t.Context())
		if asked != tt.asked || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v after %d questions", tt.name, err, asked)
		}
		if took := a.here.Sub(start); took > clockWait+maxDoubt {
			t.Errorf("%s: %v", tt.name, took)
		}
		if (c.ready() == nil) != (err == nil) {
			t.Errorf("%s: ready: %v", tt.name, c.ready())
		}
	}
}

// The first look can find any difference: it is no step.
func TestClockBeginsAnywhere(t *testing.T) {
	c, a := testClock()
	a.ahead = -5 * time.Hour
	if err := errors.Join(c.measure(t.Context()), c.ready()); err != nil {
		t.Error(err)
	}
}

// What is deleted does not come back, so a clock that has just been set decides nothing
// of the kind; nor one that was only just met, for it may have been set before.
func TestClockSettles(t *testing.T) {
	c, a := testClock()
	c.even = *a.here
	for _, tt := range []struct {
		name  string
		ahead time.Duration
		after time.Duration // since the measure before
		want  bool
	}{
		{"at the start", -5 * time.Hour, 0, false},
		{"a second before the hour", -5 * time.Hour, time.Hour - time.Second, false},
		{"after an hour", -5 * time.Hour, time.Second, true},
		{"two seconds are drift", -5*time.Hour + 2*time.Second, time.Minute, true},
		{"a year ahead", 365 * 24 * time.Hour, time.Minute, false},
		{"found there again", 365 * 24 * time.Hour, time.Minute, false},
		{"set right", -5 * time.Hour, 58 * time.Minute, false},
		{"an hour later", -5 * time.Hour, time.Hour, true},
	} {
		*a.here = a.here.Add(tt.after)
		a.ahead = tt.ahead
		if err := c.measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.settled(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Whoever sets this machine's clock does not set ours; where the database is a file,
// that clock is the database's, and is followed.
func TestClockIsMonotonic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set atomic.Int64 // by which somebody has set this machine's clock
		c := newClock(func(context.Context) (time.Time, error) {
			return time.Now().Round(0).Add(time.Duration(set.Load())), nil
		})
		if err := c.measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.watch(ctx, slog.New(slog.DiscardHandler))
		before := c.Now()
		set.Store(int64(time.Hour))
		time.Sleep(clockEvery - time.Second)
		synctest.Wait()
		if got := c.Now().Sub(before); got != clockEvery-time.Second {
			t.Errorf("%v have passed", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if err := c.ready(); err == nil || c.Now().Sub(before) != clockEvery+time.Hour {
			t.Errorf("after the measure: %v, %v have passed", err, c.Now().Sub(before))
		}
		// Looked at again soon.
		time.Sleep(clockSoon)
		synctest.Wait()
		if err := c.ready(); err != nil {
			t.Error(err)
		}
	})
}

// Readyz is red while the time is not to be relied on.
func TestReadinessWantsTheTime(t *testing.T) {
	c, a := testClock()
	r := &readiness{clock: c, store: func(context.Context) error { return nil }}
	if err := r.check(t.Context()); err == nil {
		t.Error("ready without a clock")
	}
	for _, step := range []struct {
		ahead time.Duration
		ready bool
	}{{0, true}, {3 * time.Second, false}, {3 * time.Second, true}} {
		a.ahead = step.ahead
		if err := c.measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.check(t.Context()); (err == nil) != step.ready {
			t.Errorf("%v ahead: %v", step.ahead, err)
		}
	}
}

// A store that does not answer gathers no probes, and keeps none waiting.
func TestProbesShareOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		answer := make(chan error)
		r := &readiness{store: func(context.Context) error { asked.Add(1); return <-answer }}
		begin := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := r.check(t.Context()); err == nil || !strings.Contains(err.Error(), "does not answer") {
					t.Errorf("check: %v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); asked.Load() != 1 || took != probePatience {
			t.Errorf("%d questions, %v", asked.Load(), took)
		}
		answer <- errors.New("full")
		synctest.Wait()
		go func() { answer <- nil }()
		if err := r.check(t.Context()); err != nil || asked.Load() != 2 {
			t.Errorf("once it answers: %v, %d questions", err, asked.Load())
		}
	})
}
