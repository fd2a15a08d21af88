package demo

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
)

// userdocksWalk is a person's sign-in for an app: seven steps, of which the
// browser takes one by itself.
func userdocksWalk() *walk {
	const prefix = "/api/v1"
	return &walk{
		Face: "userdocks", Name: "Userdocks",
		keeps: []string{"client_id", "redirect_uri", "code", "state", "access_token", "refresh_token"},
		steps: []step{
			{Slug: "codes", Name: "Sign in", method: http.MethodPost, path: prefix + "/codes", carrier: inJSON,
				fields: signIn, learn: learnNextAction},
			{Slug: "callback", Name: "Callback"},
			{Slug: "tokens", Name: "Redeem", method: http.MethodPost, path: prefix + "/tokens", carrier: inJSON,
				fields: redeemCode, learn: learnItem},
			{Slug: "refresh", Name: "Refresh", method: http.MethodPost, path: prefix + "/tokens", carrier: inJSON,
				fields: refreshSession, learn: learnItem},
			{Slug: "me", Name: "Who am I", method: http.MethodGet, path: prefix + "/users/me",
				fields: bearer,
				learn:  learnNothing},
			{Slug: "key", Name: "Public key", method: http.MethodGet, path: prefix + "/public-key",
				fields: func(d *demo, _ values) params {
					return params{
						{Name: "X-API-KEY-Type", Value: "read", Header: true},
						{Name: "X-API-KEY", Value: d.ReadAPIKey, Header: true},
						{Name: "X-CLIENT-ID", Value: d.App, Header: true},
					}
				},
				learn: learnNothing, prove: proveKey},
			{Slug: "again", Name: "Once only", method: http.MethodPost, path: prefix + "/tokens", carrier: inJSON,
				fields: redeemCode, learn: learnItem},
		},
	}
}

// bearer is RFC 6750 §2.1.
func bearer(_ *demo, keep values) params {
	return params{{Name: "Authorization", Value: "Bearer " + keep["access_token"], Header: true}}
}

func signIn(d *demo, _ values) params {
	return params{
		{Name: "appUuid", Value: d.App},
		{Name: "email", Value: d.Email},
		{Name: "password", Value: d.Password},
		{Name: "state", Value: rand.Text()},
		{Name: "redirectUri", Value: d.AppRedirect},
	}
}

// redeemCode is the body that the vendor's SDK sends, in its order.
func redeemCode(d *demo, keep values) params {
	return params{
		{Name: "language", Value: "en"},
		{Name: "service", Value: "email"},
		{Name: "grant_type", Value: string(oauth.AuthorizationCode)},
		{Name: "client_id", Value: keep["client_id"]},
		{Name: "redirect_uri", Value: keep["redirect_uri"]},
		{Name: "code", Value: keep["code"]},
		{Name: "state", Value: keep["state"]},
		{Name: "nonce", Value: rand.Text()},
		{Name: "auth_time", Value: strconv.FormatInt(d.Now().Unix(), 10)},
		{Name: "scope", Value: "openid profile email"},
	}
}

// refreshSession is that of a refresh, which says authorization_code too.
func refreshSession(d *demo, keep values) params {
	return params{
		{Name: "language", Value: "en"},
		{Name: "service", Value: "email"},
		{Name: "grant_type", Value: string(oauth.AuthorizationCode)},
		{Name: "client_id", Value: keep["client_id"]},
		{Name: "redirect_uri", Value: keep["redirect_uri"]},
		{Name: "code"},
		{Name: "state", Value: keep["state"]},
		{Name: "nonce", Value: rand.Text()},
		{Name: "auth_time", Value: strconv.FormatInt(d.Now().Unix(), 10)},
		{Name: "scope"},
		{Name: "prompt", Value: "none"},
		{Name: "refresh_token", Value: keep["refresh_token"]},
	}
}

// items opens the envelope that every success of the face comes in.
func items[T any](body []byte) (item T, ok bool) {
	var envelope struct {
		Items []T `json:"items"`
	}
	if json.Unmarshal(body, &envelope) != nil || len(envelope.Items) != 1 {
		return item, false
	}
	return envelope.Items[0], true
}

func learnNextAction(body []byte) values {
	item, _ := items[struct {
		NextAction struct {
			URL string `json:"url"`
		} `json:"nextAction"`
	}](body)
	// The page makes a link of it: a script is no address.
	if u, err := url.Parse(item.NextAction.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	return values{"link": item.NextAction.URL}
}

func learnItem(body []byte) values {
	item, ok := items[struct {
		AccessToken  string `json:"accessToken"`
		IDToken      string `json:"idToken"`
		RefreshToken string `json:"refreshToken"`
	}](body)
	if !ok {
		return nil
	}
	return values{"access_token": item.AccessToken, "id_token": item.IDToken, "refresh_token": item.RefreshToken}
}

// proof is what an app's back end does with the public key.
type proof struct {
	Key      []line // the PEM
	Verified bool   // whether the walk's access token is signed by it
}

// proveKey verifies the token by the key in the answer: RS256 and nothing else,
// whatever the token's header says (RFC 8725 §3.1).
func proveKey(body []byte, jwt string) *proof {
	item, _ := items[struct {
		Value string `json:"value"`
	}](body)
	block, _ := pem.Decode([]byte(item.Value))
	if block == nil {
		return nil
	}
	p := &proof{Key: bodyLines([]byte(item.Value))}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := public.(*rsa.PublicKey)
	dot := strings.LastIndexByte(jwt, '.')
	if err != nil || !ok || dot < 0 {
		return p
	}
	signature, err := base64.RawURLEncoding.DecodeString(jwt[dot+1:])
	sum := sha256.Sum256([]byte(jwt[:dot]))
	p.Verified = err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	return p
}
