// Package storetest is the contract of package store as tests. A backend runs
// all of it, without options and skips: Run is the suite, Broken the same suite
// as a judge of stores that are known to be bad.
package storetest

import (
	"database/sql/driver"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// Backend is a kind of database.
type Backend struct {
	// New makes an empty database that lives until t ends. Each of its
	// connections passes through wrap.
	New func(t testing.TB, wrap func(driver.Connector) driver.Connector) Database
	// Again is how its driver says that it has undone a transaction and that another
	// try may help; nil: it never does.
	Again error
}

// Database is one database and the processes that use it.
type Database interface {
	// Store opens a handle of the named issuer, which comes to be by the first
	// call. Each call is another replica where the backend can have several.
	Store(issuer string) store.Store
	// Reopen is a crash and a new start: what has been made durable at this
	// moment is there, nothing else is, and nobody says goodbye. The handles
	// from before are dead.
	Reopen()
}

// T is what a rule needs of a test: also a recorder has it, so that a rule can
// fail without failing the test that wants it to.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	// Failed: a rule that does the same in many rounds stops at the first that
	// fails.
	Failed() bool
}

// rule is one sentence of the contract. It runs in an issuer of its own, so that
// all of them share a database and prove that issuers are isolated; but those
// that break it have one each.
type rule struct {
	name   string
	check  func(*world)
	breaks bool
}

func (b Backend) rules() []rule {
	return slices.Concat(statementRules(), raceRules, faultRules(b.Again))
}

// statementRules say what comes of each intent; some also of many at once.
func statementRules() []rule {
	return slices.Concat(birthRules, redeemRules(), anonymousRules(), rotateRules(), idleRules, endRules,
		userRules, issuerRules, recordRules,
		sessionRules, guessRules, linkRules, outboxRules, accountRules,
		bearingRules, consentRules, requestRules, spendRules(), secretRules, registrationRules, noticeRules(), issuerClientRules,
		leaseRules, retirementRules, capRules, purgeRules())
}

// Run holds a backend to the contract.
func Run(t *testing.T, b Backend) { run(t, b, b.rules()) }

// RunStatements is the part of Run that every statement takes part in, but for races
// and faults, which are about what keeps statements together. It is for databases of
// another schema.
func RunStatements(t *testing.T, b Backend) {
	run(t, b, slices.DeleteFunc(statementRules(), func(r rule) bool { return r.breaks }))
}

func run(t *testing.T, b Backend, rules []rule) {
	place := places(t, b)
	for i, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if r.breaks {
				t.Parallel()
			}
			r.check(place(t, t, i, r))
		})
	}
}

// Broken runs the rules whose name contains only, all if that is empty, and
// tells what the backend did wrong: lines of the form "rule: complaint".
func Broken(t testing.TB, b Backend, only string) []string {
	t.Helper()
	place := places(t, b)
	var broken []string
	ran := false
	for i, r := range b.rules() {
		if !strings.Contains(r.name, only) {
			continue
		}
		ran = true
		for _, complaint := range record(func(rec T) { r.check(place(t, rec, i, r)) }) {
			broken = append(broken, r.name+": "+complaint)
		}
	}
	if !ran {
		t.Fatalf("no rule has %q in its name", only)
	}
	return broken
}

// places makes the world of each rule: it complains to rec, and what it needs
// lives as long as t.
func places(t testing.TB, b Backend) func(t testing.TB, rec T, i int, r rule) *world {
	sharedTap := new(Tap)
	shared := b.New(t, sharedTap.Connector)
	return func(t testing.TB, rec T, i int, r rule) *world {
		tap, d := sharedTap, shared
		if r.breaks {
			tap = new(Tap)
			d = b.New(t, tap.Connector)
		}
		return newWorld(rec, d, tap, fmt.Sprint("rule ", i))
	}
}

// recorder is a T that remembers.
type recorder struct {
	mu         sync.Mutex
	complaints []string
}

// record runs f to its end or its first Fatalf.
func record(f func(T)) []string {
	r := new(recorder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.complaints
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.complaints) > 0
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
