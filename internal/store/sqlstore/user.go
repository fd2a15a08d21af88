package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// User reads a user.
func (s *Store) User(ctx context.Context, id store.UserID) (store.User, bool, error) {
	return s.user(ctx, sqlUser, id[:])
}

// UserByIdentifier finds a user by a normalised e-mail address or user name.
func (s *Store) UserByIdentifier(ctx context.Context, value string) (store.User, bool, error) {
	return s.user(ctx, sqlUserByIdentifier, value)
}

func (s *Store) user(ctx context.Context, query string, arg any) (u store.User, found bool, err error) {
	err = s.db.read(ctx, func(t tx) error {
		found = false
		return t.all(query, func(r *row) error {
			if !found {
				found, u = true, scanUser(r)
			} else {
				scanUser(r) // the same again, beside another identifier
			}
			if kind, value := r.next(), r.next(); kind != nil {
				k, ok := kind.(string)
				v, also := value.(string)
				if !ok || !also {
					r.wrong("identifier")
				}
				u.Identifiers = append(u.Identifiers, store.Identifier{Kind: k, Value: v})
			}
			return r.err
		}, s.key, arg)
	})
	if err != nil {
		return store.User{}, false, err
	}
	return u, found, nil
}

func scanUser(r *row) (u store.User) {
	u.ID, u.Claims, u.Email, u.EmailVerified = r.id(), []byte(r.text()), r.text(), r.int() != 0
	u.PasswordHash, u.CredentialVersion, u.DisabledAt = r.text(), r.int(), r.int()
	u.CreatedAt, u.UpdatedAt, u.LastSignInAt = r.int(), r.int(), r.int()
	u.Pending, u.ClientID, u.ReferralCode, u.Attributes = r.text(), r.text(), r.text(), []byte(r.text())
	u.GuessFailures, u.BlockedUntil, u.KnownAddress = r.int(), r.int(), r.hashOrNull()
	if len(u.Claims) == 0 {
		u.Claims = nil
	}
	if len(u.Attributes) == 0 {
		u.Attributes = nil
	}
	return u
}

// insertUser counts the rows that it has inserted: 0 if there is such a user.
func (s *Store) insertUser(t tx, u store.User) (int64, error) {
	return t.exec(sqlInsertUser, s.key, u.ID[:], string(u.Claims), u.Email, number(u.EmailVerified),
		u.PasswordHash, u.CredentialVersion, u.DisabledAt, u.CreatedAt, u.UpdatedAt, u.LastSignInAt,
		u.ClientID, u.ReferralCode, string(u.Attributes), u.GuessFailures, u.BlockedUntil, hashOrNull(u.KnownAddress), u.Pending)
}

// PutUser inserts or replaces a user. It writes one audit event, and one more
// for each grant that it ends. What it ends, it ends at UpdatedAt.
func (s *Store) PutUser(ctx context.Context, u store.User) (store.Outcome, error) {
	return undone(s.db.write(ctx, func(t tx) error {
		n, err := s.insertUser(t, u)
		if err != nil {
			return err
		}
		what := "created"
		if n == 0 {
			if what, err = s.replaceUser(t, u); err != nil {
				return err
			}
		}
		if err := s.putIdentifiers(t, u); err != nil {
			return err
		}
		return s.auditUser(t, u.ID, u.UpdatedAt, what)
	}))
}

// replaceUser says what it did.
func (s *Store) replaceUser(t tx, u store.User) (what string, err error) {
	changed, err := t.exec(sqlChangeCredential, s.key, u.ID[:], u.CredentialVersion)
	if err != nil {
		return "", err
	}
	if _, err := t.exec(sqlUpdateUser, s.key, u.ID[:], string(u.Claims), u.Email, number(u.EmailVerified),
		u.PasswordHash, u.DisabledAt, u.UpdatedAt, u.ClientID, u.ReferralCode, string(u.Attributes),
		u.GuessFailures, u.BlockedUntil, hashOrNull(u.KnownAddress), u.Pending); err != nil {
		return "", err
	}
	switch {
	case u.DisabledAt != 0:
		return string(store.WhyUserDisabled), s.endAllOf(t, u.ID, u.UpdatedAt, store.WhyUserDisabled, store.Trace{})
	case changed != 0:
		return string(store.WhyCredential), s.endAllOf(t, u.ID, u.UpdatedAt, store.WhyCredential, store.Trace{})
	}
	return "changed", nil
}

func (s *Store) putIdentifiers(t tx, u store.User) error {
	if _, err := t.exec(sqlDeleteIdentifiers, s.key, u.ID[:]); err != nil {
		return err
	}
	for i, name := range u.Identifiers {
		n, err := t.exec(sqlPutIdentifier, s.key, name.Value, name.Kind, int64(i), u.ID[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return errTaken
		}
	}
	return nil
}

// PutTenant inserts or replaces a tenant.
func (s *Store) PutTenant(ctx context.Context, tenant store.Tenant) error {
	return s.put(ctx, sqlPutTenant, s.key, tenant.ID[:], tenant.Name, tenant.CreatedAt)
}

// PutMembership inserts or replaces a user's role in a tenant.
func (s *Store) PutMembership(ctx context.Context, m store.Membership) error {
	return s.put(ctx, sqlPutMembership, s.key, m.User[:], m.Tenant[:], m.Role, m.CreatedAt)
}

func (s *Store) put(ctx context.Context, query string, args ...any) error {
	return s.db.write(ctx, func(t tx) error {
		_, err := t.exec(query, args...)
		return err
	})
}

// Memberships lists a user's tenants, oldest first.
func (s *Store) Memberships(ctx context.Context, user store.UserID) ([]store.Membership, error) {
	return list(ctx, s, sqlMemberships, scanMembership, user[:])
}

func scanMembership(r *row) store.Membership {
	return store.Membership{Tenant: r.id(), TenantName: r.text(), User: r.id(), Role: r.text(), CreatedAt: r.int()}
}

// number writes a truth as the number that it is in SQL.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
