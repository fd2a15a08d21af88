package model

import (
	"iter"
	"math/bits"
)

// Scenario is a grant and what may befall it. The zero of an ability is that
// nobody has it.
type Scenario struct {
	Name string
	Terms
	Challenge   bool // the code is bound to a verifier, or its client has a secret: a use of it is proven
	CodeStolen  bool // the thief comes by the code, and by nothing that proves it if that is needed
	ProofStolen bool // and by the verifier, or the secret
	Thefts      uint8
	Revocation  bool // by its user or an operator
	Restore     bool // of an older copy of the database
	NewKey      bool // a second MAC key becomes active, at each node at another time
	Skew        Time // that the clock of the second node is behind
	Foreign     bool // others try what is not theirs
	Crashes     bool // of nodes, and lost answers
	Now         Time // that it ends
	Generations uint32
}

// nodes is how many processes there are; each has one exchange at a time.
const nodes = 2

// phase is where an exchange is.
type phase uint8

const (
	idle    phase = iota
	begun         // the node has verified what was presented and taken the time
	missed        // the first write matched nothing
	due           // a look has told what happened, and another write follows
	written       // a write has matched; the row is locked, nothing is durable
	settled       // durable, or nothing was to be written; the answer is due
)

// exchange is a node's.
type exchange struct {
	Phase    phase
	Thief    bool // the owner otherwise
	Answered bool // before the commit
	Use      Use
	Outcome  Outcome
	Write    write
	Seen     Row // by the look
	Answer   Token
}

// State is everything. It is comparable, and equal states have equal futures.
type State struct {
	Now      Time
	Row      Row // durable
	Node     [nodes]exchange
	Active   [nodes]uint16 // MAC key
	Copied   bool
	Restored bool
	Copy     Row
	CopyPast past
	Past     past

	// The owner.
	CodeSent bool
	Holds    bool
	Newest   Token
	SentAt   Time // his newest token, for the first time

	// The thief.
	HasCode bool
	Thefts  uint8
	Loot    uint64 // tokens, by bit
}

// past is what has been, told by what was answered and committed and not by the
// row, so that promises can be held against it.
type past struct {
	Redeemed    uint8  // how often
	Generation  uint32 // the newest that was ever durable
	ExchangedAt Time   // the one before it
	IdleEnd     Time
	Ended       bool
	Theft       bool // the thief has made a use that passes every check
	Revoked     bool // on purpose
	Lost        uint32
	Minted      [maxGenerations]uint16 // key of the token that was answered, by generation
}

const (
	maxGenerations = 8
	keys           = 2 // MAC keys, numbered from 1
)

func (t Token) bit() uint64 { return 1 << (keys*t.Generation + uint32(t.Key) - 1) }

// Verb is what happens in a step.
type Verb uint8

// The verbs.
const (
	ticks Verb = iota + 1
	redeems
	presents
	redeemsStolen
	presentsStolen
	tries
	steals
	stealsCode
	revokes
	copies
	restores
	adopts
	writes
	looks
	commits
	answers
	fails
)

// Step is one transition.
type Step struct {
	Verb  Verb
	Node  uint8
	Token Token
}

// begin is the first state.
func (sc *Scenario) begin() State {
	s := State{Now: 1, Active: [nodes]uint16{1, 1}, Thefts: sc.Thefts}
	if !sc.Anonymous {
		s.Row = Row{Exists: true, Key: 1}
	}
	return s
}

// visit is told of each transition: its state, and the promise that it breaks.
type visit func(Step, State, string)

// next tells every transition of a state.
func (sc *Scenario) next(s State, yield visit) {
	if s.Now < sc.Now {
		n := s
		n.Now++
		yield(Step{Verb: ticks}, n, "")
	}
	for i := range s.Node {
		if s.Node[i].Phase == idle {
			sc.arrivals(s, uint8(i), yield)
		} else {
			sc.proceed(s, uint8(i), yield)
		}
		if sc.NewKey && s.Active[i] == 1 {
			n := s
			n.Active[i] = 2
			yield(Step{Verb: adopts, Node: uint8(i)}, n, "")
		}
	}
	sc.thefts(s, yield)
	sc.misfortunes(s, yield)
	if sc.Foreign {
		sc.strangers(s, yield)
	}
}

// arrivals are the requests that an idle node may get.
func (sc *Scenario) arrivals(s State, node uint8, yield visit) {
	begin := func(v Verb, thief bool, u Use) {
		n := s
		u.Now, u.Active = s.Now, s.Active[node]
		if node == nodes-1 {
			u.Now = max(u.Now-sc.Skew, 1)
		}
		n.Node[node] = exchange{Phase: begun, Thief: thief, Use: u}
		switch {
		case thief:
			n.Past.Theft = true
		case u.Code:
			n.CodeSent = true
		case n.SentAt == 0:
			n.SentAt = s.Now
		}
		yield(Step{Verb: v, Node: node, Token: u.Token}, n, "")
	}
	if !s.CodeSent || sc.Flaw == RetriesCode && !s.Holds {
		begin(redeems, false, Use{Code: true, Proven: sc.Challenge})
	}
	if s.Holds && sc.bounded(s.Newest) && sc.mayPresent(s) {
		begin(presents, false, Use{Token: s.Newest})
	}
	if s.HasCode && (!sc.Challenge || sc.ProofStolen) {
		begin(redeemsStolen, true, Use{Code: true, Proven: sc.Challenge})
	}
	for t := range tokens(s.Loot) {
		if sc.bounded(t) {
			begin(presentsStolen, true, Use{Token: t})
		}
	}
}

func (sc *Scenario) bounded(t Token) bool { return t.Generation+1 < sc.Generations }

// mayPresent is what makes the owner a correct client: he presents his newest
// token, not while an older one is with a node, and again only inside his window,
// which is the client's less what clocks may differ by.
func (sc *Scenario) mayPresent(s State) bool {
	for _, x := range s.Node {
		older := x.Phase != idle && x.Phase != settled && !x.Thief && !x.Use.Code && x.Use.Generation < s.Newest.Generation
		if older && sc.Flaw != Impatient {
			return false
		}
	}
	retry := s.SentAt != 0
	return !retry || !sc.Rotating || sc.UntilUsed || s.Now-s.SentAt < sc.Window-sc.Skew || sc.Flaw == RetriesLate
}

// tokens are those of a set.
func tokens(set uint64) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		for ; set != 0; set &= set - 1 {
			bit := bits.TrailingZeros64(set)
			if !yield(Token{uint32(bit / keys), uint16(bit%keys + 1)}) {
				return
			}
		}
	}
}

// proceed is what an exchange may do next.
func (sc *Scenario) proceed(s State, node uint8, yield visit) {
	x := s.Node[node]
	step := func(v Verb, change func(*State, *exchange) string) {
		n := s
		broken := change(&n, &n.Node[node])
		if broken == "" {
			broken = sc.holdsNow(&n)
		}
		yield(Step{Verb: v, Node: node, Token: x.Answer}, n, broken)
	}
	write := func(w write) {
		switch {
		case !sc.holds(w, s.Row, x.Seen, x.Use):
			step(writes, func(_ *State, x *exchange) string { x.Phase, x.Seen = missed, Row{}; return "" })
		case !s.locked(): // or it waits for the other, and then looks again
			step(writes, func(_ *State, x *exchange) string {
				x.Phase, x.Write = written, w
				if x.Outcome == NoOutcome {
					x.Outcome = Done
				}
				return ""
			})
		}
	}
	switch x.Phase {
	case begun:
		if w := sc.first(x.Use); w != nothing {
			write(w)
			break
		}
		step(looks, sc.look)
	case missed:
		step(looks, sc.look)
	case due:
		write(x.Write)
	case written:
		if sc.Flaw == AnswersBeforeCommit && !x.Answered {
			step(answers, func(s *State, x *exchange) string {
				row := s.Row
				sc.perform(x.Write, &row, x.Use)
				x.Answer, x.Answered = Token{row.Generation, row.Key}, true
				return s.deliver(sc, *x)
			})
		}
		step(commits, sc.commit)
	case settled:
		step(answers, func(s *State, x *exchange) string {
			answered := *x
			*x = exchange{}
			return s.deliver(sc, answered)
		})
	}
	if sc.Crashes {
		step(fails, func(_ *State, x *exchange) string { *x = exchange{}; return "" })
	}
}

func (s *State) locked() bool {
	for _, x := range s.Node {
		if x.Phase == written {
			return true
		}
	}
	return false
}

// look reads the row and judges.
func (sc *Scenario) look(s *State, x *exchange) string {
	x.Outcome, x.Write = sc.judge(s.Row, x.Use)
	if x.Write == nothing {
		return sc.settle(s, x)
	}
	x.Phase = due
	if x.Write == extension {
		x.Seen = s.Row
	}
	return ""
}

// commit makes a write durable.
func (sc *Scenario) commit(s *State, x *exchange) string {
	before := s.Row
	sc.perform(x.Write, &s.Row, x.Use)
	broken := forward(before, s.Row)
	if broken == "" {
		broken = sc.settle(s, x)
	}
	// Only now, since settle judges by what was before.
	p := &s.Past
	switch x.Write {
	case redemption:
		p.Redeemed++
	case rotation, catchUp:
		if g := x.Use.Generation + 1; g > p.Generation {
			p.Generation, p.ExchangedAt = g, max(p.ExchangedAt, x.Use.Now)
		}
	case end:
		p.Ended = true
	}
	if x.Write != end && sc.IdleLife != 0 {
		p.IdleEnd = x.Use.Now + sc.IdleLife
	}
	x.Write = nothing
	return broken
}

// settle ends the store's part of an exchange.
func (sc *Scenario) settle(s *State, x *exchange) string {
	broken := sc.judged(s, x)
	x.Phase, x.Seen = settled, Row{}
	if x.Outcome.Served() {
		x.Answer = Token{s.Row.Generation, s.Row.Key}
		if x.Outcome == Retried && sc.Flaw == AnswersParent {
			x.Answer = x.Use.Token
		}
		if x.Outcome == Retried && sc.Flaw == MintsUnderActiveKey {
			x.Answer.Key = x.Use.Active
		}
	}
	if x.Answered {
		*x = exchange{}
	}
	return broken
}

// deliver puts an answer into the hand of who asked.
func (s *State) deliver(sc *Scenario, x exchange) string {
	if !x.Outcome.Served() {
		return ""
	}
	switch t := x.Answer; {
	case x.Thief:
		s.Loot |= t.bit()
	case !s.Holds || t.Generation > s.Newest.Generation || t.Generation == s.Newest.Generation && t.Key != s.Newest.Key:
		s.Holds, s.Newest, s.SentAt = true, t, 0
	}
	return sc.delivered(s, x)
}
