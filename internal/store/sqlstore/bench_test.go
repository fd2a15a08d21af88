package sqlstore

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// cpu reports the processor time of one operation, in all goroutines.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	b.ReportAllocs()
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/1000/float64(b.N), "cpu-µs/op") }
}

// grants makes redeemed grants, in batches.
func grants(b *testing.B, s *Store, n int) []store.GrantID {
	b.Helper()
	ids := make([]store.GrantID, n)
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := worker; i < n; i += 64 {
				ids[i] = born(b, s, fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
	return ids
}

const many = 4096

func BenchmarkRotate(b *testing.B) {
	s := fresh(b)
	ids := grants(b, s, many)
	defer cpu(b)()
	b.ResetTimer()
	for i := range b.N {
		out, err := s.RotateRefresh(b.Context(), refresh(ids[i*7919%many], uint32(i/many)))
		if err != nil || out.Outcome != store.Done {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkRotateParallel(b *testing.B) {
	s := fresh(b)
	ids := grants(b, s, many)
	var next atomic.Int64
	defer cpu(b)()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1) - 1)
			out, err := s.RotateRefresh(b.Context(), refresh(ids[i*7919%many], uint32(i/many)))
			if err != nil || out.Outcome != store.Done {
				b.Error(out, err)
			}
		}
	})
}

func BenchmarkRedeemParallel(b *testing.B) { benchmarkRedeem(b, 32) }
func BenchmarkRedeem(b *testing.B)         { benchmarkRedeem(b, 0) }

func benchmarkRedeem(b *testing.B, parallelism int) {
	s := fresh(b)
	ids := make([]store.GrantID, b.N)
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := worker; i < b.N; i += 64 {
				in := birth(fmt.Sprint(i))
				ids[i] = in.Grant.ID
				if out, err := s.Birth(b.Context(), in); err != nil || out != store.Done {
					b.Error(out, err)
				}
			}
		})
	}
	wg.Wait()
	one := func(i int) {
		out, err := s.RedeemCode(b.Context(), redeem(ids[i]))
		if err != nil || out.Outcome != store.Done {
			b.Error(out, err)
		}
	}
	defer cpu(b)()
	b.ResetTimer()
	if parallelism == 0 {
		for i := range b.N {
			one(i)
		}
		return
	}
	var next atomic.Int64
	b.SetParallelism(parallelism)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one(int(next.Add(1) - 1))
		}
	})
}

func BenchmarkBirthParallel(b *testing.B) {
	s := fresh(b)
	var next atomic.Int64
	defer cpu(b)()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if out, err := s.Birth(b.Context(), birth(fmt.Sprint(next.Add(1)))); err != nil || out != store.Done {
				b.Error(out, err)
			}
		}
	})
}

// A refresh without rotation, in the first sixteenth of its idle life.
func BenchmarkServe(b *testing.B) {
	s := fresh(b)
	in := refresh(born(b, s, "x"), 0)
	in.Rotating = false
	defer cpu(b)()
	b.ResetTimer()
	for b.Loop() {
		if out, err := s.RotateRefresh(b.Context(), in); err != nil || out.Outcome != store.Done {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkGrantRead(b *testing.B) {
	s := fresh(b)
	ids := grants(b, s, many)
	defer cpu(b)()
	b.ResetTimer()
	for i := range b.N {
		if _, found, err := s.Grant(b.Context(), ids[i*7919%many]); err != nil || !found {
			b.Fatal(found, err)
		}
	}
}
