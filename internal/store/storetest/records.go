package storetest

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

const face oauth.Face = "standard"

// The full records have a value in every field: see fields.

func fullClient() store.Client {
	maxAge := int64(60)
	return store.Client{
		Client: oauth.Client{
			ID: "app", Name: "Ann's app", ApplicationType: "web", URI: "https://a.example/", LogoURI: "https://a.example/logo",
			PolicyURI: "https://a.example/privacy", TermsURI: "https://a.example/terms", Contacts: []string{"ann@a.example"},
			RedirectURIs:           []string{"https://a.example/cb", "https://b.example/cb"},
			PostLogoutRedirectURIs: []string{"https://a.example/bye"},
			GrantTypes:             []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken},
			ResponseTypes:          []string{"code"}, Scope: "openid profile",
			AuthMethod: oauth.AuthNone, AuthSigningAlg: "ES256", JWKSURI: "https://a.example/jwks", JWKS: []byte(`{"keys":[]}`),
			SubjectType: oauth.SubjectPairwise, SectorIdentifierURI: "https://a.example/sector", IDTokenAlg: "ES256", UserinfoAlg: "RS256",
			RequestObjectAlg: "PS256", RequestURIs: []string{"https://a.example/request"},
			RequirePushed: true, DefaultMaxAge: &maxAge, RequireAuthTime: true, DefaultACRValues: []string{"1"}, InitiateLoginURI: "https://a.example/login",
			BackchannelLogout: "https://a.example/logout", BackchannelSID: true, SoftwareID: "software", SoftwareVersion: "1.2",
			Policy: oauth.Policy{
				RefreshTokenRotation: true, RefreshRetryWindow: oauth.RetryWindow(1500 * time.Millisecond), OnReplay: oauth.EndGrant,
				RequirePKCE: true, AnonymousProfile: true, RequirePAR: true, IDTokenProfileClaims: true, Resources: []string{"https://api.a.example/"},
				AccessTokenAlg: "RS256", IntrospectResources: []string{"https://api.a.example/"},
				SilentCrossSite: true, AccessTokenLifetime: 1, RefreshIdleLifetime: 2, RefreshAbsoluteLifetime: 3,
			},
		},
		Face: face, Source: "file", DisabledAt: t0 + 1, CreatedAt: t0 + 2, UpdatedAt: t0 + 3,
	}
}

func fullAPIKey() store.APIKey {
	return store.APIKey{Hash: sha256.Sum256([]byte("key")), ClientID: "app", Access: "write", CreatedAt: t0}
}

func fullMACKey() store.MACKey {
	return store.MACKey{Number: 65535, Sealed: []byte{0, 1, 255}, CreatedAt: t0, ActiveAt: t0 + 1}
}

func fullSigningKey() store.SigningKey {
	return store.SigningKey{
		Purpose: "standard", Algorithm: "ES256", Number: 1, ID: "kid", Sealed: []byte{0, 1, 255}, CreatedAt: t0, ActiveAt: t0 + 1, RetiredAt: t0 + 2,
	}
}

func fullGrant() store.Grant {
	return store.Grant{
		Birthright: store.Birthright{
			ID: id("full"), ClientID: "app", Subject: "sub", User: id("user ann"), Scope: "a b", Nonce: "n", AuthTime: t0 + 1,
			RedirectURI: "https://app.example.com/cb", CodeChallenge: sha256.Sum256([]byte("verifier")), HasChallenge: true,
			StateHash: sha256.Sum256([]byte("state")), Resources: "https://a.example/ https://b.example/", Claims: `{"id_token":{"email":null}}`,
			Browser: id("browser"), CreatedAt: t0 + 2, CodeExpiresAt: t0 + 3, AbsoluteExpiresAt: 253402300799999, // the end of year 9999
		},
		GrantState: store.GrantState{MACKey: 65535},
	}
}

// fields wants v to have a value in every field, so that a field that is added
// to a record is not forgotten here; but for those that are named.
func (w *world) fields(v any, but ...string) {
	w.Helper()
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case f.Anonymous:
				walk(v.Field(i))
			case v.Field(i).IsZero() && !strings.Contains(strings.Join(but, " "), f.Name):
				w.Errorf("%s has no value in the rule's record", f.Name)
			}
		}
	}
	walk(reflect.ValueOf(v))
}

// odd are strings that a database might not give back as they were.
var odd = []string{
	"", " ", "'", `"; DROP TABLE "grant"; --`, `\`, "%_", "ü€\U0001F600\u202e", "A\u030a", "\r\n\t", "null", "007", "1e3",
	strings.Repeat("x", 255), strings.Repeat("\U0001F600", 255),
}

var recordRules = []rule{
	{name: "records: a grant", check: func(w *world) {
		g := fullGrant()
		g.Session = w.session("s")
		w.fields(g, "RedeemedAt", "Generation", "RotatedAt", "IdleExpiresAt", "RevokedAt", "RevokedWhy")
		w.roundTrip(g)
	}},
	{name: "records: a grant with an empty challenge is not one without", check: func(w *world) {
		g := fullGrant()
		g.CodeChallenge = oauth.CodeChallenge{}
		w.roundTrip(g)
		g.ID, g.HasChallenge = id("without"), false
		w.roundTrip(g)
	}},
	{name: "records: odd strings of a grant", check: func(w *world) {
		for i, s := range odd {
			g := fullGrant()
			g.ID = id("odd %d", i)
			g.ClientID, g.Subject, g.Scope, g.Nonce, g.RedirectURI = s, s, oauth.Scope(s), s, s
			g.Resources, g.Claims = oauth.Resources(s), s
			w.roundTrip(g)
			in := anonymous(fmt.Sprint("odd ", i))
			in.Grant.ClientID, in.Grant.Subject, in.Grant.Scope, in.Grant.Nonce, in.Grant.RedirectURI = s, s, oauth.Scope(s), s, s
			in.Trace = store.Trace{RequestID: s, IP: s}
			w.redeemAnonymous(in, store.Done)
			row, _, err := w.s.Grant(w.ctx, in.Grant.ID)
			w.must(err)
			w.same("grant", row, in.Grant)
			w.same("trace", w.wantAudit(in.Grant.ID, store.AuditRedemption)[0].Trace, in.Trace)
		}
	}},
	{name: "records: a client, and its replacement", check: func(w *world) {
		c := fullClient()
		w.fields(c, "Secrets")
		w.fields(c.Client.Policy)
		for i, change := range []func(){
			func() {},
			func() {
				c = store.Client{Client: oauth.Client{ID: c.ID, Policy: oauth.Policy{RefreshRetryWindow: oauth.UntilUsed}}, Face: "another"}
			},
		} {
			change()
			before, err := w.s.ConfigVersion(w.ctx)
			w.must(err)
			w.must(w.s.PutClient(w.ctx, c))
			got, found, err := w.s.Client(w.ctx, c.ID)
			if err != nil || !found {
				w.Fatalf("Client: found = %v, %v", found, err)
			}
			w.same("client", got, c)
			of, err := w.s.ClientsOf(w.ctx, face)
			w.must(err)
			w.same("clients of the face", len(of), 1-i)
			after, err := w.s.ConfigVersion(w.ctx)
			w.must(err)
			w.same("ConfigVersion", after, before+1)
		}
	}},
	{name: "records: odd strings of a client", check: func(w *world) {
		for i, s := range odd {
			c := fullClient()
			c.ID, c.Name, c.Scope, c.Source = fmt.Sprint("odd", i), s, s, s
			c.RedirectURIs = []string{s, s}
			w.must(w.s.PutClient(w.ctx, c))
			got, _, err := w.s.Client(w.ctx, c.ID)
			w.must(err)
			w.same("client", got, c)
		}
	}},
	{name: "records: the clients of a face by id, byte by byte", check: func(w *world) {
		var want []store.Client
		for _, cid := range []string{"B", "a", "b", "z-1", strings.Repeat("~", 255)} {
			c := fullClient()
			c.ID = cid
			want = append(want, c)
		}
		for i := range want {
			w.must(w.s.PutClient(w.ctx, want[len(want)-1-i]))
		}
		other := fullClient()
		other.ID, other.Face = "c", "another"
		w.must(w.s.PutClient(w.ctx, other))
		got, err := w.s.ClientsOf(w.ctx, face)
		w.must(err)
		w.same("clients", got, want)
		if _, found, err := w.s.Client(w.ctx, "A"); err != nil || found {
			w.Errorf("Client: found = %v, %v; want none", found, err)
		}
	}},
	{name: "records: an API key, and its replacement", check: func(w *world) {
		k := fullAPIKey()
		w.fields(k)
		for range 2 {
			before, err := w.s.ConfigVersion(w.ctx)
			w.must(err)
			w.must(w.s.PutAPIKey(w.ctx, k))
			got, found, err := w.s.APIKey(w.ctx, k.Hash)
			if err != nil || !found {
				w.Fatalf("APIKey: found = %v, %v", found, err)
			}
			w.same("API key", got, k)
			after, err := w.s.ConfigVersion(w.ctx)
			w.must(err)
			w.same("ConfigVersion", after, before+1)
			k.ClientID, k.Access, k.CreatedAt = "other", "read", t0+9
		}
		if _, found, err := w.s.APIKey(w.ctx, store.Hash{}); err != nil || found {
			w.Errorf("APIKey: found = %v, %v; want none", found, err)
		}
	}},
	{name: "records: the config version is every intent's answer", check: func(w *world) {
		// Each of these compares its answer with ConfigVersion: see world.answer.
		for _, name := range []string{"a", "b"} {
			w.must(w.s.PutClient(w.ctx, fullClient()))
			g, in := w.redeemed(name), anonymous(name)
			w.redeem(redeem(w.born(name+" too")), store.Done)
			w.rotate(refresh(g, 0, t0), store.Done)
			w.rotate(refresh(g, 0, t0), store.Retried)
			w.rotate(refresh(g, 8, t0), store.Ahead)
			w.redeemAnonymous(in, store.Done)
			w.redeemAnonymous(in, store.Replayed)
			w.redeem(redeem(id("never born")), store.Unknown)
		}
	}},
	{name: "records: a user", check: func(w *world) {
		u := w.person("bob")
		u.DisabledAt, u.LastSignInAt = t0+3, t0+4
		u.Pending, u.ClientID, u.ReferralCode, u.Attributes = "p@example.com", "app", "code", []byte(`{"ü":1}`)
		u.GuessFailures, u.BlockedUntil, u.KnownAddress = 3, t0+5, id32("home")
		w.fields(u)
		w.put(u)
		got, _, err := w.s.User(w.ctx, u.ID)
		w.must(err)
		w.same("user", got, u)
	}},
	{name: "records: odd strings of a user, and no identifier", check: func(w *world) {
		for i, s := range odd {
			u := w.person(fmt.Sprint("odd ", i))
			u.ClientID, u.ReferralCode = s, s
			u.Email, u.PasswordHash, u.Claims = s, s, fmt.Appendf(nil, `{"name":%q}`, s)
			u.Identifiers = []store.Identifier{{Kind: "username", Value: "odd " + s}}
			if i == 0 {
				u.Identifiers = nil
			}
			w.put(u)
			got, _, err := w.s.User(w.ctx, u.ID)
			w.must(err)
			w.same("user", got, u)
		}
	}},
	{name: "records: signing keys, one of a number", check: func(w *world) {
		k := fullSigningKey()
		w.fields(k)
		var want []store.SigningKey
		for _, change := range []func(){
			func() {}, func() { k.Number, k.ID = 2, "kid 2" }, func() { k.Algorithm, k.ID = "RS256", "kid 3" },
			func() { k.Purpose, k.ID = "userdocks", "kid 4" },
		} {
			change()
			w.added(w.s.AddSigningKey(w.ctx, k))
			want = append(want, k)
		}
		for _, again := range want {
			again.ID, again.Sealed = "another", []byte("another")
			if out, err := w.s.AddSigningKey(w.ctx, again); err != nil || out != store.Taken {
				w.Fatalf("AddSigningKey = %v, %v; want taken", out, err)
			}
		}
		got, err := w.s.SigningKeys(w.ctx)
		w.must(err)
		byID := map[string]store.SigningKey{}
		for _, k := range got {
			byID[k.ID] = k
		}
		for _, k := range want {
			w.same("signing key", byID[k.ID], k)
		}
		w.same("number of signing keys", len(got), len(want))
	}},
	{name: "records: MAC keys, one of a number", check: func(w *world) {
		k := fullMACKey()
		w.fields(k)
		first := store.MACKey{Number: 1, Sealed: []byte{7}, CreatedAt: t0, ActiveAt: t0}
		w.added(w.s.AddMACKey(w.ctx, k))
		w.added(w.s.AddMACKey(w.ctx, first))
		again := store.MACKey{Number: k.Number, Sealed: []byte("another"), CreatedAt: t0 + 9, ActiveAt: t0 + 9}
		if out, err := w.s.AddMACKey(w.ctx, again); err != nil || out != store.Taken {
			w.Fatalf("AddMACKey = %v, %v; want taken", out, err)
		}
		got, err := w.s.MACKeys(w.ctx)
		w.must(err)
		w.same("MAC keys", got, []store.MACKey{first, k})
	}},
	{name: "records: no two audit events have one name", check: func(w *world) {
		g := w.redeemed("a")
		w.end(g, t0, store.Done)
		w.redeemed("b")
		type name struct{ node, sequence int64 }
		seen := map[name]bool{}
		for _, e := range append(w.audit(g), w.audit(id("grant b"))...) {
			n := name{e.Node, e.Sequence}
			if seen[n] {
				w.Errorf("two events are %v", n)
			}
			seen[n] = true
		}
	}},
}

// roundTrip wants a grant that is born to be read as it was given.
func (w *world) roundTrip(g store.Grant) {
	w.Helper()
	out, err := w.s.Birth(w.ctx, store.Birth{Grant: g, CredentialVersion: 1, Now: t0})
	if err != nil || out != store.Done {
		w.Fatalf("Birth = %v, %v", out, err)
	}
	row, found, err := w.s.Grant(w.ctx, g.ID)
	if err != nil || !found {
		w.Fatalf("Grant: found = %v, %v", found, err)
	}
	w.same("grant", row, g)
}
