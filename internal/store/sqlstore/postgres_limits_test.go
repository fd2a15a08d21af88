package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallystick/tallystick/internal/store"
)

// silence is a network that neither answers nor hangs up.
type silence struct {
	net.Listener
	on atomic.Bool
}

func silenced(t *testing.T, cfg Config) (*silence, Config) {
	t.Helper()
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s, to := &silence{Listener: l}, u.Host
	u.Host = l.Addr().String()
	cfg.URL = u.String()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go s.carry(in, out)
			go s.carry(out, in)
		}
	}()
	return s, cfg
}

func (s *silence) carry(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if s.on.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Nothing waits for ever: not for the server's work, nor for another's lock, nor for
// a network that has gone.
func TestIntentsEnd(t *testing.T) {
	t.Parallel()
	s := freshPostgres(t, "&statement_timeout=100&lock_timeout=50")
	err := s.db.write(t.Context(), func(q tx) error {
		if err := s.tenant("slow")(q); err != nil {
			return err
		}
		_, err := q.one("SELECT pg_sleep(60)::text")
		return err
	})
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "57014" || present(t, s, "slow") {
		t.Errorf("a statement that takes a minute: %v", err)
	}
	works(t, s)
	held := s.db.write(t.Context(), func(q tx) error {
		if err := s.tenant("afterwards")(q); err != nil {
			return err
		}
		err := s.db.write(t.Context(), s.tenant("afterwards"))
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "55P03" {
			t.Errorf("a row that another holds: %v", err)
		}
		return nil
	})
	if held != nil {
		t.Error(held)
	}
	works(t, s)

	net, cfg := silenced(t, newPostgres(t))
	s = furnished(t, cfg)
	b := s.db.postgres()
	b.bound = 100 * time.Millisecond
	id := born(t, s, "a")
	for name, act := range map[string]func() error{
		"a write":    func() error { return b.write(t.Context(), s.tenant("silent")) },
		"a read":     func() error { _, _, err := s.User(t.Context(), ann.ID); return err },
		"a rotation": func() error { _, err := s.RotateRefresh(t.Context(), refresh(id, 0)); return err },
		"Ready":      func() error { return s.Ready(t.Context()) },
	} {
		net.on.Store(true)
		begin := time.Now()
		if err := act(); err == nil {
			t.Errorf("%s in silence: no error", name)
		}
		// The bound is of all tries together, those to connect among them.
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s in silence took %v", name, took)
		}
		net.on.Store(false)
		b.bound = postgresBound
		works(t, s)
		b.bound = 100 * time.Millisecond
	}
}

// Whoever stops a node while the database is silent, or has dropped its connections,
// waits for no answer, and is told of no fault.
func TestCloseInSilence(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T, *Store, *silence){
		"silence":      func(_ *testing.T, _ *Store, net *silence) { net.on.Store(true) },
		"dropped ones": func(t *testing.T, s *Store, _ *silence) { s.elsewhere(t, killAll+` AND pid <> pg_backend_pid()`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net, cfg := silenced(t, newPostgres(t))
			aside := furnished(t, cfg)
			db, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			s := &Store{db: db, id: aside.id, key: aside.key}
			var open sync.WaitGroup
			open.Add(postgresConns)
			var all sync.WaitGroup
			for range postgresConns { // each with a connection of its own, and a statement
				all.Go(func() {
					err := db.read(t.Context(), func(q tx) error {
						_, err := q.one(sqlConfigVersion, s.key)
						open.Done()
						open.Wait()
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			begin(t, aside, net)
			start := time.Now()
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if took := time.Since(start); took > 7*time.Second {
				t.Errorf("Close took %v", took)
			}
			net.on.Store(false)
		})
	}
}

func TestCloseWhileInUse(t *testing.T) {
	t.Parallel()
	s := freshPostgres(t, "")
	begun, goOn, written, closed := make(chan struct{}), make(chan struct{}), make(chan error), make(chan error)
	go func() {
		written <- s.db.write(context.Background(), func(q tx) error {
			close(begun)
			<-goOn
			return s.tenant("a")(q)
		})
	}()
	<-begun
	go func() { closed <- s.db.Close() }()
	<-s.db.postgres().closing
	if err := s.db.write(t.Context(), s.tenant("late")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a write: %v, want ErrClosed", err)
	}
	if _, _, err := s.User(t.Context(), ann.ID); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a read: %v, want ErrClosed", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Ready: %v, want ErrClosed", err)
	}
	select {
	case err := <-closed:
		t.Errorf("closed while in use: %v", err)
	default:
	}
	close(goOn)
	if err := <-written; err != nil {
		t.Errorf("what was under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.db.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// With every connection in use the next one is told so, and waits no longer than he
// wants to.
func TestConnectionsAreFew(t *testing.T) {
	t.Parallel()
	s := freshPostgres(t, "")
	b := s.db.postgres()
	b.wait = 20 * time.Millisecond
	var done, all sync.WaitGroup
	goOn := make(chan struct{})
	all.Add(postgresConns)
	for i := range postgresConns {
		done.Go(func() {
			if err := b.write(t.Context(), func(q tx) error {
				all.Done()
				<-goOn
				return s.tenant(fmt.Sprint(i))(q)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := b.write(t.Context(), s.tenant("more")); !errors.Is(err, store.ErrBusy) {
		t.Errorf("one more: %v, want ErrBusy", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := b.write(gone, s.tenant("more")); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknownFate) {
		t.Errorf("one who has gone: %v, want canceled", err)
	}
	close(goOn)
	done.Wait()
	works(t, s)
	if present(t, s, "more") {
		t.Error("the refused intent has happened")
	}
}
