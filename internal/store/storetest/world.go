package storetest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// t0 is when things begin.
const t0 store.Time = 1_800_000_000_000

const (
	second  = 1000
	codeEnd = t0 + 60*second
	window  = 30 * second
	// idleLife is 16 times 100 s, so that its 15/16 is a round number.
	idleLife = 1600 * second
)

var trace = store.Trace{RequestID: `req-'"ü`, IP: "2001:db8::1"}

// world is what a rule works in: an issuer with one user.
type world struct {
	T
	ctx  context.Context
	d    Database
	tap  *Tap
	name string
	s    store.Store
	user store.User
}

func newWorld(t T, d Database, tap *Tap, name string) *world {
	w := &world{T: t, ctx: context.Background(), d: d, tap: tap, name: name, s: d.Store(name)}
	w.user = w.person("ann")
	w.put(w.user)
	return w
}

// sibling is another issuer of the same database, with equal ids.
func (w *world) sibling(name string) *world {
	return newWorld(w.T, w.d, w.tap, w.name+" "+name)
}

// id makes the same 16 bytes of the same name in each issuer.
func id(format string, args ...any) [16]byte {
	h := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return [16]byte(h[:16])
}

func (w *world) person(name string) store.User {
	return store.User{
		ID: id("user %s", name),
		Identifiers: []store.Identifier{
			{Kind: "email", Value: name + "@example.com"}, {Kind: "username", Value: name},
		},
		Claims: []byte(`{"name":"` + name + `"}`), Email: name + "@example.com", EmailVerified: true,
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$" + name, CredentialVersion: 1,
		CreatedAt: t0, UpdatedAt: t0,
	}
}

func (w *world) put(u store.User) {
	w.Helper()
	if out, err := w.s.PutUser(w.ctx, u); err != nil || out != store.Done {
		w.Fatalf("PutUser = %v, %v; want done", out, err)
	}
}

// birth is the intent of a grant that the world's user gives now.
func (w *world) birth(name string) store.Birth {
	return store.Birth{
		Grant: store.Grant{
			Birthright: store.Birthright{
				ID: id("grant %s", name), ClientID: "app", Subject: "sub", User: w.user.ID,
				Scope: "openid profile", AuthTime: t0, RedirectURI: "https://app.example.com/cb",
				CreatedAt: t0, CodeExpiresAt: codeEnd,
			},
			GrantState: store.GrantState{MACKey: 1},
		},
		CredentialVersion: w.user.CredentialVersion, Now: t0, Trace: trace,
	}
}

// born makes a grant whose code is not redeemed yet.
func (w *world) born(name string, change ...func(*store.Grant)) store.GrantID {
	w.Helper()
	b := w.birth(name)
	for _, c := range change {
		c(&b.Grant)
	}
	if out, err := w.s.Birth(w.ctx, b); err != nil || out != store.Done {
		w.Fatalf("Birth = %v, %v; want done", out, err)
	}
	return b.Grant.ID
}

// redeem is the intent of the first use of a code.
func redeem(g store.GrantID) store.Redeem {
	return store.Redeem{
		Grant: g, Now: t0, MACKey: 1, IdleExpiresAt: t0 + idleLife,
		Proven: true, EndOnReplay: true, Trace: trace,
	}
}

// redeemed makes a grant whose refresh token is of generation 0.
func (w *world) redeemed(name string, change ...func(*store.Grant)) store.GrantID {
	w.Helper()
	g := w.born(name, change...)
	w.redeem(redeem(g), store.Done)
	return g
}

// anonymous is the intent of the first use of a code without a row.
func anonymous(name string) store.RedeemAnonymous {
	return store.RedeemAnonymous{
		Grant: store.Grant{
			Birthright: store.Birthright{
				ID: id("anonymous %s", name), ClientID: "app", Subject: "subject of " + name, AuthTime: t0,
				RedirectURI: oauth.URNAuto, CodeChallenge: sha256.Sum256([]byte(name)), HasChallenge: true,
				CreatedAt: t0, CodeExpiresAt: codeEnd,
			},
			GrantState: store.GrantState{RedeemedAt: t0, RotatedAt: t0, MACKey: 1, IdleExpiresAt: t0 + idleLife},
		},
		Now: t0, Proven: true, EndOnReplay: true, Trace: trace,
	}
}

// refresh is the intent of a rotating client.
func refresh(g store.GrantID, generation uint32, now store.Time) store.Rotate {
	return store.Rotate{
		Grant: g, Presented: generation, PresentedKey: 1, ActiveKey: 1, Now: now, IdleLife: idleLife,
		Rotating: true, RetryWindow: window, EndOnReplay: true, Trace: trace,
	}
}

// redeem, redeemAnonymous and rotate perform an intent and hold its answer to
// what is true of each: the outcome is the wanted one, the state is the row's,
// and the config version is the issuer's.

func (w *world) redeem(in store.Redeem, want store.Outcome) store.Redeemed {
	w.Helper()
	out, err := w.s.RedeemCode(w.ctx, in)
	w.answer("RedeemCode", in.Grant, err, out.Outcome, want, out.State, out.ConfigVersion)
	return out
}

func (w *world) redeemAnonymous(in store.RedeemAnonymous, want store.Outcome) store.Redeemed {
	w.Helper()
	out, err := w.s.RedeemAnonymous(w.ctx, in)
	w.answer("RedeemAnonymous", in.Grant.ID, err, out.Outcome, want, out.State, out.ConfigVersion)
	return out
}

func (w *world) rotate(in store.Rotate, want store.Outcome) store.Rotated {
	w.Helper()
	out, err := w.s.RotateRefresh(w.ctx, in)
	w.answer("RotateRefresh", in.Grant, err, out.Outcome, want, out.State, out.ConfigVersion)
	return out
}

func (w *world) answer(intent string, g store.GrantID, err error, got, want store.Outcome, state store.GrantState, version int64) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", intent, err)
	}
	if got != want {
		w.Fatalf("%s = %v, want %v", intent, got, want)
	}
	row, _, err := w.s.Grant(w.ctx, g)
	if err != nil {
		w.Fatalf("Grant: %v", err)
	}
	if diff := gocmp.Diff(row.GrantState, state); diff != "" {
		w.Errorf("%s: its State is not the row's (-row +answer):\n%s", intent, diff)
	}
	current, err := w.s.ConfigVersion(w.ctx)
	if err != nil || version != current {
		w.Errorf("%s: ConfigVersion = %d, want %d (%v)", intent, version, current, err)
	}
}

func (w *world) end(g store.GrantID, now store.Time, want store.Outcome) {
	w.Helper()
	out, err := w.s.EndGrant(w.ctx, store.End{Grant: g, Why: store.WhyRevoked, Now: now, Trace: trace})
	if err != nil || out != want {
		w.Fatalf("EndGrant = %v, %v; want %v", out, err, want)
	}
}

func (w *world) state(g store.GrantID) store.GrantState {
	w.Helper()
	row, found, err := w.s.Grant(w.ctx, g)
	if err != nil || !found {
		w.Fatalf("Grant: found = %v, %v", found, err)
	}
	return row.GrantState
}

func (w *world) wantState(g store.GrantID, want store.GrantState) {
	w.Helper()
	w.same("state", w.state(g), want)
}

// same compares what is with what ought to be.
func (w *world) same(what string, got, want any) {
	w.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) audit(g store.GrantID) []store.AuditEvent {
	w.Helper()
	events, err := w.s.AuditOf(w.ctx, g)
	if err != nil {
		w.Fatalf("AuditOf: %v", err)
	}
	return events
}

// wantAudit wants exactly these kinds, oldest first; what two nodes tell of one
// millisecond has no order.
func (w *world) wantAudit(g store.GrantID, want ...store.AuditKind) []store.AuditEvent {
	w.Helper()
	events := w.audit(g)
	var got []store.AuditKind
	for _, e := range events {
		got = append(got, e.Kind)
	}
	if len(got) != len(want) {
		w.Fatalf("audit = %v, want %v", got, want)
	}
	for i := 0; i < len(events); {
		n := i + 1
		for n < len(events) && events[n].At == events[i].At {
			n++
		}
		told, wanted := slices.Sorted(slices.Values(got[i:n])), slices.Sorted(slices.Values(want[i:n]))
		if !slices.Equal(told, wanted) {
			w.Fatalf("audit = %v, want %v", got, want)
		}
		i = n
	}
	return events
}

// news are the events of a grant that a snapshot has and an earlier one has not.
func (w *world) news(g store.GrantID, before, after snapshot, want int) []store.AuditEvent {
	w.Helper()
	if got := len(after.Audit[g]) - len(before.Audit[g]); got != want {
		w.Fatalf("audit: %d events more, want %d", got, want)
	}
	return after.Audit[g][len(before.Audit[g]):]
}

// snapshot is all that can be seen of an issuer in a rule's world.
type snapshot struct {
	Grants        map[store.GrantID]store.Grant
	Audit         map[store.GrantID][]store.AuditEvent
	User          store.User
	ConfigVersion int64
	Clients       []store.Client
	MACKeys       []store.MACKey
	SigningKeys   []store.SigningKey
	Memberships   []store.Membership
	Session       store.Session // the one named s
	Link          store.Link    // the one named l
	Mails         []store.Mail
	Consents      []store.Consent
	Request       store.Request // the one named r
	Notices       []store.Notice
	Spent, Leased bool // the assertion named j, and the lease; see seeAll
}

// see reads everything; of the audit all but its numbers, which may have gaps.
func (w *world) see(grants ...store.GrantID) snapshot {
	w.Helper()
	s := snapshot{Grants: map[store.GrantID]store.Grant{}, Audit: map[store.GrantID][]store.AuditEvent{}}
	for _, id := range grants {
		g, found, err := w.s.Grant(w.ctx, id)
		w.must(err)
		if found {
			s.Grants[id] = g
		}
		events := w.audit(id)
		for i := range events {
			events[i].Node, events[i].Sequence = 0, 0
		}
		// What two processes tell of one millisecond has no order.
		slices.SortFunc(events, func(a, b store.AuditEvent) int {
			return cmp.Or(int(a.At-b.At), strings.Compare(string(a.Kind), string(b.Kind)), slices.Compare(a.User[:], b.User[:]),
				strings.Compare(a.ClientID, b.ClientID), strings.Compare(a.Reason, b.Reason))
		})
		if len(events) > 0 {
			s.Audit[id] = events
		}
	}
	var err error
	s.User, _, err = w.s.User(w.ctx, w.user.ID)
	w.must(err)
	s.ConfigVersion, err = w.s.ConfigVersion(w.ctx)
	w.must(err)
	s.Clients, err = w.s.ClientsOf(w.ctx, face)
	w.must(err)
	s.MACKeys, err = w.s.MACKeys(w.ctx)
	w.must(err)
	s.SigningKeys, err = w.s.SigningKeys(w.ctx)
	w.must(err)
	s.Memberships, err = w.s.Memberships(w.ctx, w.user.ID)
	w.must(err)
	s.Session, _, err = w.s.Session(w.ctx, id("session s"))
	w.must(err)
	s.Link, _, err = w.s.Link(w.ctx, id("link l"))
	w.must(err)
	s.Mails = w.outbox()
	s.Consents, err = w.s.ConsentsOf(w.ctx, w.user.ID)
	w.must(err)
	s.Request, _, err = w.s.Request(w.ctx, id("request r"))
	w.must(err)
	s.Notices = w.due(never)
	return s
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v", err)
	}
}
