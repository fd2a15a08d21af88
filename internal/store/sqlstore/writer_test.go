package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// hold stops the writer at its next batch until the returned function is called.
func hold(w *writer) (release func()) {
	gate := make(chan struct{})
	holdBy(w, func() { <-gate })
	return func() { close(gate) }
}

func holdBy(w *writer, f func()) { w.hold.Store(&f) }

// tenant is an intent that leaves a trace; present looks for it.
func (s *Store) tenant(name string) func(tx) error {
	return func(t tx) error {
		id := id16("tenant %s", name)
		_, err := t.exec(sqlPutTenant, s.key, id[:], name, t0)
		return err
	}
}

func present(t *testing.T, s *Store, name string) bool {
	t.Helper()
	found := false
	id := id16("tenant %s", name)
	err := s.db.read(t.Context(), func(q tx) error {
		r, err := q.one(`SELECT name FROM tenant WHERE issuer = $1 AND id = $2`, s.key, id[:])
		found = r != nil
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// batch enqueues intents while the writer is held, so that they are one batch,
// and waits for the answers.
func batch(t *testing.T, s *Store, intents ...ask) []error {
	t.Helper()
	w := s.db.sqlite().writer
	release := hold(w)
	var waits []func() error
	for _, in := range intents {
		r, err := w.enqueue(in.intent)
		if err != nil {
			t.Fatal(err)
		}
		if in.leaves {
			gone, leave := context.WithCancel(t.Context())
			leave()
			err := r.wait(gone)
			waits = append(waits, func() error { return err })
			continue
		}
		waits = append(waits, func() error { return r.wait(t.Context()) })
	}
	release()
	var answers []error
	for _, wait := range waits {
		answers = append(answers, wait())
	}
	return answers
}

// ask is an intent and whether its waiter leaves before it is begun.
type ask struct {
	intent func(tx) error
	leaves bool
}

func asked(intent func(tx) error) ask { return ask{intent: intent} }

var errOwn = errors.New("own error")

// One intent of a batch fails: it alone has not happened, wherever it stands.
func TestOneOfABatchFails(t *testing.T) {
	type failure struct {
		name string
		ask  func(s *Store) ask
		want func(error) bool
	}
	after := func(end func(tx) error) func(*Store) ask {
		return func(s *Store) ask {
			return asked(func(t tx) error {
				if err := s.tenant("bad")(t); err != nil {
					return err
				}
				return end(t)
			})
		}
	}
	violate := func(t tx) error {
		_, err := t.exec(`INSERT INTO tenant (issuer, id, name, created_at) VALUES ($1, $1, NULL, 0)`, []byte{1})
		return err
	}
	for _, f := range []failure{
		{"an error of its own", after(func(tx) error { return errOwn }), func(err error) bool { return errors.Is(err, errOwn) }},
		{"a violated constraint", after(violate), isConstraint},
		{"a statement's error that it hides", after(func(t tx) error { _ = violate(t); return nil }), isConstraint},
		{"a statement after a failed one", after(func(t tx) error {
			_ = violate(t)
			_, err := t.exec(`DELETE FROM tenant`)
			return err
		}), isConstraint},
		{"no such statement", after(func(t tx) error { _, err := t.exec("SELEC"); return err }), func(err error) bool { return err != nil }},
		{"a panic", after(func(tx) error { panic("on purpose") }), func(err error) bool { return err != nil }},
		{"a panic between rows", after(func(t tx) error {
			return t.all(`SELECT id FROM issuer`, func(*row) error { panic("on purpose") })
		}), func(err error) bool { return err != nil }},
		{"a waiter that has gone", func(s *Store) ask { return ask{s.tenant("bad"), true} }, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(f.name, func(t *testing.T) {
			const n = 4
			s := fresh(t)
			for size := 1; size <= n; size++ {
				for k := range size {
					var intents []ask
					for i := range size {
						if i == k {
							intents = append(intents, f.ask(s))
						} else {
							intents = append(intents, asked(s.tenant(fmt.Sprint(size, k, i))))
						}
					}
					for i, err := range batch(t, s, intents...) {
						if i == k {
							if !f.want(err) || errors.Is(err, store.ErrUnknownFate) {
								t.Errorf("intent %d of %d: %v", i, size, err)
							}
						} else if err != nil || !present(t, s, fmt.Sprint(size, k, i)) {
							t.Errorf("intent %d of %d beside the failed one: %v", i, size, err)
						}
					}
					if present(t, s, "bad") {
						t.Fatal("the failed intent has happened")
					}
				}
			}
			works(t, s)
		})
	}
}

// works wants an intent to be done and the store to say that it can.
func works(t *testing.T, s *Store) {
	t.Helper()
	if err := s.db.write(t.Context(), s.tenant("afterwards")); err != nil || !present(t, s, "afterwards") {
		t.Errorf("afterwards: %v", err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// A full disk at the k-th intent of a batch, by SQLite's own limit.
func TestFullDisk(t *testing.T) {
	const n = 4
	for k := range n {
		s := fresh(t)
		limit := func(sql string) {
			if err := s.db.write(t.Context(), func(t tx) error { _, err := t.one(sql); return err }); err != nil {
				t.Fatal(err)
			}
		}
		// A limit below the size is the size.
		limit("PRAGMA max_page_count = 1")
		var intents []ask
		for i := range n {
			if i == k {
				intents = append(intents, asked(func(t tx) error {
					id := id16("tenant bad")
					_, err := t.exec(sqlPutTenant, s.key, id[:], string(make([]byte, 1<<20)), t0)
					return err
				}))
			} else {
				intents = append(intents, asked(s.tenant(fmt.Sprint(i))))
			}
		}
		for i, err := range batch(t, s, intents...) {
			// SQLite may end the whole transaction; nobody may be told otherwise.
			if errors.Is(err, store.ErrUnknownFate) || (err == nil) != present(t, s, fmt.Sprint(i)) {
				t.Errorf("full at %d: intent %d: %v", k, i, err)
			}
			if i == k && err == nil {
				t.Errorf("full at %d: no error", k)
			}
		}
		if present(t, s, "bad") {
			t.Errorf("full at %d: the failed intent has happened", k)
		}
		if s.db.sqlite().fault.Load() == nil {
			t.Errorf("full at %d: the fault is not remembered", k)
		}
		limit("PRAGMA max_page_count = 1000000")
		works(t, s)
	}
}

func TestBusyAtOnce(t *testing.T) {
	s := fresh(t)
	w := s.db.sqlite().writer
	held := make(chan struct{})
	gate := make(chan struct{})
	var once sync.Once
	holdBy(w, func() { once.Do(func() { close(held) }); <-gate })
	var queued []*request
	for i := range maxWaiting + 1 { // the first one is with the writer
		r, err := w.enqueue(s.tenant(fmt.Sprint(i)))
		if err != nil {
			t.Fatalf("intent %d: %v", i, err)
		}
		queued = append(queued, r)
		if i == 0 {
			<-held
		}
	}
	if err := w.write(t.Context(), s.tenant("one too many")); !errors.Is(err, store.ErrBusy) {
		t.Errorf("one more: %v, want ErrBusy", err)
	}
	close(gate)
	for i, r := range queued {
		if err := <-r.answer; err != nil || !present(t, s, fmt.Sprint(i)) {
			t.Errorf("intent %d: %v", i, err)
		}
	}
	if present(t, s, "one too many") {
		t.Error("the refused intent has happened")
	}
	works(t, s)
}

func TestCloseDrains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := issuer(t, open(t, path), "a")
	w := s.db.sqlite().writer
	release := hold(w)
	var queued []*request
	for i := range 2*maxBatch + 1 {
		r, err := w.enqueue(s.tenant(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		queued = append(queued, r)
	}
	closed := make(chan error)
	go func() { closed <- s.db.Close() }()
	for shut := false; !shut; runtime.Gosched() {
		w.mu.RLock()
		shut = w.closed
		w.mu.RUnlock()
	}
	release()
	for i, r := range queued {
		if err := <-r.answer; err != nil {
			t.Errorf("intent %d: %v", i, err)
		}
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.db.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if err := s.db.write(t.Context(), s.tenant("late")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("write after Close: %v, want ErrClosed", err)
	}
	if _, _, err := s.User(t.Context(), ann.ID); !errors.Is(err, store.ErrClosed) {
		t.Errorf("read after Close: %v, want ErrClosed", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Ready after Close: %v, want ErrClosed", err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the WAL is still there: %v", err)
	}
	again := issuer(t, open(t, path), "a")
	for i := range queued {
		if !present(t, again, fmt.Sprint(i)) {
			t.Fatalf("intent %d was answered and is not there", i)
		}
	}
}

// The end of a context ends the waiting, not what has been begun.
func TestLeavingDoesNotUndo(t *testing.T) {
	s := fresh(t)
	ctx, leave := context.WithCancel(t.Context())
	begun, goOn := make(chan struct{}), make(chan struct{})
	left := make(chan error)
	go func() {
		left <- s.db.write(ctx, func(t tx) error {
			close(begun)
			<-goOn
			return s.tenant("begun")(t)
		})
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnknownFate) {
		t.Errorf("write: %v, want canceled and of unknown fate", err)
	}
	close(goOn)
	works(t, s) // a later commit, hence after the other one
	if !present(t, s, "begun") {
		t.Error("what was begun has not happened")
	}
}

// A crash at any moment loses nothing that was answered: the files as they are
// between two commits, opened elsewhere.
func TestCrashKeepsWhatWasAnswered(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	s := issuer(t, open(t, filepath.Join(dir, "t.db")), "a")
	var mu sync.Mutex
	answered := map[string]bool{}
	type crash struct {
		path     string
		answered map[string]bool
	}
	var crashes []crash
	batches := 0
	holdBy(s.db.sqlite().writer, func() {
		if batches++; batches%20 != 0 {
			return
		}
		mu.Lock()
		c := crash{filepath.Join(crashed, fmt.Sprint(batches)), maps.Clone(answered)}
		mu.Unlock()
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(filepath.Join(dir, "t.db"+suffix))
			if err == nil {
				err = os.WriteFile(c.path+suffix, b, 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		}
		crashes = append(crashes, c)
	})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprint(worker, i)
				if err := s.db.write(t.Context(), s.tenant(name)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				answered[name] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := s.db.Close(); err != nil { // crashes is the writer's until then
		t.Fatal(err)
	}
	if len(crashes) == 0 || len(crashes[len(crashes)-1].answered) == 0 {
		t.Fatal("no crash after an answer")
	}
	for _, c := range crashes {
		again := issuer(t, open(t, c.path), "a")
		for name := range c.answered {
			if !present(t, again, name) {
				t.Errorf("%s was answered before the crash and is lost", name)
			}
		}
		if err := again.db.Close(); err != nil {
			t.Error(err)
		}
	}
}
