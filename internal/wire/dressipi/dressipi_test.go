package dressipi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

const verifier = "1tBnEmtSImyCykPHxHYBdzpSFhKEj0Q1LuiHd4fdDlY"

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
	Error        string `json:"error"`
}

func send(t testing.TB, w *testkit.World, method, path string, q url.Values) (int, tokens, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, httptest.NewRequest(method, path+"?"+q.Encode(), nil))
	var out tokens
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	return rec.Code, out, rec.Body.String()
}

func authorize(t testing.TB, w *testkit.World, client string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, httptest.NewRequest("GET", "/oauth/authorize?"+url.Values{
		"redirect_uri": {oauth.URNAuto}, "response_type": {"code"}, "client_id": {client}, "state": {"s"},
		"code_challenge_method": {oauth.S256}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}.Encode(), nil))
	var out struct{ Code string }
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != 200 {
		t.Fatalf("authorize: %d %s", rec.Code, rec.Body)
	}
	return out.Code
}

func redeem(t testing.TB, w *testkit.World, client, code string) (int, tokens, string) {
	t.Helper()
	return send(t, w, "POST", "/api/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {client},
		"redirect_uri": {oauth.URNAuto}, "code": {code}, "code_verifier": {verifier}})
}

func refresh(t testing.TB, w *testkit.World, client, token string) (int, tokens, string) {
	t.Helper()
	return send(t, w, "POST", "/api/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {token}})
}

// F24, and F23's HEAD: what is never redeemed leaves no trace.
func TestAuthorizeStoresNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	before := w.Count(t, "grant")
	for range 1000 {
		authorize(t, w, testkit.Shop)
	}
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, httptest.NewRequest("HEAD", "/oauth/authorize?client_id="+url.QueryEscape(testkit.Shop), nil))
	if rec.Code != 405 {
		t.Errorf("HEAD: %d, want 405", rec.Code)
	}
	if after := w.Count(t, "grant"); after != before {
		t.Errorf("%d profiles after 1000 authorize calls, %d before", after, before)
	}
	if code, _, body := redeem(t, w, testkit.Shop, authorize(t, w, testkit.Shop)); code != 200 {
		t.Fatalf("redeem: %d %s", code, body)
	}
	if after := w.Count(t, "grant"); after != before+1 {
		t.Errorf("%d profiles after one redemption, want %d", after, before+1)
	}
}

// F30, and contract D.2: what the Expo adapter can store, and what survives a
// hand-made URL.
func TestAnswerFitsItsCarriers(t *testing.T) {
	w := testkit.NewWorld(t)
	long := strings.Repeat("l", 255)
	if err := w.Store.PutClient(t.Context(), testkit.AnonymousClient(long, 1)); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Second)
	safe := regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	for _, client := range []string{testkit.Shop, long} {
		code := authorize(t, w, client)
		status, out, body := redeem(t, w, client, code)
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		if !safe.MatchString(code) || !safe.MatchString(out.RefreshToken) {
			t.Errorf("code %q or refresh token %q needs encoding in a URL", code, out.RefreshToken)
		}
		if len(body) > 1536 {
			t.Errorf("the answer has %d bytes, want at most 1536", len(body))
		}
		if payload := strings.Split(out.AccessToken, ".")[1]; strings.ContainsAny(payload, "-_") {
			t.Errorf("atob cannot read %s", payload)
		}
	}
}

// F25: the SDK puts tokens into URLs; none of them is in the log.
func TestLogHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	w := testkit.NewWorld(t, testkit.LogTo(&log))
	code := authorize(t, w, testkit.Shop)
	_, first, _ := redeem(t, w, testkit.Shop, code)
	_, second, _ := refresh(t, w, testkit.Shop, first.RefreshToken)
	redeem(t, w, testkit.Shop, code)
	refresh(t, w, testkit.Shop, second.RefreshToken+"x")
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, httptest.NewRequest("GET", "/nowhere?code="+code, nil))
	r := httptest.NewRequest("GET", "/api/profile", nil)
	r.Header.Set("X-Dressipi-Jwt", second.AccessToken)
	w.Handler.ServeHTTP(rec, r)

	// A client that mixes up its fields.
	for _, secret := range []string{second.RefreshToken, code, verifier} {
		refresh(t, w, secret, "x")
		w.Handler.ServeHTTP(rec, httptest.NewRequest("GET", "/oauth/authorize?"+url.Values{
			"redirect_uri": {oauth.URNAuto}, "response_type": {"code"}, "client_id": {secret}, "state": {"s"},
			"code_challenge_method": {oauth.S256}, "code_challenge": {testkit.Challenge},
		}.Encode(), nil))
	}

	text := log.String()
	if !strings.Contains(text, `"endpoint":"/api/oauth/token"`) || !strings.Contains(text, `"reason":"code: replayed"`) {
		t.Fatalf("the log does not tell what happened:\n%s", text)
	}
	for name, secret := range map[string]string{
		"code": code, "verifier": verifier, "refresh token": first.RefreshToken, "second refresh token": second.RefreshToken,
		"access token": second.AccessToken, "signature": strings.Split(first.AccessToken, ".")[2], "query": "code_verifier=",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	// The request id of a refusal leads to its reason.
	if !strings.Contains(text, rec.Header().Get("X-Request-Id")) {
		t.Error("the log does not know the answer's request id")
	}
}

// F28: tenants share a database and even a master key; a code or a token of one
// means nothing to the other.
func TestTenantsAreStrangers(t *testing.T) {
	one := testkit.NewWorld(t)
	other := testkit.NewWorld(t, testkit.OtherTenantOf(one))
	code := authorize(t, one, testkit.Shop)
	if status, out, body := redeem(t, other, testkit.Shop, code); status != 400 || out.Error != "invalid_grant" {
		t.Errorf("a code of another tenant: %d %s", status, body)
	}
	status, out, body := redeem(t, one, testkit.Shop, code)
	if status != 200 {
		t.Fatalf("its own: %d %s", status, body)
	}
	if status, refused, body := refresh(t, other, testkit.Shop, out.RefreshToken); status != 400 || refused.Error != "invalid_grant" {
		t.Errorf("a refresh token of another tenant: %d %s", status, body)
	}
	if status, _, body := refresh(t, one, testkit.Shop, out.RefreshToken); status != 200 {
		t.Errorf("its own: %d %s", status, body)
	}
}

// F26: nothing ambient decides whose profile it is. (A code's profile is fresh
// even with a user's cookies and tokens around; the dialogue "exchange" shows
// the headers.)
func TestCookiesDecideNothing(t *testing.T) {
	w := testkit.NewWorld(t)
	_, first, _ := redeem(t, w, testkit.Shop, authorize(t, w, testkit.Shop))
	sum := sha256.Sum256([]byte(verifier))
	r := httptest.NewRequest("GET", "/oauth/authorize?"+url.Values{
		"redirect_uri": {oauth.URNAuto}, "response_type": {"code"}, "client_id": {testkit.Shop}, "state": {"s"},
		"code_challenge_method": {oauth.S256}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}.Encode(), nil)
	r.Header.Set("Cookie", "__Host-ts=x; ts=x; dressipi_jwt="+first.AccessToken)
	r.Header.Set("X-Dressipi-Jwt", first.AccessToken)
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, r)
	var out struct{ Code string }
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	_, second, _ := redeem(t, w, testkit.Shop, out.Code)
	if a, b := claims(t, first.AccessToken), claims(t, second.AccessToken); a.Sub == b.Sub || a.SubN == b.SubN {
		t.Errorf("the profile of the cookie was given again: %v, %v", a, b)
	}
	if rec.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Error("credentials are allowed")
	}
}

// A replay on an install that cannot recover ends nothing; the operator learns
// of it at most once a minute.
func TestReplayIsReportedOnceAMinute(t *testing.T) {
	w := testkit.NewWorld(t)
	code := authorize(t, w, testkit.Shop)
	_, first, _ := redeem(t, w, testkit.Shop, code)
	_, second, _ := refresh(t, w, testkit.Shop, first.RefreshToken)
	_, third, _ := refresh(t, w, testkit.Shop, second.RefreshToken)
	replays := func() (n int) {
		t.Helper()
		events, err := w.Store.AuditOf(t.Context(), gid(t, first.AccessToken))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == store.AuditReplay {
				n++
			}
		}
		return n
	}
	for range 100 {
		if status, out, body := refresh(t, w, testkit.Shop, first.RefreshToken); status != 400 || out.Error != "invalid_grant" {
			t.Fatalf("replay: %d %s", status, body)
		}
	}
	if n := replays(); n != 1 {
		t.Errorf("%d reports of 100 replays within a minute, want 1", n)
	}
	w.Clock.Advance(time.Minute)
	refresh(t, w, testkit.Shop, first.RefreshToken)
	if n := replays(); n != 2 {
		t.Errorf("%d reports after another minute, want 2", n)
	}
	if status, _, body := refresh(t, w, testkit.Shop, third.RefreshToken); status != 200 {
		t.Errorf("the install is bricked: %d %s", status, body)
	}
}

// What is disabled stops working without a restart, within the second that a
// node may go on with what it knows.
func TestDisabledClient(t *testing.T) {
	w := testkit.NewWorld(t)
	_, first, _ := redeem(t, w, testkit.Shop, authorize(t, w, testkit.Shop))
	c := testkit.AnonymousClient(testkit.Shop, 1)
	c.DisabledAt = w.Clock.Now().UnixMilli()
	if err := w.Store.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// Even within that second: the write itself tells of the change.
	if status, out, body := refresh(t, w, testkit.Shop, first.RefreshToken); status != 400 || out.Error != "invalid_client" {
		t.Errorf("refresh of a disabled client: %d %s", status, body)
	}
	r := httptest.NewRequest("GET", "/profile", nil)
	r.Header.Set("X-Dressipi-Jwt", first.AccessToken)
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, r)
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"personalised":false`) {
		t.Errorf("profile: %d %s", rec.Code, rec.Body)
	}
}

type jwtClaims struct{ Sub, SubN, GID string }

func claims(t testing.TB, token string) (c jwtClaims) {
	t.Helper()
	plain, err := base64.RawStdEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func gid(t testing.TB, token string) store.GrantID {
	t.Helper()
	raw, err := hex.DecodeString(claims(t, token).GID)
	if err != nil {
		t.Fatal(err)
	}
	return store.GrantID(raw)
}
