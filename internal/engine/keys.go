package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// KeySpec names a line of signing keys: one signs, earlier ones still verify.
type KeySpec struct {
	Purpose string
	Alg     jose.Alg
}

// Standard is the purpose of the keys that stand in the issuer's JWKS. A face
// whose contract wants a key of its own names another.
const Standard = "standard"

// macKeyLead is how long a new MAC key is in the store before it mints, so that
// every node has it before a client can bring it.
const macKeyLead = time.Minute

// keyring holds the issuer's keys, unsealed, and brings them in again when a
// tally names one that it does not know.
type keyring struct {
	store  store.Store
	master *seal.Master
	now    func() time.Time
	rand   io.Reader
	want   []KeySpec

	current atomic.Pointer[keyset]

	mu     sync.Mutex
	looked time.Time    // when the store was asked last
	failed error        // what came of that
	loaded atomic.Int64 // when it answered last, in ms
}

// keyset is what was in the store at one moment. It never changes.
type keyset struct {
	mac     []macKey     // by number
	signing []signingKey // by purpose, algorithm, number
	ring    *tally.Ring
	// nextRing is when another MAC key becomes active; far away if none does.
	nextRing time.Time
	signers  sync.Map // signerKey → *jose.Signer
}

type macKey struct {
	store.MACKey
	material tally.Material
}

type signingKey struct {
	store.SigningKey
	key *jose.Key
}

type signerKey struct {
	id  string
	typ string
	kid bool
}

func openKeyring(ctx context.Context, s store.Store, master *seal.Master, now func() time.Time, rand io.Reader, want []KeySpec) (*keyring, error) {
	k := &keyring{store: s, master: master, now: now, rand: rand, want: want}
	set, err := k.load(ctx, new(keyset))
	if err != nil {
		return nil, err
	}
	k.current.Store(set)
	var missing []KeySpec
	for _, spec := range want { // two faces may sign with one line of keys
		if set.line(spec) == nil && !slices.Contains(missing, spec) {
			missing = append(missing, spec)
		}
	}
	// RSA keys take their time to find: all at once.
	made := make(chan error, len(missing))
	for _, spec := range missing {
		go func() { made <- k.addSigningKey(ctx, spec, 1, now()) }()
	}
	for range missing {
		err = errors.Join(err, <-made)
	}
	if err == nil && len(set.mac) == 0 {
		err = k.addMACKey(ctx, 1, now())
	}
	if err != nil {
		return nil, err
	}
	// Read back in any case: another node may have been first with its own.
	return k, k.replace(ctx, now())
}

func (k *keyring) issuer() tally.Issuer { return tally.Issuer(k.store.Issuer()) }

// load reads the keys, and unseals those that were not in the set before as they are
// now: a look that finds nothing new costs two queries.
func (k *keyring) load(ctx context.Context, before *keyset) (*keyset, error) {
	mac, err := k.store.MACKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read MAC keys: %w", err)
	}
	signing, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	set := &keyset{}
	for _, m := range mac {
		if i := slices.IndexFunc(before.mac, func(b macKey) bool { return b.Number == m.Number && bytes.Equal(b.Sealed, m.Sealed) }); i >= 0 {
			set.mac = append(set.mac, macKey{m, before.mac[i].material})
			continue
		}
		plain, err := k.master.Open(k.macLabel(m.Number), m.Sealed)
		if err != nil || len(plain) != tally.KeySize {
			return nil, fmt.Errorf("MAC key %d cannot be unsealed: it belongs to another master key, or was altered", m.Number)
		}
		set.mac = append(set.mac, macKey{m, tally.Material(plain)})
	}
	for _, s := range signing {
		if i := slices.IndexFunc(before.signing, func(b signingKey) bool { return b.sealedAs(s) }); i >= 0 {
			set.signing = append(set.signing, signingKey{s, before.signing[i].key})
			continue
		}
		plain, err := k.master.Open(k.signingLabel(s), s.Sealed)
		if err != nil {
			return nil, fmt.Errorf("signing key %s cannot be unsealed: it belongs to another master key, or was altered", s.ID)
		}
		key, err := jose.ParseKey(plain)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", s.ID, err)
		}
		set.signing = append(set.signing, signingKey{s, key})
	}
	slices.SortFunc(set.mac, func(a, b macKey) int { return cmp.Compare(a.Number, b.Number) })
	slices.SortFunc(set.signing, func(a, b signingKey) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Algorithm, b.Algorithm), cmp.Compare(a.Number, b.Number))
	})
	return set, nil
}

// sealedAs: what is unsealed by the same label of the same bytes is the same.
func (k *signingKey) sealedAs(s store.SigningKey) bool {
	return k.ID == s.ID && k.Algorithm == s.Algorithm && k.Purpose == s.Purpose && bytes.Equal(k.Sealed, s.Sealed)
}

func (k *keyring) macLabel(number uint16) seal.Label {
	return seal.Label{Table: "mac_key", Issuer: k.store.Issuer(), Key: strconv.Itoa(int(number)), Algorithm: "HS256", Purpose: "tally"}
}

func (k *keyring) signingLabel(s store.SigningKey) seal.Label {
	return seal.Label{Table: "signing_key", Issuer: k.store.Issuer(), Key: s.ID, Algorithm: s.Algorithm, Purpose: s.Purpose}
}

func (k *keyring) addMACKey(ctx context.Context, number uint16, active time.Time) error {
	var m tally.Material
	if _, err := io.ReadFull(k.rand, m[:]); err != nil {
		return err
	}
	sealed, err := k.master.Seal(k.macLabel(number), m[:], k.rand)
	if err != nil {
		return err
	}
	_, err = k.store.AddMACKey(ctx, store.MACKey{Number: number, Sealed: sealed, CreatedAt: millis(k.now()), ActiveAt: millis(active)})
	return err
}

// addSigningKey adds a key to a line, unless another node has just added one of that
// number.
func (k *keyring) addSigningKey(ctx context.Context, spec KeySpec, number int, active time.Time) error {
	key, err := jose.Generate(spec.Alg)
	if err != nil {
		return err
	}
	plain, err := key.PKCS8()
	if err != nil {
		return err
	}
	record := store.SigningKey{
		Purpose: spec.Purpose, Algorithm: string(spec.Alg), Number: number, ID: key.ID,
		CreatedAt: millis(k.now()), ActiveAt: millis(active),
	}
	if record.Sealed, err = k.master.Seal(k.signingLabel(record), plain, k.rand); err != nil {
		return err
	}
	_, err = k.store.AddSigningKey(ctx, record)
	return err
}

// line is a spec's newest key; nil if it has none.
func (s *keyset) line(spec KeySpec) *signingKey {
	for i := len(s.signing) - 1; i >= 0; i-- {
		if k := &s.signing[i]; k.of(spec) {
			return k
		}
	}
	return nil
}

// soon is the spec's newest key that signs, or will within KeyLead; nil if none
// counts. One of a later time was made by a clock that was wrong.
func (s *keyset) soon(spec KeySpec, now time.Time) *signingKey {
	return s.signingAt(spec, now.Add(KeyLead))
}

// byID finds a signing key. Refusal: invalid_request (unknown key).
func (k *keyring) byID(id string) (*signingKey, error) {
	set := k.current.Load()
	for i := range set.signing {
		if set.signing[i].ID == id {
			return &set.signing[i], nil
		}
	}
	return nil, oauth.Refuse(oauth.InvalidRequest, "signing key unknown", "There is no such key.")
}

// signingAt is the spec's newest key that is active. If none is, by a clock that is
// behind or was set back, the first that counts is: see ringAt.
func (s *keyset) signingAt(spec KeySpec, now time.Time) (signs *signingKey) {
	for i := len(s.signing) - 1; i >= 0; i-- {
		k := &s.signing[i]
		if !k.of(spec) || !k.counts(now) {
			continue
		}
		if signs = k; k.ActiveAt <= millis(now) {
			break
		}
	}
	return signs
}

func (k *signingKey) of(spec KeySpec) bool {
	return k.Purpose == spec.Purpose && k.Algorithm == string(spec.Alg)
}

// counts reports whether the key has not been retired.
func (k *signingKey) counts(now time.Time) bool { return k.RetiredAt == 0 || k.RetiredAt > millis(now) }

// lines are the standard keys that must exist.
func (k *keyring) lines() (specs []KeySpec) {
	for _, spec := range k.want {
		if spec.Purpose == Standard && !slices.Contains(specs, spec) {
			specs = append(specs, spec)
		}
	}
	return specs
}

// ringAt makes the ring whose active key is the newest one that is active, and
// notes when that will be another. The first key of all is active from the start: of
// nodes that start together for the first time one has added it, and each knows the
// database's time only as well as its first look at it allows.
func (s *keyset) ringAt(issuer tally.Issuer, now time.Time) *tally.Ring {
	keys := make(map[uint16]tally.Material, len(s.mac))
	active := uint16(0)
	s.nextRing = now.AddDate(100, 0, 0)
	for i, m := range s.mac {
		keys[m.Number] = m.material
		if m.ActiveAt <= millis(now) || i == 0 {
			active = m.Number
		} else if at := time.UnixMilli(m.ActiveAt); at.Before(s.nextRing) {
			s.nextRing = at
		}
	}
	return tally.NewRing(issuer, keys, active)
}

// ring is the ring of the moment.
func (k *keyring) ring(now time.Time) *tally.Ring {
	set := k.current.Load()
	if now.Before(set.nextRing) {
		return set.ring
	}
	next := &keyset{mac: set.mac, signing: set.signing}
	next.ring = next.ringAt(k.issuer(), now)
	k.current.CompareAndSwap(set, next) // or a reload was faster, and knows more
	return k.current.Load().ring
}

// reload brings in what other nodes have added, at most once a second: a stranger
// can name any key number. Until the store is asked again its failure is everybody's
// answer: nobody knows which keys there are.
func (k *keyring) reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if since := now.Sub(k.looked); since >= 0 && since < time.Second {
		return k.failed
	}
	// Others wait for the answer, so it does not end with who happened to ask.
	k.looked, k.failed = now, k.replace(context.WithoutCancel(ctx), now)
	return k.failed
}

// keysKnown is for how long a node that could not look may say that it knows the
// keys: well below KeyLead.
const keysKnown = time.Minute

// fresh looks at the keys if that was long ago. A node that was cut off while they
// rotated would serve a JWK Set without the one that the others sign with.
func (k *keyring) fresh(ctx context.Context) error {
	if age := k.now().Sub(time.UnixMilli(k.loaded.Load())); age >= 0 && age < keysKnown {
		return nil
	}
	return k.reload(ctx)
}

// replace takes the keys that are in the store now.
func (k *keyring) replace(ctx context.Context, now time.Time) error {
	set, err := k.load(ctx, k.current.Load())
	if err != nil {
		return err
	}
	if len(set.mac) == 0 {
		return errors.New("there is no MAC key")
	}
	set.ring = set.ringAt(k.issuer(), now)
	k.current.Store(set)
	k.loaded.Store(millis(now))
	return nil
}

func (k *keyring) sign(d *Draft, now time.Time) (string, error) {
	set := k.current.Load()
	key := set.signingAt(d.Key, now)
	if key == nil {
		return "", fault("sign", fmt.Errorf("no %s key for %s is active", d.Key.Alg, d.Key.Purpose))
	}
	at := signerKey{key.ID, d.Typ, d.KID}
	signer, ok := set.signers.Load(at)
	if !ok {
		signer, _ = set.signers.LoadOrStore(at, key.key.Signer(d.Typ, d.KID))
	}
	token, err := signer.(*jose.Signer).Sign(d.Claims)
	if err != nil {
		return "", &oauth.Error{Code: oauth.ServerError, Reason: "sign", Err: err, Description: "The token could not be signed."}
	}
	return token, nil
}

// verify reads a bearer artefact without asking the store, unless it names a
// MAC key that is not in the ring.
func (e *Engine) verify(ctx context.Context, kind tally.Kind, s string) (tally.Tally, error) {
	t, err := e.keys.ring(e.now()).Verify(kind, s)
	if !errors.Is(err, tally.ErrKey) {
		return t, err
	}
	// Also if it was somebody else who looked, just now.
	if err := e.keys.reload(ctx); err != nil {
		return t, fault("reload MAC keys", err)
	}
	return e.keys.ring(e.now()).Verify(kind, s)
}

// unlessJunk keeps faults: what is not one of ours is as good as nothing.
func unlessJunk(err error) error {
	if errors.Is(err, tally.ErrJunk) || errors.Is(err, tally.ErrKey) {
		return nil
	}
	return err
}

func codeError(err error, presented string) error {
	return artefactError(err, presented, refuseCode)
}

func refreshError(err error, presented string) error {
	return artefactError(err, presented, refuseRefresh)
}

// artefactError says to the operator what was presented instead, by its kind
// alone; the client learns that it is not valid.
func artefactError(err error, presented string, refuse func(string) *oauth.Error) error {
	switch {
	case errors.Is(err, tally.ErrKey):
		return refuse("of an unknown MAC key")
	case errors.Is(err, tally.ErrJunk):
		if kind, ok := tally.KindOf(presented); ok {
			return refuse("not one of ours, or altered; it looks like a " + kind)
		}
		return refuse("not one of ours")
	}
	return err
}

// RotateMACKey adds a MAC key that becomes active in a minute and reports its
// number. Tokens under earlier keys stay good; each moves to the new key at its
// next rotation.
func (e *Engine) RotateMACKey(ctx context.Context) (uint16, error) {
	if err := e.keys.reload(ctx); err != nil {
		return 0, fault("reload MAC keys", err)
	}
	set := e.keys.current.Load()
	number := set.mac[len(set.mac)-1].Number + 1
	if number == 0 {
		return 0, errors.New("the MAC key numbers are used up")
	}
	now := e.now()
	if err := e.keys.addMACKey(ctx, number, now.Add(macKeyLead)); err != nil {
		return 0, fault("add MAC key", err)
	}
	if err := e.keys.replace(ctx, now); err != nil {
		return 0, fault("reload MAC keys", err)
	}
	return number, nil
}

// WatchKeys brings in what other nodes have added or revoked, until ctx is done. every
// must be well below the minute that a new key waits before it is used. log is told of
// the first failure of several.
func (e *Engine) WatchKeys(ctx context.Context, every time.Duration, log func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := e.keys.reload(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			log(err)
		}
		failed = err != nil
	}
}

// JWKS is the JWK Set (RFC 7517 §5) of the standard keys, those to come and
// those of the past among them.
func (e *Engine) JWKS() []byte {
	var keys []jose.PublicKey
	now := e.now()
	for _, k := range e.keys.current.Load().signing {
		if k.Purpose == Standard && k.counts(now) {
			keys = append(keys, k.key.Public())
		}
	}
	return jose.JWKS(keys)
}

// SigningKey is what may be told of a signing key.
type SigningKey struct {
	ID        string
	PEM       []byte // SPKI
	CreatedAt time.Time
}

// SigningKey is the key of the spec that signs now.
func (e *Engine) SigningKey(spec KeySpec) (SigningKey, error) {
	k := e.keys.current.Load().signingAt(spec, e.now())
	if k == nil {
		return SigningKey{}, fault("signing key", fmt.Errorf("no %s key for %s is active", spec.Alg, spec.Purpose))
	}
	return SigningKey{ID: k.ID, PEM: k.key.PublicPEM(), CreatedAt: time.UnixMilli(k.CreatedAt)}, nil
}
