//go:build scale

package model

import (
	"flag"
	"strings"
	"testing"
)

var (
	depth = flag.Int("depth", 17, "steps that the model is explored to; 0 = to the end")
	only  = flag.String("scenario", "", "part of the name of the scenarios to explore")
)

// Every scenario keeps every promise, in every state.
func TestPromises(t *testing.T) {
	states, transitions := 0, 0
	var verbs [fails + 1]int
	for _, sc := range Scenarios {
		if !strings.Contains(sc.Name, *only) {
			continue
		}
		e := Explore(sc, *depth)
		if e.Broken != "" {
			t.Errorf("%s: %s\n%s", sc.Name, e.Broken, e.Story())
		}
		end := ""
		if e.All {
			end = ", which is all"
		}
		t.Logf("%-34s %9d states, %10d transitions, %2d steps%s", sc.Name, e.States, e.Transitions, e.Depth, end)
		states, transitions = states+e.States, transitions+e.Transitions
		for v, n := range e.Verbs {
			verbs[v] += n
		}
	}
	t.Logf("%-34s %9d states, %10d transitions", "together", states, transitions)
	for v := ticks; v <= fails; v++ {
		if verbs[v] == 0 && *only == "" {
			t.Errorf("it never happens that: %v", Step{Verb: v})
		}
	}
}

// What is reached does not depend on the hash: two explorations see the same.
func TestExploreTwice(t *testing.T) {
	sc := scenario(t, "strict")
	a, b := Explore(sc, 0), Explore(sc, 0)
	if a.States != b.States || a.Transitions != b.Transitions || !a.All {
		t.Errorf("%d and %d states, %d and %d transitions, all = %v", a.States, b.States, a.Transitions, b.Transitions, a.All)
	}
}
