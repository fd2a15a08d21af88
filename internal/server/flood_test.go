package server_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
)

// E12 of the abuse cases: a flood of sign-ins with the real hash. Unbounded,
// 200 of them would take 3.8 GiB; here memory follows the number of processors,
// whoever waits too long is told to come back, and refreshes go on.
func TestSignInFlood(t *testing.T) {
	const signIns, refreshes = 200, 200
	w := testkit.NewWorld(t, func(c *server.Config) { c.Hasher = password.New(password.Default(), 0) })
	testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)) // known from now on
	tokens := make([]string, 8)
	for i := range tokens {
		tokens[i] = w.NewProfile(t).RefreshToken
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)

	answers := make([]testkit.Answer, signIns)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password))
		})
	}
	for i := range tokens {
		all.Go(func() {
			for range refreshes / len(tokens) {
				a := testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, tokens[i]))
				if a.Status != 200 {
					t.Errorf("a refresh beside the flood: %d %s", a.Status, a.Body)
					return
				}
				tokens[i] = a.RefreshToken
			}
		})
	}
	all.Wait()
	runtime.ReadMemStats(&after)

	count := map[int]int{}
	for _, a := range answers {
		count[a.Status]++
		if a.Status != 201 && (a.Status != 503 || a.Header.Get("Retry-After") == "") {
			t.Errorf("a sign-in: %d %s", a.Status, a.Body)
		}
	}
	if count[201] == 0 {
		t.Error("nobody got in")
	}
	// Each processor's hash, as much again that the collector has not seen yet,
	// and room for the rest. HeapSys does not shrink, so it is the peak.
	grown, bound := after.HeapSys-before.HeapSys, uint64(runtime.GOMAXPROCS(0)*19*4+64)<<20
	if after.HeapSys > before.HeapSys && grown > bound {
		t.Errorf("the heap has grown by %d MiB, want at most %d", grown>>20, bound>>20)
	}
	t.Logf("%d signed in, %d told to come back; the heap has grown by %d MiB", count[201], count[503], int64(after.HeapSys-before.HeapSys)>>20)
}
