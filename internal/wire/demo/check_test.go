package demo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// signer is an issuer's keys, one for each of its algorithms.
type signer struct {
	t    *testing.T
	keys map[jose.SignatureAlgorithm]crypto.Signer
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, map[jose.SignatureAlgorithm]crypto.Signer{jose.RS256: r, jose.ES256: e}}
}

// jwks has a key per algorithm, whose kid is the algorithm's name.
func (s *signer) jwks() string {
	var set jose.JSONWebKeySet
	for alg, key := range s.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: string(alg), Algorithm: string(alg), Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

type object = map[string]any

// sign makes a JWT; header replaces parameters.
func (s *signer) sign(alg jose.SignatureAlgorithm, header, claims object) string {
	s.t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", string(alg))
	for name, v := range header {
		options.WithHeader(jose.HeaderKey(name), v)
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: s.keys[alg]}, options)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := made.Sign(text)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// with replaces claims; nil takes one away.
func with(claims, more object) object {
	all := maps.Clone(claims)
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

const nowUnix = 1735689600

var goodIDToken = object{
	"iss": origin, "sub": "7", "aud": "web", "exp": nowUnix + 3600, "iat": nowUnix, "auth_time": nowUnix - 30,
	"nonce": "n", "acr": "1", "at_hash": leftHalf("at"), "sid": "s",
}

// Each step of OpenID Connect Core §3.1.3.7, broken alone.
func TestIDTokenChecks(t *testing.T) {
	s := newSigner(t)
	other := newSigner(t)
	sign := func(more object) string { return s.sign(jose.RS256, nil, with(goodIDToken, more)) }
	tests := []struct {
		name   string
		token  string
		broken []string // by the claim that is looked at
	}{
		{"as it should be", sign(nil), nil},
		{"several audiences, with azp (4, 5)", sign(object{"aud": []string{"web", "x"}, "azp": "web"}), nil},
		{"another issuer (2)", sign(object{"iss": "https://evil.example"}), []string{"iss"}},
		{"another audience (3)", sign(object{"aud": "spa"}), []string{"aud"}},
		{"no audience (3)", sign(object{"aud": nil}), []string{"aud"}},
		{"several audiences without azp (4)", sign(object{"aud": []string{"web", "x"}}), []string{"azp"}},
		{"azp is somebody else (5)", sign(object{"azp": "spa"}), []string{"azp"}},
		{"another issuer's key (6)", other.sign(jose.RS256, nil, goodIDToken), []string{"signature"}},
		{"a kid of another algorithm's key (6)", s.sign(jose.RS256, object{"kid": "ES256"}, goodIDToken), []string{"signature"}},
		{"no such kid (6)", s.sign(jose.RS256, object{"kid": "x"}, goodIDToken), []string{"signature"}},
		{"alg none (7, RFC 8725 §3.1)", unsigned(goodIDToken), []string{"alg", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "signature"}},
		{"another algorithm than registered (7)", s.sign(jose.ES256, nil, goodIDToken), []string{"alg"}},
		{"over (9)", sign(object{"exp": nowUnix}), []string{"exp"}},
		{"no exp (9)", sign(object{"exp": nil}), []string{"exp"}},
		{"long ago (10)", sign(object{"iat": nowUnix - 3600}), []string{"iat"}},
		{"in the future (10)", sign(object{"iat": nowUnix + 3600}), []string{"iat"}},
		{"another nonce (11)", sign(object{"nonce": "m"}), []string{"nonce"}},
		{"no nonce (11)", sign(object{"nonce": nil}), []string{"nonce"}},
		{"signed in too long ago (13)", sign(object{"auth_time": nowUnix - 600}), []string{"auth_time"}},
		{"no auth_time (13)", sign(object{"auth_time": nil}), []string{"auth_time"}},
		{"another access token (§3.1.3.8)", sign(object{"at_hash": leftHalf("x")}), []string{"at_hash"}},
		{"a claim twice (RFC 7519 §4)", s.twice(), []string{"at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "signature"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s.jwks())) })
			d := &demo{Config: Config{Target: target, Base: origin, Issuer: origin, Web: "web", Now: fixed}}
			e := &evidence{demo: d, visitor: httptest.NewRequest("POST", origin, nil),
				had: values{"nonce": "n", "max_age": "60", "asked_at": "1735689590"},
				got: values{"access_token": "at", "id_token": tt.token}}
			var got []string
			for _, c := range judgeTokens(e) {
				if c.Of == "id_token" && c.Result == broken {
					got = append(got, c.Claim)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.broken, got); diff != "" {
				t.Errorf("broken (-want +got):\n%s", diff)
			}
		})
	}
}

func unsigned(claims object) string {
	text, _ := json.Marshal(claims)
	return segment(`{"alg":"none"}`) + "." + segment(string(text)) + "."
}

// twice is a token, rightly signed, in which exp stands twice.
func (s *signer) twice() string {
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: s.keys[jose.RS256]}, (&jose.SignerOptions{}).WithHeader("kid", "RS256"))
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := made.Sign([]byte(`{"exp":1,"exp":2}`))
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// logoutWorld is an app whose server answers for its keys alone.
func logoutWorld(t *testing.T, s *signer) *world {
	w := &world{t: t, mux: http.NewServeMux()}
	target := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != jwksPath {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = rw.Write([]byte(s.jwks()))
	})
	for pattern, h := range Handlers(Config{Target: target, Base: origin, Issuer: origin, Web: "web", SPA: "spa", Now: fixed}) {
		w.mux.Handle(pattern, h)
	}
	return w
}

var goodLogout = object{
	"iss": origin, "aud": "web", "iat": nowUnix, "exp": nowUnix + 120, "jti": "j", "sub": "7", "sid": "s",
	"events": object{logoutEvent: object{}},
}

// OpenID Connect Back-Channel Logout §2.6, step by step.
func TestBackchannelLogout(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	header := object{"typ": "logout+jwt"}
	sign := func(more object) string { return s.sign(jose.RS256, header, with(goodLogout, more)) }
	tests := []struct {
		name, token string
		says        string // "" = taken
	}{
		{"as it should be", sign(nil), ""},
		{"by session alone (§2.4)", sign(object{"sub": nil}), ""},
		{"by subject alone (§2.4)", sign(object{"sid": nil}), ""},
		{"several audiences", sign(object{"aud": []string{"x", "web"}}), ""},
		{"typ in its long form (RFC 7515 §4.1.9)", s.sign(jose.RS256, object{"typ": "application/logout+jwt"}, goodLogout), ""},
		{"nothing", "", "logout_token is required"},
		{"no JWT", "x", "does not verify"},
		{"alg none (step 2)", unsigned(goodLogout), "does not verify"},
		{"another algorithm than registered (step 2)", s.sign(jose.ES256, header, goodLogout), "alg is not RS256"},
		{"another issuer's key (step 3)", other.sign(jose.RS256, header, goodLogout), "does not verify"},
		{"no such kid (step 3)", s.sign(jose.RS256, object{"typ": "logout+jwt", "kid": "x"}, goodLogout), "does not verify"},
		{"changed after it was signed (step 3)", tampered(sign(nil)), "does not verify"},
		{"another issuer (step 4)", sign(object{"iss": "https://evil.example"}), "iss"},
		{"another audience (step 4)", sign(object{"aud": "spa"}), "aud"},
		{"no audience (step 4)", sign(object{"aud": nil}), "aud"},
		{"over (step 4)", sign(object{"exp": nowUnix}), "exp"},
		{"no exp (step 4)", sign(object{"exp": nil}), "exp"},
		{"in the future (step 4)", sign(object{"iat": nowUnix + 3600}), "iat"},
		{"neither sub nor sid (step 5)", sign(object{"sub": nil, "sid": nil}), "neither sub nor sid"},
		{"no events (step 6)", sign(object{"events": nil}), "events"},
		{"other events (step 6)", sign(object{"events": object{"x": object{}}}), "events"},
		{"an event that is no object (step 6)", sign(object{"events": object{logoutEvent: true}}), "events"},
		{"events that are no object (step 6)", sign(object{"events": []string{logoutEvent}}), "does not verify"},
		{"a nonce (step 7)", sign(object{"nonce": "n"}), "nonce"},
		{"an empty nonce (step 7)", sign(object{"nonce": ""}), "nonce"},
		{"no jti (step 8)", sign(object{"jti": nil}), "jti"},
		{"no typ (§2.4)", s.sign(jose.RS256, nil, goodLogout), "typ"},
		{"an ID token", s.sign(jose.RS256, object{"typ": "JWT"}, goodIDToken), "typ"},
		{"longer than any token", sign(object{"x": strings.Repeat("x", maxToken)}), "does not verify"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := logoutWorld(t, s)
			w.told(tt.token, tt.says)
			shown := strings.Contains(w.do("GET", AppPath, nil).text(), "The last logout token")
			if shown != (tt.says == "") {
				t.Errorf("it is shown: %v", shown)
			}
			if tt.says == "" {
				w.told(tt.token, "jti has come before") // step 8
			}
		})
	}
}

// told posts a logout token, as the server does (§2.5).
func (w *world) told(token, says string) {
	w.t.Helper()
	p := w.do("POST", AppLogout, url.Values{"logout_token": {token}})
	status := http.StatusOK
	if says != "" {
		status = http.StatusBadRequest
	}
	if p.status != status || !strings.Contains(p.body, says) || p.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("%d %s, want %d %q", p.status, p.body, status, says)
	}
	if says != "" && !strings.HasPrefix(p.body, `{"error":"invalid_request"`) {
		w.t.Errorf("body %s, want RFC 6749 §5.2", p.body)
	}
	if token != "" && strings.Contains(p.body, token) {
		w.t.Error("the token is said back")
	}
}

func tampered(token string) string {
	parts := strings.Split(token, ".")
	text, _ := json.Marshal(with(goodLogout, object{"sub": "8"}))
	return parts[0] + "." + segment(string(text)) + "." + parts[2]
}

func TestBackchannelLogoutBodies(t *testing.T) {
	s := newSigner(t)
	token := s.sign(jose.RS256, object{"typ": "logout+jwt"}, goodLogout)
	tests := []struct {
		name, mediaType, body string
		status                int
	}{
		{"JSON", "application/json", `{"logout_token":"` + token + `"}`, 415},
		{"no media type", "", "logout_token=" + token, 415},
		{"twice", "application/x-www-form-urlencoded", "logout_token=" + token + "&logout_token=" + token, 400},
		{"a broken escape", "application/x-www-form-urlencoded", "logout_token=%zz", 400},
		{"oversized", "application/x-www-form-urlencoded", "logout_token=" + strings.Repeat("x", 64<<10), 413},
		{"beside something else (§2.5)", "application/x-www-form-urlencoded", "x=y&logout_token=" + token, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p := logoutWorld(t, s).send("POST", AppLogout, tt.mediaType, tt.body); p.status != tt.status {
				t.Errorf("%d %s, want %d", p.status, p.body, tt.status)
			}
		})
	}
}

// However many come, a few are kept, and fewer are shown.
func TestNoticesAreBounded(t *testing.T) {
	var n notices
	for i := range 3 * maxNotices {
		if !n.add(notice{id: time.Unix(int64(i), 0).String()}) {
			t.Fatalf("notice %d was there before", i)
		}
	}
	if len(n.all) != maxNotices || len(n.last()) != lastNotices {
		t.Errorf("%d kept, %d shown", len(n.all), len(n.last()))
	}
	if n.last()[0].id != time.Unix(3*maxNotices-1, 0).String() {
		t.Error("the newest is not the first")
	}
}
