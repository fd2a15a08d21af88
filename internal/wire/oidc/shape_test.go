package oidc_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/oidc"
)

// protocol are the claims that every ID token of a browser's sign-in has.
var protocol = []string{"acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "jti", "nonce", "sid", "sub"}

// told is what an ID token has beside them.
func told(t *testing.T, claims testkit.Document) testkit.Document {
	t.Helper()
	more := maps.Clone(claims)
	for _, name := range protocol {
		if claims[name] == nil {
			t.Errorf("ID token: no %s", name)
		}
		delete(more, name)
	}
	return more
}

// OpenID Connect Core §5.4: the scope's claims are told by userinfo, unless the
// client has them in the ID token, too.
func TestIDTokenProfileClaims(t *testing.T) {
	b := newBack(t)
	scope := url.Values{"scope": {"openid profile email"}}
	if got := told(t, b.signIn(t, b.web, scope).Claims); len(got) > 0 {
		t.Errorf("without id_token_profile_claims: %v", got)
	}
	b.change(t, testkit.Web, func(c *store.Client) { c.IDTokenProfileClaims = true })
	s := b.signIn(t, b.web, scope)
	want := testkit.Document{
		"name": "Ada Lövelace", "given_name": "Ada", "locale": "en", "updated_at": float64(b.User.UpdatedAt / 1000),
		"email": testkit.Email, "email_verified": true,
	}
	if diff := cmp.Diff(want, told(t, s.Claims)); diff != "" {
		t.Errorf("with id_token_profile_claims (-want +got): %s", diff)
	}
	a := b.web.Refresh(s.RefreshToken, url.Values{"scope": {"openid email"}})
	_, fresh, err := b.web.Verify(a.IDToken)
	if err != nil || fresh["name"] != nil || fresh["email"] != testkit.Email {
		t.Errorf("narrowed at refresh: %v %v", fresh, err)
	}
}

// OpenID Connect Core §5.5: what is wanted by name is told where it is wanted, if
// the user has it so.
func TestClaimsParameter(t *testing.T) {
	b := newBack(t)
	for _, tt := range []struct {
		name, claims      string
		idToken, userinfo testkit.Document
	}{
		{"in the ID token, voluntary", `{"id_token":{"email":null}}`, testkit.Document{"email": testkit.Email}, nil},
		{"in the ID token, essential", `{"id_token":{"given_name":{"essential":true}}}`, testkit.Document{"given_name": "Ada"}, nil},
		{"in userinfo", `{"userinfo":{"name":{"essential":true}}}`, nil, testkit.Document{"name": "Ada Lövelace"}},
		{"in both", `{"id_token":{"locale":null},"userinfo":{"locale":null}}`, testkit.Document{"locale": "en"}, testkit.Document{"locale": "en"}},
		{"what the user does not have", `{"id_token":{"nickname":{"essential":true},"phone_number":null}}`, nil, nil},
		{"what there is not", `{"id_token":{"shoe_size":null,"password_hash":null},"userinfo":{"shoe_size":null}}`, nil, nil},
		{"another value", `{"id_token":{"locale":{"value":"de"}}}`, nil, nil},
		{"the value", `{"id_token":{"locale":{"value":"en"},"email_verified":{"value":true}}}`, testkit.Document{"locale": "en", "email_verified": true}, nil},
		{"one of the values", `{"id_token":{"locale":{"values":["de","en"]}}}`, testkit.Document{"locale": "en"}, nil},
		{"none of the values", `{"id_token":{"locale":{"values":["de","fr"]}}}`, nil, nil},
		{"claims of the protocol stand once", `{"id_token":{"iss":null,"aud":null,"sub":null,"auth_time":{"essential":true},"acr":{"values":["1"]},"amr":null,"nonce":null,"sid":null,"at_hash":null}}`, nil, nil},
	} {
		s := b.signIn(t, b.web, url.Values{"claims": {tt.claims}})
		if diff := cmp.Diff(orEmpty(tt.idToken), told(t, s.Claims)); diff != "" {
			t.Errorf("%s: ID token (-want +got): %s", tt.name, diff)
		}
		got := b.web.Userinfo(s.AccessToken).JSON()
		delete(got, "sub")
		if diff := cmp.Diff(orEmpty(tt.userinfo), got); diff != "" {
			t.Errorf("%s: userinfo (-want +got): %s", tt.name, diff)
		}
	}
}

func orEmpty(d testkit.Document) testkit.Document {
	if d == nil {
		return testkit.Document{}
	}
	return d
}

// What a user tells about himself cannot take the place of what is known of him,
// nor of a claim of the protocol.
func TestUserClaims(t *testing.T) {
	b := newBack(t)
	const claims = `{"sub":"admin","iss":"https://evil.example","aud":"x","exp":1,"acr":"2","email":"root@example.com","email_verified":false,
		"updated_at":1,"name":"","nickname":null,"phone_number_verified":true,"role":"admin","gender":"f\u00e9 <x>"}`
	out, err := b.Store.PutUser(t.Context(), store.User{
		ID: store.UserID{0xde, 6: 0x40, 8: 0x80}, Email: "eve@example.com", EmailVerified: true, PasswordHash: b.User.PasswordHash, CredentialVersion: 1,
		CreatedAt: 1000, UpdatedAt: 2500, Claims: []byte(claims),
		Identifiers: []store.Identifier{{Kind: "email", Value: "eve@example.com"}, {Kind: "username", Value: "eve"}},
	})
	if err != nil || out != store.Done {
		t.Fatal(out, err)
	}
	b.change(t, testkit.Web, func(c *store.Client) { c.IDTokenProfileClaims = true })
	s := b.web.SignIn(t, b.Browser(t), testkit.Person{Username: "eve", Password: testkit.Password}, url.Values{"scope": {"openid profile email phone address"}})
	want := testkit.Document{"email": "eve@example.com", "email_verified": true, "updated_at": 2.0, "preferred_username": "eve", "gender": "fé <x>"}
	if diff := cmp.Diff(want, told(t, s.Claims)); diff != "" {
		t.Errorf("ID token (-want +got): %s", diff)
	}
	want["sub"] = s.Claims["sub"]
	if diff := cmp.Diff(want, b.web.Userinfo(s.AccessToken).JSON()); diff != "" {
		t.Errorf("userinfo (-want +got): %s", diff)
	}
}

// The algorithm of the ID token is the client's, that of the access token ours.
func TestIDTokenAlg(t *testing.T) {
	b := newBack(t)
	rp := b.Register(t, testkit.Document{"id_token_signed_response_alg": "ES256"}, nil)
	s := b.signIn(t, rp, nil) // which checks alg, kid and at_hash
	if header, _, err := rp.Verify(s.AccessToken); err != nil || header.Algorithm != "ES256" {
		t.Errorf("%v %v", header, err)
	}
}

// OpenID Connect Back-Channel Logout §2.4.
func TestLogoutToken(t *testing.T) {
	b := newBack(t)
	now := b.Clock.Now()
	issue := engine.LogoutIssue{
		Issuer: testkit.Issuer, Client: &oauth.Client{ID: "c"}, Subject: "s", SID: "sid", IssuedAt: now, ExpiresAt: now.Add(120e9), ID: "j",
	}
	for _, alg := range []string{"", "RS256", "ES256"} {
		issue.Client.IDTokenAlg = alg
		token, err := b.Engine.Sign(oidc.LogoutToken(issue))
		if err != nil {
			t.Fatal(err)
		}
		header, claims, err := b.web.Verify(token)
		if alg == "" {
			alg = "RS256"
		}
		if err != nil || header.Algorithm != alg || header.ExtraHeaders["typ"] != "logout+jwt" {
			t.Errorf("%v %v", header, err)
		}
		iat := float64(now.Unix())
		if diff := cmp.Diff(testkit.Document{
			"iss": testkit.Issuer, "sub": "s", "aud": "c", "iat": iat, "exp": iat + 120, "jti": "j", "sid": "sid",
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}, claims); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
	}
}

// tailored shapes tokens that differ in one thing from good ones.
type tailored struct {
	typ  string
	alg  jose.Alg
	with func(testkit.Document)
}

func (tailored) NeedsUser(*engine.Issue) bool { return false }

func (s tailored) Draft(i engine.Issue) engine.Drafts {
	claims := testkit.Document{
		"iss": testkit.Issuer, "sub": i.Subject, "aud": testkit.Issuer, "client_id": i.Client.ID, "scope": string(i.Scope), "jti": "j",
		"iat": i.IssuedAt.Unix(), "exp": i.ExpiresAt.Unix(), "gid": engine.GID(i.Grant),
	}
	s.with(claims)
	c := jose.NewClaims()
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		switch v := claims[name].(type) {
		case string:
			c.String(name, v)
		case int64:
			c.Int(name, v)
		case []string:
			c.Strings(name, v)
		}
	}
	return engine.Drafts{Access: engine.Draft{Key: engine.KeySpec{Purpose: engine.Standard, Alg: s.alg}, Typ: s.typ, KID: true, Claims: c}}
}

// Of all that the issuer's keys have signed, only an access token of this face for
// userinfo is taken there. Each row differs in one thing from the first.
func TestUserinfoOfForeignTokens(t *testing.T) {
	b := newBack(t)
	good := func(testkit.Document) {}
	for _, tt := range []struct {
		name   string
		shape  tailored
		status int
	}{
		{"an access token", tailored{"at+jwt", jose.ES256, good}, http.StatusOK},
		{"by the other key", tailored{"at+jwt", jose.RS256, good}, http.StatusOK},
		{"for several audiences", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["aud"] = []string{"x", testkit.Issuer} }}, http.StatusOK},
		{"of another type", tailored{"JWT", jose.ES256, good}, http.StatusUnauthorized},
		{"of a logout", tailored{"logout+jwt", jose.ES256, good}, http.StatusUnauthorized},
		{"of no type", tailored{"", jose.ES256, good}, http.StatusUnauthorized},
		{"of another issuer", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["iss"] = "https://other.example" }}, http.StatusUnauthorized},
		{"for another audience", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["aud"] = testkit.API }}, http.StatusUnauthorized},
		{"of another client", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["client_id"] = testkit.SPA }}, http.StatusUnauthorized},
		{"of a client of another face", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["client_id"] = testkit.App }}, http.StatusUnauthorized},
		{"of no client", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { delete(d, "client_id") }}, http.StatusUnauthorized},
		{"of no grant", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { delete(d, "gid") }}, http.StatusForbidden},
		{"of another grant", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["gid"] = "00000000000000000000000000000000" }}, http.StatusUnauthorized},
		{"without openid", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["scope"] = "profile" }}, http.StatusForbidden},
		{"expired", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { d["exp"] = b.Clock.Now().Unix() - 1 }}, http.StatusUnauthorized},
		{"without an end", tailored{"at+jwt", jose.ES256, func(d testkit.Document) { delete(d, "exp") }}, http.StatusUnauthorized},
	} {
		s := b.signIn(t, b.web, nil)
		issued, err := b.Engine.Token(t.Context(), &engine.TokenRequest{
			Face: oidc.Name, GrantType: oauth.RefreshToken, RefreshToken: s.RefreshToken, Shape: tt.shape,
			Credentials: engine.Credentials{ClientID: testkit.Web, Method: oauth.AuthSecretPost, Secret: testkit.WebSecret},
		})
		if err != nil {
			t.Fatal(err)
		}
		if a := b.web.Userinfo(issued.AccessToken); a.Status != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
	}
	profile, app := b.NewProfile(t), b.World.SignIn(t)
	for name, token := range map[string]string{"of the Dressipi face": profile.AccessToken, "of the Userdocks face": app.AccessToken} {
		if a := b.web.Userinfo(token); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}
