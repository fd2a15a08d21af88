// Package password hashes passwords with Argon2id (RFC 9106), at most a fixed
// number at a time.
//
// A hash takes 19 MiB, so requests without a bound are a memory bomb: here each
// waits for one of a few slots, two seconds at most, and is then refused with
// [ErrBusy]. A password is compared in constant time, and [Hasher.VerifyNothing]
// makes an unknown user cost what a known one costs.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"
)

// MaxLength is the length in bytes of the longest password.
const MaxLength = 1024

const (
	maxWait  = 2 * time.Second
	saltSize = 16 // bytes (RFC 9106 §3.1)
	hashSize = 32
)

var (
	// ErrTooLong refuses a password of more than MaxLength bytes, before it costs
	// anything.
	ErrTooLong = errors.New("password: longer than 1024 bytes")
	// ErrBusy says that no slot was free in time. It is a fault for now, not a
	// verdict on the password.
	ErrBusy = errors.New("password: too many hashes at once")
)

// Params is what one hash costs.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8  // lanes
}

// Default returns 19 MiB, two passes, one lane.
func Default() Params { return Params{Memory: 19456, Time: 2, Threads: 1} }

// Check says what is wrong with p. The lower bound of memory is that of RFC 9106
// §3.1; the upper bounds keep a row of the database from stopping the server.
func (p Params) Check() error {
	var errs []error
	if p.Time < 1 || p.Time > 16 {
		errs = append(errs, fmt.Errorf("password: time: want 1 to 16 passes, got %d", p.Time))
	}
	if p.Threads < 1 || p.Threads > 16 {
		errs = append(errs, fmt.Errorf("password: threads: want 1 to 16, got %d", p.Threads))
	}
	if p.Memory < 8*uint32(p.Threads) || p.Memory > 128<<10 {
		errs = append(errs, fmt.Errorf("password: memory: want 8 KiB per thread to 131072 KiB, got %d", p.Memory))
	}
	return errors.Join(errs...)
}

// Hasher hashes and verifies. It is safe for concurrent use.
type Hasher struct {
	params  Params
	slots   chan struct{}
	nothing phc
	derive  func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte
}

// New returns a Hasher that makes new hashes with p, slots at a time; 0 slots
// means one per CPU. It panics if p fails its Check.
func New(p Params, slots int) *Hasher {
	if err := p.Check(); err != nil {
		panic(err)
	}
	if slots <= 0 {
		slots = runtime.NumCPU()
	}
	return &Hasher{
		params:  p,
		slots:   make(chan struct{}, slots),
		nothing: phc{Params: p, salt: make([]byte, saltSize), hash: make([]byte, hashSize)},
		derive:  argon2.IDKey,
	}
}

// Hash returns the PHC string of password under a new salt, or ErrTooLong or
// ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	e := phc{Params: h.params, salt: make([]byte, saltSize), hash: make([]byte, hashSize)}
	rand.Read(e.salt) // never fails
	hash, err := h.run(ctx, e, password)
	if err != nil {
		return "", err
	}
	e.hash = hash
	return e.String(), nil
}

// Verify reports whether password is the one of encoded, with the parameters of
// encoded. The error is ErrTooLong, ErrBusy or ErrEncoding.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (bool, error) {
	e, err := parse(encoded)
	if err != nil {
		return false, err
	}
	return h.verify(ctx, e, password)
}

// VerifyNothing spends what Verify spends on a hash with the parameters of h,
// and fails as it would.
func (h *Hasher) VerifyNothing(ctx context.Context, password string) error {
	_, err := h.verify(ctx, h.nothing, password)
	return err
}

func (h *Hasher) verify(ctx context.Context, e phc, password string) (bool, error) {
	hash, err := h.run(ctx, e, password)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(hash, e.hash) == 1, nil
}

// run computes a hash of e's size in a slot of its own.
func (h *Hasher) run(ctx context.Context, e phc, password string) ([]byte, error) {
	if len(password) > MaxLength {
		return nil, ErrTooLong
	}
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	return h.derive([]byte(password), e.salt, e.Time, e.Memory, e.Threads, uint32(len(e.hash))), nil
}

// acquire takes a slot. A request that is already over gets none, even a free one.
func (h *Hasher) acquire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// NeedsRehash reports whether encoded was not made with p, so that a password
// that just verified is better hashed anew.
func NeedsRehash(encoded string, p Params) bool {
	e, err := parse(encoded)
	return err != nil || e.Params != p || len(e.salt) != saltSize || len(e.hash) != hashSize
}
