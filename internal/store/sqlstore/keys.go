package sqlstore

import (
	"context"
	"math"

	"github.com/tallystick/tallystick/internal/store"
)

// SigningKeys lists the keys by purpose, algorithm and number.
func (s *Store) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	return list(ctx, s, sqlSigningKeys, func(r *row) (k store.SigningKey) {
		k.Purpose, k.Algorithm, k.Number, k.ID = r.text(), r.text(), int(r.int()), r.text()
		k.Sealed, k.CreatedAt, k.ActiveAt, k.RetiredAt = r.blob(), r.int(), r.int(), r.int()
		return k
	})
}

// AddSigningKey inserts a key.
func (s *Store) AddSigningKey(ctx context.Context, k store.SigningKey) (store.Outcome, error) {
	return s.add(ctx, sqlAddSigningKey,
		s.key, k.Purpose, k.Algorithm, int64(k.Number), k.ID, blob(k.Sealed), k.CreatedAt, k.ActiveAt, k.RetiredAt)
}

// MACKeys lists the keys by number.
func (s *Store) MACKeys(ctx context.Context) ([]store.MACKey, error) {
	return list(ctx, s, sqlMACKeys, func(r *row) (k store.MACKey) {
		k.Number, k.Sealed, k.CreatedAt, k.ActiveAt = macKey(r), r.blob(), r.int(), r.int()
		return k
	})
}

func macKey(r *row) uint16 {
	number := r.int()
	if number < 0 || number > math.MaxUint16 {
		r.wrong("MAC key number")
	}
	return uint16(number)
}

// AddMACKey inserts a key.
func (s *Store) AddMACKey(ctx context.Context, k store.MACKey) (store.Outcome, error) {
	return s.add(ctx, sqlAddMACKey, s.key, int64(k.Number), blob(k.Sealed), k.CreatedAt, k.ActiveAt)
}

// add inserts a row, unless its key is taken.
func (s *Store) add(ctx context.Context, query string, args ...any) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		n, err := t.exec(query, args...)
		if err != nil || n != 0 {
			return store.Done, err
		}
		return store.Taken, nil
	})
}

// blob is b, and never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
