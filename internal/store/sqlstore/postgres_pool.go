package sqlstore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"github.com/tallystick/tallystick/internal/store"
)

// take finds a connection that is open, for use until end.
func (b *postgresBackend) take(ctx, end context.Context) (*conn, error) {
	select {
	case <-b.closing:
		return nil, store.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("store: not begun: %w", err)
	}
	wait := time.NewTimer(b.wait)
	defer wait.Stop()
	select {
	case <-b.free:
	case <-b.closing:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("store: not begun: %w", ctx.Err())
	case <-wait.C:
		return nil, fmt.Errorf("%w: every connection to PostgreSQL is in use", store.ErrBusy)
	}
	b.mu.Lock()
	c := b.idle[len(b.idle)-1]
	b.idle = b.idle[:len(b.idle)-1]
	b.mu.Unlock()
	c.ctx = end
	if err := c.reopen(); err != nil { //nolint:contextcheck // what has been begun does not end with the caller, see conn
		b.give(c)
		return nil, fmt.Errorf("store: connect: %w", err)
	}
	return c, nil
}

// reopen opens a connection that is not open or, as far as can be seen, dead. The
// server's machine may have gone without a word, and another have its address.
func (c *conn) reopen() error {
	if r, ok := c.raw.(driver.SessionResetter); ok {
		// The driver asks the server only after a second of silence.
		ctx, done := context.WithTimeout(c.ctx, postgresPing)
		defer done()
		if r.ResetSession(ctx) != nil {
			_ = c.close()
		}
	}
	return c.open()
}

func (b *postgresBackend) give(c *conn) {
	if c.failed != nil {
		_ = c.close() // the next one who takes it gets a new one
	}
	c.ctx = nil
	b.put(c)
}

func (b *postgresBackend) put(c *conn) {
	b.mu.Lock()
	b.idle = append(b.idle, c)
	b.mu.Unlock()
	b.free <- struct{}{}
}

// close waits for what is under way. That a connection has died is no fault then.
func (b *postgresBackend) close() error {
	b.shut.Do(func() {
		close(b.closing)
		for range postgresConns {
			<-b.free
		}
		var all sync.WaitGroup
		for _, c := range b.idle {
			all.Go(func() { _ = c.close() })
		}
		all.Wait()
	})
	return nil
}
