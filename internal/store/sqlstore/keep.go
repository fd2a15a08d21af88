package sqlstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// Lease takes or prolongs the right to do what only one node must do at a time.
func (s *Store) Lease(ctx context.Context, in store.Lease) (store.Outcome, error) {
	if err := timed(min(in.Now, in.Until)); err != nil {
		return 0, err
	}
	return s.add(ctx, sqlLease, s.key, in.Name, in.Holder[:], in.Until, in.Now, in.Until+hour)
}

// walk is how a table is gone through along its primary key.
type walk struct {
	next, purge string
	key
}

// key is a primary key, without the issuer, as a cursor and as arguments.
type key struct {
	split func(cursor []byte) []any
	join  func(*row) []byte
}

var walks = map[store.Table]walk{
	store.TableGrants:        {sqlNextGrant, sqlPurgeGrants, idKey},
	store.TableSessions:      {sqlNextSession, sqlPurgeSessions, idKey},
	store.TableLinks:         {sqlNextLink, sqlPurgeLinks, idKey},
	store.TableMails:         {sqlNextMail, sqlPurgeMails, idKey},
	store.TableNotices:       {sqlNextNotice, sqlPurgeNotices, noticeKey},
	store.TableRequests:      {sqlNextRequest, sqlPurgeRequests, idKey},
	store.TableSpent:         {sqlNextSpent, sqlPurgeSpent, idKey},
	store.TableRegistrations: {sqlNextUser, sqlPurgeRegistrations, idKey},
	store.TableClients:       {sqlNextClient, sqlUnusedClients, textKey},
	store.TableAudit:         {sqlNextAudit, sqlPurgeAudit, auditKey},
}

var (
	idKey = key{
		func(cursor []byte) []any { return []any{blob(cursor)} },
		func(r *row) []byte { return bytes.Clone(r.blob()) },
	}
	textKey = key{
		func(cursor []byte) []any {
			if bytes.Equal(cursor, beyond) {
				return []any{""}
			}
			return []any{string(cursor)}
		},
		func(r *row) []byte { return []byte(r.text()) },
	}
	// A browser's id, and the text of a client's.
	noticeKey = key{
		func(cursor []byte) []any {
			if len(cursor) < idSize || bytes.Equal(cursor, beyond) {
				return []any{blob(cursor), ""}
			}
			return []any{cursor[:idSize], string(cursor[idSize:])}
		},
		func(r *row) []byte { return append(bytes.Clone(r.blob()), r.text()...) },
	}
	// A grant's id and two numbers.
	auditKey = key{
		func(cursor []byte) []any {
			if len(cursor) != idSize+16 {
				return []any{blob(cursor), int64(0), int64(0)}
			}
			return []any{cursor[:idSize], int64(binary.BigEndian.Uint64(cursor[idSize:])), int64(binary.BigEndian.Uint64(cursor[idSize+8:]))}
		},
		func(r *row) []byte {
			cursor := binary.BigEndian.AppendUint64(bytes.Clone(r.blob()), uint64(r.int()))
			return binary.BigEndian.AppendUint64(cursor, uint64(r.int()))
		},
	}
)

const idSize = len(store.GrantID{})

// beyond is after every key: longer than any, and of the greatest bytes.
var beyond = bytes.Repeat([]byte{0xff}, len(store.Hash{})+1)

// part finds what a cursor's next part ends with; last if nothing is beyond it.
func (w walk) part(t tx, s *Store, cursor []byte, limit int) (to []byte, last bool, err error) {
	r, err := t.one(w.next, append([]any{s.key, int64(limit - 1)}, w.split(cursor)...)...)
	if err != nil {
		return nil, false, err
	}
	if r == nil {
		return beyond, true, nil
	}
	to = w.join(r)
	return to, false, r.err
}

// Purge deletes some of what nobody can refer to any more. What is deleted is
// decided by the row as it is then, so that a grant which has been used in between
// stays.
func (s *Store) Purge(ctx context.Context, in store.Purge) (store.Purged, error) {
	w, ok := walks[in.Table]
	if !ok || in.Limit < 1 {
		return store.Purged{}, fmt.Errorf("store: a purge of %d rows of %q", in.Limit, in.Table)
	}
	if err := timed(min(in.Before, in.Now)); err != nil {
		return store.Purged{}, err
	}
	return intent(ctx, s, func(t tx) (out store.Purged, err error) {
		to, last, err := w.part(t, s, in.Cursor, in.Limit)
		if err != nil {
			return out, err
		}
		if !last {
			out.Cursor = to
		}
		args := append([]any{s.key, in.Before}, w.split(in.Cursor)...)
		args = append(args, w.split(to)...)
		switch in.Table {
		case store.TableRegistrations:
			out.Deleted, err = s.purgeRegistrations(t, args)
		case store.TableClients:
			out.Deleted, err = s.purgeClients(t, args, in.Now)
		default:
			var n int64
			n, err = t.exec(w.purge, args...)
			out.Deleted = int(n)
		}
		return out, err
	})
}

// purgeRegistrations deletes users with all that is theirs.
func (s *Store) purgeRegistrations(t tx, args []any) (int, error) {
	if _, err := t.exec(sqlHoldLinks, args...); err != nil {
		return 0, err
	}
	var users []store.UserID
	err := t.all(sqlPurgeRegistrations, func(r *row) error {
		users = append(users, r.id())
		return r.err
	}, args...)
	if err != nil {
		return 0, err
	}
	for _, user := range users {
		if err := s.deleteAllOf(t, user, sqlDeleteConsents, sqlDeleteGrantsOfUser, sqlDeleteLinks); err != nil {
			return 0, err
		}
		if err := s.deleteBelongings(t, user); err != nil {
			return 0, err
		}
	}
	return len(users), nil
}

// purgeClients deletes clients that registered themselves and that nobody uses.
func (s *Store) purgeClients(t tx, args []any, now store.Time) (deleted int, err error) {
	var unused []string
	err = t.all(sqlUnusedClients, func(r *row) error {
		id, metadata := r.text(), r.text()
		c, err := clientOf(metadata)
		if err == nil && !c.Allows(oauth.ClientCredentials) {
			unused = append(unused, id)
		}
		return errors.Join(r.err, err)
	}, append(args, store.SelfRegistered)...)
	if err != nil {
		return 0, err
	}
	for _, id := range unused {
		if _, err := t.exec(sqlHoldClient, s.key, id); err != nil {
			return 0, err
		}
		n, err := t.exec(sqlPurgeClient, s.key, id)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			continue // it has a grant now, or another has deleted it
		}
		deleted++
		if err := s.clientGone(t, id, now, "never used", store.Trace{}); err != nil {
			return 0, err
		}
	}
	if deleted > 0 {
		_, err = t.exec(sqlBumpConfigVersion, s.key)
	}
	return deleted, err
}

// RetireSigningKey says from when on a key counts no more.
func (s *Store) RetireSigningKey(ctx context.Context, id string, at store.Time) (store.Outcome, error) {
	if err := timed(at); err != nil {
		return 0, err
	}
	return intent(ctx, s, func(t tx) (store.Outcome, error) {
		n, err := t.exec(sqlRetireSigningKey, s.key, id, at)
		if err != nil || n != 0 {
			return store.Done, err
		}
		r, err := t.one(sqlSigningKeyExists, s.key, id)
		if err != nil || r == nil {
			return store.Unknown, err
		}
		return store.Done, nil
	})
}

// endOldest ends what a user has of a client beyond the most that he may have.
func (s *Store) endOldest(t tx, b *store.Birth) error {
	if b.Most == 0 {
		return nil
	}
	if b.Most < 0 {
		return errors.New("store: a birth beside less than no grant")
	}
	g := b.Grant
	_, err := s.endGrants(t, sqlEndOldestGrants, end{store.WhyTooMany, b.Now, b.Trace}, g.User[:], g.ClientID, g.ID[:], int64(b.Most-1))
	return err
}
