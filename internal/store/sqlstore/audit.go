package sqlstore

import (
	"context"

	"github.com/tallystick/tallystick/internal/store"
)

// audit writes an event about a grant, in the transaction that it tells of.
func (s *Store) audit(t tx, id store.GrantID, at store.Time, kind store.AuditKind, reason string, trace store.Trace) error {
	_, err := t.exec(sqlAuditGrant, s.key, id[:], s.db.node, s.db.sequence.Add(1), at, string(kind), reason,
		trace.RequestID, trace.IP)
	return err
}

func (s *Store) auditUser(t tx, id store.UserID, at store.Time, reason string) error {
	_, err := t.exec(sqlAuditUser, s.key, make([]byte, len(store.GrantID{})), s.db.node, s.db.sequence.Add(1), at,
		string(store.AuditUserChanged), id[:], reason)
	return err
}

func (s *Store) auditClient(t tx, id string, at store.Time, reason string, trace store.Trace) error {
	_, err := t.exec(sqlAuditClient, s.key, make([]byte, len(store.GrantID{})), s.db.node, s.db.sequence.Add(1), at,
		string(store.AuditClient), id, reason, trace.RequestID, trace.IP)
	return err
}

func (s *Store) auditConsent(t tx, in store.WithdrawConsent) error {
	_, err := t.exec(sqlAuditConsent, s.key, make([]byte, len(store.GrantID{})), s.db.node, s.db.sequence.Add(1), in.Now,
		string(store.AuditConsent), in.ClientID, in.User[:], in.Trace.RequestID, in.Trace.IP)
	return err
}

// AuditOf lists what happened to a grant, oldest first.
func (s *Store) AuditOf(ctx context.Context, id store.GrantID) ([]store.AuditEvent, error) {
	return list(ctx, s, sqlAuditOf, func(r *row) (e store.AuditEvent) {
		e.Node, e.Sequence, e.At, e.Kind = r.int(), r.int(), r.int(), store.AuditKind(r.text())
		e.Grant, e.ClientID, e.User, e.Reason = r.id(), r.text(), r.idOrNull(), r.text()
		e.Trace = store.Trace{RequestID: r.text(), IP: r.text()}
		return e
	}, id[:])
}

// list reads rows of the issuer.
func list[T any](ctx context.Context, s *Store, query string, scan func(*row) T, args ...any) ([]T, error) {
	var out []T
	err := s.db.read(ctx, func(t tx) error {
		out = nil
		return t.all(query, func(r *row) error {
			out = append(out, scan(r))
			return r.err
		}, append([]any{s.key}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
