package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	node "github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// Where no address may lead inside, none is registered that does, whichever member
// it stands in.
func TestRegisteredAddressesLeadOutside(t *testing.T) {
	w := testkit.NewWorld(t, func(c *node.Config) { c.Loopback = false })
	before := w.Count(t, "client")
	register := func(member, address string) testkit.Answer {
		d := testkit.Document{"redirect_uris": []string{callback}, member: address}
		if member == "request_uris" {
			d[member] = []string{address}
		}
		return registerWith(w, asJSON(t, d), "")
	}
	fetched := []string{"jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "request_uris"}
	for _, member := range fetched {
		for _, address := range []string{
			"https://127.0.0.1/x", "http://127.0.0.1/x", "https://localhost/x", "https://10.0.0.1/x", "https://192.168.1.1/x", "https://169.254.169.254/latest/meta-data",
			"https://[::1]/x", "https://[::ffff:10.0.0.1]/x", "https://127.1/x", "https://2130706433/x", "https://0x7f.1/x",
		} {
			if a := register(member, address); a.Status != http.StatusBadRequest || a.Error != "invalid_client_metadata" {
				t.Errorf("%s %s: %d %s", member, address, a.Status, a.Body)
			}
		}
	}
	for _, member := range append(fetched, "client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri") {
		for _, address := range []string{"http://rp.example.org/x", "file:///etc/passwd", "JaVaScRiPt:alert(1)", "data:text/html,x", "//rp.example.org/x", "https://a@rp.example.org/x"} {
			if a := register(member, address); a.Status != http.StatusBadRequest || a.Error != "invalid_client_metadata" {
				t.Errorf("%s %s: %d %s", member, address, a.Status, a.Body)
			}
		}
	}
	if n := w.Count(t, "client"); n != before {
		t.Errorf("%d clients, want %d", n, before)
	}
	if a := register("jwks_uri", "https://rp.example.org/keys"); a.Status != http.StatusCreated {
		t.Errorf("an address outside: %d %s", a.Status, a.Body)
	}
}

// A client that cannot be told of a logout is told later, by a token of that
// moment, and not for ever; where it sends us, we do not go.
func TestLogoutNoticesAreTriedAgain(t *testing.T) {
	b := newBack(t)
	inside := serve(t, "text/plain", "")
	status := http.StatusFound
	var tokens []string
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.PostFormValue("logout_token"))
		w.Header().Set("Location", inside.URL)
		w.WriteHeader(status)
	}))
	defer client.Close()
	rp := b.Register(t, testkit.Document{"backchannel_logout_uri": client.URL, "post_logout_redirect_uris": []string{callback}}, nil)
	logout := func() {
		browser := b.Browser(t)
		rp.SignIn(t, browser, testkit.Ada, nil)
		browser.Open(rp.LogoutURL(nil))
		browser.ConfirmLogout()
	}
	deliver := func() error { return b.Engine.DeliverNotices(t.Context(), oidc.LogoutToken, b.PostLogout) }
	logout()
	for i, answer := range []int{http.StatusFound, http.StatusInternalServerError, http.StatusNoContent} {
		status = answer
		if err := deliver(); (err == nil) != (answer == http.StatusNoContent) || len(tokens) != i+1 {
			t.Fatalf("%d: %v, %d tokens", answer, err, len(tokens))
		}
		if err := deliver(); err != nil || len(tokens) != i+1 {
			t.Errorf("at once: %v, %d tokens", err, len(tokens))
		}
		b.Clock.Advance(time.Hour)
	}
	for i, token := range tokens {
		if _, c, err := rp.Verify(token); err != nil || i > 0 && token == tokens[i-1] || c.Int("exp")-c.Int("iat") > 120 {
			t.Errorf("token %d: %v %v", i, c, err)
		}
	}
	if inside.hits.Load() != 0 {
		t.Error("a redirect was followed")
	}
	tokens, status = nil, http.StatusInternalServerError
	logout()
	failures := 0
	for range 20 {
		if deliver() != nil {
			failures++
		}
		b.Clock.Advance(6 * time.Hour)
	}
	if len(tokens) != 12 || failures != 12 {
		t.Errorf("tried %d times, failed %d times, want 12", len(tokens), failures)
	}
}

// What goes wrong with a fetch is for the log: told to a client, it would make us a
// port scanner.
func TestFailedFetchesAreAlike(t *testing.T) {
	b := newBack(t)
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	addresses := []string{broken.URL, gone.URL, serve(t, "text/html", "x").URL}
	key := testkit.NewClientKey(t, "ES256")
	rp := b.Register(t, testkit.Document{"jwks": testkit.JWKS(key), "request_uris": addresses}, key)
	told, said := map[string]bool{}, map[string]bool{}
	for _, address := range append(addresses, "https://rp.example.org/not-registered") {
		a := rp.Begin(set("request_uri", address))
		page := b.Browser(t).Open(a.URL())
		answered(t, a, page, "invalid_request_uri")
		told[page.Answer.Params.Get("error_description")] = true
	}
	for _, address := range addresses {
		a := registerWith(b.World, asJSON(t, testkit.Document{"redirect_uris": []string{callback}, "sector_identifier_uri": address}), "")
		if a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", address, a.Status, a.Body)
		}
		said[a.JSON().Text("error_description")] = true
	}
	if len(told) != 1 || len(said) != 1 {
		t.Errorf("the client is told %v of a request_uri, %v of a sector_identifier_uri", told, said)
	}
}
