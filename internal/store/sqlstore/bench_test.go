package sqlstore

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// bench is a benchmark on a database, which waits for the disk.
type bench struct {
	*testing.B
	s     *Store
	tap   *storetest.Tap
	users []store.User
}

// databases runs a benchmark on a database of each kind.
func databases(b *testing.B, run func(*bench)) {
	b.Run("SQLite", func(b *testing.B) {
		tap := new(storetest.Tap)
		run(peopled(b, fresh(b, tap.Connector), tap))
	})
	server, err := postgres.Start(true)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	}()
	b.Run("PostgreSQL", func(b *testing.B) {
		url, err := server.NewDatabase(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		tap := new(storetest.Tap)
		run(peopled(b, furnished(b, Config{URL: url, WrapConnector: tap.Connector}), tap))
	})
}

const workers = 64

// peopled has a user for each worker: births of one user wait for one another.
func peopled(b *testing.B, s *Store, tap *storetest.Tap) *bench {
	b.Helper()
	out := &bench{b, s, tap, nil}
	for i := range workers {
		u := ann
		u.ID, u.Identifiers = id16("user %d", i), nil
		if got, err := s.PutUser(b.Context(), u); err != nil || got != store.Done {
			b.Fatal(got, err)
		}
		out.users = append(out.users, u)
	}
	return out
}

// measure begins the measurement. At its end it reports, of one operation, the round
// trips, which are what is asked of the driver, and the processor time in all
// goroutines of this process.
func (b *bench) measure() (end func()) {
	used := func() int64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	var trips atomic.Int64
	b.tap.Hook(func(kind storetest.Kind, _ string, perform func() error) error {
		if kind != storetest.Next && kind != storetest.Connect {
			trips.Add(1)
		}
		return perform()
	})
	b.ReportAllocs()
	before := used()
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(used()-before)/1000/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(trips.Load())/float64(b.N), "trips/op")
		b.tap.Hook(nil)
	}
}

// each performs every operation, one after the other or many at a time.
func (b *bench) each(parallel bool, one func(i int) error) {
	defer b.measure()()
	if !parallel {
		for i := range b.N {
			if err := one(i); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	var next atomic.Int64
	b.SetParallelism(workers / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := one(int(next.Add(1) - 1)); err != nil {
				b.Error(err)
			}
		}
	})
}

// birth is that of one of the users.
func (b *bench) birth(i int) store.Birth {
	in := birth(fmt.Sprint(i))
	in.Grant.User = b.users[i%workers].ID
	return in
}

func want(got store.Outcome, err error, want store.Outcome) error {
	if err == nil && got != want {
		err = fmt.Errorf("%v, want %v", got, want)
	}
	return err
}

// grants makes grants whose codes are redeemed or not.
func (b *bench) grants(n int, redeemed bool) []store.GrantID {
	b.Helper()
	ids := make([]store.GrantID, n)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				in := b.birth(i)
				ids[i] = in.Grant.ID
				out, err := b.s.Birth(b.Context(), in)
				if err := want(out, err, store.Done); err != nil {
					b.Error(err)
				}
				if redeemed {
					out, err := b.s.RedeemCode(b.Context(), redeem(ids[i]))
					if err := want(out.Outcome, err, store.Done); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	return ids
}

const many = 4096

func BenchmarkRotate(b *testing.B)         { databases(b, rotations(false)) }
func BenchmarkRotateParallel(b *testing.B) { databases(b, rotations(true)) }

func rotations(parallel bool) func(*bench) {
	return func(b *bench) {
		ids := b.grants(many, true)
		b.each(parallel, func(i int) error {
			out, err := b.s.RotateRefresh(b.Context(), refresh(ids[i*7919%many], uint32(i/many)))
			if parallel && out.Outcome == store.Ahead { // of the rotation before, which is still on its way
				return err
			}
			return want(out.Outcome, err, store.Done)
		})
	}
}

func BenchmarkRedeem(b *testing.B)         { databases(b, redemptions(false)) }
func BenchmarkRedeemParallel(b *testing.B) { databases(b, redemptions(true)) }

func redemptions(parallel bool) func(*bench) {
	return func(b *bench) {
		ids := b.grants(b.N, false)
		b.each(parallel, func(i int) error {
			out, err := b.s.RedeemCode(b.Context(), redeem(ids[i]))
			return want(out.Outcome, err, store.Done)
		})
	}
}

func BenchmarkBirth(b *testing.B)         { databases(b, births(false)) }
func BenchmarkBirthParallel(b *testing.B) { databases(b, births(true)) }

func births(parallel bool) func(*bench) {
	return func(b *bench) {
		b.each(parallel, func(i int) error {
			out, err := b.s.Birth(b.Context(), b.birth(i))
			return want(out, err, store.Done)
		})
	}
}

// A refresh without rotation, in the first sixteenth of its idle life.
func BenchmarkServe(b *testing.B)         { databases(b, serving(false)) }
func BenchmarkServeParallel(b *testing.B) { databases(b, serving(true)) }

func serving(parallel bool) func(*bench) {
	return func(b *bench) {
		in := refresh(b.grants(1, true)[0], 0)
		in.Rotating = false
		b.each(parallel, func(int) error {
			out, err := b.s.RotateRefresh(b.Context(), in)
			return want(out.Outcome, err, store.Done)
		})
	}
}

func BenchmarkGrantRead(b *testing.B) {
	databases(b, func(b *bench) {
		ids := b.grants(many, true)
		b.each(false, func(i int) error {
			_, found, err := b.s.Grant(b.Context(), ids[i*7919%many])
			if err == nil && !found {
				err = fmt.Errorf("no grant %d", i)
			}
			return err
		})
	})
}
