package sqlstore

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

const killAll = `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
	WHERE datname = current_database() AND application_name = 'tallystick'`

// The answer to a commit is lost: the server is asked what became of it, and what
// did not happen is done again.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cut     func(t *testing.T, s *Store, perform func() error) error
		inserts int  // how often the intent ran
		gone    bool // and nobody answers afterwards
	}{
		{"after it has arrived", func(_ *testing.T, _ *Store, perform func() error) error {
			return errors.Join(perform(), io.ErrUnexpectedEOF)
		}, 1, false},
		{"before it was sent", func(*testing.T, *Store, func() error) error { return io.ErrUnexpectedEOF }, 2, false},
		{"by the server, before it has arrived", func(t *testing.T, s *Store, perform func() error) error {
			s.elsewhere(t, killAll)
			return perform()
		}, 2, false},
		{"after it has arrived, and the server is gone", func(_ *testing.T, _ *Store, perform func() error) error {
			return errors.Join(perform(), io.ErrUnexpectedEOF)
		}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tap := new(storetest.Tap)
			s := freshPostgres(t, "", tap.Connector)
			aside := freshHandle(t, s)
			inserts, cut := 0, false
			tap.Hook(func(kind storetest.Kind, sql string, perform func() error) error {
				switch {
				case strings.HasPrefix(sql, `INSERT INTO "grant"`) && kind == storetest.Query:
					inserts++
				case kind == storetest.Commit && !cut:
					cut = true
					return tt.cut(t, aside, perform)
				case kind == storetest.Connect && cut && tt.gone:
					return io.ErrUnexpectedEOF
				}
				return perform()
			})
			b := birth("a")
			out, err := s.Birth(t.Context(), b)
			tap.Hook(nil)
			if tt.gone {
				if !errors.Is(err, store.ErrUnknownFate) {
					t.Errorf("Birth = %v, %v; want of unknown fate", out, err)
				}
				if s.db.postgres().fault.Load() == nil {
					t.Error("the fault is not remembered")
				}
			} else if err != nil || out != store.Done {
				t.Errorf("Birth = %v, %v; want done", out, err)
			}
			if inserts != tt.inserts {
				t.Errorf("the intent ran %d times, want %d", inserts, tt.inserts)
			}
			events, err := s.AuditOf(t.Context(), b.Grant.ID)
			if err != nil || len(events) != 1 {
				t.Errorf("%d events of the birth, %v; want 1", len(events), err)
			}
			if err := s.Ready(t.Context()); err != nil || s.db.postgres().fault.Load() != nil {
				t.Errorf("Ready: %v", err)
			}
		})
	}
}

// When the server restarts, every connection may be in the middle of a commit: each
// learns of its fate by itself.
func TestEveryCommitIsLost(t *testing.T) {
	t.Parallel()
	tap := new(storetest.Tap)
	s := freshPostgres(t, "", tap.Connector)
	var arrived atomic.Int64
	all := make(chan struct{})
	tap.Hook(func(kind storetest.Kind, _ string, perform func() error) error {
		if kind != storetest.Commit {
			return perform()
		}
		n := arrived.Add(1)
		if n > postgresConns {
			return perform()
		}
		if n == postgresConns {
			close(all)
		}
		<-all
		return io.ErrUnexpectedEOF
	})
	begin := time.Now()
	var done sync.WaitGroup
	for i := range postgresConns {
		done.Go(func() {
			if err := s.db.write(t.Context(), s.tenant(fmt.Sprint(i))); err != nil {
				t.Errorf("intent %d: %v", i, err)
			}
		})
	}
	done.Wait()
	if took := time.Since(begin); took > postgresWait {
		t.Errorf("it took %v: they have waited for one another", took)
	}
	for i := range postgresConns {
		if !present(t, s, fmt.Sprint(i)) {
			t.Errorf("intent %d was answered and has not happened", i)
		}
	}
}

// Two that wait for each other: the server ends one of them, which is begun again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	s := freshPostgres(t, "&deadlock_timeout=20ms")
	for _, name := range []string{"a", "b"} {
		if err := s.db.write(t.Context(), s.tenant(name)); err != nil {
			t.Fatal(err)
		}
	}
	var runs atomic.Int64
	var both, done sync.WaitGroup
	both.Add(2)
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		done.Go(func() {
			first := true
			err := s.db.write(t.Context(), func(q tx) error {
				runs.Add(1)
				if err := s.tenant(order[0])(q); err != nil {
					return err
				}
				if first {
					first = false
					both.Done()
					both.Wait()
				}
				return s.tenant(order[1])(q)
			})
			if err != nil {
				t.Errorf("%v: %v", order, err)
			}
		})
	}
	done.Wait()
	if runs.Load() < 3 {
		t.Errorf("%d runs, but one of the two must have been begun again", runs.Load())
	}
}

// A connection that died while nobody used it is replaced without anybody knowing.
func TestIdleConnectionDies(t *testing.T) {
	t.Parallel()
	s := freshPostgres(t, "")
	aside := freshHandle(t, s)
	kill := func() { aside.elsewhere(t, killAll+` AND pid <> pg_backend_pid()`) }
	kill()
	if err := s.db.write(t.Context(), s.tenant("a")); err != nil {
		t.Errorf("a write: %v", err)
	}
	kill()
	if !present(t, s, "a") {
		t.Error("it has not happened")
	}
	kill()
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	// A statement of its own cannot be told from one that was performed, so the client
	// asks again, and has the same successor.
	id := born(t, s, "a")
	kill()
	out, err := s.RotateRefresh(t.Context(), refresh(id, 0))
	if err != nil && !errors.Is(err, store.ErrUnknownFate) {
		t.Errorf("RotateRefresh: %v", err)
	}
	if err != nil {
		out, err = s.RotateRefresh(t.Context(), refresh(id, 0))
	}
	if err != nil || !out.Outcome.Served() || out.State.Generation != 1 {
		t.Errorf("RotateRefresh = %+v, %v", out, err)
	}
}

// A read that is begun again has everything once.
func TestReadsBegunAgain(t *testing.T) {
	t.Parallel()
	tap := new(storetest.Tap)
	s := freshPostgres(t, "", tap.Connector)
	ctx := t.Context()
	for i := range 3 {
		id := born(t, s, fmt.Sprint(i))
		if i == 0 {
			if out, err := s.EndGrant(ctx, store.End{Grant: id, Why: store.WhyRevoked, Now: t0}); err != nil || out != store.Done {
				t.Fatal(out, err)
			}
		}
		c := store.Client{Client: oauth.Client{ID: fmt.Sprint(i)}, Face: "oidc", Source: "api"}
		if err := s.PutClient(ctx, c); err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			if err := s.PutClientSecret(ctx, store.ClientSecret{ClientID: c.ID, Hash: store.Hash{byte(i + 1), byte(j)}, CreatedAt: t0 + int64(j)}); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := s.AddMACKey(ctx, store.MACKey{Number: uint16(i + 1), Sealed: []byte{1}, CreatedAt: t0, ActiveAt: t0}); err != nil || out != store.Done {
			t.Fatal(out, err)
		}
	}
	for name, read := range map[string]func() (any, error){
		"User":      func() (any, error) { u, _, err := s.User(ctx, ann.ID); return u, err },
		"Client":    func() (any, error) { c, _, err := s.Client(ctx, "1"); return c, err },
		"ClientsOf": func() (any, error) { return s.ClientsOf(ctx, "oidc") },
		"GrantsOf":  func() (any, error) { return s.GrantsOf(ctx, ann.ID, t0) },
		"MACKeys":   func() (any, error) { return s.MACKeys(ctx) },
		"AuditOf":   func() (any, error) { return s.AuditOf(ctx, id16("grant 0")) },
	} {
		want, err := read()
		if err != nil {
			t.Fatal(name, err)
		}
		for n := 1; ; n++ {
			calls := 0
			tap.Hook(func(kind storetest.Kind, _ string, perform func() error) error {
				if kind != storetest.Connect && kind != storetest.Prepare {
					if calls++; calls == n {
						return io.ErrUnexpectedEOF
					}
				}
				return perform()
			})
			got, err := read()
			tap.Hook(nil)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, lost at call %d: %v\n%s", name, n, err, cmp.Diff(want, got))
			}
			if calls < n {
				break
			}
		}
	}
}
