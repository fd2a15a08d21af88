package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	clockEvery = 30 * time.Second
	clockSoon  = time.Second      // after a measure that failed or was not believed
	clockStale = 3 * clockEvery   // without a measure, nobody knows any more
	maxStep    = 2 * time.Second  // a clock that moves by more has been set
	maxDoubt   = 1 * time.Second  // an answer that took longer tells too little
	clockWait  = 10 * time.Second // for an answer, and at the start for a better one
	clockEven  = time.Hour        // after a start or a step, before anything is deleted by it
)

// clock is the store's clock: this machine's monotonic time plus what the database's
// clock is ahead of it. So every node of a database tells the same time, and nobody
// who sets a node's clock sets the time of its tokens.
type clock struct {
	source func(context.Context) (time.Time, error) // the database's
	local  func() time.Time                         // never set by anybody

	mu       sync.RWMutex
	offset   time.Duration
	measured time.Time     // on the local clock; zero = never
	step     time.Duration // by which the last measure has moved it, if that was too far
	even     time.Time     // on the local clock: since when no measure has moved it so far
}

func newClock(source func(context.Context) (time.Time, error)) *clock {
	start := time.Now()
	return &clock{source: source, local: func() time.Time { return start.Add(time.Since(start)).Round(0) }, even: start.Round(0)}
}

// errSlow says that an answer took longer than maxDoubt.
var errSlow = errors.New("the answer took too long")

// Now is the time.
func (c *clock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.local().Add(c.offset)
}

// measure looks at the database's clock. It was read at some moment of the asking, so
// every offset between the two that follow is possible; the one next to what is held
// already is taken, and a clock in step with the database's stays as it is.
func (c *clock) measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clockWait)
	defer cancel()
	before := c.local()
	there, err := c.source(ctx)
	after := c.local()
	if err != nil {
		return fmt.Errorf("the database's clock: %w", err)
	}
	there = there.Round(0) // its wall clock, not its monotonic one
	if doubt := after.Sub(before); doubt > maxDoubt {
		return fmt.Errorf("the database's clock: %w: %v", errSlow, doubt)
	}
	low, high := there.Sub(after), there.Sub(before)

	c.mu.Lock()
	defer c.mu.Unlock()
	offset := min(max(c.offset, low), high)
	step := offset - c.offset
	if c.measured.IsZero() || step.Abs() <= maxStep {
		step = 0
	} else {
		c.even = after
	}
	c.offset, c.step, c.measured = offset, step, after
	return nil
}

// begin is the first measure. A machine that has much else to do may answer better when
// it is asked again; a database that does not answer is told at once.
func (c *clock) begin(ctx context.Context) error {
	start := c.local()
	for {
		err := c.measure(ctx)
		if !errors.Is(err, errSlow) || c.local().Sub(start) >= clockWait {
			return err
		}
	}
}

// ready says why the time is not to be relied on. A clock that was set is followed at
// once, as the other nodes do; but not before a second look finds it there, too.
func (c *clock) ready() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch {
	case c.measured.IsZero() || c.local().Sub(c.measured) > clockStale:
		return errors.New("the database's clock is unknown")
	case c.step != 0:
		return fmt.Errorf("the database's clock has moved by %v", c.step)
	}
	return nil
}

// settled reports whether the clock may decide what is deleted for good. One that was
// set wrong is noticed and set right in time, as a rule; rows do not come back.
func (c *clock) settled() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.local().Sub(c.even) >= clockEven
}

// watch measures until ctx is done.
func (c *clock) watch(ctx context.Context, log *slog.Logger) {
	told := ""
	for {
		wait := clockEvery
		if told != "" {
			wait = clockSoon
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := c.measure(ctx)
		if err == nil {
			err = c.ready()
		}
		switch {
		case ctx.Err() != nil:
		case err == nil && told != "":
			log.Info("clock: in step with the database's again")
			told = ""
		case err != nil && told == "":
			log.Warn("clock", "err", err)
			told = err.Error()
		}
	}
}
