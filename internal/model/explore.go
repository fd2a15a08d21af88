package model

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// Explored is what an exploration has seen.
type Explored struct {
	States, Transitions int
	Verbs               [fails + 1]int // transitions by what happens
	Depth               int            // steps from the first state to the last new one
	All                 bool           // nothing is left: every state there is was visited
	Broken              string         // the promise; "" = none
	Path                []Step         // to the state that breaks it, one of the shortest
}

// Explore visits every state of a scenario that at most depth steps lead to (0 = any
// number), those of fewer steps first, and stops at the first broken promise. A
// state is known by 64 bits of its hash.
func Explore(sc Scenario, depth int) Explored {
	type origin struct {
		from uint64
		step Step
	}
	seed := maphash.MakeSeed()
	// Nodes with equal clocks are equal: which is which makes no other state.
	hash := func(s State) uint64 {
		h := maphash.Comparable(seed, s)
		if sc.Skew != 0 {
			return h
		}
		s.Node[0], s.Node[1], s.Active[0], s.Active[1] = s.Node[1], s.Node[0], s.Active[1], s.Active[0]
		return min(h, maphash.Comparable(seed, s))
	}
	first := sc.begin()
	root := hash(first)
	known := map[uint64]origin{root: {}}
	e := Explored{States: 1}
	frontier, ahead := []State{first}, []State(nil)
	for ; len(frontier) > 0 && e.Broken == ""; frontier, ahead = ahead, frontier[:0] {
		if depth != 0 && e.Depth == depth {
			return e
		}
		for _, s := range frontier {
			if e.Broken != "" {
				break
			}
			from := hash(s)
			sc.next(s, func(step Step, n State, broken string) {
				if e.Broken != "" {
					return
				}
				e.Transitions++
				e.Verbs[step.Verb]++
				if broken != "" {
					e.Broken = broken
					e.Path = append(e.Path, step)
					for at := from; at != root; at = known[at].from {
						e.Path = append(e.Path, known[at].step)
					}
					return
				}
				h := hash(n)
				if _, ok := known[h]; !ok {
					known[h] = origin{from, step}
					e.States++
					ahead = append(ahead, n)
				}
			})
		}
		if len(ahead) > 0 {
			e.Depth++
		}
	}
	for i, j := 0, len(e.Path)-1; i < j; i, j = i+1, j-1 {
		e.Path[i], e.Path[j] = e.Path[j], e.Path[i]
	}
	e.All = e.Broken == ""
	return e
}

// Story is the path, a line for each step.
func (e Explored) Story() string {
	var b strings.Builder
	for i, s := range e.Path {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, s)
	}
	return b.String()
}

func (s Step) String() string {
	token := fmt.Sprintf("generation %d under key %d", s.Token.Generation, s.Token.Key)
	node := fmt.Sprintf("node %d: ", s.Node+1)
	switch s.Verb {
	case ticks:
		return "a tick of time"
	case redeems:
		return node + "the owner redeems the code"
	case presents:
		return node + "the owner presents " + token
	case redeemsStolen:
		return node + "the thief redeems the code"
	case presentsStolen:
		return node + "the thief presents " + token
	case tries:
		return "a stranger tries code or token"
	case steals:
		return "the thief copies " + token
	case stealsCode:
		return "the thief copies the code"
	case revokes:
		return "the grant is revoked"
	case copies:
		return "the database is copied"
	case restores:
		return "the copy is restored"
	case adopts:
		return node + "key 2 is active"
	case writes:
		return node + "the conditional write"
	case looks:
		return node + "the look why"
	case commits:
		return node + "the commit"
	case answers:
		return node + "the answer"
	case fails:
		return node + "crashes, or the answer is lost"
	}
	return "?"
}
