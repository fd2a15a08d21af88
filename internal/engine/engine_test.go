package engine_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// spy is a store that counts what it is asked, and fails on demand.
type spy struct {
	store.Store
	asked  atomic.Int64
	fail   atomic.Pointer[error]
	rotate func() // runs before a rotation; nil = nothing
}

func (s *spy) ask() error {
	s.asked.Add(1)
	if err := s.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *spy) Grant(ctx context.Context, id store.GrantID) (store.Grant, bool, error) {
	if err := s.ask(); err != nil {
		return store.Grant{}, false, err
	}
	return s.Store.Grant(ctx, id)
}

func (s *spy) Birth(ctx context.Context, b store.Birth) (store.Outcome, error) {
	if err := s.ask(); err != nil {
		return 0, err
	}
	return s.Store.Birth(ctx, b)
}

func (s *spy) RedeemCode(ctx context.Context, r store.Redeem) (store.Redeemed, error) {
	if err := s.ask(); err != nil {
		return store.Redeemed{}, err
	}
	return s.Store.RedeemCode(ctx, r)
}

func (s *spy) RedeemAnonymous(ctx context.Context, r store.RedeemAnonymous) (store.Redeemed, error) {
	if err := s.ask(); err != nil {
		return store.Redeemed{}, err
	}
	return s.Store.RedeemAnonymous(ctx, r)
}

func (s *spy) RotateRefresh(ctx context.Context, r store.Rotate) (store.Rotated, error) {
	if err := s.ask(); err != nil {
		return store.Rotated{}, err
	}
	if s.rotate != nil {
		s.rotate()
	}
	return s.Store.RotateRefresh(ctx, r)
}

func (s *spy) MACKeys(ctx context.Context) ([]store.MACKey, error) {
	if err := s.ask(); err != nil {
		return nil, err
	}
	return s.Store.MACKeys(ctx)
}

func (s *spy) User(ctx context.Context, id store.UserID) (store.User, bool, error) {
	if err := s.ask(); err != nil {
		return store.User{}, false, err
	}
	return s.Store.User(ctx, id)
}

// through puts a spy between a world's faces and its store.
func through(t *testing.T, w *testkit.World) (*spy, http.Handler) {
	t.Helper()
	s := &spy{Store: w.Store}
	e, err := engine.New(t.Context(), engine.Config{
		Store: s, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now,
		Hasher: password.New(password.Params{Memory: 64, Time: 1, Threads: 1}, 0),
		Keys:   []engine.KeySpec{dressipi.SigningKey, userdocks.SigningKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	funnel := wire.Funnel{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	funnel.Mount(mux, dressipi.Face(e))
	funnel.Mount(mux, userdocks.Face(e))
	// The clients are known and the clock stands: what is asked from now on is
	// asked for the artefact's sake.
	testkit.Send(mux, testkit.DressipiAuthorize(testkit.Shop))
	testkit.Send(mux, testkit.UserdocksRefresh(testkit.App, "x"))
	return s, mux
}

// DESIGN §3: junk is refused without the store.
func TestJunkCostsNoQuery(t *testing.T) {
	w := testkit.NewWorld(t)
	good, code := w.SignIn(t).RefreshToken, testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code
	s, h := through(t, w)
	s.asked.Store(0)
	flip := func(s string) string { return s[:20] + string(s[20]^1) + s[21:] }
	for _, junk := range []string{
		"undefined", "", strings.Repeat("A", 500), flip(good), flip(code), good[:len(good)-1], good + "A", "tsr_" + code[4:], "tsc_" + good[4:],
	} {
		for _, r := range []*http.Request{
			testkit.DressipiRedeem(testkit.Shop, junk), testkit.DressipiRefresh(testkit.Shop, junk),
			testkit.UserdocksRedeem(testkit.App, junk), testkit.UserdocksRefresh(testkit.App, junk),
		} {
			if a := testkit.Send(h, r); a.Status != 400 || a.AccessToken != "" {
				t.Errorf("%q: %d %s", junk, a.Status, a.Body)
			}
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("junk has asked the store %d times", n)
	}
	// The counter does count.
	if a := testkit.Send(h, testkit.UserdocksRefresh(testkit.App, good)); a.Status != 201 || s.asked.Load() == 0 {
		t.Errorf("a good token: %d %s, %d asked", a.Status, a.Body, s.asked.Load())
	}
}

// A forged tally that names an unknown key makes the ring look once a second at
// most, however many there are.
func TestUnknownKeyReloadsOnceASecond(t *testing.T) {
	w := testkit.NewWorld(t)
	w.SignIn(t)
	s, h := through(t, w)
	forged := tally.NewRing(tally.Issuer(w.Store.Issuer()), map[uint16]tally.Material{77: {}}, 77)
	token, err := forged.Mint(tally.Refresh, tally.Tally{Key: 77})
	if err != nil {
		t.Fatal(err)
	}
	for second := range 3 {
		s.asked.Store(0)
		for range 50 {
			if a := testkit.Send(h, testkit.UserdocksRefresh(testkit.App, token)); a.Status != 400 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("second %d: the store was asked %d times, want 1", second, n)
		}
		w.Clock.Advance(time.Second)
	}
}

// DESIGN §3: a stolen database, and all keys with it, forge nothing that was
// issued. Every 16 bytes that stand anywhere in the files are tried as the
// secret of some grant.
func TestDumpAndKeysForgeNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	profile, signedIn := w.NewProfile(t), w.SignIn(t)
	next := testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, profile.RefreshToken))
	outstanding := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code

	var dump []byte
	files, err := filepath.Glob(w.Path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		dump = append(dump, b...)
	}
	for name, secret := range map[string]string{
		"refresh token": profile.RefreshToken, "its successor": next.RefreshToken, "Userdocks refresh token": signedIn.RefreshToken,
		"code": outstanding, "access token": signedIn.AccessToken, "ID token": signedIn.IDToken, "password": testkit.Password, "API key": testkit.ReadKey,
	} {
		if strings.Contains(string(dump), secret) {
			t.Errorf("the database holds the %s", name)
		}
	}

	issuer := tally.Issuer(w.Store.Issuer())
	ids := make(map[tally.ID]bool)
	for i := 0; i+16 <= len(dump); i++ {
		ids[tally.ID(dump[i:])] = true // every grant's id is among these
	}
	opens := func(secret tally.Secret) bool { return ids[issuer.ID(secret)] }
	for i := 0; i+16 <= len(dump); i++ {
		if opens(tally.Secret(dump[i:])) {
			t.Fatalf("the 16 bytes at %d are the secret of a grant", i)
		}
	}
	// The search would find a secret if it were there.
	t.Logf("%d bytes searched", len(dump))
	if !opens(secretOf(t, signedIn.RefreshToken)) {
		t.Error("the search does not recognise the secret of a known grant")
	}
}

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

func secretOf(t *testing.T, token string) (s tally.Secret) {
	t.Helper()
	raw, err := decode(strings.TrimPrefix(token, "tsr_"))
	if err != nil {
		t.Fatal(err)
	}
	copy(s[:], raw[2:18])
	return s
}

// Promise 4: a store fault is a 503 with Retry-After, in the face's own shape,
// and never a token.
func TestStoreFaultIsATemporaryRefusal(t *testing.T) {
	w := testkit.NewWorld(t)
	signedIn, profile := w.SignIn(t), w.NewProfile(t)
	appCode := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code
	shopCode := testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code
	s, h := through(t, w)
	requests := func() map[string]*http.Request {
		return map[string]*http.Request{
			"Userdocks sign-in": testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password),
			"Userdocks code":    testkit.UserdocksRedeem(testkit.App, appCode),
			"Userdocks refresh": testkit.UserdocksRefresh(testkit.App, signedIn.RefreshToken),
			"Userdocks me":      testkit.UserdocksMe(signedIn.AccessToken),
			"Dressipi code":     testkit.DressipiRedeem(testkit.Shop, shopCode),
			"Dressipi refresh":  testkit.DressipiRefresh(testkit.Shop, profile.RefreshToken),
		}
	}
	for _, fault := range []error{store.ErrBusy, store.ErrUnknownFate, store.ErrClosed, io.ErrUnexpectedEOF} {
		s.fail.Store(&fault)
		for name, r := range requests() {
			a := testkit.Send(h, r)
			if a.Status != 503 || a.Header.Get("Retry-After") == "" || a.AccessToken+a.RefreshToken+a.Code != "" {
				t.Errorf("%s, %v: %d %s", name, fault, a.Status, a.Body)
			}
			if strings.Contains(a.Body, fault.Error()) {
				t.Errorf("%s: the answer tells of the fault: %s", name, a.Body)
			}
		}
	}
	// Nothing was lost: all of it works when the store is back.
	s.fail.Store(nil)
	for name, r := range requests() {
		if a := testkit.Send(h, r); a.Status != 200 && a.Status != 201 {
			t.Errorf("%s afterwards: %d %s", name, a.Status, a.Body)
		}
	}
}

// A rotation of the MAC key logs nobody out: tokens under the old key stay
// good, and move to the new one at their next use. It becomes active a minute
// after every node can have it.
func TestMACKeyRotation(t *testing.T) {
	w := testkit.NewWorld(t)
	before := w.SignIn(t)
	number, err := w.Engine.RotateMACKey(t.Context())
	if err != nil || number != 2 {
		t.Fatal(number, err)
	}
	key := func(token string) byte {
		raw, err := decode(strings.TrimPrefix(token, "tsr_"))
		if err != nil {
			t.Fatal(err)
		}
		return raw[1]
	}
	w.Clock.Advance(59 * time.Second)
	within := w.SignIn(t)
	if k := key(within.RefreshToken); k != 1 {
		t.Errorf("minted under key %d before its time", k)
	}
	// Another node, which has not seen the new key being made.
	w.Clock.Advance(time.Second)
	after := w.SignIn(t)
	if k := key(after.RefreshToken); k != 2 {
		t.Errorf("minted under key %d, want 2", k)
	}
	for name, token := range map[string]string{"before": before.RefreshToken, "within": within.RefreshToken, "after": after.RefreshToken} {
		a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, token))
		if a.Status != 201 || key(a.RefreshToken) != 2 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// What one node adds, another finds when a client brings it.
func TestRingIsReloadedForAnUnknownKey(t *testing.T) {
	w := testkit.NewWorld(t)
	_, other := through(t, w)
	if _, err := w.Engine.RotateMACKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	a := testkit.Send(other, testkit.UserdocksRefresh(testkit.App, w.SignIn(t).RefreshToken))
	if a.Status != 201 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// A retry at a node that has not seen the key its successor is under: the node
// looks, and answers (promise 2).
func TestRetryUnderAnUnseenKey(t *testing.T) {
	w := testkit.NewWorld(t)
	first := w.SignIn(t)
	_, other := through(t, w)
	w.Clock.Advance(time.Second)
	if _, err := w.Engine.RotateMACKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	lost := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, first.RefreshToken))
	a := testkit.Send(other, testkit.UserdocksRefresh(testkit.App, first.RefreshToken))
	if a.Status != 201 || a.RefreshToken != lost.RefreshToken {
		t.Errorf("%d %s, want the same successor", a.Status, a.Body)
	}
}

// Keys that others add come in by themselves, before they are used.
func TestKeysAreWatched(t *testing.T) {
	w := testkit.NewWorld(t)
	s, _ := through(t, w)
	e, err := engine.New(t.Context(), engine.Config{Store: s, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s.asked.Store(0)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.WatchKeys(ctx, time.Millisecond, func(err error) { t.Error(err) }) }()
	for s.asked.Load() == 0 {
		runtime.Gosched()
	}
	stop()
	<-done
}

// The client is disabled while its exchange is under way, and somebody else's
// request has brought the cache up to date in between: what would be answered
// is judged by what it was judged by before, and again.
func TestClientDisabledDuringItsExchange(t *testing.T) {
	w := testkit.NewWorld(t)
	token := w.SignIn(t).RefreshToken
	s, h := through(t, w)
	s.rotate = func() {
		c := testkit.AppClient(testkit.App, 1, testkit.AppCallback)
		c.DisabledAt = 1
		if err := w.Store.PutClient(t.Context(), c); err != nil {
			t.Error(err)
		}
		w.Clock.Advance(time.Second)
		testkit.Send(h, testkit.DressipiAuthorize(testkit.Shop))
	}
	if a := testkit.Send(h, testkit.UserdocksRefresh(testkit.App, token)); a.Status != 400 || a.AccessToken != "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// Of many replays at once one is written down.
func TestReplaysAtOnceAreReportedOnce(t *testing.T) {
	w := testkit.NewWorld(t)
	first := w.NewProfile(t)
	token := first.RefreshToken
	for range 2 {
		token = testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, token)).RefreshToken
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if a := testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, first.RefreshToken)); a.Status != 400 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	events, err := w.Store.AuditOf(t.Context(), w.GrantOf(t, first.RefreshToken))
	if err != nil {
		t.Fatal(err)
	}
	reports := 0
	for _, e := range events {
		if e.Kind == store.AuditReplay {
			reports++
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, want 1", reports)
	}
}

// EndGrant is what logout and consent withdrawal will call.
func TestEndGrant(t *testing.T) {
	w := testkit.NewWorld(t)
	a := w.SignIn(t)
	id := store.GrantID(tally.Issuer(w.Store.Issuer()).ID(secretOf(t, a.RefreshToken)))
	for _, want := range []store.Outcome{store.Done, store.Revoked} {
		out, err := w.Engine.EndGrant(t.Context(), id, store.WhyRevoked, engine.Trace{})
		if err != nil || out != want {
			t.Errorf("end: %v, %v; want %v", out, err, want)
		}
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, a.RefreshToken)); a.Status != 400 {
		t.Errorf("refresh: %d %s", a.Status, a.Body)
	}
	if a := testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken)); a.Status != 401 {
		t.Errorf("me: %d %s", a.Status, a.Body)
	}
}

// Idle and absolute life, by the policy of a client, to the millisecond.
func TestGrantLifetimes(t *testing.T) {
	for _, tt := range []struct {
		name           string
		idle, absolute int64 // seconds
		every          time.Duration
		uses           int
		then           time.Duration
		ok             bool
	}{
		{"used daily, idle two days: never expires by idleness", 2 * 86400, 0, 24 * time.Hour, 400, 0, true},
		{"idle to the millisecond before", 100, 0, 0, 0, 99999 * time.Millisecond, true},
		{"idle", 100, 0, 0, 0, 100 * time.Second, false},
		{"absolute to the millisecond before, though used", 100, 1000, 50 * time.Second, 19, 49999 * time.Millisecond, true},
		{"absolute, though used", 100, 1000, 50 * time.Second, 19, 50 * time.Second, false},
		{"neither: for ever", 0, 0, 0, 0, 20 * 365 * 24 * time.Hour, true},
	} {
		for _, rotating := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				w := testkit.NewWorld(t)
				c := testkit.AppClient(testkit.App, 1, testkit.AppCallback)
				c.RefreshIdleLifetime, c.RefreshAbsoluteLifetime, c.RefreshTokenRotation = tt.idle, tt.absolute, rotating
				if err := w.Store.PutClient(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				w.Clock.Advance(2 * time.Second)
				token := w.SignIn(t).RefreshToken
				for i := range tt.uses {
					w.Clock.Advance(tt.every)
					a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, token))
					if a.Status != 201 {
						t.Fatalf("rotating %v, use %d: %d %s", rotating, i, a.Status, a.Body)
					}
					if (a.RefreshToken != token) != rotating {
						t.Fatalf("rotating %v, use %d: the token has changed: %v", rotating, i, a.RefreshToken != token)
					}
					token = a.RefreshToken
				}
				w.Clock.Advance(tt.then)
				if a := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, token)); (a.Status == 201) != tt.ok {
					t.Errorf("rotating %v, after %v: %d %s", rotating, tt.then, a.Status, a.Body)
				}
			})
		}
	}
}

// Every refusal that the engine makes, in every face: none shows its reason.
func TestReasonsStayInside(t *testing.T) {
	w := testkit.NewWorld(t)
	for name, r := range map[string]*http.Request{
		"unknown client":  testkit.DressipiRefresh("nobody", "x"),
		"junk":            testkit.DressipiRefresh(testkit.Shop, "x"),
		"wrong password":  testkit.UserdocksCodes(testkit.App, testkit.Email, "x"),
		"unverified user": testkit.UserdocksCodes(testkit.App, "unverified@example.com", testkit.Password),
		"no token":        testkit.UserdocksMe("x"),
	} {
		a := testkit.Send(w.Handler, r)
		for _, reason := range []string{"unknown to this face", "not one of ours\"", "not one of ours:", "sign-in:", "not verified", "code:", "refresh token:", "malformed token"} {
			if strings.Contains(a.Body, reason) {
				t.Errorf("%s: the client learns the reason: %s", name, a.Body)
			}
		}
	}
}

// A password change and a disabled account end what was born before (G15).
func TestUserChangesEndGrants(t *testing.T) {
	for name, change := range map[string]func(*store.User){
		"password changed": func(u *store.User) { u.CredentialVersion++ },
		"user disabled":    func(u *store.User) { u.DisabledAt = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			w := testkit.NewWorld(t)
			a := w.SignIn(t)
			code := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code
			u := w.User
			change(&u)
			if out, err := w.Store.PutUser(t.Context(), u); err != nil || out != store.Done {
				t.Fatal(out, err)
			}
			for what, r := range map[string]*http.Request{
				"refresh": testkit.UserdocksRefresh(testkit.App, a.RefreshToken), "code": testkit.UserdocksRedeem(testkit.App, code),
			} {
				if a := testkit.Send(w.Handler, r); a.Status != 400 || a.AccessToken != "" {
					t.Errorf("%s: %d %s", what, a.Status, a.Body)
				}
			}
			if a := testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken)); a.Status != 401 {
				t.Errorf("me: %d %s", a.Status, a.Body)
			}
		})
	}
}

// Two profiles never share a subject: the store says Taken, and the next draw
// is taken.
func TestSubjectCollision(t *testing.T) {
	w := testkit.NewWorld(t)
	collide := &collider{Store: w.Store, times: 2}
	e, err := engine.New(t.Context(), engine.Config{Store: collide, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now,
		Keys: []engine.KeySpec{dressipi.SigningKey}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	wire.Funnel{Log: slog.New(slog.DiscardHandler), Now: time.Now}.Mount(mux, dressipi.Face(e))
	redeem := func() testkit.Answer {
		return testkit.Send(mux, testkit.DressipiRedeem(testkit.Shop, testkit.Send(mux, testkit.DressipiAuthorize(testkit.Shop)).Code))
	}
	if a := redeem(); a.Status != 200 {
		t.Errorf("two collisions: %d %s", a.Status, a.Body)
	}
	if len(collide.subjects) != 3 {
		t.Errorf("drew %v, want three different subjects", collide.subjects)
	}
	collide.times = 3
	if a := redeem(); a.Status != 503 {
		t.Errorf("three collisions: %d %s", a.Status, a.Body)
	}
}

type collider struct {
	store.Store
	times    int
	subjects map[string]bool
}

func (c *collider) RedeemAnonymous(ctx context.Context, r store.RedeemAnonymous) (store.Redeemed, error) {
	if c.subjects == nil {
		c.subjects = map[string]bool{}
	}
	c.subjects[r.Grant.Subject] = true
	if c.times > 0 {
		c.times--
		return store.Redeemed{Outcome: store.Taken}, nil
	}
	return c.Store.RedeemAnonymous(ctx, r)
}

// A wrong master key is one clear line, before anything is answered.
func TestForeignMasterKeyOpensNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	_, err := engine.New(t.Context(), engine.Config{Store: w.Store, Master: testkit.NewMaster(t), Now: w.Clock.Now})
	if err == nil || !strings.Contains(err.Error(), "another master key") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		t.Errorf("a start is no exchange: %v", e)
	}
}
