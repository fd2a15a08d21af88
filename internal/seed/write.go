package seed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// Source is that of clients which stand in files; those are read-only to everybody
// else.
const Source = "file"

// Writer sees that the store has what it should, and writes nothing that is there
// already. It keeps the first error, and does nothing after it.
type Writer struct {
	Ctx    context.Context
	Store  store.Store
	Engine *engine.Engine
	Now    store.Time
	Err    error
}

// File puts the clients of a file into the store; none of them if one may not be.
func (w *Writer) File(f *File, log *slog.Logger) error {
	for _, name := range f.Unknown {
		log.Warn("this member means nothing here and is ignored", "member", name)
	}
	for _, c := range f.Clients {
		if have, found, err := w.Store.Client(w.Ctx, c.ID); err != nil {
			return err
		} else if found && have.Source != Source {
			return fmt.Errorf("the client_id %q is taken by a client that stands in no file (its source is %s)", c.ID, have.Source)
		}
	}
	for _, c := range f.Clients {
		if len(c.secret) > 0 && len(c.secret) < 32 {
			log.Warn("this client_secret is short; 32 random characters cannot be guessed", "client", c.ID)
		}
		w.Client(store.Client{Face: oidc.Name, Source: Source, Client: c.Client})
		if c.HasSecret() {
			w.Secret(c.ID, c.secret)
		}
	}
	return w.Err
}

// Only disables the clients of files that are in none of these any more. Whoever puts
// one back enables it again.
func (w *Writer) Only(files []*File, log *slog.Logger) error {
	all, err := w.Store.ClientsOf(w.Ctx, oidc.Name)
	if err != nil {
		return err
	}
	for _, c := range all {
		stands := slices.ContainsFunc(files, func(f *File) bool {
			return slices.ContainsFunc(f.Clients, func(x Client) bool { return x.ID == c.ID })
		})
		if c.Source != Source || stands || c.DisabledAt != 0 {
			continue
		}
		c.DisabledAt, c.UpdatedAt = w.Now, w.Now
		if err := w.Store.PutClient(w.Ctx, c); err != nil {
			return err
		}
		log.Warn("this client stands in no file any more and is disabled", "client", c.ID)
	}
	return nil
}

// Secret sees that a client can authenticate by its secret, and by no earlier one.
func (w *Writer) Secret(clientID, secret string) {
	if w.Err != nil {
		return
	}
	c, found, err := w.Store.Client(w.Ctx, clientID)
	if err != nil || !found {
		w.Err = err
		return
	}
	w.Err = w.Engine.SetClientSecret(w.Ctx, &c, secret)
}

// Client sees that there is a client, enabled.
func (w *Writer) Client(c store.Client) {
	if w.Err != nil {
		return
	}
	if w.Err = c.Check(); w.Err != nil {
		return
	}
	have, found, err := w.Store.Client(w.Ctx, c.ID)
	if err != nil {
		w.Err = err
		return
	}
	c.CreatedAt, c.UpdatedAt = w.Now, w.Now
	if found {
		c.CreatedAt = have.CreatedAt
		if same(have.Client, c.Client) && have.DisabledAt == 0 {
			return
		}
	}
	w.Err = w.Store.PutClient(w.Ctx, c)
}

func same(a, b oauth.Client) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// User makes a user of a file, or sets him right. His id follows from his address.
func (w *Writer) User(master *seal.Master, u User) {
	if w.Err != nil {
		return
	}
	name := engine.NormaliseIdentifier(u.Email)
	id := store.UserID(engine.UUIDBits([16]byte(master.Derive("seed user "+name, 16))))
	have, found, err := w.Store.User(w.Ctx, id)
	if err != nil {
		w.Err = err
		return
	}
	hasher := password.New(password.Default(), 0)
	want := store.User{
		ID: id, Email: u.Email, EmailVerified: true, Claims: u.claims,
		Identifiers:  []store.Identifier{{Kind: "email", Value: name}},
		PasswordHash: have.PasswordHash, CredentialVersion: have.CredentialVersion, Attributes: have.Attributes,
		KnownAddress: engine.Network("127.0.0.1"), CreatedAt: w.Now, UpdatedAt: w.Now,
	}
	if u.Username != "" {
		want.Identifiers = append(want.Identifiers, store.Identifier{Kind: "username", Value: engine.NormaliseIdentifier(u.Username)})
	}
	if ok, err := hasher.Verify(w.Ctx, have.PasswordHash, u.Password); !found || err != nil || !ok {
		if want.PasswordHash, w.Err = hasher.Hash(w.Ctx, u.Password); w.Err != nil {
			return
		}
		want.CredentialVersion++
	} else if have.DisabledAt == 0 && bytes.Equal(have.Claims, want.Claims) && slices.Equal(have.Identifiers, want.Identifiers) {
		return
	}
	out, err := w.Store.PutUser(w.Ctx, want)
	if err == nil && out != store.Done {
		err = fmt.Errorf("the user %s cannot be made: the address or the user name is somebody else's", u.Email)
	}
	w.Err = err
}
