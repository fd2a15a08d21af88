package model

// thefts are what the thief may copy.
func (sc *Scenario) thefts(s State, yield visit) {
	if sc.CodeStolen && !s.HasCode {
		n := s
		n.HasCode = true
		yield(Step{Verb: stealsCode}, n, "")
	}
	if s.Thefts > 0 && s.Holds && s.Loot&s.Newest.bit() == 0 {
		n := s
		n.Thefts--
		n.Loot |= s.Newest.bit()
		yield(Step{Verb: steals, Token: s.Newest}, n, "")
	}
}

// misfortunes are what the operator does.
func (sc *Scenario) misfortunes(s State, yield visit) {
	if sc.Revocation && s.Row.Exists && s.Row.RevokedAt == 0 && !s.locked() {
		n := s
		n.Row.RevokedAt, n.Past.Ended, n.Past.Revoked = s.Now, true, true
		yield(Step{Verb: revokes}, n, "")
	}
	if sc.Restore && !s.Copied {
		n := s
		n.Copied, n.Copy, n.CopyPast = true, s.Row, s.Past
		yield(Step{Verb: copies}, n, "")
	}
	if sc.Restore && s.Copied && !s.Restored {
		n := s
		n.Restored, n.Row, n.Node = true, s.Copy, [nodes]exchange{}
		n.Past = s.CopyPast
		n.Past.Lost, n.Past.Theft, n.Past.Revoked = s.Past.Generation, s.Past.Theft, s.CopyPast.Revoked
		n.Copy, n.CopyPast = Row{}, past{}
		yield(Step{Verb: restores}, n, "")
	}
}

// strangers try what they have found: another client with the code or a token,
// and anybody with the code and a wrong verifier. Each is refused before the store
// is asked.
func (sc *Scenario) strangers(s State, yield visit) {
	for _, u := range []Use{{Code: true, Proven: sc.Challenge}, {Token: s.Newest}} {
		if !u.Code && !s.Holds {
			continue
		}
		n := s
		u.Now, u.Active = s.Now, s.Active[0]
		out := Unknown
		switch sc.Flaw {
		case EndsForForeigners:
			n.Row.RevokedAt = s.Now
		case ServesForeigners:
			if !s.locked() {
				out, _ = sc.Exchange(&n.Row, u)
			}
		}
		broken := ""
		if out.Served() || n.Row != s.Row {
			broken = "promise 3: a stranger's try is served or changes the grant"
		}
		yield(Step{Verb: tries, Token: u.Token}, n, broken)
	}
}
