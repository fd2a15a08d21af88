package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/tallystick/tallystick/internal/store"
)

// take finds a connection that is open.
func (b *postgresBackend) take(ctx context.Context) (*conn, error) {
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
	c.ctx, c.done = context.WithTimeout(background, b.bound)
	if err := c.reopen(); err != nil { //nolint:contextcheck // what has been begun does not end with the caller, see conn
		b.give(c)
		return nil, fmt.Errorf("store: connect: %w", err)
	}
	return c, nil
}

// reopen opens a connection that is not open or, as far as can be seen, dead.
func (c *conn) reopen() error {
	// The driver asks the server only after a second of silence.
	if r, ok := c.raw.(driver.SessionResetter); ok && r.ResetSession(c.ctx) != nil {
		_ = c.close()
	}
	return c.open()
}

func (b *postgresBackend) give(c *conn) {
	if c.failed != nil {
		_ = c.close() // the next one who takes it gets a new one
	}
	c.done()
	b.put(c)
}

func (b *postgresBackend) put(c *conn) {
	b.mu.Lock()
	b.idle = append(b.idle, c)
	b.mu.Unlock()
	b.free <- struct{}{}
}

// close waits for what is under way.
func (b *postgresBackend) close() error {
	var errs []error
	b.shut.Do(func() {
		close(b.closing)
		for range postgresConns {
			<-b.free
		}
		for _, c := range b.idle {
			errs = append(errs, c.close())
		}
	})
	return errors.Join(errs...)
}
