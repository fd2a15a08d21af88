package engine

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// Limits on guessing passwords. They count failures only, hang on the account
// (so that an alias doubles nothing) and on the network that it is guessed from,
// and lock nobody out for good: an account is slowed, never closed, and what
// others do to it from elsewhere does not touch its owner, who comes from the
// network of his last success.
//
//	account, any network   in the store, for all nodes; taken before the guess
//	account and network    this node's own; holds for the owner's network, too
//	network, any account   this node's own
const (
	freeGuesses   = 10 // per account, since the last success
	maxGuessDelay = 15 * time.Minute

	addressGuesses = 30 // per network
	addressWindow  = 10 * time.Minute
)

// guessDelay is how long an account waits after its n-th failure.
func guessDelay(failures int64) time.Duration {
	if failures < freeGuesses {
		return time.Second
	}
	if n := failures - freeGuesses; n < 10 {
		return min(time.Second<<n, maxGuessDelay)
	}
	return maxGuessDelay
}

// tooManyGuesses: at least a second, for who was refused beside others has read
// an older row.
func tooManyGuesses(reason string, after time.Duration) *oauth.Error {
	return &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Reason: "sign-in: " + reason, RetryAfter: max(after, time.Second),
		Description: "There were too many failed attempts. Please wait a little and try again.",
	}
}

// Network is the /24 or /64 that an address belongs to, hashed: enough to know
// it again, too little to know where it is. Zero if it is no address.
func Network(ip string) (h store.Hash) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return h
	}
	bits := 64
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return h
	}
	return sha256.Sum256([]byte("tallystick network\x00" + prefix.String()))
}

// pair is an account and a network that guesses at it; the zero network is all
// of them. What is no account is counted like one, or the limit would tell.
type pair struct {
	user store.UserID
	from store.Hash
}

// nobody stands for the account that an identifier might have.
func nobody(identifier string) store.UserID {
	sum := sha256.Sum256([]byte("tallystick nobody\x00" + identifier))
	return store.UserID(sum[:16])
}

// streak is the failures of a pair since its last success.
type streak struct {
	failures int64
	until    time.Time // no guess before, once the free ones are used up
}

// mayGuess refuses a network that has failed too often, whatever the accounts.
// It is this node's own count.
func (e *Engine) mayGuess(from store.Hash, now time.Time) error {
	if wait := e.guesses.wait(from, now); wait > 0 {
		return tooManyGuesses("too many failures from this network", wait)
	}
	return nil
}

// mayGuessAt refuses a network that has failed too often at one account.
func (e *Engine) mayGuessAt(p pair, now time.Time) error {
	s, _ := e.streaks.get(p)
	if s.failures < freeGuesses || !now.Before(s.until) {
		return nil
	}
	return tooManyGuesses("too many failures for this account from this network", s.until.Sub(now))
}

// failed counts a failure.
func (e *Engine) failed(p pair, now time.Time) {
	e.lengthen(p, now)
	e.guesses.count(p.from, now, 1)
}

func (e *Engine) lengthen(p pair, now time.Time) {
	s, _ := e.streaks.get(p)
	s.failures++
	s.until = now.Add(guessDelay(s.failures))
	e.streaks.put(p, s)
}

// takeGuessAtNobody is takeGuess where there is no account: the same answers,
// kept in memory.
func (e *Engine) takeGuessAtNobody(identifier string, now time.Time) error {
	anywhere := pair{user: nobody(identifier)}
	if err := e.mayGuessAt(anywhere, now); err != nil {
		return err
	}
	e.lengthen(anywhere, now)
	return nil
}

// takeGuess counts a guess before it is made, so that parallel guesses share one
// allowance; a success takes it back.
func (e *Engine) takeGuess(ctx context.Context, u *User, from store.Hash, now time.Time) error {
	out, err := e.store.TakeGuess(ctx, store.TakeGuess{
		User: u.ID, Address: from, Free: freeGuesses, Now: millis(now),
		BlockedUntil: millis(now.Add(guessDelay(u.GuessFailures + 1))),
	})
	if err != nil {
		return fault("count guess", err)
	}
	if out != store.Done {
		return tooManyGuesses("too many failures for this account", time.UnixMilli(u.BlockedUntil).Sub(now))
	}
	return nil
}
