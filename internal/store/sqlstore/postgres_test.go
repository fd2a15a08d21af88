package sqlstore

import (
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

// freshPostgres is a new database with one issuer and one user; params are added to
// its address.
func freshPostgres(t testing.TB, params string, wrap ...func(driver.Connector) driver.Connector) *Store {
	t.Helper()
	cfg := newPostgres(t)
	cfg.URL += params
	if len(wrap) > 0 {
		cfg.WrapConnector = wrap[0]
	}
	return furnished(t, cfg)
}

func furnished(t testing.TB, cfg Config) *Store {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := issuer(t, db, "https://issuer.example")
	if out, err := s.PutUser(t.Context(), ann); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	return s
}

func (db *DB) postgres() *postgresBackend { return db.backend.(*postgresBackend) }

// elsewhere runs a statement in the store's database, on a connection of its own.
func (s *Store) elsewhere(t testing.TB, sql string) {
	t.Helper()
	if err := server(t).Exec(t.Context(), s.shown(t, "current_database()::text"), sql); err != nil {
		t.Fatal(err)
	}
}

// shown is what an expression is in the store's database.
func (s *Store) shown(t testing.TB, expression string) (text string) {
	t.Helper()
	err := s.db.read(t.Context(), func(q tx) error {
		r, err := q.one("SELECT " + expression)
		if err == nil {
			text = r.text()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// freshHandle is another node of the same database, whose connections are not tapped.
func freshHandle(t testing.TB, s *Store) *Store {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: server(t).URL(s.shown(t, "current_database()::text"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return issuer(t, db, "https://issuer.example")
}

// A rotation that matches is one statement, and its own commit.
func TestRotationIsOneStatement(t *testing.T) {
	t.Parallel()
	tap := new(storetest.Tap)
	s := freshPostgres(t, "", tap.Connector)
	id := born(t, s, "a")
	var calls []string
	watch := func(fail func(kind storetest.Kind, perform func() error) error) {
		calls = nil
		tap.Hook(func(kind storetest.Kind, sql string, perform func() error) error {
			if kind != storetest.Next && kind != storetest.Connect {
				calls = append(calls, string(kind))
			}
			if fail != nil && strings.HasPrefix(sql, `UPDATE "grant"`) {
				return fail(kind, perform)
			}
			return perform()
		})
	}
	rotate := func(generation uint32) (store.Rotated, error) {
		out, err := s.RotateRefresh(t.Context(), refresh(id, generation))
		tap.Hook(nil)
		return out, err
	}
	watch(nil)
	if out, err := rotate(0); err != nil || out.Outcome != store.Done {
		t.Fatal(out, err)
	}
	watch(nil)
	if out, err := rotate(1); err != nil || out.Outcome != store.Done || !cmp.Equal(calls, []string{"query"}) {
		t.Errorf("RotateRefresh = %+v, %v by %v; want one query", out, err, calls)
	}
	// Its answer is lost: nobody can tell, and the client asks again.
	watch(func(_ storetest.Kind, perform func() error) error { return errors.Join(perform(), io.ErrUnexpectedEOF) })
	if out, err := rotate(2); !errors.Is(err, store.ErrUnknownFate) {
		t.Errorf("RotateRefresh = %+v, %v; want of unknown fate", out, err)
	}
	if out, err := rotate(2); err != nil || out.Outcome != store.Retried || out.State.Generation != 3 {
		t.Errorf("RotateRefresh = %+v, %v; want the successor again", out, err)
	}
	// What was not asked for yet is asked for again.
	if err := s.db.postgres().idle[postgresConns-1].close(); err != nil {
		t.Fatal(err)
	}
	lost := false
	watch(func(kind storetest.Kind, perform func() error) error {
		if kind == storetest.Prepare && !lost {
			lost = true
			return io.ErrUnexpectedEOF
		}
		return perform()
	})
	if out, err := rotate(3); err != nil || out.Outcome != store.Done || !lost {
		t.Errorf("RotateRefresh = %+v, %v; want done (lost: %v)", out, err, lost)
	}
}

// The address has a password in it, and errors are logged.
func TestAddressIsNotTold(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://ann:geheim@127.0.0.1:port/db", "postgres://ann:geheim@[::1/db", "postgres://ann:ge%zzheim@h/db",
		"postgres://ann:geheim@127.0.0.1:1/db", "postgres://ann:geheim@127.0.0.1:1/db?sslmode=nonsense",
		"host=127.0.0.1 port=1 user=ann password=geheim connect_timeout=x", "postgres://ann:geheim@no.invalid/db",
	} {
		db, err := Open(t.Context(), Config{URL: address})
		if err == nil {
			_ = db.Close()
			t.Errorf("%s was opened", address)
			continue
		}
		if strings.Contains(err.Error(), "heim") {
			t.Errorf("the password is in %q", err)
		}
	}
}

// What ends the statements of intents does not end those of a migration, which take as
// long as there is much to migrate.
func TestMigrationMayTakeLong(t *testing.T) {
	t.Parallel()
	cfg := newPostgres(t)
	cfg.URL += "&statement_timeout=1"
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A node that starts brings the database to the newest schema, of several one.
func TestNodesStartTogether(t *testing.T) {
	t.Parallel()
	cfg := newPostgres(t)
	var done sync.WaitGroup
	for i := range 4 {
		done.Go(func() {
			db, err := Open(t.Context(), cfg)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			if err := db.Close(); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	done.Wait()
	works(t, furnished(t, cfg))
}
