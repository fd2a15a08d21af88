package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// node is another engine on the world's store.
func node(t *testing.T, w *testkit.World, k engine.Keeping) *engine.Engine {
	t.Helper()
	e, err := engine.New(t.Context(), engine.Config{
		Store: w.Store, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now, Keeping: k,
		Keys: oidc.SigningKeys, Faces: []oauth.Face{oidc.Name},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// verifier caches a JWK Set for its max-age, as anybody may.
type verifier struct {
	set     gojose.JSONWebKeySet
	fetched time.Time
}

func (v *verifier) verify(t *testing.T, e *engine.Engine, now time.Time, token string) {
	t.Helper()
	if v.fetched.IsZero() || now.Sub(v.fetched) >= engine.JWKSMaxAge {
		v.set = gojose.JSONWebKeySet{}
		if err := json.Unmarshal(e.JWKS(), &v.set); err != nil {
			t.Fatal(err)
		}
		v.fetched = now
	}
	jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.ES256, gojose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	keys := v.set.Key(jws.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%s: the verifier has %d keys for it", now.Format(time.RFC3339), len(keys))
	}
	if _, err := jws.Verify(keys[0].Key); err != nil {
		t.Fatal(err)
	}
}

// Twenty rotations, of which two nodes share the work; at each moment every token
// that lives is verified by somebody who caches the keys for their max-age.
func TestKeyRotationBreaksNoVerifier(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	const period = time.Hour
	nodes := []*engine.Engine{node(t, w, engine.Keeping{KeyRotation: period}), node(t, w, engine.Keeping{KeyRotation: period})}
	type issued struct {
		token   string
		expires time.Time
	}
	var living []issued
	verifiers := []verifier{{}, {}, {}}
	signed := map[string]bool{}
	step := engine.JWKSMaxAge / 3
	for i := 0; len(signed) < 21; i++ {
		if i > 2000 {
			t.Fatalf("%d keys have signed", len(signed))
		}
		now, e := w.Clock.Now(), nodes[i%2]
		if err := e.Keep(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		// The other node looks at the keys every twenty seconds; here at each step.
		if _, err := nodes[(i+1)%2].SigningKeys(ctx); err != nil {
			t.Fatal(err)
		}
		out, err := e.Token(ctx, &engine.TokenRequest{
			Face: oidc.Name, GrantType: oauth.ClientCredentials, Shape: plainShape{},
			Credentials: engine.Credentials{ClientID: testkit.Service, Method: oauth.AuthSecretBasic, Secret: testkit.ServiceSecret},
		})
		if err != nil {
			t.Fatal(err)
		}
		living = append(living, issued{out.AccessToken, out.ExpiresAt})
		signed[kidOf(t, out.AccessToken)] = true
		kept := living[:0]
		for _, l := range living {
			if now.Before(l.expires) {
				kept = append(kept, l)
			}
		}
		living = kept
		v := &verifiers[i%len(verifiers)]
		for _, l := range living {
			v.verify(t, nodes[i%2], now, l.token)
			if _, _, err := nodes[(i+1)%2].VerifyToken(engine.Standard, l.token); err != nil {
				t.Fatalf("the other node: %v", err)
			}
		}
		w.Clock.Advance(step)
	}
	keys, err := nodes[0].SigningKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Purpose == engine.Standard && !k.Signs && k.ActiveAt.Before(w.Clock.Now()) && k.RetiredAt.IsZero() {
			t.Errorf("%s has a successor, and no end: %+v", k.ID, k)
		}
	}
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.ES256, gojose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header.KeyID
}

// plainShape drafts an access token of the client itself.
type plainShape struct{}

func (plainShape) NeedsUser(*engine.Issue) bool { return false }

func (plainShape) Draft(i engine.Issue) engine.Drafts {
	return engine.Drafts{Access: engine.Draft{Key: oidc.SigningKeys[0], Typ: engine.AccessTokenType, KID: true, Claims: timed(i)}}
}

// A retired key neither verifies nor stands in the JWK Set, from its end on.
func TestRetiredKeysEnd(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	e := node(t, w, engine.Keeping{KeyRotation: time.Hour})
	old := signing(t, e)
	w.Clock.Advance(time.Hour)
	for range 2 { // adds it; says when the first ends, once it signs
		if err := e.Keep(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(engine.KeyLead)
	}
	if signing(t, e) == old {
		t.Fatal("nothing was rotated")
	}
	if !published(t, e, old) {
		t.Error("the old key is not published any more")
	}
	w.Clock.Advance(40 * 24 * time.Hour)
	if published(t, e, old) {
		t.Error("the old key is published for ever")
	}
}

// A key that is revoked counts no more, at once; another signs.
func TestRevokedKeyIsReplacedAtOnce(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	e, other := node(t, w, engine.Keeping{}), node(t, w, engine.Keeping{})
	old := signing(t, e)
	token := func() string {
		t.Helper()
		out, err := e.Token(ctx, &engine.TokenRequest{
			Face: oidc.Name, GrantType: oauth.ClientCredentials, Shape: plainShape{},
			Credentials: engine.Credentials{ClientID: testkit.Service, Method: oauth.AuthSecretBasic, Secret: testkit.ServiceSecret},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.AccessToken
	}
	before := token()
	if err := e.RevokeSigningKey(ctx, old); err != nil {
		t.Fatal(err)
	}
	if published(t, e, old) || signing(t, e) == old {
		t.Error("the revoked key is still there")
	}
	if _, _, err := e.VerifyToken(engine.Standard, before); err == nil {
		t.Error("a token of the revoked key counts")
	}
	after := token()
	if _, _, err := e.VerifyToken(engine.Standard, after); err != nil {
		t.Error(err)
	}
	if _, err := other.SigningKeys(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.VerifyToken(engine.Standard, before); err == nil {
		t.Error("at another node a token of the revoked key counts")
	}
	if _, _, err := other.VerifyToken(engine.Standard, after); err != nil {
		t.Errorf("at another node: %v", err)
	}
	if err := e.RevokeSigningKey(ctx, "nobody"); code(err) != oauth.InvalidRequest {
		t.Errorf("an unknown key: %v", err)
	}
}

func signing(t *testing.T, e *engine.Engine) string {
	t.Helper()
	k, err := e.SigningKey(oidc.SigningKeys[0])
	if err != nil {
		t.Fatal(err)
	}
	return k.ID
}

func published(t *testing.T, e *engine.Engine, kid string) bool {
	t.Helper()
	var set gojose.JSONWebKeySet
	if err := json.Unmarshal(e.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	return len(set.Key(kid)) > 0
}

// What has ended goes after its time, and what lives stays, whoever of two nodes
// does it.
func TestPurge(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	s := signInAs(t, w, nil)
	for range 3 { // codes that nobody redeems
		if _, err := w.Engine.Authorize(ctx, asking(t, w, testkit.Web, testkit.WebCallback, "openid"), s, true, from("")); err != nil {
			t.Fatal(err)
		}
	}
	kept := asking(t, w, testkit.SPA, testkit.SPACallback, "offline_access openid")
	c, err := w.Engine.Authorize(ctx, kept, s, true, from(""))
	if err != nil {
		t.Fatal(err)
	}
	issued, err := w.Engine.Token(ctx, &engine.TokenRequest{
		Face: oidc.Name, GrantType: oauth.AuthorizationCode, Code: c, RedirectURI: testkit.SPACallback, CodeVerifier: testkit.Verifier,
		Credentials: engine.Credentials{ClientID: testkit.SPA}, Shape: plainShape{},
	})
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*engine.Engine{node(t, w, engine.Keeping{}), node(t, w, engine.Keeping{})}
	keep := func() {
		t.Helper()
		for _, e := range nodes {
			if err := e.Keep(ctx, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
	}
	keep()
	if n := w.Count(t, "grant"); n != 4 {
		t.Errorf("%d grants at once, want all 4", n)
	}
	w.Clock.Advance(10 * 24 * time.Hour) // the idle life of the kept one is longer
	keep()
	if n := w.Count(t, "grant"); n != 1 {
		t.Errorf("%d grants after ten days, want the one that lives", n)
	}
	if n := w.Count(t, "session"); n != 0 {
		t.Errorf("%d sessions after ten days", n)
	}
	if _, err := w.Engine.Token(ctx, &engine.TokenRequest{
		Face: oidc.Name, GrantType: oauth.RefreshToken, RefreshToken: issued.RefreshToken,
		Credentials: engine.Credentials{ClientID: testkit.SPA}, Shape: plainShape{},
	}); err != nil {
		t.Errorf("the one that lives: %v", err)
	}
}

// A client that registered itself and that nobody has used goes after thirty days: its
// token is refused like one that there never was, and other nodes forget it. One that
// somebody has used stays.
func TestUnusedClientsArePurged(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	register := func() *engine.Registered {
		t.Helper()
		c, err := w.Engine.RegisterClient(ctx, oidc.Name, oauth.Client{RedirectURIs: []string{testkit.WebCallback}}, "", from("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	unused, used := register(), register()
	session := signInAs(t, w, nil)
	if _, err := w.Engine.Authorize(ctx, asking(t, w, used.Client.ID, testkit.WebCallback, "openid"), session, true, from("")); err != nil {
		t.Fatal(err)
	}
	begun := asking(t, w, unused.Client.ID, testkit.WebCallback, "openid")
	e, other := node(t, w, engine.Keeping{}), node(t, w, engine.Keeping{})
	keep := func() {
		t.Helper()
		if err := e.Keep(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Advance(30 * 24 * time.Hour)
	keep()
	for _, c := range []*engine.Registered{unused, used} {
		if _, err := other.Client(ctx, oidc.Name, c.Client.ID); err != nil {
			t.Errorf("after thirty days: %v", err)
		}
	}
	w.Clock.Advance(time.Millisecond)
	keep()
	// What this node knows of it is less than a second old.
	session = signInAs(t, w, session)
	if _, err := w.Engine.Authorize(ctx, begun, session, true, from("")); code(err) != oauth.AccessDenied {
		t.Errorf("a birth that has begun before: %v", err)
	}
	w.Clock.Advance(time.Second)
	if _, err := other.Client(ctx, oidc.Name, unused.Client.ID); code(err) != oauth.InvalidClient {
		t.Errorf("at another node: %v", err)
	}
	_, gone := other.RegisteredClient(ctx, oidc.Name, unused.Client.ID, unused.AccessToken)
	_, never := other.RegisteredClient(ctx, oidc.Name, "nobody", unused.AccessToken)
	if code(gone) != oauth.InvalidToken || oauth.AsError(gone).Description != oauth.AsError(never).Description {
		t.Errorf("its registration: %v; of one that there never was: %v", gone, never)
	}
	if _, err := other.Client(ctx, oidc.Name, used.Client.ID); err != nil {
		t.Errorf("one that was used: %v", err)
	}
	if _, err := other.RegisteredClient(ctx, oidc.Name, used.Client.ID, used.AccessToken); err != nil {
		t.Errorf("the registration of one that was used: %v", err)
	}
}

// Of nodes that start together for the first time one makes the keys, and the others'
// clocks may be behind it.
func TestFirstStartBesideAClockAhead(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	behind, err := engine.New(ctx, engine.Config{
		Store: w.Store, Master: w.Master, Issuer: testkit.Issuer, Now: func() time.Time { return w.Clock.Now().Add(-time.Second) },
		Keys: oidc.SigningKeys, Faces: []oauth.Face{oidc.Name},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := behind.Token(ctx, &engine.TokenRequest{
		Face: oidc.Name, GrantType: oauth.ClientCredentials, Shape: plainShape{},
		Credentials: engine.Credentials{ClientID: testkit.Service, Method: oauth.AuthSecretBasic, Secret: testkit.ServiceSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Engine.VerifyToken(engine.Standard, out.AccessToken); err != nil {
		t.Error(err)
	}
	if _, err := behind.NewInitialToken(time.Hour); err != nil {
		t.Error(err)
	}
	// A key that is added later is not used before its time.
	first := signing(t, behind)
	if _, err := w.Engine.RotateSigningKeys(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := behind.SigningKeys(ctx); err != nil {
		t.Fatal(err)
	}
	if signing(t, behind) != first {
		t.Error("a key signs before it is active")
	}
}

// Of two nodes one has the lease; when it dies the other goes on.
func TestLeaseGoesOn(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	counting := &purges{Store: w.Store}
	make := func() *engine.Engine {
		e, err := engine.New(ctx, engine.Config{Store: counting, Master: w.Master, Issuer: testkit.Issuer, Now: w.Clock.Now, Keys: oidc.SigningKeys})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first, second := make(), make()
	did := func(e *engine.Engine) bool {
		before := counting.n
		if err := e.Keep(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		return counting.n > before
	}
	for i, want := range []bool{true, false, true, false} {
		if got := did([]*engine.Engine{first, second}[i%2]); got != want {
			t.Errorf("round %d: %v, want %v", i, got, want)
		}
	}
	w.Clock.Advance(time.Minute)
	if !did(second) || did(first) {
		t.Error("the second node has not taken the place of the first")
	}
}

type purges struct {
	store.Store
	n int
}

func (p *purges) Purge(ctx context.Context, in store.Purge) (store.Purged, error) {
	p.n++
	return p.Store.Purge(ctx, in)
}

// A user has at most so many grants of one client; the oldest go.
func TestGrantsAreCapped(t *testing.T) {
	w := testkit.NewWorld(t)
	ctx := t.Context()
	s := signInAs(t, w, nil)
	var first string
	for i := range 201 {
		w.Clock.Advance(time.Millisecond)
		c, err := w.Engine.Authorize(ctx, asking(t, w, testkit.SPA, testkit.SPACallback, "openid"), s, true, from(""))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = c
		}
		if i == 199 {
			if g, _, err := w.Store.Grant(ctx, w.GrantOf(t, first)); err != nil || g.RevokedAt != 0 {
				t.Fatalf("the first of 200 has ended: %v", err)
			}
		}
	}
	g, _, err := w.Store.Grant(ctx, w.GrantOf(t, first))
	if err != nil || g.RevokedWhy != store.WhyTooMany {
		t.Errorf("the first of 201: %s, %v", fmt.Sprint(g.RevokedWhy), err)
	}
}
