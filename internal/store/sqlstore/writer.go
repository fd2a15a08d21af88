package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/tallystick/tallystick/internal/store"
)

const (
	maxBatch   = 256  // intents that share one commit
	maxWaiting = 1024 // intents that wait for the batch before theirs
)

// writer makes group commits: one goroutine with one connection takes what is
// queued at the moment, runs it in one transaction and answers when the commit
// has returned. Nobody waits for a batch to fill; while one is being committed
// the next one gathers by itself.
//
// Each intent of a batch has a savepoint, so that one that fails takes none of
// the others with it.
type writer struct {
	conn  *conn // only run touches it, and close after run has ended
	log   *slog.Logger
	queue chan *request
	done  chan struct{} // closed when run has ended

	mu     sync.RWMutex // held to send, so that close can close the queue
	closed bool

	fault atomic.Pointer[error]  // why the database failed last; nil once it can be written again
	hold  atomic.Pointer[func()] // for tests: called when a batch is about to gather
}

// request is an intent that waits.
type request struct {
	intent func(tx) error
	taken  atomic.Bool // by the writer, who begins it, or by the waiter, who gives it up
	answer chan error
	err    error // what is to be answered after the commit
}

func newWriter(c *conn, log *slog.Logger) *writer {
	w := &writer{conn: c, log: log, queue: make(chan *request, maxWaiting), done: make(chan struct{})}
	go w.run()
	return w
}

// write runs an intent in a transaction of its own, as far as anybody can see,
// and returns when it is durable. The intent runs once or not at all; an error
// of its own undoes it. The end of ctx ends the waiting, and the intent only if
// it has not been begun; otherwise its fate is unknown to who does not wait.
func (w *writer) write(ctx context.Context, intent func(tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: not begun: %w", err)
	}
	r, err := w.enqueue(intent)
	if err != nil {
		return err
	}
	return r.wait(ctx)
}

func (r *request) wait(ctx context.Context) error {
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("store: not begun: %w", ctx.Err())
		}
		return fmt.Errorf("%w: not waited for: %w", store.ErrUnknownFate, ctx.Err())
	}
}

func (w *writer) enqueue(intent func(tx) error) (*request, error) {
	r := &request{intent: intent, answer: make(chan error, 1)}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return nil, store.ErrClosed
	}
	select {
	case w.queue <- r:
		return r, nil
	default:
		return nil, store.ErrBusy
	}
}

// close refuses what comes from now on and returns when all that was accepted
// has been answered. The connection stays open.
func (w *writer) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	batch := make([]*request, 0, maxBatch)
	for first := range w.queue {
		if hold := w.hold.Load(); hold != nil {
			(*hold)()
		}
		batch = w.gather(append(batch[:0], first))
		w.perform(batch)
		clear(batch)
	}
}

// gather adds what is queued now.
func (w *writer) gather(batch []*request) []*request {
	for len(batch) < maxBatch {
		select {
		case r, ok := <-w.queue:
			if !ok {
				return batch
			}
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// perform runs a batch, without those whose waiter has gone, and answers it.
func (w *writer) perform(batch []*request) {
	begun := batch[:0]
	for _, r := range batch {
		if r.taken.CompareAndSwap(false, true) {
			begun = append(begun, r)
		}
	}
	if len(begun) == 0 {
		return
	}
	if err := w.transact(begun); err != nil {
		// Closing the connection is the one rollback that cannot fail halfway.
		if cerr := w.conn.close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
		w.fault.Store(&err)
		w.log.Error("store: a transaction failed", "intents", len(begun), "err", err)
		for _, r := range begun {
			if r.err == nil || !errors.Is(err, store.ErrUnknownFate) {
				r.err = err
			}
		}
	}
	for _, r := range begun {
		r.answer <- r.err
	}
}

// transact runs the intents in one transaction and leaves in each request what
// came of it. If it returns an error, nothing has happened and the connection is
// in no known state; or the fate of all that succeeded is unknown.
func (w *writer) transact(batch []*request) error {
	c := w.conn
	if err := c.open(); err != nil {
		return fmt.Errorf("store: connect: %w", err)
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	if len(batch) == 1 { // the transaction is its savepoint
		r := batch[0]
		if r.err = w.attempt(r.intent); r.err != nil {
			return w.undo("ROLLBACK", r)
		}
	} else {
		for _, r := range batch {
			if err := w.nest(r); err != nil {
				return err
			}
		}
	}
	if err := w.control("COMMIT"); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnknownFate, err)
	}
	return nil
}

// nest runs one intent of several. The error is the whole transaction's: SQLite
// may end it by itself, on a full disk for example, and then the savepoint is
// gone and the next statement would be on its own.
func (w *writer) nest(r *request) error {
	if err := w.control("SAVEPOINT i"); err != nil {
		return err
	}
	if r.err = w.attempt(r.intent); r.err != nil {
		if err := w.undo("ROLLBACK TO i", r); err != nil {
			return err
		}
	}
	return w.control("RELEASE i")
}

// undo names what went wrong before, but as text: it may be a sentinel that
// would pass for the outcome.
func (w *writer) undo(sql string, r *request) error {
	if err := w.control(sql); err != nil {
		return fmt.Errorf("%w (after: %s)", err, r.err.Error())
	}
	return nil
}

func (w *writer) control(sql string) error {
	w.conn.failed = nil
	if _, err := w.conn.exec(sql); err != nil {
		return fmt.Errorf("store: %s: %w", sql, err)
	}
	return nil
}

// attempt runs an intent. A statement of it that failed is its failure, also if
// it hides that; so is a panic, which must not stop the others.
func (w *writer) attempt(intent func(tx) error) (err error) {
	w.conn.failed = nil
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("store: an intent panicked")
			w.log.Error("store: an intent panicked", "panic", p, "stack", string(debug.Stack()))
		}
		if failed := w.conn.failed; failed != nil {
			err = failed
			if !isConstraint(failed) {
				w.fault.Store(&failed)
			}
		}
	}()
	return intent(w.conn)
}

// ready commits to learn whether that is possible. After a failure it lets touch
// write, since a disk that is full still takes a commit of nothing.
func (w *writer) ready(ctx context.Context, touch func(tx) error) error {
	fault := w.fault.Load()
	err := w.write(ctx, func(t tx) error {
		if fault == nil {
			return nil
		}
		return touch(t)
	})
	if err != nil && fault != nil {
		return fmt.Errorf("%w (since: %w)", err, *fault)
	}
	if err == nil && fault != nil {
		w.fault.CompareAndSwap(fault, nil)
	}
	return err
}
