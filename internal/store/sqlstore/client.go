package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// ConfigVersion counts the changes of clients and API keys.
func (s *Store) ConfigVersion(ctx context.Context) (version int64, err error) {
	err = s.db.read(ctx, func(t tx) (err error) { version, err = s.configVersion(t); return err })
	return version, err
}

func (s *Store) configVersion(t tx) (int64, error) {
	r, err := t.one(sqlConfigVersion, s.key)
	if r == nil || err != nil {
		return 0, err
	}
	return r.int(), r.err
}

// Client reads a client.
func (s *Store) Client(ctx context.Context, id string) (c store.Client, found bool, err error) {
	clients, err := s.clients(ctx, sqlClient, id)
	if err != nil || len(clients) == 0 {
		return c, false, err
	}
	return clients[0], true, nil
}

// ClientsOf lists a face's clients by id.
func (s *Store) ClientsOf(ctx context.Context, face oauth.Face) ([]store.Client, error) {
	clients, err := s.clients(ctx, sqlClientsOf, string(face))
	// Not by SQL, where the order of text is the database's.
	slices.SortFunc(clients, func(a, b store.Client) int { return strings.Compare(a.ID, b.ID) })
	return clients, err
}

func (s *Store) clients(ctx context.Context, query, arg string) (clients []store.Client, err error) {
	err = s.db.read(ctx, func(t tx) error {
		clients = nil
		return t.all(query, func(r *row) error {
			id := r.text()
			c := store.Client{Face: oauth.Face(r.text()), Source: r.text()}
			metadata := r.text()
			c.DisabledAt, c.CreatedAt, c.UpdatedAt = r.int(), r.int(), r.int()
			if n := len(clients); n == 0 || clients[n-1].ID != id { // or the same again, beside another secret
				var err error
				if c.Client, err = clientOf(metadata); err != nil {
					return err
				}
				clients = append(clients, c)
			}
			if hash := r.hashOrNull(); hash != (store.Hash{}) {
				last := &clients[len(clients)-1]
				last.Secrets = append(last.Secrets, store.ClientSecret{ClientID: id, Hash: hash, CreatedAt: r.int(), ExpiresAt: r.int()})
			}
			return r.err
		}, s.key, arg)
	})
	if err != nil {
		return nil, err
	}
	return clients, nil
}

func clientOf(metadata string) (c oauth.Client, err error) {
	if err := json.Unmarshal([]byte(metadata), &c); err != nil {
		return c, fmt.Errorf("a client's metadata: %w", err)
	}
	return c, nil
}

// PutClient inserts or replaces a client and counts the config version up.
func (s *Store) PutClient(ctx context.Context, c store.Client) error {
	args, err := s.clientRow(c)
	if err != nil {
		return err
	}
	return s.configure(ctx, sqlPutClient, args...)
}

// clientRow is the row of a client as arguments of the statements that write it.
func (s *Store) clientRow(c store.Client) ([]any, error) {
	metadata, err := json.Marshal(c.Client)
	if err != nil {
		return nil, fmt.Errorf("store: client %q: %w", c.ID, err)
	}
	return []any{s.key, c.ID, string(c.Face), c.Source, string(metadata),
		c.DisabledAt, c.CreatedAt, c.UpdatedAt, c.BackchannelLogout}, nil
}

// APIKey reads an API key.
func (s *Store) APIKey(ctx context.Context, hash store.Hash) (k store.APIKey, found bool, err error) {
	keys, err := list(ctx, s, sqlAPIKey, func(r *row) store.APIKey {
		return store.APIKey{Hash: hash, ClientID: r.text(), Access: r.text(), CreatedAt: r.int()}
	}, hash[:])
	if err != nil || len(keys) == 0 {
		return k, false, err
	}
	return keys[0], true, nil
}

// PutAPIKey inserts or replaces an API key and counts the config version up.
func (s *Store) PutAPIKey(ctx context.Context, k store.APIKey) error {
	return s.configure(ctx, sqlPutAPIKey, s.key, k.Hash[:], k.ClientID, k.Access, k.CreatedAt)
}

// configure writes what caches hold, and tells them.
func (s *Store) configure(ctx context.Context, query string, args ...any) error {
	return s.db.write(ctx, func(t tx) error {
		if _, err := t.exec(query, args...); err != nil {
			return err
		}
		_, err := t.exec(sqlBumpConfigVersion, s.key)
		return err
	})
}
