package model

// forward: what has happened to a row stays so.
func forward(before, after Row) string {
	switch {
	case after.Generation < before.Generation, after.RotatedAt < before.RotatedAt, before.Exists && !after.Exists,
		before.RedeemedAt != 0 && after.RedeemedAt == 0, before.RevokedAt != 0 && after.RevokedAt != before.RevokedAt:
		return "promise 1: the row goes back"
	}
	return ""
}

// judged holds an outcome against what has been, when it is decided: at the commit
// of its write, or at the look that it rests on.
func (sc *Scenario) judged(s *State, x *exchange) string {
	p, u, served := &s.Past, x.Use, x.Outcome.Served()
	if served {
		switch {
		case u.Code && p.Redeemed > 0:
			return "promise 1: a code is exchanged twice"
		case p.Ended:
			return "promise 3: a grant that has ended is served"
		case over(sc.AbsoluteEnd, u.Now), u.Code && u.Now >= sc.CodeEnd, !u.Code && over(p.IdleEnd, u.Now):
			return "promise 3: a grant that is over is served"
		}
	}
	// The second use of a code, and of a generation whose successor's window is over.
	second := u.Code && p.Redeemed > 0 || !u.Code && u.Generation < p.Generation
	inside := !u.Code && u.Generation+1 == p.Generation &&
		(sc.UntilUsed || !sc.Rotating || max(u.Now-p.ExchangedAt, 0) < sc.Window)
	dead := p.Ended || x.Outcome == Expired
	switch {
	case second && !inside && served:
		return "promise 3: a replay is served"
	case second && !inside && (!u.Code || u.Proven) && !dead && sc.EndOnReplay && s.Row.RevokedAt == 0:
		return "promise 3: a replay does not end the grant"
	case x.Write == end && (!second || inside):
		return "promise 2: what is no replay ends the grant"
	case x.Write == end && u.Code && !u.Proven:
		return "promise 3: a use that proves nothing ends the grant"
	case x.Write == end && !sc.EndOnReplay:
		return "promise 2: a replay ends the grant of a client that only refuses"
	}
	if x.Write == end && !p.Theft {
		return "promise 2: the owner's own doing ends the grant"
	}
	if served || x.Thief {
		return ""
	}
	switch {
	case p.Theft, p.Revoked: // then he may be refused
	case over(sc.AbsoluteEnd, u.Now), u.Code && u.Now >= sc.CodeEnd, !u.Code && over(p.IdleEnd, u.Now):
	case s.Restored && !s.Row.Exists: // the copy has never heard of it
	default:
		return "promise 2: the owner is refused: " + x.Outcome.String()
	}
	return ""
}

// delivered holds an answer against those before it.
func (sc *Scenario) delivered(s *State, x exchange) string {
	t, u := x.Answer, x.Use
	successor := !u.Code && t.Generation == u.Generation+1
	same := !u.Code && !sc.Rotating && t == u.Token
	switch minted := &s.Past.Minted[t.Generation]; {
	case u.Code && t.Generation != 0, !u.Code && !successor && !same:
		return "promise 1: the answer is not the successor of what was presented"
	case *minted == 0:
		*minted = t.Key
	case *minted != t.Key:
		return "promise 1: a generation has two successors"
	}
	return ""
}

// holdsNow is what is true of every state.
func (sc *Scenario) holdsNow(s *State) string {
	hands := s.Loot
	if s.Holds {
		hands |= s.Newest.bit()
	}
	live := 0
	for t := range tokens(hands) {
		r := s.Row
		known := r.Exists && r.RedeemedAt != 0 &&
			(t.Generation < r.Generation || t.Generation == r.Generation && t.Key == r.Key)
		if !known && !(s.Restored && t.Generation <= s.Past.Lost) {
			return "promise 4: a token is in a hand that the durable row does not account for"
		}
		if sc.holds(rotation, r, r, Use{Token: t, Active: t.Key, Now: s.Now}) {
			live++
		}
	}
	if live > 1 {
		return "promise 1: two live leaves"
	}
	return ""
}
