//go:build scale

package model_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/model"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/storetest"
)

// lockWait is long enough for a use that waits for no lock.
const lockWait = 60 * time.Millisecond

// Two nodes on PostgreSQL. Before each statement of one's use, another use runs from
// its beginning to its end, or until it must wait for the first one's lock. One of
// the two orders must explain both answers and what became of the row.
func TestInterleavings(t *testing.T) {
	d := newPostgreSQL(t)
	code := deed{what: "redeem"}
	end := deed{what: "revoke"}
	token := func(generation uint32) deed {
		return deed{what: "refresh", Token: model.Token{Generation: generation, Key: 1}}
	}
	web, service := clients[0], clients[4]
	for _, tt := range []struct {
		name   string
		client client
		life   []deed // so far
		uses   []deed
	}{
		{"a code", web, nil, []deed{code, token(0), token(1), token(5), end}},
		{"rotated twice", web, []deed{code, token(0), token(1)}, []deed{code, token(1), token(2), token(3), token(7), end}},
		{"not rotating", service, []deed{code}, []deed{token(0), token(1), token(2), end}},
	} {
		for i, a := range tt.uses {
			for j, b := range tt.uses {
				for at := int64(1); ; at++ {
					name := fmt.Sprintf("%s: %s %d; before its statement %d: %s %d", tt.name, a.what, a.Generation, at, b.what, b.Generation)
					if !interleave(t, d, name, fmt.Sprint(tt.name, i, j, at), tt.client, tt.life, [2]deed{a, b}, at) {
						break
					}
				}
			}
		}
	}
}

// interleave reports whether the first deed has such a statement.
func interleave(t *testing.T, d *postgresDatabase, name, issuer string, c client, life []deed, deeds [2]deed, at int64) bool {
	t.Helper()
	nodes := [2]store.Store{d.node(0, issuer), d.node(1, issuer)}
	if out, err := nodes[0].PutUser(t.Context(), user); err != nil || out != store.Done {
		t.Fatalf("PutUser = %v, %v", out, err)
	}
	c.terms.CodeEnd = 1 + codeLife
	l := ledger{grants: []grant{{client: c}}, spent: map[int]bool{}}
	do := func(e deed) (result, error) {
		e.now, e.active = 1, 1
		return ask(t, nodes[e.node], e, l.grants[0])
	}
	for _, e := range append([]deed{{what: "birth"}}, life...) {
		if _, err := do(e); err != nil {
			t.Fatal(err)
		}
		e.now, e.active = 1, 1
		l.perform(e)
	}

	deeds[1].node = 1
	var got [2]result
	var errs [2]error
	second := make(chan struct{})
	var calls atomic.Int64
	d.tap().Hook(func(kind storetest.Kind, _ string, perform func() error) error {
		switch kind {
		case storetest.Exec, storetest.Query, storetest.Commit:
			if calls.Add(1) != at {
				break
			}
			go func() {
				defer close(second)
				got[1], errs[1] = do(deeds[1])
			}()
			select {
			case <-second:
			case <-time.After(lockWait):
			}
		}
		return perform()
	})
	got[0], errs[0] = do(deeds[0])
	d.tap().Hook(nil)
	if calls.Load() < at {
		return false
	}
	<-second
	if errs != [2]error{} {
		t.Fatalf("%s: %v", name, errs)
	}
	for i := range deeds {
		deeds[i].now, deeds[i].active = 1, 1
	}
	if _, diff := explain(l, deeds, got, see(t, nodes[0], l)); diff != "" {
		t.Errorf("%s: no order of the two explains what came of them:\n%s", name, diff)
	}
	return true
}
