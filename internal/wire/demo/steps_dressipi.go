package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
)

// dressipiWalk is an anonymous profile by PKCE: five steps.
func dressipiWalk() *walk {
	const prefix = "/api/oauth" // as the SDK has it
	return &walk{
		Face: "dressipi", Name: "Dressipi",
		keeps: []string{"client_id", "code_verifier", "code", "access_token", "refresh_token"},
		steps: []step{
			{Slug: "authorize", Name: "Authorize", method: http.MethodGet, path: prefix + "/authorize", carrier: inQuery,
				fields: askProfile, learn: learnCode},
			{Slug: "token", Name: "Redeem", method: http.MethodPost, path: prefix + "/token", carrier: inForm,
				fields: redeemProfile, learn: learnTokens},
			{Slug: "refresh", Name: "Refresh", method: http.MethodPost, path: prefix + "/token", carrier: inForm,
				fields: refreshProfile, learn: learnTokens},
			{Slug: "profile", Name: "Who am I", method: http.MethodGet, path: "/api/profile",
				fields: func(_ *demo, keep values) params {
					return params{{Name: "x-dressipi-jwt", Value: keep["access_token"], Header: true}}
				},
				learn: learnNothing},
			{Slug: "again", Name: "Once only", method: http.MethodPost, path: prefix + "/token", carrier: inForm,
				fields: redeemProfile, learn: learnTokens},
		},
	}
}

// askProfile draws the verifier, which stays, and its challenge, which is sent.
func askProfile(d *demo, _ values) params {
	verifier := draw()
	sum := sha256.Sum256([]byte(verifier))
	return params{
		{Name: "code_verifier", Value: verifier, Kept: true},
		{Name: "code_challenge", Value: base64.RawURLEncoding.EncodeToString(sum[:])},
		{Name: "code_challenge_method", Value: oauth.S256},
		{Name: "response_type", Value: "code"},
		{Name: "client_id", Value: d.Boutique},
		{Name: "redirect_uri", Value: oauth.URNAuto},
		{Name: "state", Value: rand.Text()},
	}
}

// draw is 256 random bits in 43 characters, which is a code verifier as RFC 7636
// §4.1 recommends it.
func draw() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func redeemProfile(_ *demo, keep values) params {
	return params{
		{Name: "grant_type", Value: string(oauth.AuthorizationCode)},
		{Name: "code", Value: keep["code"]},
		{Name: "code_verifier", Value: keep["code_verifier"]},
		{Name: "client_id", Value: keep["client_id"]},
		{Name: "redirect_uri", Value: oauth.URNAuto},
	}
}

func refreshProfile(_ *demo, keep values) params {
	return params{
		{Name: "grant_type", Value: string(oauth.RefreshToken)},
		{Name: "refresh_token", Value: keep["refresh_token"]},
		{Name: "client_id", Value: keep["client_id"]},
		{Name: "redirect_uri", Value: oauth.URNAuto},
	}
}

func learnNothing([]byte) values { return nil }

func learnCode(body []byte) values {
	var a struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(body, &a) != nil {
		return nil
	}
	return values{"code": a.Code}
}

func learnTokens(body []byte) values {
	var a struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(body, &a) != nil {
		return nil
	}
	return values{"access_token": a.AccessToken, "refresh_token": a.RefreshToken}
}
