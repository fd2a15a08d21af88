package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

var errDriver = errors.New("the driver failed on purpose")

// faulty is a driver whose statements fail on purpose, before or after they
// have been performed.
type faulty struct {
	calls atomic.Int64
	fail  atomic.Pointer[func(n int64, sql string) (before, after bool)]
}

func (f *faulty) arm(fail func(n int64, sql string) (before, after bool)) {
	f.calls.Store(0)
	f.fail.Store(&fail)
}

func (f *faulty) disarm() { f.fail.Store(nil) }

func (f *faulty) call(sql string, perform func() error) error {
	fail := f.fail.Load()
	if fail == nil {
		return perform()
	}
	before, after := (*fail)(f.calls.Add(1), sql)
	if before {
		return errDriver
	}
	if err := perform(); err != nil {
		return err
	}
	if after {
		return errDriver
	}
	return nil
}

func (f *faulty) wrap(c driver.Connector) driver.Connector { return faultyConnector{c, f} }

type faultyConnector struct {
	driver.Connector
	f *faulty
}

func (c faultyConnector) Connect(ctx context.Context) (conn driver.Conn, err error) {
	err = c.f.call("connect", func() error {
		inner, err := c.Connector.Connect(ctx)
		conn = faultyConn{inner, c.f}
		return err
	})
	return conn, err
}

type faultyConn struct {
	driver.Conn
	f *faulty
}

func (c faultyConn) Prepare(sql string) (driver.Stmt, error) {
	st, err := c.Conn.Prepare(sql)
	if err != nil {
		return nil, err
	}
	return faultyStmt{st.(statement), c.f, sql}, nil
}

type faultyStmt struct {
	statement
	f   *faulty
	sql string
}

func (s faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	err = s.f.call(s.sql, func() error { res, err = s.statement.ExecContext(ctx, args); return err })
	return res, err
}

func (s faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = s.f.call(s.sql, func() error { rows, err = s.statement.QueryContext(ctx, args); return err })
	if err != nil && rows != nil {
		rows.Close()
	}
	return rows, err
}

// Every statement of a batch fails once, before or after it was performed:
// whoever is told that nothing happened is right, and so is whoever is told that
// it did.
func TestEveryStatementFails(t *testing.T) {
	f := new(faulty)
	s := fresh(t, f.wrap)
	const n = 3
	for _, size := range []int{1, n} {
		for _, performed := range []bool{false, true} {
			for at := int64(1); ; at++ {
				failed := ""
				f.arm(func(n int64, sql string) (bool, bool) {
					if n == at {
						failed = sql
					}
					return n == at && !performed, n == at && performed
				})
				name := func(i int) string { return fmt.Sprint(size, performed, at, i) }
				var intents []ask
				for i := range size {
					intents = append(intents, asked(s.tenant(name(i))))
				}
				answers := batch(t, s, intents...)
				f.disarm()
				errs := 0
				for i, err := range answers {
					done := present(t, s, name(i))
					switch {
					case err == nil && !done:
						t.Errorf("%s (performed: %v): intent %d was acknowledged and has not happened", failed, performed, i)
					case err != nil && !errors.Is(err, store.ErrUnknownFate) && done:
						t.Errorf("%s (performed: %v): intent %d failed and has happened: %v", failed, performed, i, err)
					case errors.Is(err, store.ErrUnknownFate) && failed != "COMMIT":
						t.Errorf("%s (performed: %v): intent %d: %v", failed, performed, i, err)
					}
					if err != nil {
						errs++
					}
				}
				works(t, s)
				if failed == "" {
					if errs != 0 {
						t.Errorf("no statement failed, but %v", answers)
					}
					break
				}
				// An intent's own statement is its own affair; any other is everybody's.
				want := size
				if strings.HasPrefix(failed, "INSERT") {
					want = 1
				}
				if errs != want {
					t.Errorf("%s (performed: %v): %d of %d failed, want %d: %v", failed, performed, errs, size, want, answers)
				}
			}
		}
	}
}

// The rollback of one intent fails, too: nobody is told that it happened, and
// nobody an outcome that the intent had in mind.
func TestRollbackFails(t *testing.T) {
	f := new(faulty)
	s := fresh(t, f.wrap)
	taken := ann
	taken.ID = id16("bob")
	for _, size := range []int{1, 3} {
		for k := range size {
			f.arm(func(_ int64, sql string) (bool, bool) { return strings.HasPrefix(sql, "ROLLBACK"), false })
			var intents []ask
			for i := range size {
				intents = append(intents, asked(func(t tx) error {
					if err := s.tenant(fmt.Sprint(size, k, i))(t); err != nil || i != k {
						return err
					}
					return errTaken
				}))
			}
			for i, err := range batch(t, s, intents...) {
				if err == nil || errors.Is(err, errTaken) || errors.Is(err, store.ErrUnknownFate) {
					t.Errorf("intent %d: %v, want a fault", i, err)
				}
				if present(t, s, fmt.Sprint(size, k, i)) {
					t.Errorf("intent %d has happened", i)
				}
			}
			f.disarm()
			works(t, s)
		}
	}
	if out, err := s.PutUser(t.Context(), taken); err != nil || out != store.Taken {
		t.Errorf("PutUser = %v, %v; want taken", out, err)
	}
}

// SQLite ends a transaction by itself, as it may on a full disk or an I/O error:
// all that was done in it is undone, and what would come after it must not be
// done on its own.
func TestSQLiteEndsTheTransaction(t *testing.T) {
	const n = 3
	s := fresh(t)
	for size := 1; size <= n; size++ {
		for k := range size {
			name := func(i int) string { return fmt.Sprint(size, k, i) }
			var intents []ask
			for i := range size {
				intents = append(intents, asked(func(t tx) error {
					if i == k {
						_, _ = t.exec(`INSERT OR ROLLBACK INTO tenant (issuer, id, name, created_at) VALUES ($1, $1, NULL, 0)`, s.key)
					}
					_ = s.tenant(name(i))(t)
					return nil
				}))
			}
			for i, err := range batch(t, s, intents...) {
				if err == nil || errors.Is(err, store.ErrUnknownFate) || present(t, s, name(i)) {
					t.Errorf("ended at %d of %d: intent %d: %v", k, size, i, err)
				}
			}
			works(t, s)
		}
	}
}

// While no commit can be made the store says so, also between the attempts, and
// it finds out by itself when one can.
func TestReadyWhileTheDiskIsFull(t *testing.T) {
	f := new(faulty)
	s := fresh(t, f.wrap)
	wrote := false // SQLite commits nothing without a look at the disk
	f.arm(func(_ int64, sql string) (bool, bool) {
		switch {
		case strings.HasPrefix(sql, "BEGIN"):
			wrote = false
		case strings.HasPrefix(sql, "INSERT"), strings.HasPrefix(sql, "UPDATE"):
			wrote = true
		case sql == "COMMIT":
			return wrote, false
		}
		return false, false
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("before anybody could know: %v", err)
	}
	if err := s.db.write(t.Context(), s.tenant("a")); !errors.Is(err, store.ErrUnknownFate) || !errors.Is(err, errDriver) {
		t.Errorf("write: %v, want an unknown fate and why", err)
	}
	for range 3 {
		if err := s.Ready(t.Context()); !errors.Is(err, errDriver) {
			t.Errorf("Ready: %v, want the driver's error", err)
		}
	}
	f.disarm()
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready afterwards: %v", err)
	}
	if s.db.sqlite().fault.Load() != nil {
		t.Error("the fault is still remembered")
	}
}

// A read that fails takes nothing with it: the next one has a new connection.
func TestReadFails(t *testing.T) {
	f := new(faulty)
	s := fresh(t, f.wrap)
	connects := 0
	for range 2 * readers {
		f.arm(func(_ int64, sql string) (bool, bool) {
			if sql == "connect" {
				connects++
			}
			return sql != "connect", false
		})
		if _, _, err := s.User(t.Context(), ann.ID); !errors.Is(err, errDriver) {
			t.Errorf("User: %v, want the driver's error", err)
		}
		f.disarm()
		if _, found, err := s.User(t.Context(), ann.ID); err != nil || !found {
			t.Errorf("User afterwards: %v, %v", found, err)
		}
	}
	if connects < readers {
		t.Errorf("%d new connections, want one after each failure", connects)
	}
}

// What cannot be read as what it should be is an error, and never a zero: a
// damaged row must not be a live grant.
func TestDamagedRow(t *testing.T) {
	s := fresh(t)
	id := born(t, s, "a")
	for _, damage := range []string{
		"revoked_at = 'x'", "generation = -1", "generation = 4294967296", "mac_key = 65536", `"user" = x'01'`,
		"redeemed_at = x'01'", "absolute_expires_at = 'never'",
	} {
		err := s.db.write(t.Context(), func(t tx) error {
			_, err := t.exec(`UPDATE "grant" SET `+damage+` WHERE id = $1`, id[:])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if g, found, err := s.Grant(t.Context(), id); err == nil {
			t.Errorf("%s: Grant = %+v, %v; want an error", damage, g, found)
		}
		b := birth("a")
		repair := func(t tx) error {
			_, err := t.exec(`UPDATE "grant" SET revoked_at = 0, generation = 0, mac_key = 1, "user" = $2, redeemed_at = $3,
				absolute_expires_at = 0 WHERE id = $1`, id[:], b.Grant.User[:], t0)
			return err
		}
		if err := s.db.write(t.Context(), repair); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := s.Grant(t.Context(), id); err != nil || !found {
		t.Errorf("repaired: %v, %v", found, err)
	}
}
