package model

// Time is Unix time in ticks of any length; 0 = never, not set.
type Time int32

// Outcome is what came of a use, by the contract's word.
type Outcome uint8

// The outcomes. Those up to Ahead are answered with tokens.
const (
	NoOutcome Outcome = iota
	Done
	Retried
	Ahead
	Unknown
	Expired
	Spent
	Replayed
	Revoked
)

var outcomes = [...]string{"none", "done", "retried", "ahead", "unknown", "expired", "spent", "replayed", "revoked"}

func (o Outcome) String() string { return outcomes[o] }

// Served reports whether the outcome is answered with tokens.
func (o Outcome) Served() bool { return Done <= o && o <= Ahead }

// Terms are what does not change of a grant: when it ends, and its client's
// policy.
type Terms struct {
	CodeEnd     Time
	AbsoluteEnd Time // 0 = never
	IdleLife    Time // 0 = no idle end
	Rotating    bool
	Window      Time // of a retry; 0 = none
	UntilUsed   bool // the window has no end
	EndOnReplay bool // otherwise a replay is only refused
	Anonymous   bool // there is no row before the redemption
	Flaw        Flaw // NoFlaw but where a test breaks a rule
}

// Row is what is durable of a grant.
type Row struct {
	Exists     bool
	RedeemedAt Time
	Generation uint32
	Key        uint16 // that the token of the generation is minted under
	RotatedAt  Time
	IdleEnd    Time // 0 = never
	RevokedAt  Time
}

// Use is a code or a refresh token that has passed every check that needs no
// row: kind, MAC, client, redirect URI, verifier.
type Use struct {
	Code   bool // otherwise a refresh token
	Proven bool // of a code: nobody but the holder of secret or verifier can use it
	Token       // of a refresh token
	Active uint16
	Now    Time // by the clock of the node
}

// Token is a refresh token: the secret is the grant's own, so it is its
// generation and the number of its MAC key.
type Token struct {
	Generation uint32
	Key        uint16
}

// last is a generation that has no successor.
const last = 1<<32 - 1

// write is a conditional write: one statement.
type write uint8

const (
	nothing write = iota
	redemption
	rotation
	extension
	catchUp // Ahead
	end
)

// first is the statement that an exchange begins with.
func (t *Terms) first(u Use) write {
	switch {
	case t.Flaw == ReadsFirst:
		return nothing
	case u.Code:
		return redemption
	case t.rotates(u) && u.Generation != last:
		return rotation
	}
	return nothing
}

// rotates: the current token is exchanged for a successor.
func (t *Terms) rotates(u Use) bool { return t.Rotating || u.Key != u.Active }

func over(end, now Time) bool { return end != 0 && end <= now }

func (t *Terms) expired(r Row, now Time) bool {
	if t.Flaw == OutlivesItsEnd {
		return false
	}
	return over(t.AbsoluteEnd, now) || over(r.IdleEnd, now)
}

// holds is the condition of a write. seen is the row that led to it.
func (t *Terms) holds(w write, r, seen Row, u Use) bool {
	if w != redemption && !r.Exists {
		return false
	}
	alive := r.RevokedAt == 0 || t.Flaw == ServesTheRevoked
	switch w {
	case redemption:
		onTime := u.Now < t.CodeEnd || t.Flaw == OutlivesItsEnd
		if t.Anonymous {
			return onTime && (!r.Exists || t.Flaw == RedeemsAgain || t.Flaw == ReadsFirst)
		}
		unspent := r.RedeemedAt == 0 || t.Flaw == RedeemsAgain || t.Flaw == ReadsFirst
		return r.Exists && unspent && alive && onTime && !over(t.AbsoluteEnd, u.Now)
	case rotation:
		current := r.Generation == u.Generation && r.Key == u.Key ||
			t.Flaw == RotatesAnyGeneration || t.Flaw == ReadsFirst ||
			t.Flaw == MintsSibling && r.Generation == u.Generation+1
		return current && r.RedeemedAt != 0 && alive && !t.expired(r, u.Now)
	case extension:
		return r.Generation == seen.Generation && r.IdleEnd == seen.IdleEnd && alive
	case catchUp:
		behind := r.Generation < u.Generation || r.Generation == u.Generation && r.RedeemedAt == 0
		return (behind || t.Flaw == GoesBackwards) && alive && !t.expired(r, u.Now)
	case end:
		return r.RevokedAt == 0
	}
	return false
}

// perform is the effect of a write.
func (t *Terms) perform(w write, r *Row, u Use) {
	switch w {
	case redemption:
		if !r.Exists {
			*r = Row{Exists: true, RotatedAt: u.Now}
		}
		r.RedeemedAt, r.Key = u.Now, u.Active
	case rotation:
		r.Generation, r.Key, r.RotatedAt = r.Generation+1, u.Active, max(r.RotatedAt, u.Now)
	case catchUp:
		r.Generation, r.Key, r.RotatedAt = u.Generation+1, u.Active, max(r.RotatedAt, u.Now)
		if r.RedeemedAt == 0 {
			r.RedeemedAt = u.Now
		}
	case end:
		r.RevokedAt = u.Now
		return
	}
	r.IdleEnd = 0
	if t.IdleLife != 0 {
		r.IdleEnd = u.Now + t.IdleLife
	}
}

// judge is the table of store.Redeem and store.Rotate: what a use is to a row, and
// the write that follows from it.
func (t *Terms) judge(r Row, u Use) (Outcome, write) {
	if u.Code {
		return t.judgeCode(r, u)
	}
	p, g := u.Generation, r.Generation
	switch {
	case !r.Exists:
		return Unknown, nothing
	case r.RevokedAt != 0 && t.Flaw != ServesTheRevoked:
		return Revoked, nothing
	case t.expired(r, u.Now):
		return Expired, nothing
	case p > g || p == g && r.RedeemedAt == 0:
		switch {
		case t.Flaw == RefusesAhead:
			return Unknown, nothing
		case p == last:
			return Expired, nothing
		}
		return Ahead, catchUp
	case r.RedeemedAt == 0:
		return Unknown, nothing
	case p == g:
		switch {
		case u.Key != r.Key:
			return Unknown, nothing
		case !t.rotates(u):
			return Done, t.extends(r, u)
		case p == last:
			return Expired, nothing
		}
		return Done, rotation
	case t.parent(r, u):
		return Retried, t.extends(r, u)
	}
	return t.replayed()
}

func (t *Terms) judgeCode(r Row, u Use) (Outcome, write) {
	switch {
	case !r.Exists:
		if t.Flaw == ReadsFirst && u.Now < t.CodeEnd {
			return Done, redemption
		}
		if !t.Anonymous {
			return Unknown, nothing
		}
		return Expired, nothing
	case r.RevokedAt != 0:
		return Revoked, nothing
	case r.RedeemedAt == 0:
		if t.Flaw == ReadsFirst && u.Now < t.CodeEnd {
			return Done, redemption
		}
		return Expired, nothing
	case !u.Proven && t.Flaw != EndsUnproven:
		return Spent, nothing
	}
	return t.replayed()
}

// parent: the use is a retry inside the window.
func (t *Terms) parent(r Row, u Use) bool {
	old := max(u.Now-r.RotatedAt, 0)
	switch {
	case t.Flaw == ServesGrandparent:
		return t.UntilUsed || !t.Rotating || old < t.Window
	case u.Generation+1 != r.Generation, t.Flaw == ForgetsRetries:
		return false
	case t.UntilUsed, t.Flaw == ForgetsWindow:
		return true
	case !t.Rotating: // its rotations are the server's doing
		return t.Flaw != RotatesUnasked
	}
	return old < t.Window
}

func (t *Terms) replayed() (Outcome, write) {
	if t.EndOnReplay && t.Flaw != EndsNothing {
		return Replayed, end
	}
	return Replayed, nothing
}

// extends: less than 15/16 of the idle life is left.
func (t *Terms) extends(r Row, u Use) write {
	if t.IdleLife > 0 && r.IdleEnd-u.Now < t.IdleLife-t.IdleLife/16 {
		return extension
	}
	return nothing
}

// Exchange is a use that nobody comes between. ended: this use ended the grant.
func (t *Terms) Exchange(r *Row, u Use) (out Outcome, ended bool) {
	for w, seen := t.first(u), *r; ; {
		if w != nothing && t.holds(w, *r, seen, u) {
			t.perform(w, r, u)
			if out == NoOutcome {
				out = Done
			}
			return out, w == end
		}
		seen = *r
		if out, w = t.judge(seen, u); w == nothing {
			return out, false
		}
	}
}
