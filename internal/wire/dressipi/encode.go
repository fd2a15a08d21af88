package dressipi

import (
	"crypto/sha256"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
)

// accessTokenType marks an access token (RFC 9068 §2.1), so that no other JWT
// of ours passes for one.
const accessTokenType = "at+jwt"

type authorization struct {
	Code  string `json:"code"`
	State string `json:"state"`
}

// tokens is the answer of contract §A.1: all four members, always.
type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

type profile struct {
	Personalised bool   `json:"personalised"`
	Subject      string `json:"sub,omitempty"`
	SubN         string `json:"subn,omitempty"`
}

// shape is the JWT of contract §D.1: exp, iat and sub first, as ever; then what
// the SDK (subn, iss) and RFC 9068 §2.2 add.
type shape struct{}

func (shape) NeedsUser(*engine.Issue) bool { return false }

func (shape) Draft(i engine.Issue) engine.Drafts {
	c := jose.NewClaims()
	// One clock reading for both, so that they are a lifetime apart to the second.
	c.Int("exp", i.ExpiresAt.Unix())
	c.Int("iat", i.IssuedAt.Unix())
	c.String("sub", i.Grant.Subject)
	c.String("subn", networkUser(i.Grant))
	c.String("iss", i.Issuer)
	c.String("aud", i.Issuer)
	c.String("client_id", i.Client.ID)
	c.String("jti", i.NewID())
	c.String("gid", engine.GID(i.Grant))
	return engine.Drafts{Access: engine.Draft{Key: SigningKey, Typ: accessTokenType, KID: true, Claims: c}}
}

// networkUser is the id that the SDK hands to its tracker: one per profile, the
// same at every refresh, so it follows from the grant.
func networkUser(g *engine.Grant) string {
	sum := sha256.Sum256(append([]byte("tallystick network user\x00"), g.ID[:]...))
	return engine.UUID([16]byte(sum[:16]))
}
