package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

func from(ip string) engine.Trace { return engine.Trace{RequestID: "r", IP: ip} }

// code is the code of a refusal; "" for none.
func code(err error) oauth.ErrorCode {
	if err == nil {
		return ""
	}
	return oauth.AsError(err).Code
}

// withAlias gives the world's user a user name beside the address.
func withAlias(t *testing.T, w *testkit.World) {
	t.Helper()
	w.User.Identifiers = append(w.User.Identifiers, store.Identifier{Kind: "username", Value: "ada"})
	if out, err := w.Store.PutUser(t.Context(), w.User); err != nil || out != store.Done {
		t.Fatal(out, err)
	}
}

// Abuse case 56: the failures hang on the account; an alias doubles nothing.
func TestGuessesAreLimitedByAccount(t *testing.T) {
	w := testkit.NewWorld(t)
	withAlias(t, w)
	signIn := func(name, word, ip string) error {
		_, err := w.Engine.SignIn(t.Context(), name, word, nil, from(ip))
		return err
	}
	for i := range 10 {
		// Each from a network of its own, so that only the account counts.
		if err := signIn([]string{testkit.Email, "ADA "}[i%2], "wrong", fmt.Sprintf("203.0.%d.1", i)); code(err) != oauth.AccessDenied {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	err := signIn("ada", testkit.Password, "203.0.113.1")
	if code(err) != oauth.TemporarilyUnavailable || oauth.AsError(err).Fault() || oauth.AsError(err).RetryAfter <= 0 {
		t.Fatalf("the 11th guess, though right: %v", err)
	}
	// Never for good: it is slowed, not closed.
	w.Clock.Advance(time.Second)
	if err := signIn("ada", testkit.Password, "203.0.113.1"); err != nil {
		t.Fatalf("a second later: %v", err)
	}
	// The success has taken the failures back.
	for range 10 {
		if err := signIn("ada", "wrong", "203.0.114.1"); code(err) != oauth.AccessDenied {
			t.Fatalf("after a success: %v", err)
		}
	}
	// Somebody else keeps the account hot; its owner comes from where he came from
	// last and is let in.
	if err := signIn("ada", testkit.Password, "203.0.115.1"); code(err) != oauth.TemporarilyUnavailable {
		t.Fatalf("a stranger: %v", err)
	}
	if err := signIn("ada", testkit.Password, "203.0.113.77"); err != nil {
		t.Errorf("the owner, from his network: %v", err)
	}
	// His network is no way around the limit, either.
	for i := range 10 {
		if err := signIn("ada", "wrong", "203.0.113.5"); code(err) != oauth.AccessDenied {
			t.Fatalf("guess %d from the owner's network: %v", i, err)
		}
	}
	if err := signIn(testkit.Email, testkit.Password, "203.0.113.6"); code(err) != oauth.TemporarilyUnavailable {
		t.Errorf("the 11th guess from the owner's network: %v", err)
	}
}

// The limits tell nobody who has an account.
func TestGuessLimitsAreAlikeForNobody(t *testing.T) {
	run := func(name string, ip func(i int) string) (answers []string) {
		w := testkit.NewWorld(t)
		for i := range 24 {
			_, err := w.Engine.SignIn(t.Context(), name, "wrong", nil, from(ip(i)))
			answers = append(answers, fmt.Sprint(code(err), " ", oauth.AsError(err).RetryAfter))
			if i >= 12 {
				w.Clock.Advance(700 * time.Millisecond)
			}
		}
		return answers
	}
	for where, ip := range map[string]func(int) string{
		"one network":   func(int) string { return "192.0.2.1" },
		"many networks": func(i int) string { return fmt.Sprintf("198.18.%d.1", i) },
	} {
		known, unknown := run(testkit.Email, ip), run("nobody@example.com", ip)
		if fmt.Sprint(known) != fmt.Sprint(unknown) || !strings.HasPrefix(known[9], "access_denied") || !strings.HasPrefix(known[10], "temporarily") {
			t.Errorf("%s:\nknown   %v\nunknown %v", where, known, unknown)
		}
	}
}

func TestGuessDelayGrowsAndEnds(t *testing.T) {
	w := testkit.NewWorld(t)
	last := time.Duration(0)
	for i := range 40 {
		for {
			_, err := w.Engine.SignIn(t.Context(), testkit.Email, "wrong", nil, from(fmt.Sprintf("198.51.%d.1", i)))
			if code(err) == oauth.AccessDenied {
				break
			}
			if code(err) != oauth.TemporarilyUnavailable {
				t.Fatal(err)
			}
			last = oauth.AsError(err).RetryAfter
			w.Clock.Advance(last)
		}
	}
	if last != 15*time.Minute {
		t.Errorf("after 40 failures the delay is %v, want 15m", last)
	}
}

func TestGuessesAreLimitedByNetwork(t *testing.T) {
	w := testkit.NewWorld(t)
	names := 0
	try := func(ip string) error {
		names++
		_, err := w.Engine.SignIn(t.Context(), fmt.Sprintf("nobody%d@example.com", names), "wrong", nil, from(ip))
		return err
	}
	for i := range 30 {
		if err := try(fmt.Sprintf("192.0.2.%d", i)); code(err) != oauth.AccessDenied {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if err := try("192.0.2.200"); code(err) != oauth.TemporarilyUnavailable {
		t.Errorf("the 31st from one /24: %v", err)
	}
	if err := try("192.0.3.1"); code(err) != oauth.AccessDenied {
		t.Errorf("another network: %v", err)
	}
	w.Clock.Advance(10 * time.Minute)
	if err := try("192.0.2.1"); code(err) != oauth.AccessDenied {
		t.Errorf("ten minutes later: %v", err)
	}
}

// Parallel guesses share one allowance: it is taken before the password is
// looked at.
func TestParallelGuessesShareOneAllowance(t *testing.T) {
	w := testkit.NewWorld(t)
	var looked, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			_, err := w.Engine.SignIn(t.Context(), testkit.Email, "wrong", nil, from(fmt.Sprintf("198.18.%d.1", i)))
			mu.Lock()
			defer mu.Unlock()
			switch code(err) {
			case oauth.AccessDenied:
				looked++
			case oauth.TemporarilyUnavailable:
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if looked != 10 || refused != 50 {
		t.Errorf("%d guesses were looked at and %d refused, want 10 and 50", looked, refused)
	}
}

func destination(t *testing.T, w *testkit.World) *engine.Destination {
	t.Helper()
	d, err := w.Engine.Destination(t.Context(), userdocks.Name, testkit.App, testkit.AppCallback, func(a, b string) bool { return a == b })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func signIn(t *testing.T, w *testkit.World) *engine.Session {
	t.Helper()
	s, err := w.Engine.SignIn(t.Context(), testkit.Email, testkit.Password, nil, from("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is born on the page ends with the session; what is born elsewhere does
// not.
func TestEndedSessionEndsItsGrants(t *testing.T) {
	w := testkit.NewWorld(t)
	elsewhere := w.SignIn(t)
	s, other := signIn(t, w), signIn(t, w)
	codes := map[*engine.Session]string{}
	for _, x := range []*engine.Session{s, other} {
		c, err := w.Engine.AuthorizeSession(t.Context(), x, destination(t, w), "s", nil, from("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		codes[x] = c
	}
	mine := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, codes[s]))
	if mine.Status != 201 {
		t.Fatalf("%d %s", mine.Status, mine.Body)
	}
	for range 2 { // twice is no fault
		if err := w.Engine.EndSession(t.Context(), s, engine.Trace{}); err != nil {
			t.Fatal(err)
		}
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, mine.RefreshToken)); a.Status != 400 {
		t.Errorf("refresh after logout: %d %s", a.Status, a.Body)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksMe(mine.AccessToken)); a.Status != 401 {
		t.Errorf("access token after logout: %d %s", a.Status, a.Body)
	}
	if x, err := w.Engine.Session(t.Context(), s.Cookie); x != nil || err != nil {
		t.Errorf("the cookie still opens a session: %v, %v", x, err)
	}
	if _, err := w.Engine.AuthorizeSession(t.Context(), s, destination(t, w), "s", nil, engine.Trace{}); code(err) != oauth.AccessDenied {
		t.Errorf("a birth from an ended session: %v", err)
	}
	// Another browser, and another way in, go on.
	if a := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, codes[other])); a.Status != 201 {
		t.Errorf("another session: %d %s", a.Status, a.Body)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, elsewhere.RefreshToken)); a.Status != 201 {
		t.Errorf("a grant without a session: %d %s", a.Status, a.Body)
	}
}

// Who signs in again in one browser has one sign-in: what was born of the earlier
// one lives, and logout ends all of it. Another user's ends at once.
func TestSignInsOfOneBrowserEndTogether(t *testing.T) {
	w := testkit.NewWorld(t)
	grant := func(s *engine.Session) testkit.Answer {
		t.Helper()
		c, err := w.Engine.AuthorizeSession(t.Context(), s, destination(t, w), "s", nil, engine.Trace{})
		if err != nil {
			t.Fatal(err)
		}
		return testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, c))
	}
	again := func(former *engine.Session) *engine.Session {
		t.Helper()
		s, err := w.Engine.SignIn(t.Context(), testkit.Email, testkit.Password, former, from("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := signIn(t, w)
	a := grant(first)
	second := again(first)
	third := again(second)
	b := grant(third)
	for i, s := range []*engine.Session{first, second} {
		for _, find := range []func() (*engine.Session, error){
			func() (*engine.Session, error) { return w.Engine.Session(t.Context(), s.Cookie) },
			func() (*engine.Session, error) { return w.Engine.SilentSession(t.Context(), s.SilentCookie) },
		} {
			if x, err := find(); x != nil || err != nil {
				t.Errorf("the cookie of sign-in %d still opens a session: %v, %v", i, x, err)
			}
		}
	}
	for _, g := range []*testkit.Answer{&a, &b} {
		if *g = testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, g.RefreshToken)); g.Status != 201 {
			t.Errorf("before logout: %d %s", g.Status, g.Body)
		}
	}
	if err := w.Engine.EndSession(t.Context(), third, engine.Trace{}); err != nil {
		t.Fatal(err)
	}
	for name, g := range map[string]testkit.Answer{"first": a, "third": b} {
		if r := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, g.RefreshToken)); r.Status != 400 {
			t.Errorf("the grant of the %s sign-in outlives the logout: %d", name, r.Status)
		}
	}
}

// A cookie is good for what it is for, as long as it is for it.
func TestSessionCookies(t *testing.T) {
	w := testkit.NewWorld(t)
	s := signIn(t, w)
	find := func(find func(context.Context, string) (*engine.Session, error), cookie string) bool {
		t.Helper()
		x, err := find(t.Context(), cookie)
		if err != nil {
			t.Fatal(err)
		}
		return x != nil
	}
	for name, got := range map[string]bool{
		"session by its cookie":        find(w.Engine.Session, s.Cookie),
		"silent by its cookie":         find(w.Engine.SilentSession, s.SilentCookie),
		"session by the silent cookie": !find(w.Engine.Session, s.SilentCookie),
		"silent by the session cookie": !find(w.Engine.SilentSession, s.Cookie),
		"relabelled":                   !find(w.Engine.Session, "tss"+s.SilentCookie[3:]),
		"junk":                         !find(w.Engine.Session, "junk"),
		"none":                         !find(w.Engine.Session, ""),
	} {
		if !got {
			t.Errorf("%s: wrong", name)
		}
	}
	w.Clock.Advance(7*24*time.Hour - time.Millisecond)
	if !find(w.Engine.Session, s.Cookie) {
		t.Error("a millisecond before its end there is no session")
	}
	w.Clock.Advance(time.Millisecond)
	if find(w.Engine.Session, s.Cookie) {
		t.Error("the session has no end")
	}
}

// A password change and a disabled account end sessions too.
func TestUserChangesEndSessions(t *testing.T) {
	w := testkit.NewWorld(t)
	s := signIn(t, w)
	w.User.CredentialVersion++
	if _, err := w.Store.PutUser(t.Context(), w.User); err != nil {
		t.Fatal(err)
	}
	if x, err := w.Engine.Session(t.Context(), s.Cookie); x != nil || err != nil {
		t.Errorf("%v, %v", x, err)
	}
}

func register(t *testing.T, w *testkit.World, email, word string) (*engine.ResourceOwner, error) {
	t.Helper()
	return w.Engine.Register(t.Context(), engine.RegisterRequest{
		Face: userdocks.Name, ClientID: testkit.App, Email: email, Password: word, Language: "de", Claims: []byte(`{}`), Trace: from("192.0.2.9"),
	})
}

// mails delivers what is due and returns it.
func mails(t *testing.T, w *testkit.World) (sent []engine.Mail) {
	t.Helper()
	if err := w.Engine.DeliverMail(t.Context(), func(_ context.Context, m engine.Mail) error {
		sent = append(sent, m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return sent
}

const goodPassword = "a wholly unlikely phrase"

// A mail server that is dead loses no registration: the mail is tried again,
// ever more seldom, visible to the operator, and the link is made anew each
// time.
func TestDeadMailServer(t *testing.T) {
	w := testkit.NewWorld(t)
	if _, err := register(t, w, "new@example.com", goodPassword); err != nil {
		t.Fatal(err)
	}
	var links []string
	dead := errors.New("connection refused")
	attempt := func() error {
		return w.Engine.DeliverMail(t.Context(), func(_ context.Context, m engine.Mail) error {
			links = append(links, m.Link)
			return dead
		})
	}
	if err := attempt(); !errors.Is(err, dead) {
		t.Fatal(err)
	}
	if err := attempt(); err != nil || len(links) != 1 {
		t.Errorf("tried again at once: %v, %d attempts", err, len(links))
	}
	box, err := w.Store.Mails(t.Context(), 10)
	if err != nil || len(box) != 1 || box[0].Attempts != 1 || box[0].LastError != dead.Error() || box[0].SentAt != 0 {
		t.Errorf("the operator sees %+v, %v", box, err)
	}
	w.Clock.Advance(15 * time.Second)
	if err := attempt(); !errors.Is(err, dead) || len(links) != 2 || links[0] == links[1] {
		t.Errorf("the second attempt: %v, links %q", err, links)
	}
	w.Clock.Advance(time.Hour)
	sent := mails(t, w)
	if len(sent) != 1 || sent[0].Recipient != "new@example.com" || sent[0].Language != "de" || sent[0].Template != "confirm" {
		t.Fatalf("sent %+v", sent)
	}
	if box, err = w.Store.Mails(t.Context(), 10); err != nil || box[0].Recipient != "" || box[0].SentAt == 0 || box[0].LastError != "" {
		t.Errorf("afterwards the operator sees %+v, %v", box, err)
	}
	if _, err := w.Engine.ConfirmEmail(t.Context(), userdocks.Name, testkit.App, sent[0].Link, engine.Trace{}); err != nil {
		t.Errorf("the link: %v", err)
	}
}

// A mail that cannot be sent is given up, not tried for ever.
func TestMailIsGivenUp(t *testing.T) {
	w := testkit.NewWorld(t)
	if _, err := register(t, w, "new@example.com", goodPassword); err != nil {
		t.Fatal(err)
	}
	attempts := 0
	for range 100 {
		_ = w.Engine.DeliverMail(t.Context(), func(context.Context, engine.Mail) error { attempts++; return errors.New("550 no") })
		w.Clock.Advance(6 * time.Hour)
	}
	if attempts != 20 {
		t.Errorf("%d attempts, want 20", attempts)
	}
}

// Two workers, one mail; and a worker that dies leaves it to the next.
func TestOneMailOneWorker(t *testing.T) {
	w := testkit.NewWorld(t)
	if _, err := register(t, w, "new@example.com", goodPassword); err != nil {
		t.Fatal(err)
	}
	var inner []engine.Mail
	err := w.Engine.DeliverMail(t.Context(), func(context.Context, engine.Mail) error {
		inner = mails(t, w) // another worker, while this one is at it
		panicked := errors.New("this worker dies")
		return panicked
	})
	if err == nil || len(inner) != 0 {
		t.Errorf("two workers have sent it: %v, %v", inner, err)
	}
	w.Clock.Advance(2 * time.Minute)
	if sent := mails(t, w); len(sent) != 1 {
		t.Errorf("nobody took over: %v", sent)
	}
}

func TestRegistration(t *testing.T) {
	w := testkit.NewWorld(t)
	confirm := func(link string) error {
		_, err := w.Engine.ConfirmEmail(t.Context(), userdocks.Name, testkit.App, link, engine.Trace{})
		return err
	}
	signIn := func(word string) error {
		_, err := w.Engine.SignIn(t.Context(), "New@Example.com", word, nil, from("192.0.2.5"))
		return err
	}
	first, err := register(t, w, "New@Example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	early := mails(t, w)
	if code(signIn(goodPassword)) != oauth.AccessDenied {
		t.Error("signed in before the address was verified")
	}
	// Somebody registers with the address again before that, in another tenant,
	// with another password. It changes nothing for the first: each mail confirms
	// what it was sent for, whatever came after.
	second, err := register(t, w, "new@example.com", "the password of a stranger")
	if err != nil || second.User.ID == first.User.ID {
		t.Fatalf("%v, %v", second, err)
	}
	strangers := mails(t, w)
	if err := confirm(early[0].Link); err != nil {
		t.Fatal(err)
	}
	if code(confirm(early[0].Link)) != oauth.InvalidGrant {
		t.Error("a link was used twice")
	}
	if code(confirm(strangers[0].Link)) != oauth.InvalidGrant {
		t.Error("the stranger's link takes the address from its owner")
	}
	if err := signIn(goodPassword); err != nil {
		t.Error(err)
	}
	if code(signIn("the password of a stranger")) != oauth.AccessDenied {
		t.Error("the stranger's password is good")
	}
	u, _, err := w.Store.UserByIdentifier(t.Context(), "new@example.com")
	if err != nil || u.ID != first.User.ID {
		t.Errorf("the address is %v's, want %v's; %v", u.ID, first.User.ID, err)
	}
	m, err := w.Store.Memberships(t.Context(), u.ID)
	if err != nil || len(m) != 1 || m[0].Tenant != first.Memberships[0].Tenant {
		t.Errorf("the tenants are %v, %v", m, err)
	}
	// Registered again afterwards: nothing changes, the owner gets a mail, and the
	// answer looks like that of a new account.
	again, err := register(t, w, "new@example.com", "somebody else's password")
	if err != nil || again.User.ID == first.User.ID || again.User.EmailVerified || again.User.Email != "new@example.com" {
		t.Errorf("%+v, %v", again, err)
	}
	if m := mails(t, w); len(m) != 1 || m[0].Template != "taken" || m[0].Link != "" || !strings.EqualFold(m[0].Recipient, "new@example.com") {
		t.Errorf("the owner gets %+v", m)
	}
	if err := signIn(goodPassword); err != nil {
		t.Error(err)
	}
}

// However often somebody registers with an address, the link that its owner got
// first stays good, and there are no more mails than the limit.
func TestRegistrationCannotBeDrowned(t *testing.T) {
	w := testkit.NewWorld(t)
	if _, err := register(t, w, "new@example.com", goodPassword); err != nil {
		t.Fatal(err)
	}
	links := mails(t, w)
	users := w.Count(t, "user")
	for i := range 20 {
		if _, err := register(t, w, "NEW@example.com", fmt.Sprintf("a stranger's word %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if more := mails(t, w); len(more) != 4 || w.Count(t, "user") != users+4 {
		t.Errorf("%d mails more and %d users, want 4 of each", len(more), w.Count(t, "user")-users)
	}
	if _, err := w.Engine.ConfirmEmail(t.Context(), userdocks.Name, testkit.App, links[0].Link, engine.Trace{}); err != nil {
		t.Error(err)
	}
}

// What nobody has looked at is no guess: neither under overload nor for a word
// that no account can have.
func TestGuessesThatWereNotLookedAt(t *testing.T) {
	w := testkit.NewWorld(t)
	long := strings.Repeat("ü", 600)
	for i := range 30 {
		if _, err := w.Engine.SignIn(t.Context(), testkit.Email, long, nil, from(fmt.Sprintf("198.18.%d.1", i))); code(err) != oauth.AccessDenied {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		e, err := engine.New(ctx, engine.Config{
			Store: givesUp{w.Store, cancel}, Master: w.Master, Now: w.Clock.Now,
			Hasher: password.New(password.Params{Memory: 64, Time: 1, Threads: 1}, 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.SignIn(ctx, testkit.Email, testkit.Password, nil, from(fmt.Sprintf("198.19.%d.1", i)))
		if code(err) != oauth.TemporarilyUnavailable || !oauth.AsError(err).Fault() {
			t.Fatal(err)
		}
	}
	if _, err := w.Engine.SignIn(t.Context(), testkit.Email, testkit.Password, nil, from("203.0.113.1")); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// givesUp is a store whose caller gives up once the guess is taken: he never gets
// a place among the hashers.
type givesUp struct {
	store.Store
	cancel context.CancelFunc
}

func (g givesUp) TakeGuess(ctx context.Context, in store.TakeGuess) (store.Outcome, error) {
	out, err := g.Store.TakeGuess(ctx, in)
	g.cancel()
	return out, err
}

// A store that reads and cannot write (a full disk) does not make the outbox spin.
func TestOutboxDoesNotSpin(t *testing.T) {
	w := testkit.NewWorld(t)
	for i := range 25 {
		if _, err := register(t, w, fmt.Sprintf("new%d@example.com", i), goodPassword); err != nil {
			t.Fatal(err)
		}
	}
	full := &fullDisk{Store: w.Store}
	e, err := engine.New(t.Context(), engine.Config{Store: full, Master: w.Master, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.DeliverMail(t.Context(), func(context.Context, engine.Mail) error { t.Error("sent"); return nil }); err == nil {
		t.Error("no error")
	}
	if full.attempts > 20 {
		t.Errorf("%d attempts in one round", full.attempts)
	}
}

type fullDisk struct {
	store.Store
	attempts int
}

func (f *fullDisk) AttemptMail(context.Context, store.AttemptMail) (store.Outcome, error) {
	f.attempts++
	return 0, errors.New("disk full")
}

// Links expire, and are for one purpose and one client.
func TestLinks(t *testing.T) {
	w := testkit.NewWorld(t)
	forgot := func() string {
		t.Helper()
		if err := w.Engine.ForgotPassword(t.Context(), userdocks.Name, testkit.App, "ADA@example.com", "en", engine.Trace{}); err != nil {
			t.Fatal(err)
		}
		m := mails(t, w)
		if len(m) != 1 || m[0].Recipient != testkit.Email {
			t.Fatalf("%+v", m)
		}
		return m[0].Link
	}
	reset := func(client, link string) oauth.ErrorCode {
		return code(w.Engine.ResetPassword(t.Context(), userdocks.Name, client, link, goodPassword, engine.Trace{}))
	}
	link := forgot()
	if reset(testkit.OtherApp, link) != oauth.InvalidGrant {
		t.Error("another app's link")
	}
	if _, err := w.Engine.ConfirmEmail(t.Context(), userdocks.Name, testkit.App, link, engine.Trace{}); code(err) != oauth.InvalidGrant {
		t.Error("a reset link confirms")
	}
	for name, junk := range map[string]string{"garbled": link[:30] + "x" + link[31:], "none": "", "a refresh token": w.SignIn(t).RefreshToken} {
		if reset(testkit.App, junk) != oauth.InvalidGrant {
			t.Errorf("%s was accepted", name)
		}
	}
	w.Clock.Advance(time.Hour - time.Millisecond)
	if open, err := w.Engine.LinkOpen(t.Context(), userdocks.Name, testkit.App, link, engine.PurposeReset); !open || err != nil {
		t.Error("it is closed before its hour", err)
	}
	w.Clock.Advance(time.Millisecond)
	if reset(testkit.App, link) != oauth.InvalidGrant {
		t.Error("an expired link")
	}
	session, grant := signIn(t, w), w.SignIn(t)
	if reset(testkit.App, forgot()) != "" {
		t.Error("the good one was refused")
	}
	if x, err := w.Engine.Session(t.Context(), session.Cookie); x != nil || err != nil {
		t.Error("the session outlives the password", err)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, grant.RefreshToken)); a.Status != 400 {
		t.Errorf("the grant outlives the password: %d", a.Status)
	}
	// Nobody's address: the same answer and no mail.
	if err := w.Engine.ForgotPassword(t.Context(), userdocks.Name, testkit.App, "nobody@example.com", "en", engine.Trace{}); err != nil || len(mails(t, w)) != 0 {
		t.Error("nobody got a mail", err)
	}
}

// One address cannot be flooded.
func TestMailsAreLimited(t *testing.T) {
	w := testkit.NewWorld(t)
	for range 20 {
		if err := w.Engine.ForgotPassword(t.Context(), userdocks.Name, testkit.App, testkit.Email, "en", engine.Trace{}); err != nil {
			t.Fatal(err)
		}
	}
	if m := mails(t, w); len(m) != 5 {
		t.Errorf("%d mails in an hour, want 5", len(m))
	}
	w.Clock.Advance(time.Hour)
	if err := w.Engine.ForgotPassword(t.Context(), userdocks.Name, testkit.App, testkit.Email, "en", engine.Trace{}); err != nil || len(mails(t, w)) != 1 {
		t.Error("an hour later there is none", err)
	}
}

func TestCheckEmail(t *testing.T) {
	for _, good := range []string{"a@b.example", "a.b+c@d.example", " a@b.example ", "ü@b.example"} {
		if err := engine.CheckEmail(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a", "@b.example", "a@", "a@b", "a@ok.example@evil.example", "a b@c.example", "a@b.example\r\nBcc: x@y.example", "a@b.example\nX: y",
		"Ada <a@b.example>", "<a@b.example>", "a@b.example,c@d.example", "a@b.example;c@d.example", `"a b"@c.example`, "a@[192.0.2.1]",
		"a@b.example\x00", "\u212Aim@b.example", strings.Repeat("a", 250) + "@b.example",
	} {
		if err := engine.CheckEmail(bad); code(err) != oauth.InvalidRequest {
			t.Errorf("%q was accepted: %v", bad, err)
		}
	}
}

func TestCheckNewPassword(t *testing.T) {
	for _, good := range []string{goodPassword, "8 signs!", "ünïcödé!"} {
		if err := engine.CheckNewPassword(good, "ada@example.com"); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for name, bad := range map[string]string{
		"short": "1234567", "common": "password123", "the address": "Ada@example.com", "long": strings.Repeat("a", 1025), "empty": "",
	} {
		if err := engine.CheckNewPassword(bad, "ada@example.com"); code(err) != oauth.InvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A deleted user is gone, and so is all that was his; his address is free.
func TestDeleteUser(t *testing.T) {
	w := testkit.NewWorld(t)
	a, s := w.SignIn(t), signIn(t, w)
	if err := w.Engine.DeleteUser(t.Context(), w.User.ID, engine.Trace{}); err != nil {
		t.Fatal(err)
	}
	if r := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, a.RefreshToken)); r.Status != 400 {
		t.Errorf("refresh: %d %s", r.Status, r.Body)
	}
	if r := testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken)); r.Status != 401 {
		t.Errorf("me: %d %s", r.Status, r.Body)
	}
	if x, err := w.Engine.Session(t.Context(), s.Cookie); x != nil || err != nil {
		t.Errorf("session: %v, %v", x, err)
	}
	again, err := register(t, w, testkit.Email, goodPassword)
	if err != nil || again.User.ID == w.User.ID {
		t.Errorf("%v, %v", again, err)
	}
}

// Of many changes at once none is lost.
func TestProfileChangesAreNotLost(t *testing.T) {
	w := testkit.NewWorld(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			_, err := w.Engine.UpdateProfile(t.Context(), w.User.ID, func(u *engine.User) ([]byte, []byte, error) {
				return u.Claims, fmt.Appendf(u.Attributes, "%d", i), nil
			}, engine.Trace{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	u, _, err := w.Store.User(t.Context(), w.User.ID)
	if err != nil || len(u.Attributes) != 4 {
		t.Errorf("of four changes %q is left, %v", u.Attributes, err)
	}
}
