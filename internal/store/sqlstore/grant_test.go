package sqlstore

import (
	"testing"

	"github.com/tallystick/tallystick/internal/store"
)

// A refresh that writes nothing needs no writer (DESIGN: one that does not
// rotate costs no commit), and one that must write does wait for it.
func TestServingNeedsNoWriter(t *testing.T) {
	s := fresh(t)
	in := refresh(born(t, s, "a"), 0)
	in.Rotating = false
	release := hold(s.db.sqlite().writer)
	held, err := s.db.sqlite().enqueue(s.tenant("a"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.RotateRefresh(t.Context(), in); err != nil || out.Outcome != store.Done {
		t.Errorf("RotateRefresh = %v, %v; want done", out.Outcome, err)
	}
	select {
	case err := <-held.answer:
		t.Errorf("the writer was not held: %v", err)
	default:
	}
	release()
	in.Now += in.IdleLife / 2
	out, err := s.RotateRefresh(t.Context(), in)
	if err != nil || out.Outcome != store.Done || out.State.IdleExpiresAt != in.Now+in.IdleLife {
		t.Errorf("RotateRefresh = %+v, %v; want an extension", out, err)
	}
}

// An intent at no time would be lost in its own row, where 0 is never.
func TestIntentsHaveATime(t *testing.T) {
	s := fresh(t)
	id := born(t, s, "a")
	if out, err := s.EndGrant(t.Context(), store.End{Grant: id, Why: store.WhyRevoked}); err == nil {
		t.Errorf("EndGrant = %v, want an error", out)
	}
	in := redeem(id)
	in.Now = 0
	if out, err := s.RedeemCode(t.Context(), in); err == nil {
		t.Errorf("RedeemCode = %v, want an error", out)
	}
	if out, err := s.RedeemAnonymous(t.Context(), store.RedeemAnonymous{}); err == nil {
		t.Errorf("RedeemAnonymous = %v, want an error", out)
	}
	if out, err := s.RotateRefresh(t.Context(), store.Rotate{Grant: id}); err == nil {
		t.Errorf("RotateRefresh = %v, want an error", out)
	}
	for name, ask := range map[string]func() (store.Outcome, error){
		"Birth": func() (store.Outcome, error) {
			b := birth("b")
			b.Now = 0
			return s.Birth(t.Context(), b)
		},
		"PushRequest":     func() (store.Outcome, error) { return s.PushRequest(t.Context(), store.PushRequest{PerClient: 1}) },
		"RegisterClient":  func() (store.Outcome, error) { return s.RegisterClient(t.Context(), store.RegisterClient{Most: 1}) },
		"DeleteClient":    func() (store.Outcome, error) { return s.DeleteClient(t.Context(), store.DeleteClient{}) },
		"WithdrawConsent": func() (store.Outcome, error) { return s.WithdrawConsent(t.Context(), store.WithdrawConsent{}) },
	} {
		if out, err := ask(); err == nil {
			t.Errorf("%s = %v, want an error", name, out)
		}
	}
	disabled := ann
	disabled.UpdatedAt, disabled.DisabledAt = 0, t0
	if out, err := s.PutUser(t.Context(), disabled); err == nil {
		t.Errorf("PutUser = %v, want an error", out)
	}
	if u, _, err := s.User(t.Context(), ann.ID); err != nil || u.DisabledAt != 0 {
		t.Errorf("the refused change has happened: %+v, %v", u, err)
	}
}

// Administration is audited, too, though no grant's audit tells of it.
func TestUserAudit(t *testing.T) {
	s := fresh(t)
	u := ann
	u.UpdatedAt, u.Email = t0+1, "x@example.com"
	changed := u
	changed.UpdatedAt, changed.CredentialVersion = t0+2, 2
	disabled := changed
	disabled.UpdatedAt, disabled.DisabledAt = t0+3, t0+3
	for _, u := range []store.User{u, changed, disabled} {
		if out, err := s.PutUser(t.Context(), u); err != nil || out != store.Done {
			t.Fatal(out, err)
		}
	}
	events, err := s.AuditOf(t.Context(), store.GrantID{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"created", "changed", "credential changed", "user disabled"}
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d", len(events), len(want))
	}
	for i, e := range events {
		if e.Kind != store.AuditUserChanged || e.Reason != want[i] || e.User != ann.ID || e.At != t0+int64(i) || e.Node < 0 {
			t.Errorf("event %d: %+v, want %q", i, e, want[i])
		}
	}
}
