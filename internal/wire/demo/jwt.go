package demo

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	// Its own JSON: names are case-sensitive and a repeated one is refused, neither
	// of which encoding/json does.
	"github.com/go-jose/go-jose/v4/json"
)

// idTokenAlg is what the app expects its ID tokens and logout tokens to be signed
// with, having registered nothing else (OpenID Connect Registration §2,
// Back-Channel Logout §2.6).
const idTokenAlg = "RS256"

// asymmetric are the algorithms whose signatures are looked at: none of them can
// be made with what anybody knows (RFC 8725 §3.1).
var asymmetric = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// jwt is a token as its reader sees it. What it claims is kept even where the
// signature does not hold, to tell what else is wrong.
type jwt struct {
	Alg, Typ, KID string
	Fault         string // why the signature does not hold; "" if it does
	Claims        claims
}

// claims are those that are looked at. Times are seconds.
type claims struct {
	Issuer          string                     `json:"iss"`
	Subject         string                     `json:"sub"`
	Audience        audience                   `json:"aud"`
	AuthorizedParty string                     `json:"azp"`
	Expires         int64                      `json:"exp"`
	Issued          int64                      `json:"iat"`
	AuthTime        int64                      `json:"auth_time"`
	ID              string                     `json:"jti"`
	Nonce           json.RawMessage            `json:"nonce"` // nil if it is absent
	ATHash          string                     `json:"at_hash"`
	SID             string                     `json:"sid"`
	Events          map[string]json.RawMessage `json:"events"`
}

// nonce is the nonce as text; "" if it is none.
func (c claims) nonce() string {
	var s string
	_ = json.Unmarshal(c.Nonce, &s)
	return s
}

// audience is one string or several (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// keys fetches the issuer's JWKS.
func (d *demo) keys(visitor *http.Request) (*jose.JSONWebKeySet, error) {
	x, err := d.send(visitor, &step{method: http.MethodGet, path: jwksPath, fields: nothing}, nil)
	if err != nil {
		return nil, err
	}
	if !x.Served() {
		return nil, fmt.Errorf("the JWKS was answered with %d", x.Status)
	}
	set := new(jose.JSONWebKeySet)
	if err := json.Unmarshal(x.body, set); err != nil {
		return nil, errors.New("the answer is not a JWKS")
	}
	return set, nil
}

func nothing(*demo, values) params { return nil }

// readJWT verifies a token by the key that it names (RFC 7515 §4.1.4), which must
// be for its algorithm.
func readJWT(token string, keys *jose.JSONWebKeySet) jwt {
	if len(token) > maxToken {
		return jwt{Fault: "it is longer than any token"}
	}
	object, err := jose.ParseSignedCompact(token, asymmetric)
	if err != nil {
		return jwt{Fault: "it is not a JWT with an asymmetric signature"}
	}
	header := object.Signatures[0].Protected
	t := jwt{Alg: header.Algorithm, KID: header.KeyID}
	t.Typ, _ = header.ExtraHeaders[jose.HeaderType].(string)
	if json.Unmarshal(object.UnsafePayloadWithoutVerification(), &t.Claims) != nil {
		t.Claims = claims{}
		t.Fault = "its claims cannot be read"
		return t
	}
	found := keys.Key(t.KID)
	switch {
	case t.KID == "" || len(found) != 1:
		t.Fault = "its kid names no key of the JWKS"
	case found[0].Algorithm != "" && found[0].Algorithm != t.Alg:
		t.Fault = "its key is for another algorithm"
	default:
		if _, err := object.Verify(found[0].Key); err != nil {
			t.Fault = "the key did not make it"
		}
	}
	return t
}

// signed is the check of the signature.
func (t jwt) signed(where clause) check {
	c := check{Claim: "signature", Rule: "is that of a key of the JWKS", Clause: where, Result: when(t.Fault == ""), Got: t.Fault}
	if t.KID != "" && t.Fault == "" {
		c.Rule = "is that of the key “" + t.KID + "” of the JWKS"
	}
	return c
}
