//go:build scale

package torture

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// Two nodes that share a database and a key are one server, whichever is asked.
func TestTwoNodes(t *testing.T) {
	db, seed := postgres.Database(t), filepath.Join(t.TempDir(), "seed.json")
	if err := os.WriteFile(seed, seedOf(t, people), 0o600); err != nil {
		t.Fatal(err)
	}
	boot := func() *node { return start(t, t.TempDir(), "--database", db, "--seed", seed) }
	nodes := []*node{boot(), boot()}
	t.Run("codes", func(t *testing.T) { testCodes(t, nodes) })
	t.Run("refreshes", func(t *testing.T) { testRefreshes(t, nodes) })
	t.Run("users", func(t *testing.T) { testUsers(t, nodes) })
	t.Run("revocation", func(t *testing.T) { testRevocation(t, nodes) })
}

// people are enough for all grants: a user has at most so many of one client.
var people = []testkit.Person{
	{Username: "ada@example.org", Password: "tall ship of ada"}, {Username: "bob@example.org", Password: "tall ship of bob"},
	{Username: "cyd@example.org", Password: "tall ship of cyd"}, {Username: "dan@example.org", Password: "tall ship of dan"},
}

// seedOf is a file for dev --seed.
func seedOf(t *testing.T, people []testkit.Person) []byte {
	t.Helper()
	var users []testkit.Document
	for _, p := range people {
		users = append(users, testkit.Document{"email": p.Username, "password": p.Password})
	}
	text, err := json.Marshal(testkit.Document{"users": users})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const contenders = 20

// contend asks at the same moment, by so many contenders.
func contend(ask func() testkit.Answer) []testkit.Answer {
	answers := make([]testkit.Answer, contenders)
	begin := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(contenders)
	for i := range answers {
		done.Go(func() {
			ready.Done()
			<-begin
			answers[i] = ask()
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	return answers
}

// A code is redeemed by exactly one of its contenders, and the others are refused. The
// standard face's code is of a row, which an UPDATE spends; the Dressipi face's has
// none, and an INSERT does.
func testCodes(t *testing.T, nodes []*node) {
	net := newNetwork(nodes...)
	c := &client{net: net, shop: nodes[0].World.Dressipi.ClientID}
	rp, browser, user := signedOut(t, nodes)
	for _, face := range []struct {
		name   string
		code   func() string
		redeem func(code string) testkit.Answer
	}{
		{"Dressipi", func() string { return c.authorize().Code }, c.redeem},
		{"standard", func() string {
			_, j := rp.Authorize(t, browser, user, url.Values{"code_challenge": {testkit.Challenge}})
			return j.Answer.Code()
		}, func(code string) testkit.Answer {
			return rp.Token(url.Values{
				"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {testkit.Verifier},
			})
		}},
	} {
		t.Run(face.name, func(t *testing.T) {
			double, faults, codes := 0, 0, size(20, 200)
			for i := range codes {
				code, won := face.code(), 0
				for _, a := range contend(func() testkit.Answer { return face.redeem(code) }) {
					switch a.Status {
					case http.StatusOK:
						won++
					case http.StatusBadRequest:
					default:
						faults++
						t.Errorf("code %d: %d %s", i, a.Status, a.Body)
					}
				}
				if won > 1 {
					double++
				}
				if won != 1 {
					t.Errorf("code %d was redeemed %d times", i, won)
				}
			}
			summary.add(t, fmt.Sprintf("%d codes × %d contenders", codes, contenders),
				fmt.Sprintf("%d double spends, %d answers but 200 and 400", double, faults), "never away")
		})
	}
}

// signedOut is a confidential client of the standard face, its user and his browser.
func signedOut(t *testing.T, nodes []*node) (*testkit.RP, *testkit.Browser, testkit.Person) {
	t.Helper()
	web, user := nodes[0].World.Clients.Web, nodes[0].World.User
	rp := relyingParty(t, newNetwork(nodes...), web.ClientID, web.ClientSecret)
	return rp, testkit.NewBrowser(t, rp.HTTP, issuer), testkit.Person{Username: user.Email, Password: user.Password}
}

// A token that is refreshed by many at once has one successor, which all are told.
func testRefreshes(t *testing.T, nodes []*node) {
	net, grants := newNetwork(nodes...), size(20, 200)
	clients, _ := newClients(t, grants, net, nodes[0], people...)
	double, refused := 0, 0
	for i, c := range clients {
		successors := map[string]bool{}
		for _, a := range contend(func() testkit.Answer { return c.refresh(c.token) }) {
			if a.Status != http.StatusOK {
				refused++
				t.Errorf("grant %d: %d %s", i, a.Status, a.Body)
				continue
			}
			successors[a.RefreshToken] = true
		}
		if len(successors) != 1 || successors[c.token] {
			double++
			t.Errorf("grant %d has %d successors, want one that is new", i, len(successors))
		}
		for successor := range successors {
			if a := c.refresh(successor); a.Status != http.StatusOK {
				refused++
				t.Errorf("the successor of grant %d: %d %s", i, a.Status, a.Body)
			}
		}
	}
	summary.add(t, fmt.Sprintf("%d grants × %d refreshes", grants, contenders),
		fmt.Sprintf("%d double spends, %d false logouts, %d answers from 500 on", double, refused, net.faults.Load()), "never away")
}

// Users have several tabs that refresh one token at the same time, by a network that
// loses answers and sends requests twice. Nobody is logged out; those whose replays end
// the grant keep to the rules that the model shows them to need: before a successor is
// used, no node has a request any more that brings its parent.
func testUsers(t *testing.T, nodes []*node) {
	const tabs, rounds, atOnce = 5, 10, 16
	net, users := newNetwork(nodes...), size(40, 1000)
	clients, _ := newClients(t, users, net, nodes[0], people...)
	last := clients[users-1]
	first := last.token
	var double, refused, lost atomic.Int64
	queue := make(chan *client)
	var working sync.WaitGroup
	for range atOnce {
		working.Go(func() {
			for c := range queue {
				c.net = &network{route: net.route, lost: 0.05, twice: 0.05}
				if c.spa != "" {
					c.net.late = new(sync.WaitGroup)
				}
				for range rounds {
					if !c.tabs(t, tabs, &double, &refused, &lost) {
						break
					}
				}
			}
		})
	}
	for _, c := range clients {
		queue <- c
	}
	close(queue)
	working.Wait()
	if net.faults.Load() != 0 {
		t.Errorf("%d answers from 500 on", net.faults.Load())
	}
	if lost.Load() == 0 {
		t.Error("no answer was lost")
	}
	// And a replay does end such a grant.
	last.net = net
	for _, token := range []string{first, last.token} {
		if a := last.refresh(token); a.Error != "invalid_grant" {
			t.Errorf("a replay, and the newest token after it: %d %s", a.Status, a.Body)
		}
	}
	summary.add(t, fmt.Sprintf("%d users × %d tabs × %d refreshes, 5 %% of the answers lost (%d) and 5 %% sent twice; a replay ends the grants of every other one", users, tabs, rounds, lost.Load()),
		fmt.Sprintf("%d double spends, %d false logouts, %d answers from 500 on", double.Load(), refused.Load(), net.faults.Load()), "never away")
}

// tabs refreshes once in every tab, each as often as it takes to get an answer, and
// goes on with the successor; it is false if there is not one.
func (c *client) tabs(t *testing.T, tabs int, double, refused, lost *atomic.Int64) bool {
	answers := make([]testkit.Answer, tabs)
	var all sync.WaitGroup
	for tab := range answers {
		all.Go(func() {
			for range 20 {
				if answers[tab] = c.refresh(c.token); answers[tab].Status != 0 {
					return
				}
				lost.Add(1)
			}
		})
	}
	all.Wait()
	if c.net.late != nil {
		c.net.late.Wait()
	}
	for _, a := range answers {
		if a.Status != http.StatusOK {
			refused.Add(1)
			t.Errorf("a tab was answered %d %s", a.Status, a.Body)
			return false
		}
		if a.RefreshToken != answers[0].RefreshToken || a.RefreshToken == c.token {
			double.Add(1)
			t.Error("the tabs of one user have several tokens, or the old one")
			return false
		}
	}
	c.token = answers[0].RefreshToken
	return true
}

// What was revoked at one node is refused at the other one at once: each looks at the
// row, and has no copy of it.
func testRevocation(t *testing.T, nodes []*node) {
	rp, browser, user := signedOut(t, nodes)
	at := func(n *node) *testkit.RP {
		there := *rp
		there.HTTP = &http.Client{Transport: newNetwork(n)}
		return &there
	}
	grants, served := size(4, 50), 0
	for i := range grants {
		here, there := at(nodes[i%2]), at(nodes[(i+1)%2])
		session := rp.SignIn(t, browser, user, nil)
		fresh := there.Refresh(session.RefreshToken, nil)
		if fresh.Status != http.StatusOK || there.Introspect(fresh.RefreshToken).JSON()["active"] != true {
			t.Fatalf("before its revocation a grant is refused: %d %s", fresh.Status, fresh.Body)
		}
		if a := here.Revoke(fresh.RefreshToken); a.Status != http.StatusOK {
			t.Fatalf("revoke: %d %s", a.Status, a.Body)
		}
		introspected := there.Introspect(fresh.RefreshToken)
		if introspected.JSON()["active"] != false {
			served++
			t.Errorf("a revoked grant is active at the other node: %s", introspected.Body)
		}
		if a := there.Refresh(fresh.RefreshToken, nil); a.Status != http.StatusBadRequest || a.Error != "invalid_grant" {
			served++
			t.Errorf("a revoked grant at the other node: %d %s", a.Status, a.Body)
		}
	}
	summary.add(t, fmt.Sprintf("%d grants of a signed-in user revoked at one node, used at the other", grants), fmt.Sprintf("%d served", served), "never away")
}
