package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/tallystick/tallystick/internal/store"
)

const hour = 60 * 60 * 1000 // milliseconds

// Register inserts a user with its tenant and its mail.
func (s *Store) Register(ctx context.Context, in store.Register) (store.Registered, error) {
	if err := timed(in.Now); err != nil {
		return store.Registered{}, err
	}
	out, err := intent(ctx, s, func(t tx) (store.Registered, error) {
		r, err := t.one(sqlUserIDByIdentifier, s.key, in.User.Pending)
		if err != nil {
			return store.Registered{}, err
		}
		if r != nil {
			id := store.UserID(r.id())
			if r.err != nil {
				return store.Registered{}, r.err
			}
			return store.Registered{Outcome: store.Taken, User: id}, s.putMail(t, in.MailIfTaken, id, in.PerHour, in.Now)
		}
		out := store.Registered{Outcome: store.Done, User: in.User.ID}
		full, err := s.mailsAreMany(t, in.Mail, in.PerHour, in.Now)
		if err != nil || full {
			return out, err
		}
		return out, s.registerNew(t, in)
	})
	if errors.Is(err, errRefused) {
		return store.Registered{Outcome: store.Refused}, nil
	}
	return out, err
}

func (s *Store) registerNew(t tx, in store.Register) error {
	u := in.User
	n, err := s.insertUser(t, u)
	if err != nil || n == 0 { // a repetition
		return err
	}
	tenant, role := in.Tenant.ID, "admin"
	if in.Invitation != (store.TenantID{}) {
		n, err := t.exec(sqlHoldTenant, s.key, in.Invitation[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return errRefused
		}
		tenant, role = in.Invitation, "member"
	} else if _, err := t.exec(sqlPutTenant, s.key, tenant[:], in.Tenant.Name, in.Tenant.CreatedAt); err != nil {
		return err
	}
	if _, err := t.exec(sqlPutMembership, s.key, u.ID[:], tenant[:], role, in.Now); err != nil {
		return err
	}
	if err := s.auditUser(t, u.ID, in.Now, "registered"); err != nil {
		return err
	}
	return s.insertMail(t, in.Mail, u.ID)
}

// UseLink spends a mail link.
func (s *Store) UseLink(ctx context.Context, in store.UseLink) (store.UsedLink, error) {
	if err := timed(in.Now); err != nil {
		return store.UsedLink{}, err
	}
	out, err := intent(ctx, s, func(t tx) (store.UsedLink, error) {
		r, err := t.one(sqlUseLink, s.key, in.Link[:], string(in.Purpose), in.ClientID, in.Now)
		if err != nil {
			return store.UsedLink{}, err
		}
		if r == nil {
			return s.notUsed(t, in)
		}
		user, credential := store.UserID(r.id()), r.int()
		if r.err != nil {
			return store.UsedLink{}, r.err
		}
		query, args := sqlVerifyEmail, []any{s.key, user[:], credential, in.Now}
		if in.Purpose == store.PurposeReset {
			query, args = sqlResetPassword, append(args, in.PasswordHash)
		}
		n, err := t.exec(query, args...)
		if err != nil {
			return store.UsedLink{}, err
		}
		if n == 0 {
			return store.UsedLink{}, errRefused
		}
		if err := s.claim(t, user); err != nil {
			return store.UsedLink{}, err
		}
		if in.Purpose == store.PurposeReset {
			if err := s.endAllOf(t, user, in.Now, store.WhyCredential, in.Trace); err != nil {
				return store.UsedLink{}, err
			}
		}
		return store.UsedLink{Outcome: store.Done, User: user}, s.auditUser(t, user, in.Now, string(in.Purpose))
	})
	if errors.Is(err, errRefused) {
		return store.UsedLink{Outcome: store.Refused}, nil
	}
	return out, err
}

// claim makes what a user has confirmed his name.
func (s *Store) claim(t tx, user store.UserID) error {
	r, err := t.one(sqlPending, s.key, user[:])
	if err != nil || r == nil {
		return err
	}
	pending := r.text()
	if r.err != nil || pending == "" {
		return r.err
	}
	n, err := t.exec(sqlClaimIdentifier, s.key, pending, user[:])
	if err != nil {
		return err
	}
	if n == 0 {
		return errRefused
	}
	_, err = t.exec(sqlNothingPending, s.key, user[:])
	return err
}

func (s *Store) notUsed(t tx, in store.UseLink) (out store.UsedLink, err error) {
	r, err := t.one(sqlLink, s.key, in.Link[:])
	if err != nil {
		return out, err
	}
	out.Outcome = store.Unknown
	if r == nil {
		return out, nil
	}
	l := scanLink(r)
	switch {
	case l.Purpose != in.Purpose || l.ClientID != in.ClientID:
	case l.UsedAt != 0:
		out.Outcome = store.Spent
	default:
		out.Outcome = store.Expired
	}
	return out, r.err
}

// Link reads a mail link.
func (s *Store) Link(ctx context.Context, id store.LinkID) (l store.Link, found bool, err error) {
	err = s.db.read(ctx, func(t tx) error {
		r, err := t.one(sqlLink, s.key, id[:])
		if r == nil || err != nil {
			return err
		}
		found, l = true, scanLink(r)
		return r.err
	})
	if err != nil {
		return store.Link{}, false, err
	}
	return l, found, nil
}

func scanLink(r *row) store.Link {
	return store.Link{
		ID: r.id(), Purpose: store.Purpose(r.text()), User: r.id(), ClientID: r.text(), CredentialVersion: r.int(),
		CreatedAt: r.int(), ExpiresAt: r.int(), UsedAt: r.int(),
	}
}

// TakeGuess counts a guess at a password before it is checked.
func (s *Store) TakeGuess(ctx context.Context, in store.TakeGuess) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		// NULL equals nothing, so an address that is not told is not known.
		n, err := t.exec(sqlTakeGuess, s.key, in.User[:], in.Free, in.Now, in.BlockedUntil, hashOrNull(in.Address))
		if err != nil || n == 0 {
			return store.Refused, err
		}
		return store.Done, nil
	})
}

// ReturnGuess takes a guess back that was not looked at.
func (s *Store) ReturnGuess(ctx context.Context, user store.UserID) error {
	return s.put(ctx, sqlReturnGuess, s.key, user[:])
}

// UpdateProfile replaces a user's claims and attributes.
func (s *Store) UpdateProfile(ctx context.Context, in store.UpdateProfile) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		n, err := t.exec(sqlUpdateProfile, s.key, in.User[:], string(in.Claims), string(in.Attributes), in.Now,
			string(in.SeenClaims), string(in.SeenAttributes))
		if err != nil {
			return 0, err
		}
		if n == 0 {
			r, err := t.one(sqlUserEmail, s.key, in.User[:])
			if err != nil || r == nil {
				return store.Unknown, err
			}
			return store.Taken, nil
		}
		return store.Done, s.auditUser(t, in.User, in.Now, "profile changed")
	})
}

// DeleteUser erases a user. The row goes first, so that no birth comes after it; but
// for the links, since who uses one comes to it before he comes to the user.
func (s *Store) DeleteUser(ctx context.Context, in store.DeleteUser) (store.Outcome, error) {
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		if err := s.deleteAllOf(t, in.User, sqlDeleteLinks); err != nil {
			return 0, err
		}
		n, err := t.exec(sqlDeleteUser, s.key, in.User[:])
		if err != nil || n == 0 {
			return store.Unknown, err
		}
		// Before the grants, as WithdrawConsent does, so that the two never wait for
		// each other.
		if _, err := t.exec(sqlDeleteConsents, s.key, in.User[:]); err != nil {
			return 0, err
		}
		if err := s.endAllOf(t, in.User, in.Now, store.WhyUserDeleted, in.Trace); err != nil {
			return 0, err
		}
		if err := s.deleteBelongings(t, in.User); err != nil {
			return 0, err
		}
		return store.Done, s.auditUser(t, in.User, in.Now, string(store.WhyUserDeleted))
	})
}

// deleteBelongings deletes what goes with a user, the tenants among it that nobody is
// left in: they have his address for a name.
func (s *Store) deleteBelongings(t tx, user store.UserID) error {
	var tenants []store.TenantID
	err := t.all(sqlDeleteMemberships, func(r *row) error {
		tenants = append(tenants, r.id())
		return r.err
	}, s.key, user[:])
	if err != nil {
		return err
	}
	slices.SortFunc(tenants, func(a, b store.TenantID) int { return bytes.Compare(a[:], b[:]) }) // so that two never wait for each other
	for _, id := range tenants {
		for _, query := range []string{sqlHoldTenant, sqlDeleteEmptyTenant} {
			if _, err := t.exec(query, s.key, id[:]); err != nil {
				return err
			}
		}
	}
	return s.deleteAllOf(t, user, sqlDeleteIdentifiers, sqlDeleteMails, sqlDeleteSessions)
}

func (s *Store) deleteAllOf(t tx, user store.UserID, queries ...string) error {
	for _, query := range queries {
		if _, err := t.exec(query, s.key, user[:]); err != nil {
			return err
		}
	}
	return nil
}

// UsersOf lists a page of the users that registered with a client.
func (s *Store) UsersOf(ctx context.Context, clientID, referralCode string, offset, limit int) ([]store.User, int, error) {
	ids, err := list(ctx, s, sqlUserIDsOf, func(r *row) store.UserID { return r.id() }, clientID, referralCode, int64(limit), int64(offset))
	if err != nil {
		return nil, 0, err
	}
	total, err := list(ctx, s, sqlCountUsersOf, func(r *row) int { return int(r.int()) }, clientID, referralCode)
	if err != nil {
		return nil, 0, err
	}
	var page []store.User
	for _, id := range ids {
		u, found, err := s.User(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if found { // or deleted meanwhile
			page = append(page, u)
		}
	}
	return page, total[0], nil
}

// Tenant reads a tenant.
func (s *Store) Tenant(ctx context.Context, id store.TenantID) (store.Tenant, bool, error) {
	found, err := list(ctx, s, sqlTenant, func(r *row) store.Tenant {
		return store.Tenant{ID: r.id(), Name: r.text(), CreatedAt: r.int()}
	}, id[:])
	if err != nil || len(found) == 0 {
		return store.Tenant{}, false, err
	}
	return found[0], true, nil
}

// Members lists a tenant's memberships, oldest first.
func (s *Store) Members(ctx context.Context, id store.TenantID) ([]store.Membership, error) {
	return list(ctx, s, sqlMembers, scanMembership, id[:])
}
