package storetest

import (
	"fmt"
	"sync/atomic"

	"github.com/tallystick/tallystick/internal/store"
)

const requestEnd = t0 + 60*second

// pushing is the intent of a request that is pushed now.
func pushing(name string) store.PushRequest {
	return store.PushRequest{
		Request: store.Request{
			ID: id("request %s", name), ClientID: "app", Params: []byte(`{"scope":"openid","state":"ü"}`), CreatedAt: t0, ExpiresAt: requestEnd,
		},
		PerClient: 10, Now: t0,
	}
}

func (w *world) push(in store.PushRequest, want store.Outcome) store.RequestID {
	w.Helper()
	w.want("PushRequest", want)(w.s.PushRequest(w.ctx, in))
	return in.Request.ID
}

// request reads one that must be there.
func (w *world) request(r store.RequestID) store.Request {
	w.Helper()
	got, found, err := w.s.Request(w.ctx, r)
	if err != nil || !found {
		w.Fatalf("Request: found = %v, %v", found, err)
	}
	return got
}

func (w *world) wantNoRequest(r store.RequestID) {
	w.Helper()
	if _, found, err := w.s.Request(w.ctx, r); err != nil || found {
		w.Errorf("Request: found = %v, %v; want none", found, err)
	}
}

// begunWith is a birth from a pushed request.
func (w *world) begunWith(r store.RequestID, name string) store.Birth {
	return with(w.birth(name), func(b *store.Birth) { b.Request = r })
}

var requestRules = []rule{
	{name: "request: pushed, it is there", check: func(w *world) {
		in := pushing("r")
		w.fields(in.Request, "UsedAt")
		w.push(in, store.Done)
		w.same("request", w.request(in.Request.ID), in.Request)
		w.wantNoRequest(id("request nobody's"))
		for i, s := range odd {
			in := pushing(fmt.Sprint("odd ", i))
			in.Request.ClientID, in.Request.Params = s, fmt.Appendf(nil, `{"state":%q}`, s)
			w.push(in, store.Done)
			w.same("request", w.request(in.Request.ID), in.Request)
		}
	}},
	{name: "request: an id that there is, is taken, and nothing changes", check: func(w *world) {
		first, in := pushing("r"), pushing("r")
		w.push(first, store.Done)
		in.Request.ClientID, in.Request.Params, in.Request.ExpiresAt = "other", []byte(`{}`), requestEnd+1
		w.push(in, store.Taken)
		w.same("request", w.request(in.Request.ID), first.Request)
	}},
	{name: "request: so many of a client that are neither used nor expired", check: func(w *world) {
		push := func(name, client string, now store.Time, want store.Outcome) {
			w.Helper()
			in := pushing(name)
			in.Request.ClientID, in.Request.CreatedAt, in.Request.ExpiresAt = client, now, now+100
			in.PerClient, in.Now = 2, now
			w.push(in, want)
		}
		push("a", "app", t0, store.Done)
		push("of another", "other", t0, store.Done)
		push("b", "app", t0+50, store.Done)
		push("c", "app", t0+99, store.Refused)
		w.wantNoRequest(id("request c"))
		push("of another, too", "other", t0+99, store.Done)
		push("c", "app", t0+100, store.Done) // a has expired
		push("d", "app", t0+101, store.Refused)
		w.bear(w.begunWith(id("request c"), "c"), store.Done)
		push("d", "app", t0+101, store.Done)
		push("e", "app", t0+101, store.Refused)
	}},
	{name: "request: 20 that push at once go over by no more than one each", check: func(w *world) {
		const most, each = 5, 5
		w.race(rounds/10, func(int) {}, func(s store.Store, i, c int, a *tally) error {
			for n := range each {
				in := pushing(fmt.Sprint(i, " ", c, " ", n))
				in.Request.ClientID, in.PerClient = fmt.Sprint("client ", i), most
				out, err := s.PushRequest(w.ctx, in)
				if err != nil {
					return err
				}
				a.add(out, store.GrantState{}, false)
			}
			return nil
		}, func(i int, a *tally) {
			if n := a.counts[store.Done]; n < most || n > most+contenders-1 {
				w.Errorf("round %d: %d were pushed, want %d, or as many more as push at once", i, n, most)
			}
			in := pushing(fmt.Sprint(i, " after"))
			in.Request.ClientID, in.PerClient = fmt.Sprint("client ", i), most
			w.push(in, store.Refused)
		})
	}},
	{name: "request: a birth spends it, and it stays readable", check: func(w *world) {
		in := pushing("r")
		b := w.begunWith(w.push(in, store.Done), "a")
		b.Now = t0 + 5
		w.bear(b, store.Done)
		in.Request.UsedAt = t0 + 5
		w.same("request", w.request(b.Request), in.Request)
		w.unborn(w.begunWith(b.Request, "b"), store.Spent)
	}},
	{name: "request: a birth does not ask for its age", check: func(w *world) {
		b := w.begunWith(w.push(pushing("r"), store.Done), "a")
		b.Now = requestEnd + 1
		w.bear(b, store.Done)
		w.same("UsedAt", w.request(b.Request).UsedAt, b.Now)
	}},
	{name: "request: of another client, or of nobody: spent, and nothing happens", check: func(w *world) {
		in := pushing("r")
		in.Request.ClientID = "other"
		w.unborn(w.begunWith(w.push(in, store.Done), "a"), store.Spent)
		w.unborn(w.begunWith(id("request nobody's"), "a"), store.Spent)
		w.same("request", w.request(in.Request.ID), in.Request)
	}},
	{name: "request: unspent by a birth that is refused", check: func(w *world) {
		r := w.push(pushing("r"), store.Done)
		b := w.begunWith(r, "a")
		w.refusedBirth(with(b, func(b *store.Birth) { b.CredentialVersion++ }))
		w.refusedBirth(with(b, func(b *store.Birth) { b.Session = id("nobody") }))
		c := w.agreement()
		w.refusedBirth(with(b, func(b *store.Birth) { b.Consent = &c }))
		w.bear(b, store.Done)
	}},
	{name: "request: 20 births of one, one grant, one consent and one audit event", check: func(w *world) {
		var winner atomic.Int64
		w.race(rounds/4, func(i int) { w.push(pushing(fmt.Sprint(i)), store.Done) },
			func(s store.Store, i, n int, a *tally) error {
				c := w.agreement()
				c.Claims = fmt.Sprint("claim ", n)
				b := w.consenting(fmt.Sprint(i, " ", n), c, true)
				b.Request = id("request %d", i)
				out, err := s.Birth(w.ctx, b)
				if out == store.Done {
					winner.Store(int64(n))
				}
				a.add(out, store.GrantState{}, false)
				return err
			},
			func(i int, a *tally) {
				w.wantCounts(i, a, map[store.Outcome]int{store.Done: 1, store.Spent: contenders - 1})
				for n := range contenders {
					if g := id("grant %d %d", i, n); n != int(winner.Load()) {
						w.wantNone(g)
					} else {
						w.wantAudit(g, store.AuditBirth)
					}
				}
				c := w.agreement()
				c.Claims = fmt.Sprint("claim ", winner.Load())
				w.wantConsents(w.user.ID, c)
			})
	}},
	{name: "request: pushed with an assertion, which is spent whatever comes of it", check: func(w *world) {
		with := func(name string, change func(*store.PushRequest)) store.PushRequest {
			in := pushing(name)
			in.Assertion = assertion(name)
			change(&in)
			return in
		}
		plain := func(*store.PushRequest) {}
		w.push(with("r", plain), store.Done)
		w.push(with("taken", func(in *store.PushRequest) { in.Request.ID = id("request r") }), store.Taken)
		w.push(with("refused", func(in *store.PushRequest) { in.PerClient = 1 }), store.Refused)
		for _, name := range []string{"r", "taken", "refused"} {
			if !w.spent(name) {
				w.Errorf("%s: the assertion is unspent", name)
			}
			in := with(name, func(in *store.PushRequest) { in.Request.ID = id("request again") })
			w.unchangedBy(store.GrantID{}, func() { w.push(in, store.Reused) })
			w.wantNoRequest(in.Request.ID)
		}
	}},
}
