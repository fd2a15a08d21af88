package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func validClient() Client {
	return Client{
		ID: "c", AuthMethod: AuthNone, RedirectURIs: []string{"https://a.example/cb"},
		GrantTypes: []GrantType{AuthorizationCode, RefreshToken}, Scope: "openid", Policy: PublicPolicy(),
	}
}

func confidentialClient() Client {
	c := validClient()
	c.AuthMethod, c.Policy = AuthSecretBasic, ConfidentialPolicy()
	return c
}

func TestCheckAccepts(t *testing.T) {
	zero := int64(0)
	for _, tt := range []struct {
		name   string
		client Client
		change func(*Client)
	}{
		{"a public client", validClient(), func(*Client) {}},
		{"client_secret_basic", confidentialClient(), func(*Client) {}},
		{"client_secret_post", confidentialClient(), func(c *Client) { c.AuthMethod = AuthSecretPost }},
		{"every member", fullClient(), func(*Client) {}},
		{"private_key_jwt with jwks", confidentialClient(), func(c *Client) { c.AuthMethod, c.JWKS = AuthPrivateKeyJWT, someKeys }},
		{"private_key_jwt with jwks_uri", confidentialClient(), func(c *Client) { c.AuthMethod, c.JWKSURI = AuthPrivateKeyJWT, "https://a.example/keys" }},
		{"null for jwks beside jwks_uri", confidentialClient(), func(c *Client) {
			c.AuthMethod, c.JWKS, c.JWKSURI = AuthPrivateKeyJWT, json.RawMessage("null"), "https://a.example/keys"
		}},
		{"keys of a client that signs its requests only", validClient(), func(c *Client) { c.JWKS = someKeys }},
		{"client_credentials alone needs no redirect URI (RFC 7591 §2)", confidentialClient(), func(c *Client) {
			c.GrantTypes, c.RedirectURIs = []GrantType{ClientCredentials}, nil
		}},
		{"the response type code", validClient(), func(c *Client) { c.ResponseTypes = []string{"code"} }},
		{"a native client by a private-use scheme (RFC 8252 §7.1)", validClient(), func(c *Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"com.example.app:/cb", "http://127.0.0.1/cb"}
		}},
		{"a logout to a private-use scheme", validClient(), func(c *Client) { c.PostLogoutRedirectURIs = []string{"com.example.app:/bye"} }},
		{"redirect URIs with queries", validClient(), func(c *Client) {
			c.RedirectURIs = []string{"https://a.example/cb?a=1", "https://a.example/cb?a=2"}
		}},
		{"the URN of a client of anonymous profiles", validClient(), func(c *Client) { c.RedirectURIs, c.AnonymousProfile = []string{URNAuto}, true }},
		{"50 redirect URIs", validClient(), func(c *Client) { c.RedirectURIs = slices.Repeat([]string{"https://a.example/cb"}, 50) }},
		{"no scope", validClient(), func(c *Client) { c.Scope = "" }},
		{"a name beyond ASCII", validClient(), func(c *Client) { c.Name = "Bücher & mehr <ö>" }},
		{"public subjects on several hosts", validClient(), func(c *Client) {
			c.SubjectType, c.RedirectURIs = SubjectPublic, []string{"https://a.example/cb", "https://b.example/cb"}
		}},
		{"pairwise subjects on one host (OIDC Core §8.1)", validClient(), func(c *Client) {
			c.SubjectType, c.RedirectURIs = SubjectPairwise, []string{"https://a.example/cb", "https://a.example:8443/cb"}
		}},
		{"pairwise subjects on several hosts with a sector (OIDC Core §8.1)", validClient(), func(c *Client) {
			c.SubjectType, c.RedirectURIs, c.SectorIdentifierURI = SubjectPairwise, []string{"https://a.example/cb", "https://b.example/cb"}, "https://c.example/s"
		}},
		{"a request URI with the hash of its content (OIDC Core §6.2)", validClient(), func(c *Client) {
			c.RequestURIs = []string{"https://a.example/r", "https://a.example/r#GkurKxf5T0Y-mnPFCHqWOMiZi4VS138cQO_V7PZHAdM"}
		}},
		{"max_age 0 by default", validClient(), func(c *Client) { c.DefaultMaxAge = &zero }},
		{"loopback over http, for development", validClient(), func(c *Client) {
			c.LogoURI, c.JWKSURI, c.BackchannelLogout = "http://127.0.0.1:8080/logo", "http://localhost:8080/keys", "http://[::1]:8080/logout"
		}},
		{"a host in upper case, which is only fetched", validClient(), func(c *Client) { c.LogoURI = "https://A.example/logo?size=1&x=%20" }},
		{"no idle life", validClient(), func(c *Client) { c.RefreshIdleLifetime = 0 }},
		{"no retry window", validClient(), func(c *Client) { c.RefreshRetryWindow = 0 }},
		{"a retry window without end", validClient(), func(c *Client) { c.RefreshRetryWindow = UntilUsed }},
	} {
		tt.change(&tt.client)
		if err := tt.client.Check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := tt.client.CheckMetadata(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

var someKeys = json.RawMessage(`{"keys":[{"kty":"OKP"}]}`)

// one fault of a client: the member that Check must name.
type fault struct {
	member, name string
	change       func(*Client)
}

func faultyClients() []fault {
	long, minus := int64(maxLifetime+1), int64(-1)
	all := []fault{
		{"client_id", "empty", func(c *Client) { c.ID = "" }},
		{"client_id", "a space", func(c *Client) { c.ID = "a b" }},
		{"redirect_uris", "none, for authorization_code (RFC 7591 §2)", func(c *Client) { c.RedirectURIs = nil }},
		{"redirect_uris", "not https", func(c *Client) { c.RedirectURIs = []string{"http://a.example/cb"} }},
		{"redirect_uris", "one bad of two", func(c *Client) { c.RedirectURIs = append(c.RedirectURIs, "https://a.example/cb#x") }},
		{"redirect_uris", "wildcard", func(c *Client) { c.RedirectURIs = []string{"https://*.example/cb"} }},
		{"redirect_uris", "javascript", func(c *Client) { c.RedirectURIs = []string{"javascript:alert(1)"} }},
		{"redirect_uris", "10,000 of them", func(c *Client) { c.RedirectURIs = slices.Repeat(c.RedirectURIs, 10_000) }},
		{"redirect_uris", "the URN of anonymous profiles", func(c *Client) { c.RedirectURIs = []string{URNAuto} }},
		{"redirect_uris", "a private-use scheme of a confidential client (RFC 8252 §7.1)", func(c *Client) {
			c.RedirectURIs, c.AuthMethod = []string{"com.example.app:/cb"}, AuthSecretBasic
		}},
		{"post_logout_redirect_uris", "not https", func(c *Client) { c.PostLogoutRedirectURIs = []string{"http://a.example/bye"} }},
		{"post_logout_redirect_uris", "javascript", func(c *Client) { c.PostLogoutRedirectURIs = []string{"JaVaScRiPt:alert(1)"} }},
		{"post_logout_redirect_uris", "51 of them", func(c *Client) { c.PostLogoutRedirectURIs = slices.Repeat(c.RedirectURIs, 51) }},
		{"grant_types", "password", func(c *Client) { c.GrantTypes = append(c.GrantTypes, "password") }},
		{"grant_types", "implicit", func(c *Client) { c.GrantTypes = append(c.GrantTypes, "implicit") }},
		{"grant_types", "10,000 of them", func(c *Client) { c.GrantTypes = append(c.GrantTypes, slices.Repeat([]GrantType{"x"}, 10_000)...) }},
		{"grant_types", "refresh_token alone", func(c *Client) { c.GrantTypes = []GrantType{RefreshToken} }},
		{"grant_types", "client_credentials of a public client (RFC 6749 §4.4)", func(c *Client) { c.GrantTypes = append(c.GrantTypes, ClientCredentials) }},
		{"response_types", "token", func(c *Client) { c.ResponseTypes = []string{"token"} }},
		{"response_types", "a hybrid", func(c *Client) { c.ResponseTypes = []string{"code", "code id_token"} }},
		{"response_types", "none", func(c *Client) { c.ResponseTypes = []string{"none"} }},
		{"response_types", "code without authorization_code (RFC 7591 §2.1)", func(c *Client) {
			c.AuthMethod, c.GrantTypes, c.ResponseTypes = AuthSecretBasic, []GrantType{ClientCredentials}, []string{"code"}
		}},
		{"scope", "a quote (RFC 6749 §3.3)", func(c *Client) { c.Scope = `"` }},
		{"scope", "100 kB", func(c *Client) { c.Scope = hugeScope }},
		{"token_endpoint_auth_method", "none said", func(c *Client) { c.AuthMethod = "" }},
		{"token_endpoint_auth_method", "client_secret_jwt", func(c *Client) { c.AuthMethod = "client_secret_jwt" }},
		{"token_endpoint_auth_signing_alg", "none (OIDC Registration §2)", func(c *Client) { c.AuthSigningAlg = "none" }},
		{"token_endpoint_auth_signing_alg", "HS256", func(c *Client) { c.AuthSigningAlg = "HS256" }},
		{"request_object_signing_alg", "none", func(c *Client) { c.RequestObjectAlg = "none" }},
		{"id_token_signed_response_alg", "none", func(c *Client) { c.IDTokenAlg = "none" }},
		{"id_token_signed_response_alg", "what we do not sign with", func(c *Client) { c.IDTokenAlg = "PS256" }},
		{"userinfo_signed_response_alg", "in lower case", func(c *Client) { c.UserinfoAlg = "rs256" }},
		{"jwks", "beside jwks_uri (RFC 7591 §2)", func(c *Client) { c.JWKS, c.JWKSURI = someKeys, "https://a.example/keys" }},
		{"jwks", "missing, for private_key_jwt", func(c *Client) { c.AuthMethod = AuthPrivateKeyJWT }},
		{"jwks", "null, for private_key_jwt", func(c *Client) { c.AuthMethod, c.JWKS = AuthPrivateKeyJWT, json.RawMessage(`null`) }},
		{"jwks", "a string", func(c *Client) { c.JWKS = json.RawMessage(`"keys"`) }},
		{"jwks", "an array", func(c *Client) { c.JWKS = json.RawMessage(`[{"kty":"OKP"}]`) }},
		{"jwks", "no keys (RFC 7517 §5.1)", func(c *Client) { c.JWKS = json.RawMessage(`{}`) }},
		{"jwks", "an empty set", func(c *Client) { c.JWKS = json.RawMessage(`{"keys":[]}`) }},
		{"jwks", "keys twice", func(c *Client) { c.JWKS = json.RawMessage(`{"keys":[{"kty":"OKP"}],"keys":[{"kty":"EC"}]}`) }},
		{"jwks", "not UTF-8", func(c *Client) { c.JWKS = json.RawMessage("{\"keys\":[{\"kid\":\"\xff\"}]}") }},
		{"application_type", "another", func(c *Client) { c.ApplicationType = "service" }},
		{"application_type", "of 60 kB", func(c *Client) { c.ApplicationType = strings.Repeat("\x00", 60_000) }},
		{"subject_type", "another", func(c *Client) { c.SubjectType = "ephemeral" }},
		{"sector_identifier_uri", "missing, with several hosts (OIDC Core §8.1)", func(c *Client) {
			c.SubjectType, c.RedirectURIs = SubjectPairwise, []string{"https://a.example/cb", "https://b.example/cb"}
		}},
		{"sector_identifier_uri", "missing, with no host", func(c *Client) { c.SubjectType, c.RedirectURIs = SubjectPairwise, []string{"com.example.app:/cb"} }},
		{"request_uris", "not https", func(c *Client) { c.RequestURIs = []string{"http://a.example/r"} }},
		{"request_uris", "empty", func(c *Client) { c.RequestURIs = []string{""} }},
		{"request_uris", "a space in the fragment", func(c *Client) { c.RequestURIs = []string{"https://a.example/r#a b"} }},
		{"request_uris", "two fragments", func(c *Client) { c.RequestURIs = []string{"https://a.example/r#a#b"} }},
		{"request_uris", "a long fragment", func(c *Client) { c.RequestURIs = []string{"https://a.example/r#" + strings.Repeat("a", 2048)} }},
		{"request_uris", "10,000 of them", func(c *Client) { c.RequestURIs = slices.Repeat([]string{"x"}, 10_000) }},
		{"default_max_age", "negative", func(c *Client) { c.DefaultMaxAge = &minus }},
		{"default_max_age", "over ten years", func(c *Client) { c.DefaultMaxAge = &long }},
		{"client_name", "201 bytes", func(c *Client) { c.Name = strings.Repeat("a", 201) }},
		{"client_name", "a terminal's escape", func(c *Client) { c.Name = "\x1b[2J" }},
		{"client_name", "a line break", func(c *Client) { c.Name = "a\nb" }},
		{"contacts", "51 of them", func(c *Client) { c.Contacts = slices.Repeat([]string{"a"}, 51) }},
		{"contacts", "a long one", func(c *Client) { c.Contacts = []string{"a", strings.Repeat("a", 201)} }},
		{"default_acr_values", "51 of them", func(c *Client) { c.DefaultACRValues = slices.Repeat([]string{"1"}, 51) }},
		{"default_acr_values", "NUL", func(c *Client) { c.DefaultACRValues = []string{"\x00"} }},
		{"software_id", "60 kB", func(c *Client) { c.SoftwareID = strings.Repeat("a", 60_000) }},
		{"software_version", "60 kB", func(c *Client) { c.SoftwareVersion = strings.Repeat("a", 60_000) }},
		{"refresh_retry_window", "negative", func(c *Client) { c.RefreshRetryWindow = -2 }},
		{"on_replay", "another", func(c *Client) { c.OnReplay = "shrug" }},
		{"on_replay", "none said", func(c *Client) { c.OnReplay = "" }},
		{"access_token_lifetime", "0", func(c *Client) { c.AccessTokenLifetime = 0 }},
		{"access_token_lifetime", "over ten years", func(c *Client) { c.AccessTokenLifetime = long }},
		{"refresh_idle_lifetime", "negative", func(c *Client) { c.RefreshIdleLifetime = -1 }},
		{"refresh_idle_lifetime", "over ten years", func(c *Client) { c.RefreshIdleLifetime = long }},
		{"refresh_absolute_lifetime", "negative", func(c *Client) { c.RefreshAbsoluteLifetime = -1 }},
		{"refresh_absolute_lifetime", "over ten years", func(c *Client) { c.RefreshAbsoluteLifetime = long }},
		{"access_token_signed_response_alg", "none", func(c *Client) { c.AccessTokenAlg = "none" }},
		{"access_token_signed_response_alg", "of 60 kB", func(c *Client) { c.AccessTokenAlg = strings.Repeat("a", 60_000) }},
		{"resources", "not absolute (RFC 8707 §2)", func(c *Client) { c.Resources = []string{"/api"} }},
		{"introspect_resources", "not absolute", func(c *Client) { c.IntrospectResources = []string{"api"} }},
		{"resources", "a fragment", func(c *Client) { c.Resources = []string{"https://a.example/#x"} }},
	}
	for member, set := range map[string]func(*Client, string){
		"client_uri": func(c *Client, u string) { c.URI = u }, "logo_uri": func(c *Client, u string) { c.LogoURI = u },
		"policy_uri": func(c *Client, u string) { c.PolicyURI = u }, "tos_uri": func(c *Client, u string) { c.TermsURI = u },
		"jwks_uri": func(c *Client, u string) { c.JWKSURI = u }, "sector_identifier_uri": func(c *Client, u string) { c.SectorIdentifierURI = u },
		"initiate_login_uri": func(c *Client, u string) { c.InitiateLoginURI = u }, "backchannel_logout_uri": func(c *Client, u string) { c.BackchannelLogout = u },
		"request_uris": func(c *Client, u string) { c.RequestURIs = []string{u} },
	} {
		for name, uri := range map[string]string{
			"http": "http://a.example/x", "javascript": "javascript:alert(1)", "data": "data:image/svg+xml,x", "file": "file:///etc/passwd",
			"relative": "/x", "no host": "https:///x", "no host but a port": "https://:8443/x", "opaque": "https:a.example/x",
			"user information": "https://user@a.example/x", "not ASCII": "https://bücher.example/x", "a space": "https://a.example/a b",
			"a line break": "https://a.example/\r\nx", "a semicolon in the host": "https://a;sandbox/x", "a quote in the host": `https://a"b/x`,
			"a short address": "https://127.1/x", "port 0": "https://a.example:0/x", "port 65536": "https://a.example:65536/x",
			"2049 characters": "https://a.example/" + strings.Repeat("a", 2049-18),
			"badly encoded":   "https://a.example/%zz", "a zone": "https://[fe80::1%25eth0]/x",
		} {
			all = append(all, fault{member, name, func(c *Client) { set(c, uri) }})
		}
		if member != "request_uris" { // a hash of the content
			all = append(all, fault{member, "a fragment", func(c *Client) { set(c, "https://a.example/x#y") }})
		}
	}
	return all
}

// faultsOf lists what Check has joined.
func faultsOf(t *testing.T, err error) []*MetadataError {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not a list of faults: %v", err)
	}
	var all []*MetadataError
	for _, one := range joined.Unwrap() {
		m, ok := errors.AsType[*MetadataError](one)
		if !ok || m.Err == nil || m.Error() != m.Member+": "+m.Err.Error() {
			t.Fatalf("it does not name a member: %v", one)
		}
		all = append(all, m)
	}
	return all
}

func TestCheckNamesTheWrongMember(t *testing.T) {
	tried := make(map[string]bool)
	for _, tt := range faultyClients() {
		tried[tt.member] = true
		c := validClient()
		tt.change(&c)
		err := c.Check()
		found := faultsOf(t, err)
		if len(found) == 0 {
			t.Errorf("%s: %s was accepted", tt.member, tt.name)
			continue
		}
		for _, f := range found {
			if f.Member != tt.member {
				t.Errorf("%s: %s is called a fault of %s: %v", tt.member, tt.name, f.Member, f.Err)
			}
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: %s: the error has %d bytes", tt.member, tt.name, len(err.Error()))
		}
		// What a client does not say of itself is no fault of its metadata.
		operators := tt.member == "client_id" || slices.Contains(PolicyNames(), tt.member)
		if (c.CheckMetadata() == nil) != operators {
			t.Errorf("%s: %s: CheckMetadata says %v", tt.member, tt.name, c.CheckMetadata())
		}
	}
	var all map[string]any
	if text, err := json.Marshal(fullClient()); err != nil || json.Unmarshal(text, &all) != nil {
		t.Fatal(err)
	}
	for _, name := range MemberNames() {
		if _, either := all[name].(bool); !either && !tried[name] {
			t.Errorf("no wrong %s was tried", name)
		}
		delete(tried, name)
	}
	for name := range tried {
		t.Errorf("%s is no member of a client", name)
	}
}

// All that is wrong is said at once, in the same words each time.
func TestCheckNamesEveryFault(t *testing.T) {
	bad := validClient()
	bad.ID, bad.RedirectURIs, bad.PostLogoutRedirectURIs = "a b", []string{"ftp://x"}, []string{"ftp://y"}
	bad.GrantTypes, bad.ResponseTypes, bad.AuthMethod, bad.Scope = []GrantType{"password"}, []string{"token"}, "mtls", `"`
	bad.URI, bad.LogoURI, bad.PolicyURI, bad.TermsURI, bad.JWKSURI = "x", "x", "x", "x", "x"
	bad.OnReplay, bad.AccessTokenLifetime, bad.RefreshIdleLifetime, bad.RefreshAbsoluteLifetime = "shrug", 0, -1, -1
	err := bad.Check()
	var got []string
	for _, f := range faultsOf(t, err) {
		got = append(got, f.Member)
	}
	want := []string{
		"client_id", "redirect_uris", "post_logout_redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "scope",
		"client_uri", "jwks_uri", "logo_uri", "policy_uri", "tos_uri", "on_replay", "access_token_lifetime", "refresh_idle_lifetime", "refresh_absolute_lifetime",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for range 20 {
		if again := bad.Check(); again.Error() != err.Error() {
			t.Fatalf("once  %v\nagain %v", err, again)
		}
	}
}

func TestClientURIs(t *testing.T) {
	c := validClient()
	if got := c.URIs(); len(got) != 0 {
		t.Errorf("a client without addresses has %q", got)
	}
	c = fullClient()
	c.JWKSURI = "https://a.example/keys"
	got := c.URIs()
	for _, name := range MemberNames() {
		if _, ok := got[name]; ok != strings.HasSuffix(name, "_uri") {
			t.Errorf("%s is one of %q: %v", name, got, ok)
		}
	}
}

func TestSector(t *testing.T) {
	for _, tt := range []struct {
		name, uri string
		redirects []string
		want      string
		ok        bool
	}{
		{"the host of the redirect URI (OIDC Core §8.1)", "", []string{"https://a.example/cb"}, "a.example", true},
		{"one host of several redirect URIs", "", []string{"https://a.example/cb", "https://a.example/other?x=1"}, "a.example", true},
		{"the port does not count", "", []string{"https://a.example:8443/cb", "https://a.example/cb"}, "a.example", true},
		{"the host of the sector identifier (OIDC Core §8.1)", "https://s.example/list", []string{"https://a.example/cb", "https://b.example/cb"}, "s.example", true},
		{"its port does not count", "https://s.example:8443/list", nil, "s.example", true},
		{"nor its case", "https://S.Example/list", nil, "s.example", true},
		{"an IPv6 address", "", []string{"http://[::1]:8080/cb"}, "::1", true},
		{"a private-use scheme behind a host", "", []string{"https://a.example/cb", "com.example.app:/cb"}, "a.example", true},
		{"a private-use scheme in front of a host", "", []string{"com.example.app:/cb", "https://a.example/cb"}, "a.example", true},
		{"two hosts (OIDC Core §8.1)", "", []string{"https://a.example/cb", "https://b.example/cb"}, "", false},
		{"a host and its subdomain", "", []string{"https://a.example/cb", "https://x.a.example/cb"}, "", false},
		{"two hosts and none between them", "", []string{"https://a.example/cb", "com.example.app:/cb", "https://b.example/cb"}, "", false},
		{"no host", "", []string{"com.example.app:/cb"}, "", false},
		{"no redirect URI", "", nil, "", false},
		{"a sector identifier without a host", "urn:x", []string{"https://a.example/cb"}, "", false},
		{"a sector identifier with a port only", "https://:8443/", []string{"https://a.example/cb"}, "", false},
		{"a sector identifier that cannot be read", "https://a b/", []string{"https://a.example/cb"}, "", false},
	} {
		c := Client{SectorIdentifierURI: tt.uri, RedirectURIs: tt.redirects}
		if got, err := c.Sector(); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

// What a stranger registers never panics, and what is accepted is kept as it is.
func FuzzClientJSON(f *testing.F) {
	for _, c := range []Client{validClient(), confidentialClient(), fullClient(), {}} {
		text, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"client_id":null}`, `{"redirect_uris":null}`, `{"redirect_uris":[null]}`, `{"jwks":null,"token_endpoint_auth_method":"private_key_jwt"}`,
		`{"client_id":"c","jwks":{"keys":[{"kid":"<\u2028"}]},"token_endpoint_auth_method":"private_key_jwt","grant_types":["client_credentials"]}`,
		"{\"jwks\":{\"keys\":[\"\xff\"]}}", "{\"client_name\":\"\xff\"}", `{"client_name":"\ud800"}`, `{"default_max_age":-1}`, `{"default_max_age":1e3}`,
		`{"refresh_retry_window":"-1ns"}`, `{"refresh_retry_window":"0.1ns"}`, `{"subject_type":"pairwise","redirect_uris":["https://a.example","x:"]}`,
		`{"CLIENT_ID":"c","Client_Name":"x"}`, `{"request_uris":["#"]}`, `{"logo_uri":"https://[::1%25x]/"}`, `{"jwks":` + strings.Repeat("[", 10_001),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		c := Client{Policy: PublicPolicy()}
		if json.Unmarshal(document, &c) != nil {
			return
		}
		metadata := c.CheckMetadata()
		err := c.Check()
		if metadata != nil && err == nil {
			t.Errorf("Check accepts what CheckMetadata refuses: %v", metadata)
		}
		for _, fault := range faultsOf(t, err) {
			if !slices.Contains(MemberNames(), fault.Member) {
				t.Errorf("%q is no member: %v", fault.Member, fault.Err)
			}
		}
		if err != nil {
			return
		}
		if sector, err := c.Sector(); c.SubjectType == SubjectPairwise && (err != nil || sector == "") {
			t.Errorf("%q has the sector %q, %v", document, sector, err)
		}
		once, err := json.Marshal(c)
		if err != nil || !utf8.Valid(once) {
			t.Fatalf("%q cannot be kept as %q: %v", document, once, err)
		}
		var back Client
		if err := json.Unmarshal(once, &back); err != nil || back.Check() != nil {
			t.Fatalf("%q is kept as %s, which is refused: %v, %v", document, once, err, back.Check())
		}
		if again, err := json.Marshal(back); err != nil || !bytes.Equal(again, once) {
			t.Errorf("%q is kept as %s, and then as %s, %v", document, once, again, err)
		}
	})
}
