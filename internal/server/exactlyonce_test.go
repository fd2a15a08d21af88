package server_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

// contend sends n requests for each of m objects. All contenders of an object
// are on their marks before any of them starts, and all goroutines have run
// before (warm): a cold start hides the race that it is to show.
func contend(h http.Handler, m, n int, request func(object int) *http.Request) [][]testkit.Answer {
	answers := make([][]testkit.Answer, m)
	start := make([]chan struct{}, m)
	var warm, done sync.WaitGroup
	for object := range m {
		answers[object], start[object] = make([]testkit.Answer, n), make(chan struct{})
	}
	for contender := range n {
		warm.Add(1)
		done.Go(func() {
			testkit.Send(h, request(0)) // an object of no account
			warm.Done()
			for object := range m {
				<-start[object]
				answers[object][contender] = testkit.Send(h, request(object+1))
			}
		})
	}
	warm.Wait()
	for object := range m {
		close(start[object])
	}
	done.Wait()
	return answers
}

// E1 of the abuse cases: 200 codes, 20 warm contenders each: exactly one
// success for each, the losers refused, none with a fault.
func TestACodeIsRedeemedOnce(t *testing.T) {
	const objects, contenders = 200, 20
	for _, face := range []struct {
		name    string
		objects int
		code    func(*testkit.World) string
		redeem  func(code string) *http.Request
		ok      int
	}{
		{"Dressipi", objects,
			func(w *testkit.World) string {
				return testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code
			},
			func(code string) *http.Request { return testkit.DressipiRedeem(testkit.Shop, code) }, 200},
		// Each try costs two RSA signatures, so here are fewer objects; storetest
		// has this redemption 200 times 20 below the signatures.
		{"Userdocks", objects / 10,
			func(w *testkit.World) string {
				return testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code
			},
			func(code string) *http.Request { return testkit.UserdocksRedeem(testkit.App, code) }, 201},
	} {
		t.Run(face.name, func(t *testing.T) {
			w := testkit.NewWorld(t)
			codes := make([]string, face.objects+1)
			for i := range codes {
				codes[i] = face.code(w)
			}
			successes := 0
			for object, answers := range contend(w.Handler, face.objects, contenders, func(i int) *http.Request { return face.redeem(codes[i]) }) {
				won := 0
				for _, a := range answers {
					switch a.Status {
					case face.ok:
						won++
					case 400:
						if a.AccessToken+a.RefreshToken != "" {
							t.Errorf("a refusal with tokens: %s", a.Body)
						}
					default:
						t.Errorf("code %d: %d %s", object, a.Status, a.Body)
					}
				}
				if won != 1 {
					t.Errorf("code %d was redeemed %d times", object, won)
				}
				successes += won
			}
			if successes != face.objects {
				t.Errorf("%d successes, want exactly %d", successes, face.objects)
			}
		})
	}
}

// E3: 200 grants, 20 parallel refreshes of one token each: all are answered
// inside the window, with one successor for each grant; and the successor
// works.
func TestParallelRefreshesShareOneSuccessor(t *testing.T) {
	const grants, contenders = 200, 20
	w := testkit.NewWorld(t)
	tokens := make([]string, grants+1)
	for i := range tokens {
		tokens[i] = w.NewProfile(t).RefreshToken
	}
	refresh := func(token string) *http.Request { return testkit.DressipiRefresh(testkit.Shop, token) }
	for grant, answers := range contend(w.Handler, grants, contenders, func(i int) *http.Request { return refresh(tokens[i]) }) {
		successors := map[string]bool{}
		for _, a := range answers {
			if a.Status != 200 {
				t.Errorf("grant %d: %d %s", grant, a.Status, a.Body)
			}
			successors[a.RefreshToken] = true
		}
		if len(successors) != 1 {
			t.Errorf("grant %d has %d successors, want 1", grant, len(successors))
		}
		for s := range successors {
			if s == tokens[grant+1] {
				t.Errorf("grant %d was not rotated", grant)
			}
			if a := testkit.Send(w.Handler, refresh(s)); a.Status != 200 {
				t.Errorf("the successor of grant %d: %d %s", grant, a.Status, a.Body)
			}
		}
	}
}

// The same on the face whose window is a duration: inside it all get one
// successor, after it the parent is a replay and the grant is ended.
func TestParentAfterItsWindowEndsTheGrant(t *testing.T) {
	w := testkit.NewWorld(t)
	first := w.SignIn(t)
	var successor string
	for i := range 5 {
		w.Clock.Advance(5 * time.Second)
		a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, first.RefreshToken))
		if a.Status != 201 || i > 0 && a.RefreshToken != successor {
			t.Fatalf("use %d inside the window: %d %s", i, a.Status, a.Body)
		}
		successor = a.RefreshToken
	}
	// 30 s after the rotation, which was at the first of the five.
	w.Clock.Advance(10 * time.Second)
	for _, token := range []string{first.RefreshToken, successor} {
		if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, token)); a.Status != 400 {
			t.Errorf("after the window: %d %s", a.Status, a.Body)
		}
	}
}

// Well-behaved clients are never logged out: many tabs of one session, lost
// answers, requests sent twice.
func TestNoFalseLogout(t *testing.T) {
	w := testkit.NewWorld(t)
	const users, tabs, rounds = 20, 5, 10
	var wg sync.WaitGroup
	faults := make(chan string, users)
	for user := range users {
		token := w.NewProfile(t).RefreshToken
		wg.Go(func() {
			for round := range rounds {
				next := make([]string, tabs)
				var all sync.WaitGroup
				for tab := range tabs {
					all.Go(func() {
						a := testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token))
						if (user+round+tab)%10 == 0 { // a proxy sends it again, and the first answer is lost
							a = testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token))
						}
						if a.Status == 200 {
							next[tab] = a.RefreshToken
						}
					})
				}
				all.Wait()
				for _, n := range next {
					if n == "" || n != next[0] {
						faults <- fmt.Sprintf("user %d, round %d: the tabs got %q", user, round, next)
						return
					}
				}
				token = next[0]
			}
		})
	}
	wg.Wait()
	close(faults)
	for f := range faults {
		t.Error(f)
	}
}
