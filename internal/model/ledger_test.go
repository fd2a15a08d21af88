//go:build scale

package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallystick/tallystick/internal/model"
	"github.com/tallystick/tallystick/internal/store"
)

// Time of the model is milliseconds since t0.
const (
	t0     store.Time = 1_800_000_000_000
	second model.Time = 1000
)

func at(t model.Time) store.Time {
	if t == 0 {
		return 0
	}
	return t0 + store.Time(t)
}

// client is a client as the intents tell of it.
type client struct {
	id    string
	terms model.Terms
}

var clients = []client{
	{"web", model.Terms{IdleLife: 1600 * second, AbsoluteEnd: 2000 * second, Rotating: true, Window: 30 * second, EndOnReplay: true}},
	{"strict", model.Terms{IdleLife: 1600 * second, Rotating: true, EndOnReplay: true}},
	{"shop", model.Terms{IdleLife: 1600 * second, Rotating: true, UntilUsed: true, Anonymous: true}},
	{"patient", model.Terms{Rotating: true, UntilUsed: true, EndOnReplay: true}},
	{"service", model.Terms{IdleLife: 1600 * second, EndOnReplay: true}},
}

const codeLife = 60 * second

// grant is what the ledger says of one.
type grant struct {
	client
	row   model.Row
	why   store.Why
	audit []event
}

type event struct {
	At   store.Time
	Kind store.AuditKind
}

func (g *grant) tell(now model.Time, kind store.AuditKind) {
	g.audit = append(slices.Clone(g.audit), event{at(now), kind})
}

func (g grant) state() store.GrantState {
	r := g.row
	return store.GrantState{
		RedeemedAt: at(r.RedeemedAt), Generation: r.Generation, MACKey: r.Key, RotatedAt: at(r.RotatedAt),
		IdleExpiresAt: at(r.IdleEnd), RevokedAt: at(r.RevokedAt), RevokedWhy: g.why,
	}
}

// ledger is a database as the model has it.
type ledger struct {
	grants []grant
	spent  map[int]bool // assertions
}

func (l ledger) clone() ledger {
	return ledger{slices.Clone(l.grants), maps.Clone(l.spent)}
}

// deed is one intent, to be performed by the ledger and by a store.
type deed struct {
	what   string // "birth", "redeem", "refresh", "revoke"
	grant  int
	node   int
	now    model.Time
	active uint16
	model.Token
	unproven  bool
	report    bool
	assertion int // 0 = none
}

func (d deed) String() string {
	s := fmt.Sprintf("node %d, at %d: %s grant %d", d.node+1, d.now, d.what, d.grant)
	switch d.what {
	case "refresh":
		s += fmt.Sprintf(" by generation %d under key %d", d.Generation, d.Key)
	case "redeem":
		if d.unproven {
			s += " without a proof"
		}
	}
	if d.active != 1 {
		s += fmt.Sprintf(", active key %d", d.active)
	}
	if d.report {
		s += ", to be reported"
	}
	if d.assertion != 0 {
		s += fmt.Sprintf(", by assertion %d", d.assertion)
	}
	return s
}

// result is what a deed is answered with.
type result struct {
	Outcome string
	Ended   bool
	State   store.GrantState
}

// perform is what the contract says of a deed.
func (l *ledger) perform(d deed) result {
	g := &l.grants[d.grant]
	switch d.what {
	case "birth":
		g.row = model.Row{Exists: true, Key: d.active}
		g.tell(d.now, store.AuditBirth)
		return result{Outcome: "done"}
	case "revoke":
		switch {
		case !g.row.Exists:
			return result{Outcome: "unknown"}
		case g.row.RevokedAt != 0:
			return result{Outcome: "revoked"}
		}
		g.row.RevokedAt, g.why = d.now, store.WhyRevoked
		g.tell(d.now, store.AuditEnd)
		return result{Outcome: "done"}
	}
	if d.assertion != 0 {
		if l.spent[d.assertion] {
			return result{Outcome: "reused"}
		}
		l.spent[d.assertion] = true
	}
	code := d.what == "redeem"
	out, ended := g.terms.Exchange(&g.row, model.Use{Code: code, Proven: !d.unproven, Token: d.Token, Active: d.active, Now: d.now})
	switch {
	case ended:
		g.why = store.WhyRefreshReplayed
		if code {
			g.why = store.WhyCodeReplayed
		}
		g.tell(d.now, store.AuditEnd)
	case out == model.Replayed && d.report:
		g.tell(d.now, store.AuditReplay)
	case out == model.Done && code:
		g.tell(d.now, store.AuditRedemption)
	case out == model.Ahead:
		g.tell(d.now, store.AuditAhead)
	}
	return result{out.String(), ended, g.state()}
}

// seen is what a database shows of a grant.
type seen struct {
	Found bool
	State store.GrantState
	Audit []event // in order of time
}

func (l ledger) see() []seen {
	all := make([]seen, len(l.grants))
	for i, g := range l.grants {
		all[i] = seen{g.row.Exists, g.state(), slices.Clone(g.audit)}
		inOrder(all[i].Audit)
	}
	return all
}

func inOrder(events []event) {
	slices.SortFunc(events, func(a, b event) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return strings.Compare(string(a.Kind), string(b.Kind))
	})
}

var served = map[string]bool{model.Done.String(): true, model.Retried.String(): true, model.Ahead.String(): true}

// explain finds the order of two deeds that makes both answers and what is shown
// afterwards. diff tells what no order makes. (The state that comes with a refusal is
// of the moment when it was judged: nothing is made of it.)
func explain(before ledger, deeds [2]deed, got [2]result, shown []seen) (after ledger, diff string) {
	for first := range deeds {
		l := before.clone()
		var want [2]result
		want[first] = l.perform(deeds[first])
		want[1-first] = l.perform(deeds[1-first])
		for i := range want {
			if !served[want[i].Outcome] {
				want[i].State = got[i].State
			}
		}
		d := cmp.Diff(want, got) + cmp.Diff(l.see(), shown, cmpopts.EquateEmpty())
		if d == "" {
			return l, ""
		}
		diff += fmt.Sprintf("use %d first (-model +store):\n%s", first+1, d)
	}
	return before, diff
}
