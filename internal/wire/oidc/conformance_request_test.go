package oidc_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

// Modules about request objects (OIDC Core §6, RFC 9101).

// served is a document on a server of the client's, which may change.
type served struct {
	kind string // media type
	text atomic.Value
	hits atomic.Int32
	URL  string
}

func serve(t *testing.T, kind, text string) *served {
	t.Helper()
	s := &served{kind: kind}
	s.text.Store(text)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.hits.Add(1)
		w.Header().Set("Content-Type", s.kind)
		_, _ = io.WriteString(w, s.text.Load().(string))
	}))
	t.Cleanup(host.Close)
	s.URL = host.URL + "/" + testkit.Random()
	return s
}

func (s *served) set(text string) { s.text.Store(text) }

// unsignedIsNotOffered: the suite skips the modules about unsigned request
// objects where discovery does not list none; then none must be refused.
func unsignedIsNotOffered(t *testing.T, rp *testkit.RP) {
	t.Helper()
	algs := rp.Metadata.Texts("request_object_signing_alg_values_supported")
	if slices.Contains(algs, "none") || !slices.Contains(algs, "RS256") {
		t.Errorf("discovery: request_object_signing_alg_values_supported %v", algs)
	}
}

func requestUnsigned(t *testing.T, p *plan) {
	rp := p.client(t, nil)
	unsignedIsNotOffered(t, rp)
	a := rp.Begin(p.ask(nil))
	a.Set(url.Values{"request": {a.UnsignedRequestObject(nil)}})
	p.refusedObject(t, a)
}

func requestURIUnsigned(t *testing.T, p *plan) {
	object := serve(t, "application/oauth-authz-req+jwt", "")
	rp := p.client(t, testkit.Document{"request_uris": []string{object.URL}})
	unsignedIsNotOffered(t, rp)
	a := rp.Begin(p.ask(nil))
	object.set(a.UnsignedRequestObject(nil))
	a.Set(url.Values{"request_uri": {object.URL}})
	p.refusedObject(t, a)
	if object.hits.Load() == 0 {
		t.Error("the registered request_uri was not fetched")
	}
}

func (p *plan) refusedObject(t *testing.T, a *testkit.Attempt) {
	t.Helper()
	j := p.world.Browser(t).Complete(a.URL(), p.who)
	if j.Answer == nil {
		t.Fatalf("authorization: no answer; the page: %s", j.End)
	}
	a.Check(t, j.Answer)
	p.refused(t, j.Answer, "invalid_request_object") // OIDC Core §3.1.2.6
}

// requestObjectWithRedirectURI: what the request object says goes before what
// the query says (OIDC Core §6.1). The suite sends it unsigned and skips the
// module where that is not offered; signed, the rule is the same.
func requestObjectWithRedirectURI(t *testing.T, p *plan) {
	rp, b := p.client(t, nil), p.world.Browser(t)
	a := rp.Begin(p.ask(nil))
	object := a.RequestObject(nil)
	outside := testkit.With(a.Params, url.Values{"request": {object}, "redirect_uri": {callback + "/invalid"}})
	b.Open(rp.Endpoint("authorization") + "?" + outside.Encode())
	p.finish(t, rp, a, b)
}

func requestURISignedRS256(t *testing.T, p *plan) {
	object := serve(t, "application/oauth-authz-req+jwt", "")
	rp := p.client(t, testkit.Document{"request_uris": []string{object.URL}, "request_object_signing_alg": "RS256"})
	if rp.Metadata["request_uri_parameter_supported"] != true { // its default is true, we say it (OIDC Discovery §3)
		t.Errorf("discovery: request_uri_parameter_supported %v", rp.Metadata["request_uri_parameter_supported"])
	}
	if algs := rp.Metadata.Texts("request_object_signing_alg_values_supported"); !slices.Contains(algs, "RS256") {
		t.Errorf("discovery: request_object_signing_alg_values_supported %v", algs)
	}
	b := p.world.Browser(t)
	a := rp.Begin(p.ask(nil))
	object.set(a.RequestObject(nil))
	// The state, the nonce and the redirect URI are in the object only.
	b.Open(rp.Endpoint("authorization") + "?" + url.Values{
		"client_id": {rp.ID}, "response_type": {"code"}, "scope": {"openid"}, "request_uri": {object.URL},
	}.Encode())
	p.finish(t, rp, a, b)
}
