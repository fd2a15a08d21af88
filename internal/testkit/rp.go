package testkit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// RP is a relying party: a small OAuth 2.1 and OpenID Connect client, written
// from the RFCs and independent of the server's own code, so that a test of the
// server does not ask the server whether it is right.
//
// It keeps no state between requests and is safe for several goroutines; a copy
// with a changed field is another client that behaves in another way. Its
// methods fail no test (but those that take one): they return what was answered.
type RP struct {
	// HTTP carries every request, Now is the client's clock.
	HTTP *http.Client
	Now  func() time.Time
	// Issuer and Metadata are from discovery (OpenID Connect Discovery §4).
	Issuer   string
	Metadata Document

	ID, Secret string
	// AuthMethod is how it authenticates (RFC 7591 §2 token_endpoint_auth_method).
	AuthMethod string
	// Key signs assertions and request objects; nil for who does not sign.
	Key         *ClientKey
	RedirectURI string
	// IDTokenAlg is what the ID token must be signed with; "" is RS256.
	IDTokenAlg string
	// Registration is the answer of the registration endpoint, if it was asked.
	Registration Document
}

// Document is a JSON object.
type Document map[string]any

// Text is a member that is a string; "" for everything else.
func (d Document) Text(name string) string { s, _ := d[name].(string); return s }

// Texts is a member that is an array of strings.
func (d Document) Texts(name string) (all []string) {
	list, _ := d[name].([]any)
	for _, v := range list {
		s, _ := v.(string)
		all = append(all, s)
	}
	return all
}

// Int is a member that is a number; 0 for everything else.
func (d Document) Int(name string) int64 { n, _ := d[name].(float64); return int64(n) }

// JSON is the answer's body, if it is an object; nil otherwise.
func (a Answer) JSON() (d Document) {
	if json.Unmarshal([]byte(a.Body), &d) != nil {
		return nil
	}
	return d
}

// RP is the world's client of that id: with a secret it is confidential and
// authenticates by client_secret_basic.
func (w *World) RP(t testing.TB, id, secret, redirectURI string) *RP {
	t.Helper()
	rp := NewRP(t, w.Client(), Issuer, w.Clock.Now)
	rp.ID, rp.Secret, rp.RedirectURI, rp.AuthMethod = id, secret, redirectURI, "client_secret_basic"
	if secret == "" {
		rp.AuthMethod = "none"
	}
	return rp
}

// Register registers a client at the world; see RP.Register for what is filled
// in. key signs for it; nil is none.
func (w *World) Register(t testing.TB, metadata Document, key *ClientKey) *RP {
	t.Helper()
	rp, a := NewRP(t, w.Client(), Issuer, w.Clock.Now).Register(metadata, key)
	if a.Status != http.StatusCreated {
		t.Fatalf("register: %d %s", a.Status, a.Body)
	}
	return rp
}

// NewRP discovers an issuer. The client is nobody yet: set its fields, or
// Register.
func NewRP(t testing.TB, client *http.Client, issuer string, now func() time.Time) *RP {
	t.Helper()
	rp := &RP{HTTP: client, Now: now, Issuer: issuer}
	a := rp.Call(http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", nil, nil)
	if rp.Metadata = a.JSON(); a.Status != http.StatusOK || rp.Metadata.Text("issuer") != issuer {
		t.Fatalf("discovery: %d %s", a.Status, a.Body)
	}
	return rp
}

// Call sends a request. A fault of the transport is an answer of status 0 with
// the fault as body.
func (rp *RP) Call(method, address string, header http.Header, body io.Reader) Answer {
	r, err := http.NewRequestWithContext(context.Background(), method, address, body)
	if err != nil {
		return Answer{Body: err.Error()}
	}
	maps.Copy(r.Header, header)
	res, err := rp.HTTP.Do(r)
	if err != nil {
		return Answer{Body: err.Error()}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{Body: err.Error()}
	}
	a := Read(res.StatusCode, res.Header, string(text))
	if id := a.JSON().Text("id_token"); id != "" {
		a.IDToken = id
	}
	return a
}

// Endpoint is an endpoint of discovery: "token" is token_endpoint.
func (rp *RP) Endpoint(name string) string { return rp.Metadata.Text(name + "_endpoint") }

// Random is a fresh unguessable string.
func Random() string { return rand.Text() }

// Register registers a client (RFC 7591 §3.1) and returns it as the answer
// describes it, with the RP's HTTP client and clock. It fills in nothing but
// redirect_uris, if that is missing; a nil member is left out. The RP is nil if
// the server refused.
func (rp *RP) Register(metadata Document, key *ClientKey) (*RP, Answer) {
	body := Document{"redirect_uris": []string{"https://rp.example.org/cb"}}
	maps.Copy(body, metadata)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(body)
	if err != nil {
		return nil, Answer{Body: err.Error()}
	}
	a := rp.Call(http.MethodPost, rp.Endpoint("registration"), http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(text))
	if a.Status != http.StatusCreated {
		return nil, a
	}
	n := *rp
	n.Registration, n.Key = a.JSON(), key
	n.ID, n.Secret = n.Registration.Text("client_id"), n.Registration.Text("client_secret")
	n.IDTokenAlg = n.Registration.Text("id_token_signed_response_alg")
	if n.AuthMethod = n.Registration.Text("token_endpoint_auth_method"); n.AuthMethod == "" {
		n.AuthMethod = "client_secret_basic" // RFC 7591 §2
	}
	if uris := n.Registration.Texts("redirect_uris"); len(uris) > 0 {
		n.RedirectURI = uris[0]
	}
	return &n, a
}

// Unregister deletes the client's registration (RFC 7592 §2.3).
func (rp *RP) Unregister() Answer {
	return rp.Call(http.MethodDelete, rp.Registration.Text("registration_client_uri"), bearer(rp.Registration.Text("registration_access_token")), nil)
}

// ReadRegistration reads it (RFC 7592 §2.1).
func (rp *RP) ReadRegistration() Answer {
	return rp.Call(http.MethodGet, rp.Registration.Text("registration_client_uri"), bearer(rp.Registration.Text("registration_access_token")), nil)
}

// Attempt is one authorization request and what its client remembers of it.
type Attempt struct {
	rp     *RP
	Params url.Values
	// Verifier belongs to the challenge in Params; "" if there is none.
	Verifier string
	// At is when it was made.
	At time.Time
	// Handle is the request_uri that the pushed request got; "" before Push.
	Handle string
}

// Begin makes an authorization request for scope openid, with a fresh state,
// nonce and S256 challenge. more replaces parameters; a nil value takes one away.
func (rp *RP) Begin(more url.Values) *Attempt {
	a := &Attempt{rp: rp, Verifier: Random() + Random(), At: rp.Now()}
	sum := sha256.Sum256([]byte(a.Verifier))
	a.Params = url.Values{
		"response_type": {"code"}, "client_id": {rp.ID}, "redirect_uri": {rp.RedirectURI}, "scope": {"openid"},
		"state": {Random()}, "nonce": {Random()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	a.Set(more)
	return a
}

// NoPKCE is for Begin: a request as a client of OAuth 2.0 without RFC 7636 sends it.
var NoPKCE = url.Values{"code_challenge": nil, "code_challenge_method": nil}

// With joins parameters; the later ones win.
func With(all ...url.Values) url.Values {
	joined := url.Values{}
	for _, v := range all {
		maps.Copy(joined, v)
	}
	return joined
}

// Set replaces parameters; a nil value takes one away.
func (a *Attempt) Set(more url.Values) {
	for name, v := range more {
		if a.Params[name] = v; v == nil {
			delete(a.Params, name)
		}
	}
	if !a.Params.Has("code_challenge") {
		a.Verifier = ""
	}
}

// URL is the address that the person's browser is sent to.
func (a *Attempt) URL() string {
	params := a.Params
	if a.Handle != "" {
		params = url.Values{"client_id": {a.rp.ID}, "request_uri": {a.Handle}}
	}
	return at(a.rp.Endpoint("authorization"), params)
}

// Push pushes the request (RFC 9126 §2.1); URL has only its handle then.
func (a *Attempt) Push() Answer {
	r := a.rp.Post("pushed_authorization_request", a.Params)
	a.Handle = r.JSON().Text("request_uri")
	return r
}

// Redeem exchanges a code (RFC 6749 §4.1.3). more replaces parameters; a nil
// value takes one away.
func (a *Attempt) Redeem(code string, more url.Values) Answer {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.rp.RedirectURI}}
	if a.Verifier != "" {
		form.Set("code_verifier", a.Verifier)
	}
	return a.rp.Token(merged(form, more))
}

// Token sends a token request with the client's authentication.
func (rp *RP) Token(form url.Values) Answer { return rp.Post("token", form) }

// Refresh refreshes (RFC 6749 §6).
func (rp *RP) Refresh(token string, more url.Values) Answer {
	return rp.Token(merged(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, more))
}

// ClientCredentials asks for a token of the client's own (RFC 6749 §4.4).
func (rp *RP) ClientCredentials(more url.Values) Answer {
	return rp.Token(merged(url.Values{"grant_type": {"client_credentials"}}, more))
}

// Introspect asks about a token (RFC 7662 §2.1).
func (rp *RP) Introspect(token string) Answer {
	return rp.Post("introspection", url.Values{"token": {token}})
}

// Revoke revokes a token (RFC 7009 §2.1).
func (rp *RP) Revoke(token string) Answer {
	return rp.Post("revocation", url.Values{"token": {token}})
}

// Userinfo asks with the token in the header (RFC 6750 §2.1).
func (rp *RP) Userinfo(token string) Answer {
	return rp.Call(http.MethodGet, rp.Endpoint("userinfo"), bearer(token), nil)
}

// UserinfoPost is the same by POST, with no body.
func (rp *RP) UserinfoPost(token string) Answer {
	return rp.Call(http.MethodPost, rp.Endpoint("userinfo"), bearer(token), nil)
}

// UserinfoForm has the token in the body (RFC 6750 §2.2).
func (rp *RP) UserinfoForm(token string) Answer {
	return rp.Call(http.MethodPost, rp.Endpoint("userinfo"), formHeader(), strings.NewReader(url.Values{"access_token": {token}}.Encode()))
}

// LogoutURL is the address of RP-Initiated Logout §2 with those parameters.
func (rp *RP) LogoutURL(params url.Values) string { return at(rp.Endpoint("end_session"), params) }

// Post sends a form to an endpoint with the client's authentication, which is
// left out where the form brings a client_secret or a client_assertion of its own.
func (rp *RP) Post(endpoint string, form url.Values) Answer {
	header, body := formHeader(), url.Values{}
	maps.Copy(body, form)
	if !body.Has("client_secret") && !body.Has("client_assertion") {
		rp.authenticate(header, body)
	}
	return rp.Call(http.MethodPost, rp.Endpoint(endpoint), header, strings.NewReader(body.Encode()))
}

func (rp *RP) authenticate(header http.Header, body url.Values) {
	switch rp.AuthMethod {
	case "client_secret_basic":
		// RFC 6749 §2.3.1: both are form-encoded before they are joined.
		pair := url.QueryEscape(rp.ID) + ":" + url.QueryEscape(rp.Secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case "client_secret_post":
		body.Set("client_id", rp.ID)
		body.Set("client_secret", rp.Secret)
	case "private_key_jwt":
		body.Set("client_id", rp.ID)
		body.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		body.Set("client_assertion", rp.Assertion(nil))
	default:
		body.Set("client_id", rp.ID)
	}
}

// Assertion is a fresh client assertion (RFC 7523 §2.2) for the issuer. more
// replaces claims; a nil value takes one away.
func (rp *RP) Assertion(more Document) string {
	claims := Document{
		"iss": rp.ID, "sub": rp.ID, "aud": rp.Issuer, "jti": Random(),
		"nbf": rp.Now().Unix(), "iat": rp.Now().Unix(), "exp": rp.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return rp.Key.Sign(claims, nil)
}

// RequestObject is the attempt as a signed request object (RFC 9101 §4). more
// replaces claims.
func (a *Attempt) RequestObject(more Document) string { return a.rp.Key.Sign(a.claims(more), nil) }

// UnsignedRequestObject is the same with alg none.
func (a *Attempt) UnsignedRequestObject(more Document) string { return Unsigned(a.claims(more)) }

func (a *Attempt) claims(more Document) Document {
	claims := Document{"iss": a.rp.ID, "aud": a.rp.Issuer}
	for name := range a.Params {
		claims[name] = a.Params.Get(name)
	}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func merged(form, more url.Values) url.Values {
	for name, v := range more {
		if form[name] = v; v == nil {
			delete(form, name)
		}
	}
	return form
}

func at(address string, params url.Values) string {
	if len(params) == 0 {
		return address
	}
	if strings.Contains(address, "?") {
		return address + "&" + params.Encode()
	}
	return address + "?" + params.Encode()
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func formHeader() http.Header {
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
}
