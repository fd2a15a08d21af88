package engine

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// clientMaxAge is how long a node may go on with what it knows of a client when
// no exchange has told it of a change. Every exchange does: its write returns
// the config version.
const clientMaxAge = time.Second

// mostClients of the young generation are kept: those that register themselves may be
// many, and of 16 KiB each.
const mostClients = 1024

// clientCache keeps clients until the config version moves. Its lock is never
// held while the store is asked.
type clientCache struct {
	store store.Store
	now   func() time.Time

	mu      sync.Mutex
	version int64
	checked time.Time
	byID    *cache[string, *store.Client]
	origins map[oauth.Face][]string
	// nobody holds ids that were not found, by the config version at which they were
	// not: an unknown client must not take longer than a known one. It is bounded, for
	// anybody can think up ids.
	nobody *cache[string, int64]
}

// fresh forgets everything if the version has moved, and returns the version
// that what is cached now belongs to.
func (c *clientCache) fresh(ctx context.Context) (int64, error) {
	now := c.now()
	c.mu.Lock()
	if age := now.Sub(c.checked); c.byID != nil && age >= 0 && age < clientMaxAge {
		defer c.mu.Unlock()
		return c.version, nil
	}
	c.mu.Unlock()
	version, err := c.store.ConfigVersion(ctx)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || version != c.version { // less: the database has lost commits
		c.byID, c.origins, c.version = newCache[string, *store.Client](mostClients), make(map[oauth.Face][]string), version
	}
	c.checked = now
	return c.version, nil
}

// get reads a client of a face, nil if there is none, and the config version
// that it was read at or after.
func (c *clientCache) get(ctx context.Context, face oauth.Face, id string) (*store.Client, int64, error) {
	if oauth.CheckClientID(id) != nil {
		return nil, 0, nil
	}
	version, err := c.fresh(ctx)
	if err != nil {
		return nil, 0, err
	}
	client, ok := c.known(id)
	if !ok {
		if at, unknown := c.nobody.get(id); unknown && at == version {
			return nil, version, nil
		}
		read, found, err := c.store.Client(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if !found {
			c.nobody.put(id, version)
			return nil, version, nil
		}
		client = &read
		c.mu.Lock()
		if c.version == version && c.byID != nil {
			c.byID.put(id, client)
		}
		c.mu.Unlock()
	}
	if client.Face != face {
		return nil, version, nil
	}
	return client, version, nil
}

// known is what is cached of a client.
func (c *clientCache) known(id string) (client *store.Client, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID != nil {
		client, ok = c.byID.get(id)
	}
	return client, ok
}

// forget makes the next get look again.
func (c *clientCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID = nil
}

// Met reports whether this node has met a client lately. It does not ask the
// store, so that an unknown client costs no more than a known one: it is for the
// log, where nothing may stand that anybody can make up.
func (e *Engine) Met(face oauth.Face, id string) bool {
	client, ok := e.clients.known(id)
	return ok && client.Face == face
}

// client finds a client that may be used. The refusal tells strangers only that
// it is not known here; the reason tells the operator more.
func (e *Engine) client(ctx context.Context, face oauth.Face, id string) (*store.Client, error) {
	c, _, err := e.clientAt(ctx, face, id)
	return c, err
}

// clientAt tells the config version as well that the client was judged by.
func (e *Engine) clientAt(ctx context.Context, face oauth.Face, id string) (*store.Client, int64, error) {
	c, version, err := e.clients.get(ctx, face, id)
	switch {
	case err != nil:
		return nil, 0, fault("client", err)
	case c == nil:
		return nil, 0, oauth.Refuse(oauth.InvalidClient, "client unknown to this face", unknownClient)
	case c.DisabledAt != 0:
		return nil, 0, oauth.Refuse(oauth.InvalidClient, "client disabled", unknownClient)
	}
	return c, version, nil
}

// Client finds a client of the face that may be used. Refusal: invalid_client.
func (e *Engine) Client(ctx context.Context, face oauth.Face, id string) (*oauth.Client, error) {
	c, err := e.client(ctx, face, id)
	if err != nil {
		return nil, err
	}
	return &c.Client, nil
}

// Vouched reports whether somebody has vouched for a client: it has not registered
// itself (RFC 7591 §5). Refusal: invalid_client.
func (e *Engine) Vouched(ctx context.Context, face oauth.Face, id string) (bool, error) {
	c, err := e.client(ctx, face, id)
	return err == nil && c.Source != store.SelfRegistered, err
}

const unknownClient = "The client is not known here. Check client_id."

// AllowedOrigin reports whether an Origin header names the origin of a redirect
// URI that some enabled client of the face has registered.
func (e *Engine) AllowedOrigin(ctx context.Context, face oauth.Face, origin string) (bool, error) {
	c := e.clients
	version, err := c.fresh(ctx)
	if err != nil {
		return false, fault("client", err)
	}
	c.mu.Lock()
	origins, ok := c.origins[face]
	c.mu.Unlock()
	if !ok {
		all, err := c.store.ClientsOf(ctx, face)
		if err != nil {
			return false, fault("client", err)
		}
		for _, client := range all {
			if client.DisabledAt != 0 {
				continue
			}
			for _, uri := range client.RedirectURIs {
				if o := oauth.Origin(uri); o != "" {
					origins = append(origins, o)
				}
			}
		}
		slices.Sort(origins)
		origins = slices.Compact(origins)
		c.mu.Lock()
		if c.version == version && c.origins != nil {
			c.origins[face] = origins
		}
		c.mu.Unlock()
	}
	_, ok = slices.BinarySearch(origins, origin)
	return ok, nil
}

// Access is what an API key is good for.
type Access string

// The accesses.
const (
	Read  Access = "read"
	Write Access = "write"
)

// ClientByAPIKey authenticates a back end by the API key of a client. Refusals:
// invalid_client (no such key for this client), insufficient_scope (the key is
// not for this access), unauthorized_client (the client is disabled).
func (e *Engine) ClientByAPIKey(ctx context.Context, face oauth.Face, clientID, key string, access Access) (*oauth.Client, error) {
	wrong := func(reason string) error {
		return oauth.Refuse(oauth.InvalidClient, reason, "The API key is not valid for this client.")
	}
	if key == "" || clientID == "" {
		return nil, wrong("API key or client id missing")
	}
	// Found by its hash: whoever can time the look-up learns of hashes, not of
	// keys.
	k, found, err := e.store.APIKey(ctx, sha256.Sum256([]byte(key)))
	if err != nil {
		return nil, fault("API key", err)
	}
	if !found {
		return nil, wrong("API key unknown")
	}
	if k.ClientID != clientID {
		return nil, wrong("API key of another client")
	}
	c, _, err := e.clients.get(ctx, face, clientID)
	switch {
	case err != nil:
		return nil, fault("client", err)
	case c == nil:
		return nil, wrong("client unknown to this face")
	case k.Access != string(access):
		return nil, oauth.Refuse(oauth.InsufficientScope, "API key is for "+k.Access, "The API key is of the wrong type for this request.")
	case c.DisabledAt != 0:
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "client disabled", "The client is disabled.")
	}
	return &c.Client, nil
}
