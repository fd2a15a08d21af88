package engine

import (
	"context"
	"errors"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/store"
)

// Keeping says how long things are kept. Zero values are the defaults.
type Keeping struct {
	KeyRotation time.Duration // how long a signing key signs; below 0 = for ever; default 90 days
	Audit       time.Duration // how long the audit is kept; below 0 = for ever; default 400 days
	// Settled reports whether the clock has run evenly for long enough to delete by it;
	// nil = always.
	Settled func() bool
}

const (
	defaultKeyRotation = 90 * 24 * time.Hour
	defaultAudit       = 400 * 24 * time.Hour

	// KeyLead is how long a signing key is published before it signs: twice as long
	// as a verifier may hold what we publish.
	KeyLead = 2 * JWKSMaxAge
	// JWKSMaxAge is how long a verifier may go on with a JWK Set.
	JWKSMaxAge = 5 * time.Minute
	// keyKept is how long a key verifies after its successor has begun to sign, beside
	// the life of the longest access token: ID tokens come back as hints for longer
	// than they last.
	keyKept = 30 * 24 * time.Hour

	// deadFor is how long the rows of what has ended stay: for late replays to be told
	// from junk, and clocks that differ.
	deadFor = 24 * time.Hour
	// toldFor is how long mails and notices stay after their birth, which are given up
	// earlier, and registrations that nobody has confirmed: the last link ends earlier.
	toldFor = 7 * 24 * time.Hour
	// unusedFor is how long a client that registered itself may wait for its first user.
	unusedFor = 30 * 24 * time.Hour

	purgeBatch = 200 // rows that are looked at in one transaction
	// purgeRows bounds one round of a table, so that a lap through a large one is made
	// in several and the exchange never waits for more than a batch.
	purgeRows = 100_000

	// mostGrants is how many living grants a user may have of one client.
	mostGrants = 200
)

// RunKeeping does what one node at a time must do, until ctx is done: it rotates
// signing keys and deletes what nobody can refer to any more. Of several nodes that
// run it one has the lease; should it die, another goes on when that has ended.
func (e *Engine) RunKeeping(ctx context.Context, every time.Duration, log func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := e.Keep(ctx, 3*every); err != nil && ctx.Err() == nil {
			log(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Keep is one round of RunKeeping, if this node has or gets the lease for so long.
func (e *Engine) Keep(ctx context.Context, lease time.Duration) error {
	now := e.now()
	out, err := e.store.Lease(ctx, store.Lease{Name: "keeping", Holder: e.node, Now: millis(now), Until: millis(now.Add(lease))})
	if err != nil {
		return fault("lease", err)
	}
	if out != store.Done {
		return nil
	}
	longest, err := e.longestToken(ctx)
	if err != nil {
		return err
	}
	err = e.rotateKeys(ctx, longest)
	if e.keeping.Settled == nil || e.keeping.Settled() {
		err = errors.Join(err, e.purge(ctx, longest))
	}
	return err
}

// purge goes on with the lap through each table, and deletes what store.Purge says
// of it so long after its end.
func (e *Engine) purge(ctx context.Context, longest time.Duration) error {
	now := e.now()
	before := map[store.Table]time.Time{
		// An access token is good as long as its grant has a row.
		store.TableGrants:        now.Add(-deadFor - longest),
		store.TableSessions:      now.Add(-deadFor),
		store.TableLinks:         now.Add(-deadFor),
		store.TableRequests:      now.Add(-15 * time.Minute), // longer than a form may be open
		store.TableSpent:         now.Add(-time.Hour),
		store.TableMails:         now.Add(-toldFor),
		store.TableNotices:       now.Add(-toldFor),
		store.TableRegistrations: now.Add(-toldFor),
		store.TableClients:       now.Add(-unusedFor),
	}
	if e.keeping.Audit > 0 {
		before[store.TableAudit] = now.Add(-e.keeping.Audit)
	}
	var errs []error
	for _, table := range store.Tables {
		if end, ok := before[table]; ok {
			errs = append(errs, e.purgeTable(ctx, table, end, now))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) purgeTable(ctx context.Context, table store.Table, before, now time.Time) error {
	for range purgeRows / purgeBatch {
		out, err := e.store.Purge(ctx, store.Purge{Table: table, Cursor: e.laps[table], Limit: purgeBatch, Before: millis(before), Now: millis(now)})
		if err != nil {
			return fault("purge "+string(table), err)
		}
		if e.laps[table] = out.Cursor; out.Cursor == nil {
			return nil
		}
	}
	return nil
}

// longestToken is the life of the longest access token that any client may have.
func (e *Engine) longestToken(ctx context.Context) (time.Duration, error) {
	longest := time.Duration(0)
	for _, face := range e.faces {
		clients, err := e.store.ClientsOf(ctx, face)
		if err != nil {
			return 0, fault("clients", err)
		}
		for _, c := range clients {
			longest = max(longest, time.Duration(c.AccessTokenLifetime)*time.Second)
		}
	}
	return longest, nil
}

// rotateKeys adds a successor to each standard key whose time to sign is over, and
// says of each that has one when it will count no more. A face's own key rotates
// only on purpose.
func (e *Engine) rotateKeys(ctx context.Context, longest time.Duration) error {
	if err := e.keys.reload(ctx); err != nil {
		return fault("reload keys", err)
	}
	now, changed := e.now(), false
	for _, spec := range e.keys.lines() {
		set := e.keys.current.Load()
		newest := set.soon(spec, now)
		if newest == nil || e.keeping.KeyRotation > 0 && now.Sub(time.UnixMilli(newest.ActiveAt)) >= e.keeping.KeyRotation-KeyLead {
			if err := e.keys.addSigningKey(ctx, spec, set.line(spec).Number+1, now.Add(KeyLead)); err != nil {
				return fault("add signing key", err)
			}
			changed = true
		}
		did, err := e.retirePredecessors(ctx, spec, longest)
		if err != nil {
			return err
		}
		changed = changed || did
	}
	if !changed {
		return nil
	}
	if err := e.keys.replace(ctx, now); err != nil {
		return fault("reload keys", err)
	}
	return nil
}

// retirePredecessors says when the keys before the one that signs now will count no
// more.
func (e *Engine) retirePredecessors(ctx context.Context, spec KeySpec, longest time.Duration) (changed bool, err error) {
	set, now := e.keys.current.Load(), e.now()
	signs := set.signingAt(spec, now)
	if signs == nil {
		return false, nil
	}
	end := time.UnixMilli(signs.ActiveAt).Add(longest + keyKept)
	for _, k := range set.signing {
		if k.of(spec) && k.Number < signs.Number && k.RetiredAt == 0 {
			if _, err := e.store.RetireSigningKey(ctx, k.ID, millis(end)); err != nil {
				return changed, fault("retire signing key", err)
			}
			changed = true
		}
	}
	return changed, nil
}

// RotateSigningKeys adds a successor to every standard key now, out of turn. Each
// signs from KeyLead on. It returns their ids.
func (e *Engine) RotateSigningKeys(ctx context.Context) (ids []string, err error) {
	if err := e.keys.replace(ctx, e.now()); err != nil {
		return nil, fault("reload keys", err)
	}
	now := e.now()
	for _, spec := range e.keys.lines() {
		set := e.keys.current.Load()
		if newest := set.soon(spec, now); newest != nil && newest.ActiveAt > millis(now) && newest.ActiveAt <= millis(now.Add(KeyLead)) {
			continue // one is on its way
		}
		if err := e.keys.addSigningKey(ctx, spec, set.line(spec).Number+1, now.Add(KeyLead)); err != nil {
			return ids, fault("add signing key", err)
		}
	}
	if err := e.keys.replace(ctx, now); err != nil {
		return nil, fault("reload keys", err)
	}
	for _, spec := range e.keys.lines() {
		if newest := e.keys.current.Load().soon(spec, now); newest != nil {
			ids = append(ids, newest.ID)
		}
	}
	return ids, nil
}

// RevokeSigningKey ends a key that may be known to somebody else: it neither signs
// nor verifies any more, here at once and at other nodes within their look at the
// keys. If it was the one that signs, another takes its place at once; verifiers see
// an unknown kid and fetch the keys anew. Refusal: invalid_request (unknown key).
func (e *Engine) RevokeSigningKey(ctx context.Context, id string) error {
	now := e.now()
	if err := e.keys.replace(ctx, now); err != nil {
		return fault("reload keys", err)
	}
	revoked, err := e.keys.byID(id)
	if err != nil {
		return err
	}
	if err := e.replaceSigner(ctx, revoked, now); err != nil {
		return err
	}
	// At the beginning of time: a clock that is set back must not bring it back.
	if _, err := e.store.RetireSigningKey(ctx, id, revokedAt); err != nil {
		return fault("retire signing key", err)
	}
	if err := e.keys.replace(ctx, now); err != nil {
		return fault("reload keys", err)
	}
	return nil
}

// revokedAt is when a key was retired that was revoked.
const revokedAt = 1

// replaceSigner gives a key that signs a successor which signs now. The one that is
// to come, if there is one, was published for nothing: it has not been waited for.
// A key of its own is no less known.
func (e *Engine) replaceSigner(ctx context.Context, revoked *signingKey, now time.Time) error {
	spec := KeySpec{Purpose: revoked.Purpose, Alg: jose.Alg(revoked.Algorithm)}
	for range 4 { // another node may add a key of that number at this moment
		set := e.keys.current.Load()
		if signs := set.signingAt(spec, now); signs == nil || signs.ID != revoked.ID {
			return nil
		}
		if err := e.keys.addSigningKey(ctx, spec, set.line(spec).Number+1, now); err != nil {
			return fault("add signing key", err)
		}
		if err := e.keys.replace(ctx, now); err != nil {
			return fault("reload keys", err)
		}
	}
	return fault("add signing key", errors.New("too many keys at once"))
}

// KeyState is what may be told of a signing key.
type KeyState struct {
	ID        string
	Purpose   string
	Algorithm string
	ActiveAt  time.Time
	RetiredAt time.Time // zero if not said
	Signs     bool      // it is the one that signs now
}

// SigningKeys lists all of them.
func (e *Engine) SigningKeys(ctx context.Context) ([]KeyState, error) {
	now := e.now()
	if err := e.keys.replace(ctx, now); err != nil {
		return nil, fault("reload keys", err)
	}
	set := e.keys.current.Load()
	var all []KeyState
	for _, k := range set.signing {
		signs := set.signingAt(KeySpec{Purpose: k.Purpose, Alg: jose.Alg(k.Algorithm)}, now)
		state := KeyState{ID: k.ID, Purpose: k.Purpose, Algorithm: k.Algorithm, ActiveAt: time.UnixMilli(k.ActiveAt), Signs: signs != nil && signs.ID == k.ID}
		if k.RetiredAt != 0 {
			state.RetiredAt = time.UnixMilli(k.RetiredAt)
		}
		all = append(all, state)
	}
	return all, nil
}
