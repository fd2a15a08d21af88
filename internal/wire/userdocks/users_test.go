package userdocks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

const newPassword = "a new passphrase"

// said is what an answer tells, but for what is new in each.
func said(a testkit.Answer) map[string]any {
	h := a.Header.Clone()
	h.Del("X-Request-Id")
	return map[string]any{"status": a.Status, "header": h, "body": a.Body}
}

func send(t *testing.T, w *testkit.World, r *http.Request, status int) testkit.Answer {
	t.Helper()
	a := testkit.Send(w.Handler, r)
	if a.Status != status {
		t.Fatalf("%s %s: %d %s, want %d", r.Method, r.URL.Path, a.Status, a.Body, status)
	}
	return a
}

// G26: whoever asks for a mail learns nothing about the address, nor how often a
// mail was asked for.
func TestForgotTellsNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	unknown := said(send(t, w, testkit.UserdocksForgot(testkit.App, "nobody@example.com"), 200))
	for range 7 {
		for _, email := range []string{testkit.Email, "unverified@example.com", "disabled@example.com", "nobody@example.com"} {
			got := said(send(t, w, testkit.UserdocksForgot(testkit.App, email), 200))
			if diff := cmp.Diff(unknown, got); diff != "" {
				t.Errorf("%s: (-unknown +got)\n%s", email, diff)
			}
		}
	}
	to := map[string]int{}
	for _, m := range w.Mails(t) {
		to[m.Recipient]++
	}
	if diff := cmp.Diff(map[string]int{testkit.Email: 5, "unverified@example.com": 5}, to); diff != "" {
		t.Errorf("mails: (-want +got)\n%s", diff)
	}
	w.Clock.Advance(time.Hour + time.Second)
	send(t, w, testkit.UserdocksForgot(testkit.App, testkit.Email), 200)
	if mails := w.Mails(t); len(mails) != 1 {
		t.Errorf("%d mails in the next hour, want 1", len(mails))
	}
}

// Whoever registers at addresses, once or twice, with an invitation or a made-up
// one, learns nothing about who has an account there. Only what the answer tells
// of the request itself differs.
func TestRegisterTellsNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	uuids := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	referral := regexp.MustCompile(`"referralCode":"[a-z2-7]{10}"`)
	type twice struct{ first, second map[string]any }
	ids := map[string]bool{}
	ask := func(email, query string, status int) map[string]any {
		r := testkit.UserdocksRegister(testkit.App, email, newPassword)
		r.URL.RawQuery += query
		a := send(t, w, r, status)
		if id := uuids.FindString(a.Body); id != "" && ids[id] {
			t.Errorf("%s%s: the uuid %s again", email, query, id)
		} else {
			ids[id] = true
		}
		a.Body = strings.ReplaceAll(uuids.ReplaceAllString(a.Body, "uuid"), email, "address")
		a.Body = referral.ReplaceAllString(a.Body, "referral")
		a.Header.Del("Content-Length")
		return said(a)
	}
	invited, lost := "&invitationTenantUuid=bb000000-0000-4000-8000-000000000000", "&invitationTenantUuid=99999999-9999-4999-8999-999999999999"
	for query, status := range map[string]int{"": 201, invited: 201, lost: 400} {
		stranger := fmt.Sprintf("new%d@example.com", len(ids))
		want := twice{ask(stranger, query, status), ask(stranger, query, status)}
		for _, email := range []string{testkit.Email, "unverified@example.com", "disabled@example.com"} {
			got := twice{ask(email, query, status), ask(email, query, status)}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(twice{})); diff != "" {
				t.Errorf("%s%s: (-a new address +got)\n%s", email, query, diff)
			}
		}
	}
}

// Registering at an address again and again fills nobody's mailbox.
func TestRegisteringIsThrottledByMail(t *testing.T) {
	w := testkit.NewWorld(t)
	for range 7 {
		send(t, w, testkit.UserdocksRegister(testkit.App, "grace@example.com", newPassword), 201)
		send(t, w, testkit.UserdocksRegister(testkit.App, testkit.Email, newPassword), 201)
	}
	got := map[string]int{}
	for _, m := range w.Mails(t) {
		got[string(m.Template)+" "+m.Recipient]++
	}
	if diff := cmp.Diff(map[string]int{"confirm grace@example.com": 5, "taken " + testkit.Email: 5}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Two headers, two recipients, a name: none of it reaches the outbox.
func TestAddressesThatAreMoreThanOne(t *testing.T) {
	w := testkit.NewWorld(t)
	users := w.Count(t, "user")
	for _, email := range []string{
		"a@b.example\r\nBcc: x@y.example", "a@b.example\nBcc: x@y.example", "a@b.example\rBcc: x@y.example", "a@b.example\n",
		"a@b.example\u2028Bcc: x@y.example", "a@b.example\u0085Bcc: x@y.example", "a\u2029@b.example", "a\x7f@b.example", "a\x00@b.example",
		"a@b.example,x@y.example", "a@b.example x@y.example", "a@b.example;x@y.example", "<a@b.example>", "Ada <a@b.example>",
		`"a b"@b.example`, `"a\r\nBcc: x"@b.example`, "a@b.example>", "a(x@y.example)@b.example", "a@[127.0.0.1]", "a@b", "@b.example", "a@", "a", "a@b@c.example",
		"a@b.example?bcc=x@y.example%0d%0a,x", strings.Repeat("a", 243) + "@b.example.com",
	} {
		for what, r := range map[string]*http.Request{
			"register": testkit.UserdocksRegister(testkit.App, email, newPassword),
			"forgot":   testkit.UserdocksForgot(testkit.App, email),
		} {
			if a := testkit.Send(w.Handler, r); a.Status != 400 || a.Error != "[E4000]" {
				t.Errorf("%s %q: %d %s", what, email, a.Status, a.Body)
			}
		}
	}
	if n := w.Count(t, "user") - users; n != 0 || w.Count(t, "outbox") != 0 {
		t.Errorf("%d users and %d mails came of it", n, w.Count(t, "outbox"))
	}
}

// opened is what a user has open: two grants, and a code not yet redeemed.
type opened struct {
	app, also testkit.Answer
	code      string
}

func open(t *testing.T, w *testkit.World, email, password string) opened {
	t.Helper()
	return opened{
		app: w.SignInAs(t, email, password), also: w.SignInAs(t, email, password),
		code: send(t, w, testkit.UserdocksCodes(testkit.App, email, password), 201).Code,
	}
}

func (o opened) mustBeClosed(t *testing.T, w *testkit.World) {
	t.Helper()
	for _, a := range []testkit.Answer{o.app, o.also} {
		send(t, w, testkit.UserdocksRefresh(testkit.App, a.RefreshToken), 400)
		send(t, w, testkit.UserdocksMe(a.AccessToken), 401)
	}
	send(t, w, testkit.UserdocksRedeem(testkit.App, o.code), 400)
}

func register(t *testing.T, w *testkit.World, email, password string) {
	t.Helper()
	send(t, w, testkit.UserdocksRegister(testkit.App, email, password), 201)
	mails := w.Mails(t)
	if len(mails) != 1 || mails[0].Recipient != email {
		t.Fatalf("mails %+v, want one to %s", mails, email)
	}
	send(t, w, testkit.UserdocksConfirm(testkit.App, mails[0].Link), 200)
}

// Who resets his password may have lost it to somebody: all that was opened with
// it is shut. Others are not concerned.
func TestResetEndsWhatThePasswordHadOpened(t *testing.T) {
	w := testkit.NewWorld(t)
	register(t, w, "grace@example.com", "the old passphrase")
	hers, ada := open(t, w, "grace@example.com", "the old passphrase"), w.SignIn(t)

	send(t, w, testkit.UserdocksForgot(testkit.App, "grace@example.com"), 200)
	send(t, w, testkit.UserdocksForgot(testkit.App, "grace@example.com"), 200)
	mails := w.Mails(t)
	send(t, w, testkit.UserdocksMe(hers.app.AccessToken), 200) // asking for a mail ends nothing
	send(t, w, testkit.UserdocksReset(testkit.App, "grace@example.com", mails[0].Link, newPassword), 200)

	hers.mustBeClosed(t, w)
	send(t, w, testkit.UserdocksCodes(testkit.App, "grace@example.com", "the old passphrase"), 400)
	w.SignInAs(t, "grace@example.com", newPassword)
	// The second mail was for the password that is gone.
	send(t, w, testkit.UserdocksReset(testkit.App, "grace@example.com", mails[1].Link, "a third passphrase"), 400)
	w.SignInAs(t, "grace@example.com", newPassword)
	send(t, w, testkit.UserdocksRefresh(testkit.App, ada.RefreshToken), 201)
}

// A deleted user leaves nothing behind that finds him, and the address is free.
func TestDeleteLeavesNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	tables := []string{"user", "user_identifier", "membership", "link", "outbox", "session"}
	before := map[string]int{}
	for _, table := range tables {
		before[table] = w.Count(t, table)
	}
	register(t, w, "grace@example.com", newPassword)
	send(t, w, testkit.UserdocksForgot(testkit.App, "grace@example.com"), 200) // a mail that is not sent yet
	hers, ada := open(t, w, "grace@example.com", newPassword), w.SignIn(t)

	a := send(t, w, testkit.UserdocksAs(hers.app.AccessToken, "DELETE", "/api/v1/users/me", nil), 200)
	var deleted struct {
		Items []struct{ UUID, Email string }
	}
	if err := json.Unmarshal([]byte(a.Body), &deleted); err != nil || len(deleted.Items) != 1 || deleted.Items[0].Email != "grace@example.com" {
		t.Fatalf("%s: %v", a.Body, err)
	}
	hers.mustBeClosed(t, w)
	after := map[string]int{}
	for _, table := range tables {
		after[table] = w.Count(t, table)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rows: (-before +after)\n%s", diff)
	}
	if mails := w.Mails(t); len(mails) != 0 {
		t.Errorf("mails to a deleted user: %+v", mails)
	}
	register(t, w, "grace@example.com", "another passphrase")
	again := send(t, w, testkit.UserdocksMe(w.SignInAs(t, "grace@example.com", "another passphrase").AccessToken), 200)
	if strings.Contains(again.Body, deleted.Items[0].UUID) {
		t.Error("the new user has the id of the deleted one")
	}
	send(t, w, testkit.UserdocksRefresh(testkit.App, ada.RefreshToken), 201)
}

// A number that somebody has verified is not somebody's next number.
func TestAnotherNumberIsNotVerified(t *testing.T) {
	w := testkit.NewWorld(t)
	token := w.SignIn(t).AccessToken
	u, _, err := w.Store.User(t.Context(), w.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	u.Claims = []byte(`{"phone_number":"+49 30 1","phone_number_verified":true,"zoneinfo":"Europe/Berlin","x":[1]}`)
	if _, err := w.Store.PutUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		body any
		want string
	}{
		{map[string]any{"phoneNumber": "+49 30 1", "addresses": []any{}}, `{"phone_number":"+49 30 1","phone_number_verified":true,"x":[1],"zoneinfo":"Europe/Berlin"}`},
		{map[string]any{"phoneNumber": "+49 30 22"}, `{"phone_number":"+49 30 22","x":[1],"zoneinfo":"Europe/Berlin"}`},
		{map[string]any{"addresses": []any{map[string]any{"name": "Ada", "addressLineOne": "1 Street", "locality": "London", "postalCode": "W1"}, map[string]any{"locality": "Paris"}}},
			`{"address":{"locality":"London","postal_code":"W1","street_address":"1 Street"},"phone_number":"+49 30 22","x":[1],"zoneinfo":"Europe/Berlin"}`},
		{map[string]any{"addresses": nil, "phoneNumber": nil}, `{"x":[1],"zoneinfo":"Europe/Berlin"}`},
	} {
		send(t, w, testkit.UserdocksAs(token, "PUT", "/api/v1/users/me", tt.body), 200)
		u, _, err := w.Store.User(t.Context(), w.User.ID)
		if err != nil || string(u.Claims) != tt.want {
			t.Errorf("%v: %s, %v; want %s", tt.body, u.Claims, err, tt.want)
		}
	}
}

// The limits on guessing are no fault: 429, and when to come back.
func TestTooManyGuesses(t *testing.T) {
	w := testkit.NewWorld(t)
	for range 10 {
		send(t, w, testkit.UserdocksCodes(testkit.App, testkit.Email, "wrong"), 400)
	}
	a := send(t, w, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password), 429)
	if a.Error != "[E4290]" || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "Too Many Requests") {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	after, err := time.ParseDuration(a.Header.Get("Retry-After") + "s")
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(after)
	send(t, w, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password), 201)
}

// requests are one of each kind, each of which would be served.
func requests(t *testing.T, w *testkit.World) map[string]*http.Request {
	t.Helper()
	token := w.SignIn(t).AccessToken
	code := send(t, w, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password), 201).Code
	send(t, w, testkit.UserdocksRegister(testkit.App, "pending@example.com", newPassword), 201)
	send(t, w, testkit.UserdocksForgot(testkit.App, testkit.Email), 200)
	links := map[store.Purpose]string{}
	for _, m := range w.Mails(t) {
		links[m.Template] = m.Link
	}
	backEnd := func(method, path string, body any) *http.Request {
		key := map[string]string{"read": testkit.ReadKey, "write": testkit.WriteKey}
		access := map[string]string{"GET": "read", "PUT": "write"}[method]
		return testkit.UserdocksBackEnd(testkit.App, key[access], access, method, "/api/v1/apps/"+testkit.App+path, body)
	}
	name := map[string]any{"givenName": "Ada"}
	return map[string]*http.Request{
		"register": testkit.UserdocksRegister(testkit.App, "grace@example.com", newPassword),
		"forgot":   testkit.UserdocksForgot(testkit.App, testkit.Email),
		"reset":    testkit.UserdocksReset(testkit.App, testkit.Email, links[store.PurposeReset], newPassword),
		"confirm":  testkit.UserdocksConfirm(testkit.App, links[store.PurposeConfirm]),
		"codes":    testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password),
		"redeem":   testkit.UserdocksRedeem(testkit.App, code),
		"me":       testkit.UserdocksMe(token),
		"update":   testkit.UserdocksAs(token, "PUT", "/api/v1/users/me", name),
		"delete":   testkit.UserdocksAs(token, "DELETE", "/api/v1/users/me", nil),
		"tenant":   testkit.UserdocksAs(token, "GET", "/api/v1/tenants/bb000000-0000-4000-8000-000000000000", nil),
		"users":    backEnd("GET", "/users", nil),
		"user":     backEnd("PUT", "/users/"+testkit.Email+"?language=en", name),
	}
}

// A store that does not answer is a 503 with the envelope of all errors, and the
// operator's words stay with the operator.
func TestFaultsArePassing(t *testing.T) {
	w := testkit.NewWorld(t)
	all := requests(t, w)
	mails := w.Count(t, "outbox")
	w.Clock.Advance(2 * time.Second) // what is cached of clients is too old
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, r := range all {
		a := testkit.Send(w.Handler, r)
		if a.Status != 503 || a.Error != "[E0000]" || a.Header.Get("Retry-After") != "1" || strings.Contains(a.Body, "closed") {
			t.Errorf("%s: %d %v %s", name, a.Status, a.Header, a.Body)
		}
	}
	if n := w.Count(t, "outbox") - mails; n != 0 {
		t.Errorf("%d mails came of requests that failed", n)
	}
}

// G30 for every route that reads a body: what is broken is a refusal, never a
// fault.
func TestBrokenBodies(t *testing.T) {
	w := testkit.NewWorld(t)
	type body struct {
		text, mediaType string
		status          int
	}
	bodies := map[string]body{
		"nothing":        {"", "application/json", 400},
		"an array":       {"[]", "application/json", 400},
		"null":           {"null", "application/json", 400},
		"half an object": {`{"appUuid":`, "application/json", 400},
		"two objects":    {"{}{}", "application/json", 400},
		"a member twice": {`{"email":"a","email":"b"}`, "application/json", 400},
		"not UTF-8":      {"{\"givenName\":\"\xff\"}", "application/json", 400},
		"NUL":            {`{"givenName":"\u0000","appUuid":"\u0000","email":"\u0000"}`, "application/json", 400},
		"deep":           {`{"addresses":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + "}", "application/json", 400},
		"numbers":        {`{"appUuid":1,"email":2,"givenName":3,"addresses":4}`, "application/json", 400},
		"too long":       {strings.Repeat(" ", 65537), "application/json", 413},
		"a form":         {"email=a", "application/x-www-form-urlencoded", 415},
		"text":           {"{}", "text/plain;charset=UTF-8", 415},
	}
	for name, r := range requests(t, w) {
		if r.Body == http.NoBody {
			continue
		}
		for what, b := range bodies {
			bad := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(b.text))
			maps.Copy(bad.Header, r.Header)
			bad.Header.Set("Content-Type", b.mediaType)
			a := testkit.Send(w.Handler, bad)
			if code := map[int]string{400: "[E4000]", 413: "[E4130]", 415: "[E4150]"}[b.status]; a.Status != b.status || a.Error != code {
				t.Errorf("%s with %s: %d %s", name, what, a.Status, a.Body)
			}
		}
	}
}

// What the log says of the whole journey is fit for anybody who may read logs.
func TestLogOfTheJourneyHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	w := testkit.NewWorld(t, testkit.LogTo(&log))
	send(t, w, testkit.UserdocksRegister(testkit.App, "grace@example.com", "the old passphrase"), 201)
	confirm := w.Mails(t)[0].Link
	send(t, w, testkit.UserdocksConfirm(testkit.OtherApp, confirm), 400)
	send(t, w, testkit.UserdocksConfirm(testkit.App, confirm), 200)
	send(t, w, testkit.UserdocksForgot(testkit.App, "grace@example.com"), 200)
	reset := w.Mails(t)[0].Link
	send(t, w, testkit.UserdocksReset(testkit.App, "grace@example.com", reset, newPassword), 200)
	send(t, w, testkit.UserdocksReset(testkit.App, "grace@example.com", reset, newPassword), 400)
	token := w.SignInAs(t, "grace@example.com", newPassword).AccessToken
	r := testkit.UserdocksBackEnd(testkit.App, testkit.WriteKey, "write", "PUT", "/api/v1/apps/"+testkit.App+"/users/grace@example.com?language=en",
		map[string]any{"phoneNumber": "+49 30 7654321"})
	send(t, w, r, 200)
	send(t, w, testkit.UserdocksAs(token, "DELETE", "/api/v1/users/me", nil), 200)
	for name, secret := range map[string]string{
		"confirmation link": confirm, "reset link": reset, "old password": "the old passphrase", "new password": newPassword,
		"address": "grace@example.com", "telephone number": "7654321", "API key": testkit.WriteKey, "access token": token,
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	if !strings.Contains(log.String(), `"reason":"link: not open"`) || !strings.Contains(log.String(), `"endpoint":"/api/v1/user-confirm-hashes/{hash}"`) {
		t.Errorf("the log does not say what happened:\n%s", log.String())
	}
}

// Pages neither overlap nor leave anybody out.
func TestPagesAreAllUsers(t *testing.T) {
	w := testkit.NewWorld(t)
	for i := range 9 {
		id := store.UserID{0xdd, byte(i), 6: 0x40, 8: 0x80}
		email := fmt.Sprintf("u%d@example.com", i)
		_, err := w.Store.PutUser(t.Context(), store.User{ID: id, Email: email, Claims: []byte(`{}`), CredentialVersion: 1, ClientID: testkit.App,
			Identifiers: []store.Identifier{{Kind: "email", Value: email}}, CreatedAt: w.Clock.Now().UnixMilli(), UpdatedAt: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for page := 1; page <= 4; page++ {
		r := testkit.UserdocksBackEnd(testkit.App, testkit.ReadKey, "read", "GET", fmt.Sprintf("/api/v1/apps/%s/users?page=%d&limit=5", testkit.App, page), nil)
		var v struct {
			TotalItems, ItemsLength int
			Items                   []struct{ UUID string }
		}
		if err := json.Unmarshal([]byte(send(t, w, r, 200).Body), &v); err != nil {
			t.Fatal(err)
		}
		if want := []int{5, 5, 2, 0}[page-1]; v.TotalItems != 12 || v.ItemsLength != want || len(v.Items) != want {
			t.Errorf("page %d: total %d, length %d, items %d; want 12, %d", page, v.TotalItems, v.ItemsLength, len(v.Items), want)
		}
		for _, u := range v.Items {
			seen[u.UUID]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s stands on %d pages", id, n)
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d users, want 12", len(seen))
	}
}
