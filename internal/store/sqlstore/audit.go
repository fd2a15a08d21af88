package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/tallystick/tallystick/internal/store"
)

// tell writes an event, in the transaction that it tells of: it is also how to find out
// later whether that was committed.
func (s *Store) tell(t tx, query string, id store.GrantID, at store.Time, args ...any) error {
	event := append([]any{s.key, id[:], s.db.node, s.db.sequence.Add(1), at}, args...)
	n, err := t.exec(query, event...)
	if n == 1 {
		t.witness(event[:4])
	}
	return err
}

// audit writes an event about a grant.
func (s *Store) audit(t tx, id store.GrantID, at store.Time, kind store.AuditKind, reason string, trace store.Trace) error {
	return s.tell(t, sqlAuditGrant, id, at, string(kind), reason, trace.RequestID, trace.IP)
}

// auditBatch is how many grants one statement tells of.
const auditBatch = 200

var sqlAuditBatch = func() string {
	ids := make([]string, auditBatch)
	for i := range ids {
		ids[i] = fmt.Sprintf("$%d", 9+i)
	}
	return strings.Replace(sqlAuditGrants, "$9", strings.Join(ids, ", "), 1)
}()

// auditEnds writes an event about each grant that has ended, many by one statement:
// a client may have had a hundred thousand. The last is told alone, as a witness.
func (s *Store) auditEnds(t tx, ended []store.GrantID, e end) error {
	for ; len(ended) > auditBatch; ended = ended[auditBatch:] {
		last := s.db.sequence.Add(auditBatch)
		args := []any{s.key, s.db.node, last - auditBatch, e.now, string(store.AuditEnd), string(e.why), e.trace.RequestID, e.trace.IP}
		for _, id := range ended[:auditBatch] {
			args = append(args, id[:])
		}
		if _, err := t.exec(sqlAuditBatch, args...); err != nil {
			return err
		}
	}
	for _, id := range ended {
		if err := s.audit(t, id, e.now, store.AuditEnd, string(e.why), e.trace); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) auditUser(t tx, id store.UserID, at store.Time, reason string) error {
	return s.tell(t, sqlAuditUser, store.GrantID{}, at, string(store.AuditUserChanged), id[:], reason)
}

func (s *Store) auditClient(t tx, id string, at store.Time, reason string, trace store.Trace) error {
	return s.tell(t, sqlAuditClient, store.GrantID{}, at, string(store.AuditClient), id, reason, trace.RequestID, trace.IP)
}

func (s *Store) auditConsent(t tx, in store.WithdrawConsent) error {
	return s.tell(t, sqlAuditConsent, store.GrantID{}, in.Now, string(store.AuditConsent), in.ClientID, in.User[:], in.Trace.RequestID, in.Trace.IP)
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
