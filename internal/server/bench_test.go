package server_test

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// The exchange through the HTTP handler, on both databases with durable commits.
// Parallel is the case that the budget speaks of: commits are shared. cpu-µs/op
// is user and system time of the whole process, the sender of the requests
// included; bare-µs/op is the CPU of the signatures alone, measured in the same
// run, and above-µs/op the difference.

const inFlight = 16 // requests per processor

func BenchmarkRefreshES256(b *testing.B)         { benchmark(b, dressipiRefresh, 1) }
func BenchmarkRefreshES256Parallel(b *testing.B) { benchmark(b, dressipiRefresh, inFlight) }
func BenchmarkRefreshRS256(b *testing.B)         { benchmark(b, userdocksRefresh, 1) }
func BenchmarkRefreshRS256Parallel(b *testing.B) { benchmark(b, userdocksRefresh, inFlight) }
func BenchmarkRetryES256Parallel(b *testing.B)   { benchmark(b, dressipiRetry, inFlight) }
func BenchmarkRedeemES256(b *testing.B)          { benchmark(b, dressipiRedeem, 1) }
func BenchmarkRedeemES256Parallel(b *testing.B)  { benchmark(b, dressipiRedeem, inFlight) }
func BenchmarkRedeemRS256Parallel(b *testing.B)  { benchmark(b, userdocksRedeem, inFlight) }
func BenchmarkAuthorizeAnonymous(b *testing.B)   { measure(b, testkit.NewWorld(b), dressipiAuthorize, 1) }
func BenchmarkJunkRefreshToken(b *testing.B)     { measure(b, testkit.NewWorld(b), junk, 1) }

// load is a kind of request: how many signatures by which algorithm it costs,
// and a maker of senders, one for each goroutine.
type load struct {
	alg        jose.Alg
	signatures int
	sender     func(b *testing.B, w *testkit.World) func() testkit.Answer
	ok         int
}

var (
	dressipiRefresh = load{jose.ES256, 1, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		token := w.NewProfile(b).RefreshToken
		return func() testkit.Answer {
			a := testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token))
			token = a.RefreshToken
			return a
		}
	}, 200}
	dressipiRetry = load{jose.ES256, 1, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		token := w.NewProfile(b).RefreshToken
		testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token))
		return func() testkit.Answer { return testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token)) }
	}, 200}
	userdocksRefresh = load{jose.RS256, 2, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		token := w.SignIn(b).RefreshToken
		return func() testkit.Answer {
			a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, token))
			token = a.RefreshToken
			return a
		}
	}, 201}
	dressipiAuthorize = load{jose.ES256, 0, func(_ *testing.B, w *testkit.World) func() testkit.Answer {
		return func() testkit.Answer { return testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)) }
	}, 200}
	junk = load{jose.ES256, 0, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		token := w.NewProfile(b).RefreshToken
		return func() testkit.Answer {
			return testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token[:len(token)-2]+"AA"))
		}
	}, 400}
	// A code is made for each redemption, off the clock where that is possible:
	// the anonymous one costs no write, the other a birth.
	dressipiRedeem = load{jose.ES256, 1, func(_ *testing.B, w *testkit.World) func() testkit.Answer {
		return func() testkit.Answer {
			code := testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code
			return testkit.Send(w.Handler, testkit.DressipiRedeem(testkit.Shop, code))
		}
	}, 200}
	userdocksRedeem = load{jose.RS256, 2, func(b *testing.B, w *testkit.World) func() testkit.Answer {
		email := person(b, w)
		return func() testkit.Answer {
			w.Clock.Advance(time.Millisecond) // of a user's grants the oldest end when there are too many
			code := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, email, testkit.Password)).Code
			return testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, code))
		}
	}, 201}
)

// person is a user of his own for each sender: births of one user wait for one another,
// and a user has only so many grants.
func person(b *testing.B, w *testkit.World) (email string) {
	b.Helper()
	u := w.User
	_, _ = rand.Read(u.ID[:]) // never fails
	u.Email = fmt.Sprintf("%x@example.com", u.ID)
	u.Identifiers = []store.Identifier{{Kind: "email", Value: u.Email}}
	if out, err := w.Store.PutUser(b.Context(), u); err != nil || out != store.Done {
		b.Fatal(out, err)
	}
	return u.Email
}

// benchmark measures a load on a database of each kind.
func benchmark(b *testing.B, l load, parallel int) {
	b.Run("SQLite", func(b *testing.B) { measure(b, testkit.NewWorld(b), l, parallel) })
	pg, err := postgres.Start(true)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := pg.Stop(); err != nil {
			b.Error(err)
		}
	}()
	b.Run("PostgreSQL", func(b *testing.B) {
		address, err := pg.NewDatabase(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		measure(b, testkit.NewWorld(b, testkit.OnPostgreSQL(address)), l, parallel)
	})
}

func measure(b *testing.B, w *testkit.World, l load, parallel int) {
	goroutines := 1
	if parallel > 1 {
		goroutines = parallel * runtime.GOMAXPROCS(0)
	}
	senders := make(chan func() testkit.Answer, goroutines)
	for range goroutines {
		send := l.sender(b, w)
		send() // warm
		senders <- send
	}
	bare := bareSignature(b, l.alg) * float64(l.signatures)
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu(b)
	one := func(pb *testing.PB) {
		send := <-senders
		for pb.Next() {
			if a := send(); a.Status != l.ok {
				b.Errorf("%d %s", a.Status, a.Body)
				return
			}
		}
	}
	if parallel > 1 {
		b.SetParallelism(parallel)
		b.RunParallel(one)
	} else {
		send := <-senders
		for range b.N {
			if a := send(); a.Status != l.ok {
				b.Fatalf("%d %s", a.Status, a.Body)
			}
		}
	}
	spent := float64((cpu(b) - start).Nanoseconds()) / 1000 / float64(b.N)
	b.StopTimer()
	b.ReportMetric(spent, "cpu-µs/op")
	b.ReportMetric(bare, "bare-µs/op")
	b.ReportMetric(spent-bare, "above-µs/op")
}

// bareSignature is the CPU of one signature with nothing around it but a
// minimal token, in microseconds.
func bareSignature(b *testing.B, alg jose.Alg) float64 {
	b.Helper()
	key, err := jose.Generate(alg)
	if err != nil {
		b.Fatal(err)
	}
	signer := key.Signer("", false)
	n := 3000
	if alg == jose.RS256 {
		n = 200
	}
	claims := jose.NewClaims()
	start := cpu(b)
	for range n {
		if _, err := signer.Sign(claims); err != nil {
			b.Fatal(err)
		}
	}
	return float64((cpu(b) - start).Nanoseconds()) / 1000 / float64(n)
}

// cpu is the user and system time of the process so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
