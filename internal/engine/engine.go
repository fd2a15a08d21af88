// Package engine is the use cases: it authorizes, redeems, refreshes, verifies
// and ends. It knows no HTTP, no SQL and no face: a face hands it parsed values
// and says how its tokens look (Shape); the store is asked for intents.
//
// Nothing leaves the engine before the store has made it durable, and an error
// that leaves it is either a refusal (oauth.Error, with the exact check that
// failed as its reason) or a fault: then nothing was answered, and, unless the
// fate of a commit is unknown, nothing has changed.
package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// What faces see of the store's records.
type (
	Grant      = store.Birthright
	User       = store.User
	Membership = store.Membership
	Trace      = store.Trace
)

// Config is what an engine is made of.
type Config struct {
	Store  store.Store
	Master *seal.Master
	// Issuer is the URL that standard tokens name as iss.
	Issuer string
	Hasher *password.Hasher
	// Keys are the signing keys that must exist; missing ones are made.
	Keys []KeySpec
	// Faces are those whose clients there are.
	Faces []oauth.Face
	// Keeping is how long things are kept.
	Keeping Keeping
	// Fetch reaches the addresses that clients have registered.
	Fetch Fetcher
	// Registration is who may register a client; the zero value is nobody.
	Registration Registration
	// SendsMail: this node sends what is in the outbox.
	SendsMail bool
	// BirthsPerNetwork is how many rows anybody may have made from one network (/24, /64)
	// in ten minutes, at this node: anonymous profiles, accounts, clients that register
	// themselves without a token; 0 = any number.
	BirthsPerNetwork int
	// Resources may be asked for by every client, beside its own (RFC 8707).
	Resources []string
	// LoopbackResources lets clients ask for any resource on this machine.
	LoopbackResources bool
	// Now and Rand are nil for the real ones.
	Now  func() time.Time
	Rand io.Reader
}

// Fetcher reaches what clients have registered, and nothing inside (see package
// fetch).
type Fetcher interface {
	// Get returns the body of what is at the address, as it was some minutes ago.
	Get(ctx context.Context, uri string, accept ...string) ([]byte, error)
	// Fresh is Get that looks again.
	Fresh(ctx context.Context, uri string, accept ...string) ([]byte, error)
	// Check says what is wrong with an address that is to be registered.
	Check(uri string) error
}

// issuerPolicy is what holds for every client of the issuer.
type issuerPolicy struct {
	registration Registration
	loopback     bool
	resources    oauth.Resources
}

// Engine is safe for concurrent use.
type Engine struct {
	store   store.Store
	issuer  string
	hasher  *password.Hasher
	keys    *keyring
	clients *clientCache
	births  *cache[store.GrantID, store.Birthright]
	reports *cache[store.GrantID, time.Time]
	guesses *quota                          // that have failed
	pushes  *quota                          // by public clients
	keySets *cache[store.Hash, jose.KeySet] // of clients, by their text
	streaks *cache[pair, streak]
	// strangers is what anybody may have made, see Config.BirthsPerNetwork.
	strangers *quota
	mail      chan struct{} // says that there is something in the outbox
	notices   chan struct{} // says that there may be a client to be told of a logout
	fetch     Fetcher
	policy    issuerPolicy
	faces     []oauth.Face
	keeping   Keeping
	mails     bool                   // see Config.SendsMail
	node      [16]byte               // random: who holds a lease
	laps      map[store.Table][]byte // where the purge goes on; Keep alone touches it

	formKey, secretKey, pairwiseKey []byte

	now  func() time.Time
	rand io.Reader
}

// New opens an engine on a store: loads the keys and makes those that are
// missing.
func New(ctx context.Context, c Config) (*Engine, error) {
	e := &Engine{
		store: c.Store, issuer: c.Issuer, hasher: c.Hasher, now: c.Now, rand: c.Rand,
		births:    newCache[store.GrantID, store.Birthright](8192),
		reports:   newCache[store.GrantID, time.Time](1024),
		guesses:   newQuota(addressGuesses, addressWindow),
		streaks:   newCache[pair, streak](4096),
		strangers: newQuota(c.BirthsPerNetwork, birthsWindow),
		pushes:    newQuota(pushedPerNetwork, PushedLifetime),
		keySets:   newCache[store.Hash, jose.KeySet](512),
		mail:      make(chan struct{}, 1),
		notices:   make(chan struct{}, 1),
		fetch:     c.Fetch,
		policy:    issuerPolicy{registration: c.Registration, loopback: c.LoopbackResources},
	}
	issuer := c.Store.Issuer()
	id := hex.EncodeToString(issuer[:])
	e.formKey = c.Master.Derive("form key "+id, 32)
	e.secretKey = c.Master.Derive("client secret key "+id, 32)
	e.pairwiseKey = c.Master.Derive("pairwise key "+id, 32)
	var err error
	if e.policy.resources, err = oauth.ParseResources(c.Resources); err != nil {
		return nil, err
	}
	if e.now == nil {
		e.now = time.Now //nolint:forbidigo // the real clock unless one is handed in
	}
	if e.rand == nil {
		e.rand = rand.Reader
	}
	e.mails, e.faces, e.keeping, e.laps = c.SendsMail, c.Faces, c.Keeping, make(map[store.Table][]byte)
	e.keeping.KeyRotation = cmp.Or(e.keeping.KeyRotation, defaultKeyRotation)
	e.keeping.Audit = cmp.Or(e.keeping.Audit, defaultAudit)
	if e.node, err = e.newID(); err != nil {
		return nil, err
	}
	e.clients = &clientCache{store: c.Store, now: e.now, nobody: newCache[string, int64](1024)}
	e.keys, err = openKeyring(ctx, c.Store, c.Master, e.now, e.rand, c.Keys)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Issuer is the URL that standard tokens name as iss.
func (e *Engine) Issuer() string { return e.issuer }

// Now is the time on the engine's clock.
func (e *Engine) Now() time.Time { return e.now() }

// Ready reports why the engine cannot exchange anything now; nil if it can.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.store.Ready(ctx); err != nil {
		return err
	}
	return e.keys.fresh(ctx)
}

// fault turns an error of the store or the machine into an answer: nothing
// happened, try again. A request that was given up is not the store's fault.
func fault(what string, err error) error {
	if _, ok := errors.AsType[*oauth.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, password.ErrBusy) {
		return oauth.Unavailable(what, err)
	}
	return oauth.Unavailable(what, fmt.Errorf("%s: %w", what, err))
}

func millis(t time.Time) store.Time { return t.UnixMilli() }

// newSecret draws the secret of a new grant, and the id that follows from it.
func (e *Engine) newSecret() (tally.Secret, store.GrantID, error) {
	var s tally.Secret
	if _, err := io.ReadFull(e.rand, s[:]); err != nil {
		return s, store.GrantID{}, fault("randomness", err)
	}
	return s, e.grantID(s), nil
}

func (e *Engine) grantID(s tally.Secret) store.GrantID {
	return store.GrantID(tally.Issuer(e.store.Issuer()).ID(s))
}

// newUUID draws a version 4 UUID (RFC 9562 §5.4).
func (e *Engine) newUUID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(e.rand, b[:]); err != nil {
		return "", fault("randomness", err)
	}
	return UUID(b), nil
}

// UUID prints 16 random bytes as a version 4 UUID.
func UUID(b [16]byte) string { return FormatUUID(UUIDBits(b)) }

// UUIDBits makes 16 random bytes those of a version 4 UUID; six of the bits are
// lost.
func UUIDBits(b [16]byte) [16]byte {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return b
}

// FormatUUID prints 16 bytes in the form of a UUID, all bits kept.
func FormatUUID(b [16]byte) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, x := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, hex[x>>4], hex[x&15])
	}
	return string(out)
}
