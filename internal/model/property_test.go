//go:build scale

package model_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tallystick/tallystick/internal/model"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

func TestMain(m *testing.M) {
	os.Exit(postgres.Tests{All: m}.Run())
}

// Random steps drive the model and a store; after each, every answer, every row and
// every audit must be the same.
func TestSQLiteDoesAsTheModel(t *testing.T) { compare(t, newSQLite(t)) }

func TestPostgreSQLDoesAsTheModel(t *testing.T) { compare(t, newPostgreSQL(t)) }

// A run that fails is shrunk for as long as that takes.
var budget = flag.Duration("budget", 4*time.Second, "how long new runs of random steps are begun")

const atLeast = 10 // runs

func compare(t *testing.T, d database) {
	start, runs, steps, failed := time.Now(), 0, 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if !failed && runs >= atLeast && time.Since(start) > *budget {
			return
		}
		runs++ // each run has an issuer of its own
		m := &machine{T: rt, t: t, d: d, issuer: fmt.Sprint("run ", runs), now: 1, active: [2]uint16{1, 1}}
		m.ledger.spent = map[int]bool{}
		rt.Cleanup(func() {
			failed = failed || rt.Failed()
			steps += m.steps
		})
		m.start()
		actions := map[string]func(*rapid.T){
			"":               m.agree,
			"birth":          m.birth,
			"exchange":       m.exchange,
			"exchange again": m.exchange, // twice as often as the others
			"together":       m.together,
			"fault":          m.fault,
			"revocation":     m.revocation,
			"time":           m.timePasses,
			"new MAC key":    m.newKey,
			"crash":          m.crash,
		}
		if _, ok := d.(copier); ok {
			actions["copy"], actions["restore"] = m.copy, m.restore
		}
		rt.Repeat(actions)
	})
	t.Logf("%d runs, %d steps", runs, steps)
}

// machine is one run.
type machine struct {
	*rapid.T
	t      *testing.T
	d      database
	issuer string
	nodes  [2]store.Store
	ledger ledger
	copied *ledger
	now    model.Time
	active [2]uint16
	last   int // assertion
	steps  int
	boots  int
}

func (m *machine) start() {
	for n := range m.nodes {
		m.nodes[n] = m.d.node(n, m.issuer)
	}
	if out, err := m.nodes[0].PutUser(m.t.Context(), user); err != nil || out != store.Done {
		m.Fatalf("PutUser = %v, %v", out, err)
	}
}

// agree compares all that can be seen, by each node in turn.
func (m *machine) agree(rt *rapid.T) {
	m.steps++
	n := m.steps % len(m.nodes)
	if diff := cmp.Diff(m.ledger.see(), m.see(m.nodes[n]), cmpopts.EquateEmpty()); diff != "" {
		rt.Fatalf("node %d does not show what the model has (-model +store):\n%s", n+1, diff)
	}
}

func (m *machine) see(s store.Store) []seen { return see(m.t, s, m.ledger) }

// Of a run: they cost the most.
const (
	maxGrants = 3
	maxBoots  = 2
)

func (m *machine) birth(rt *rapid.T) {
	if len(m.ledger.grants) == maxGrants {
		rt.Skip("enough grants")
	}
	c := rapid.SampledFrom(clients).Draw(rt, "client")
	c.terms.CodeEnd = m.now + codeLife
	if c.terms.AbsoluteEnd != 0 {
		c.terms.AbsoluteEnd += m.now
	}
	m.ledger.grants = append(m.ledger.grants, grant{client: c})
	if c.terms.Anonymous {
		return // its row comes with its redemption
	}
	m.perform(rt, deed{what: "birth", grant: len(m.ledger.grants) - 1, now: m.now, active: 1})
}

// use draws a code or a token and all that it depends on.
func (m *machine) use(rt *rapid.T) deed {
	if len(m.ledger.grants) == 0 {
		rt.Skip("no grant")
	}
	d := deed{what: "redeem", grant: len(m.ledger.grants) - 1, node: rapid.IntRange(0, 1).Draw(rt, "node")}
	if rapid.IntRange(0, 3).Draw(rt, "another grant") == 3 {
		d.grant = rapid.IntRange(0, len(m.ledger.grants)-1).Draw(rt, "grant")
	}
	g := m.ledger.grants[d.grant]
	d.active = m.active[d.node]
	d.now = max(1, m.now-rapid.SampledFrom([]model.Time{0, 0, 0, 1, 500, 40 * second}).Draw(rt, "clock behind"))
	d.report = rapid.Bool().Draw(rt, "report")
	if !g.terms.Anonymous {
		switch rapid.IntRange(0, 3).Draw(rt, "assertion") {
		case 2:
			m.last++
			d.assertion = m.last
		case 3:
			d.assertion = m.last
		}
	}
	if g.row.RedeemedAt == 0 && rapid.IntRange(0, 3).Draw(rt, "no token yet") != 3 || rapid.IntRange(0, 5).Draw(rt, "code") == 5 {
		d.unproven = rapid.IntRange(0, 3).Draw(rt, "unproven") == 3
		return d
	}
	d.what = "refresh"
	const newest = 1<<32 - 1
	now := int64(g.row.Generation)
	d.Generation = uint32(rapid.SampledFrom([]int64{now, now, now, now - 1, now - 1, now - 2, 0, now + 1, now + 7, newest - 1, newest}).
		Filter(func(g int64) bool { return 0 <= g && g <= newest }).Draw(rt, "generation"))
	d.Key = max(1, g.row.Key)
	if rapid.IntRange(0, 7).Draw(rt, "another key") == 7 {
		d.Key = 3 - d.Key
	}
	return d
}

func (m *machine) exchange(rt *rapid.T) { m.perform(rt, m.use(rt)) }

func (m *machine) revocation(rt *rapid.T) {
	if len(m.ledger.grants) == 0 {
		rt.Skip("no grant")
	}
	m.perform(rt, deed{what: "revoke", grant: rapid.IntRange(0, len(m.ledger.grants)-1).Draw(rt, "grant"),
		node: rapid.IntRange(0, 1).Draw(rt, "node"), now: m.now})
}

func (m *machine) perform(rt *rapid.T, d deed) {
	rt.Log(d)
	got, err := m.ask(d)
	if err != nil {
		rt.Fatalf("%v: %v", d, err)
	}
	want := m.ledger.perform(d)
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("%v: the answer (-model +store):\n%s", d, diff)
	}
}

// together performs two uses of one grant at once.
func (m *machine) together(rt *rapid.T) {
	deeds := m.pair(rt)
	rt.Logf("together: %v; %v", deeds[0], deeds[1])
	var got [2]result
	var errs [2]error
	var both sync.WaitGroup
	for i := range deeds {
		both.Go(func() { got[i], errs[i] = m.ask(deeds[i]) })
	}
	both.Wait()
	m.explain(rt, deeds, got, errors.Join(errs[:]...))
}

// pair draws two uses of one grant, at two nodes.
func (m *machine) pair(rt *rapid.T) [2]deed {
	a, b := m.use(rt), m.use(rt)
	b.grant = a.grant
	if m.ledger.grants[a.grant].terms.Anonymous {
		b.assertion = 0
	}
	b.node = 1 - a.node
	b.active = m.active[b.node]
	return [2]deed{a, b}
}

func (m *machine) ask(d deed) (result, error) {
	return ask(m.t, m.nodes[d.node], d, m.ledger.grants[d.grant])
}

// explain takes the order of two uses that makes both answers and what became of
// the row.
func (m *machine) explain(rt *rapid.T, deeds [2]deed, got [2]result, err error) {
	if err != nil {
		rt.Fatal(err)
	}
	l, diff := explain(m.ledger, deeds, got, m.see(m.nodes[0]))
	if diff != "" {
		rt.Fatalf("no order of the two explains what came of them:\n%s", diff)
	}
	m.ledger = l
}

// fault is a call of the driver that fails, or is performed and its answer lost.
// Who is told of an error must find the row as it was, or, of an unknown fate only,
// as it was to be; who is answered must find it durable.
func (m *machine) fault(rt *rapid.T) {
	d := m.use(rt)
	d.assertion = 0 // no row shows whether it is spent
	at, performed := rapid.IntRange(1, 6).Draw(rt, "call"), rapid.Bool().Draw(rt, "performed")
	commit := rapid.Bool().Draw(rt, "commit")
	rt.Logf("%v; call %d fails (a commit: %v; it is performed: %v)", d, at, commit, performed)
	var calls atomic.Int64
	m.d.tap().Hook(func(kind storetest.Kind, _ string, perform func() error) error {
		hit := false
		switch kind {
		case storetest.Commit:
			hit = commit && calls.Add(1) == 1
		case storetest.Exec, storetest.Query, storetest.Next:
			hit = !commit && calls.Add(1) == int64(at)
		}
		var err error
		if !hit || performed {
			err = perform()
		}
		if hit {
			err = errors.Join(errors.New("the answer is lost"), err)
		}
		return err
	})
	got, err := m.ask(d)
	m.d.tap().Hook(nil)
	done := m.ledger.clone()
	want := done.perform(d)
	switch {
	case err == nil:
		m.ledger = done
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("the answer (-model +store):\n%s", diff)
		}
	case errors.Is(err, store.ErrUnknownFate) && cmp.Equal(done.see(), m.see(m.nodes[d.node]), cmpopts.EquateEmpty()):
		m.ledger = done
	}
}

func (m *machine) timePasses(rt *rapid.T) {
	steps := []model.Time{1, second, 30 * second, codeLife, 100 * second, 1600 * second}
	// The moments that decide, and those beside them.
	for _, g := range m.ledger.grants {
		for _, end := range []model.Time{g.terms.CodeEnd, g.terms.AbsoluteEnd, g.row.IdleEnd, g.row.RotatedAt + g.terms.Window, g.row.IdleEnd - 1500*second} {
			for _, beside := range []model.Time{-1, 0, 1} {
				if step := end + beside - m.now; step > 0 {
					steps = append(steps, step)
				}
			}
		}
	}
	m.now += rapid.SampledFrom(steps).Draw(rt, "milliseconds")
}

func (m *machine) newKey(rt *rapid.T) { m.active[rapid.IntRange(0, 1).Draw(rt, "node")] = 2 }

func (m *machine) crash(rt *rapid.T) {
	if m.boots++; m.boots > maxBoots {
		rt.Skip("enough crashes")
	}
	n := rapid.IntRange(0, 1).Draw(rt, "node")
	m.d.crash(n)
	m.reopen()
}

func (m *machine) reopen() {
	for n := range m.nodes {
		m.nodes[n] = m.d.node(n, m.issuer)
	}
}

func (m *machine) copy(*rapid.T) {
	m.d.(copier).copy()
	l := m.ledger.clone()
	m.copied = &l
}

func (m *machine) restore(rt *rapid.T) {
	if m.copied == nil {
		rt.Skip("no copy")
	}
	m.d.(copier).restore()
	m.reopen()
	l := m.copied.clone()
	for _, g := range m.ledger.grants[len(l.grants):] {
		l.grants = append(l.grants, grant{client: g.client}) // the copy has never heard of it
	}
	m.ledger = l
}
