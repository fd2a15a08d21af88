package oidc

import (
	"encoding/json"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
)

var (
	es256 = engine.KeySpec{Purpose: engine.Standard, Alg: jose.ES256}
	rs256 = engine.KeySpec{Purpose: engine.Standard, Alg: jose.RS256}
)

// SigningKeys sign what the face issues.
var SigningKeys = []engine.KeySpec{es256, rs256}

// keyOf is the key for an algorithm that a client has registered; RS256 if it has
// registered none (OpenID Connect Registration §2).
func keyOf(alg string) engine.KeySpec {
	if alg == string(jose.ES256) {
		return es256
	}
	return rs256
}

// accessKey signs a client's access tokens: ES256 unless its policy has RS256.
func accessKey(c *oauth.Client) engine.KeySpec {
	if c.AccessTokenAlg == string(jose.RS256) {
		return rs256
	}
	return es256
}

// amr is how all users have proved who they are (RFC 8176 §2).
var amr = []string{"pwd"}

// shape is access tokens by RFC 9068 and ID tokens by OpenID Connect Core §2.
type shape struct {
	// nonce: the ID token repeats the one of the authorization request. That of a
	// refresh should not (OpenID Connect Core §12.2).
	nonce bool
}

func (shape) NeedsUser(i *engine.Issue) bool {
	return i.Scope.Has(oauth.OpenID) && (i.Client.IDTokenProfileClaims || i.Grant.Claims != "")
}

func (s shape) Draft(i engine.Issue) engine.Drafts {
	d := engine.Drafts{Access: engine.Draft{Key: accessKey(i.Client), Typ: engine.AccessTokenType, KID: true, Claims: accessClaims(i)}}
	if i.Grant != nil && i.Scope.Has(oauth.OpenID) {
		d.ID = &engine.Draft{Key: keyOf(i.Client.IDTokenAlg), Typ: engine.IDTokenType, KID: true, Claims: s.idClaims(i)}
		d.ATHash = true
	}
	return d
}

// accessClaims is RFC 9068 §2.2.
func accessClaims(i engine.Issue) *jose.Claims {
	c := jose.NewClaims()
	c.String("iss", i.Issuer)
	c.String("sub", i.Subject)
	switch aud := audience(i); len(aud) {
	case 1:
		c.String("aud", aud[0])
	default:
		c.Strings("aud", aud)
	}
	c.String("client_id", i.Client.ID)
	issued(c, i)
	if i.Scope != "" {
		c.String("scope", string(i.Scope))
	}
	if i.Grant != nil {
		authentication(c, i.Grant)
		c.String("gid", engine.GID(i.Grant))
	}
	return c
}

// audience is the resources that were asked for. The issuer is one, too: without
// any, and with openid for its userinfo endpoint.
func audience(i engine.Issue) []string {
	aud := i.Resources
	if aud == "" || i.Scope.Has(oauth.OpenID) {
		aud = aud.Union(oauth.Resources(i.Issuer))
	}
	return aud.URIs()
}

func issued(c *jose.Claims, i engine.Issue) {
	c.Int("iat", i.IssuedAt.Unix())
	c.Int("exp", i.ExpiresAt.Unix())
	c.String("jti", i.NewID())
}

// authentication is when and how the user has signed in.
func authentication(c *jose.Claims, g *engine.Grant) {
	c.Int("auth_time", g.AuthTime/1000)
	c.String("acr", engine.ACR)
	c.Strings("amr", amr)
}

// idClaims has no azp: the client is the only audience (OpenID Connect Core §2).
func (s shape) idClaims(i engine.Issue) *jose.Claims {
	c := jose.NewClaims()
	c.String("iss", i.Issuer)
	c.String("sub", i.Subject)
	c.String("aud", i.Client.ID)
	issued(c, i)
	authentication(c, i.Grant)
	if s.nonce && i.Grant.Nonce != "" {
		c.String("nonce", i.Grant.Nonce)
	}
	if i.SID != "" {
		c.String("sid", i.SID)
	}
	for _, told := range idTokenClaims(i) {
		c.JSON(told.name, told.value)
	}
	return c
}

// idTokenClaims are those of the user: what the claims parameter wants here, and
// what the scope asks for only if the client has it so; it is told by userinfo
// otherwise (OpenID Connect Core §5.4).
func idTokenClaims(i engine.Issue) []claim {
	if i.User == nil {
		return nil
	}
	var byScope oauth.Scope
	if i.Client.IDTokenProfileClaims {
		byScope = i.Scope
	}
	// It was looked at when the grant was born.
	asked, _ := oauth.ParseClaims(i.Grant.Claims)
	return claimsOf(i.User, byScope, asked.IDToken)
}

// LogoutToken is OpenID Connect Back-Channel Logout §2.4. It has no nonce, and a
// type of its own, so that it is no ID token.
func LogoutToken(i engine.LogoutIssue) engine.Draft {
	c := jose.NewClaims()
	c.String("iss", i.Issuer)
	c.String("sub", i.Subject)
	c.String("aud", i.Client.ID)
	c.Int("iat", i.IssuedAt.Unix())
	c.Int("exp", i.ExpiresAt.Unix())
	c.String("jti", i.ID)
	c.JSON("events", json.RawMessage(`{"http://schemas.openid.net/event/backchannel-logout":{}}`))
	if i.SID != "" {
		c.String("sid", i.SID)
	}
	return engine.Draft{Key: keyOf(i.Client.IDTokenAlg), Typ: "logout+jwt", KID: true, Claims: c}
}
