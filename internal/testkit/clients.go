package testkit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/oauth"
)

// Verifier and Challenge are a pair (RFC 7636 Appendix B).
const (
	Verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// Answer is what a face answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string

	AccessToken  string
	IDToken      string
	RefreshToken string
	Code         string
	Error        string // OAuth's error, or the first code of Userdocks' envelope
}

// Send sends a request to a handler and reads the answer. It is safe to call
// from several goroutines: it fails no test by itself.
func Send(h http.Handler, r *http.Request) Answer {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return Read(rec.Code, rec.Header(), rec.Body.String())
}

// Read finds in an answer of any face what tests look for.
func Read(status int, header http.Header, body string) Answer {
	a := Answer{Status: status, Header: header, Body: body}
	var v struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Code, Error  string
		Items        []struct {
			AccessToken, IDToken, RefreshToken string
			NextAction                         struct{ URL string }
		}
		Errors []struct{ Code string }
	}
	if json.Unmarshal([]byte(body), &v) != nil {
		return a
	}
	a.AccessToken, a.RefreshToken, a.Code, a.Error = v.AccessToken, v.RefreshToken, v.Code, v.Error
	if len(v.Items) > 0 {
		a.AccessToken, a.IDToken, a.RefreshToken = v.Items[0].AccessToken, v.Items[0].IDToken, v.Items[0].RefreshToken
		if u, err := url.Parse(v.Items[0].NextAction.URL); err == nil {
			a.Code = u.Query().Get("code")
		}
	}
	if len(v.Errors) > 0 {
		a.Error = v.Errors[0].Code
	}
	return a
}

// DressipiAuthorize is the first request of the Dressipi SDK.
func DressipiAuthorize(client string) *http.Request {
	return httptest.NewRequest("GET", "/api/oauth/authorize?"+url.Values{
		"redirect_uri": {oauth.URNAuto}, "response_type": {"code"}, "client_id": {client}, "state": {"s"},
		"code_challenge_method": {oauth.S256}, "code_challenge": {Challenge},
	}.Encode(), nil)
}

// DressipiRedeem is its second, with every parameter in the query.
func DressipiRedeem(client, code string) *http.Request {
	return httptest.NewRequest("POST", "/api/oauth/token?"+url.Values{
		"redirect_uri": {oauth.URNAuto}, "grant_type": {"authorization_code"}, "client_id": {client},
		"code": {code}, "code_verifier": {Verifier},
	}.Encode(), nil)
}

// DressipiRefresh is its later ones.
func DressipiRefresh(client, token string) *http.Request {
	return httptest.NewRequest("POST", "/api/oauth/token?"+url.Values{
		"redirect_uri": {oauth.URNAuto}, "grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {token},
	}.Encode(), nil)
}

// PublicRefresh is the refresh of a public client of the standard face (RFC 6749 §6).
func PublicRefresh(client, token string) *http.Request {
	body := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {token}}.Encode()
	r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil } // who sends it twice needs it
	return r
}

// UserdocksCodes asks for a code by e-mail address and password.
func UserdocksCodes(app, email, password string) *http.Request {
	return post("/api/v1/codes", map[string]any{
		"appUuid": app, "email": email, "password": password, "state": "s", "redirectUri": AppCallback, "acceptPrivacyPolicy": false,
	})
}

// UserdocksRedeem is the Userdocks SDK's exchange of a code.
func UserdocksRedeem(app, code string) *http.Request {
	return post("/api/v1/tokens", map[string]any{
		"language": "en", "service": "email", "grant_type": "authorization_code", "client_id": app, "redirect_uri": AppCallback,
		"code": code, "state": "s", "nonce": "n", "auth_time": "1735689600", "scope": "",
	})
}

// UserdocksRefresh is its refresh.
func UserdocksRefresh(app, token string) *http.Request {
	return post("/api/v1/tokens", map[string]any{
		"language": "en", "service": "email", "grant_type": "authorization_code", "client_id": app, "redirect_uri": AppCallback,
		"code": "", "state": "s", "nonce": "n", "auth_time": "1735689600", "scope": "", "prompt": "none", "refresh_token": token,
	})
}

// UserdocksMe asks who the access token stands for.
func UserdocksMe(token string) *http.Request {
	return UserdocksAs(token, "GET", "/api/v1/users/me", nil)
}

// UserdocksAs is a request with an access token; body nil is none.
func UserdocksAs(token, method, path string, body any) *http.Request {
	r := request(method, path, body)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// UserdocksBackEnd is a request of an app's back end with its API key for
// "read" or "write".
func UserdocksBackEnd(app, key, access, method, path string, body any) *http.Request {
	r := request(method, path, body)
	r.Header.Set("X-Api-Key", key)
	r.Header.Set("X-Api-Key-Type", access)
	r.Header.Set("X-Client-Id", app)
	return r
}

// UserdocksRegister asks for an account.
func UserdocksRegister(app, email, password string) *http.Request {
	return post("/api/v1/users?type=confirmation&language=en", map[string]any{
		"appUuid": app, "email": email, "password": password, "passwordConfirmation": password,
		"acceptedTermsAndConditions": true, "acceptedDataPrivacy": true, "acceptPrivacyPolicy": false,
	})
}

// UserdocksConfirm spends the link of a confirmation mail.
func UserdocksConfirm(app, link string) *http.Request {
	return request("PUT", "/api/v1/user-confirm-hashes/"+link, map[string]any{"appUuid": app})
}

// UserdocksForgot asks for a reset mail, UserdocksReset spends its link.
func UserdocksForgot(app, email string) *http.Request {
	return request("PUT", "/api/v1/users?language=en", map[string]any{"appUuid": app, "email": email, "acceptPrivacyPolicy": false})
}

// UserdocksReset sets a new password.
func UserdocksReset(app, email, link, password string) *http.Request {
	return request("PUT", "/api/v1/users?language=en", map[string]any{
		"appUuid": app, "email": email, "confirmHash": link, "password": password, "passwordConfirmation": password,
		"acceptedTermsAndConditions": true, "acceptedDataPrivacy": true, "acceptPrivacyPolicy": false,
	})
}

func post(path string, body any) *http.Request { return request("POST", path, body) }

func request(method, path string, body any) *http.Request {
	if body == nil {
		return httptest.NewRequest(method, path, nil)
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and booleans always encode
	}
	r := httptest.NewRequest(method, path, strings.NewReader(string(text)))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	return r
}

// NewProfile runs the Dressipi exchange and returns its answer.
func (w *World) NewProfile(t testing.TB) Answer {
	t.Helper()
	a := Send(w.Handler, DressipiRedeem(Shop, Send(w.Handler, DressipiAuthorize(Shop)).Code))
	if a.Status != http.StatusOK {
		t.Fatalf("redeem: %d %s", a.Status, a.Body)
	}
	return a
}

// SignIn runs the Userdocks exchange for the world's user.
func (w *World) SignIn(t testing.TB) Answer {
	t.Helper()
	return w.SignInAs(t, Email, Password)
}

// SignInAs runs the Userdocks exchange for a user.
func (w *World) SignInAs(t testing.TB, email, password string) Answer {
	t.Helper()
	a := Send(w.Handler, UserdocksRedeem(App, Send(w.Handler, UserdocksCodes(App, email, password)).Code))
	if a.Status != http.StatusCreated {
		t.Fatalf("redeem: %d %s", a.Status, a.Body)
	}
	return a
}
