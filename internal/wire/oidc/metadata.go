package oidc

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// publicly lets anybody keep an answer for five minutes.
var publicly = fmt.Sprintf("public, max-age=%d", int(engine.JWKSMaxAge.Seconds()))

// metadata is OpenID Connect Discovery §3, RFC 8414 §2, and what later
// specifications add to them.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Userinfo      string `json:"userinfo_endpoint"`
	JWKS          string `json:"jwks_uri"`
	Registration  string `json:"registration_endpoint,omitempty"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	PAR           string `json:"pushed_authorization_request_endpoint"` // RFC 9126 §5
	EndSession    string `json:"end_session_endpoint"`                  // RP-Initiated Logout §2.1

	Scopes        []string             `json:"scopes_supported"`
	ResponseTypes []string             `json:"response_types_supported"`
	ResponseModes []oauth.ResponseMode `json:"response_modes_supported"`
	GrantTypes    []oauth.GrantType    `json:"grant_types_supported"`
	ACRValues     []string             `json:"acr_values_supported"`
	SubjectTypes  []oauth.SubjectType  `json:"subject_types_supported"`
	Claims        []string             `json:"claims_supported"`
	ClaimTypes    []string             `json:"claim_types_supported"`
	Prompts       []string             `json:"prompt_values_supported"` // Initiating User Registration §4.1
	Displays      []string             `json:"display_values_supported"`
	Languages     []string             `json:"ui_locales_supported"`
	Challenges    []string             `json:"code_challenge_methods_supported"`

	IDTokenAlgs  []string `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs []string `json:"userinfo_signing_alg_values_supported"`
	RequestAlgs  []string `json:"request_object_signing_alg_values_supported"`

	TokenAuth         []oauth.AuthMethod `json:"token_endpoint_auth_methods_supported"`
	TokenAlgs         []string           `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth []oauth.AuthMethod `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs []string           `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth    []oauth.AuthMethod `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgs    []string           `json:"revocation_endpoint_auth_signing_alg_values_supported"`

	ClaimsParameter     bool `json:"claims_parameter_supported"`
	RequestParameter    bool `json:"request_parameter_supported"`
	RequestURIParameter bool `json:"request_uri_parameter_supported"`
	RegisterRequestURIs bool `json:"require_request_uri_registration"`
	IssInResponse       bool `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3
	BackchannelLogout   bool `json:"backchannel_logout_supported"`                   // Back-Channel Logout §2.1
	BackchannelSID      bool `json:"backchannel_logout_session_supported"`
}

// metadataOf describes the issuer. All of it is from the configuration: a request
// has no word in where a client will send its secrets.
func metadataOf(e *engine.Engine) metadata {
	at := func(path string) string { return e.Issuer() + path }
	m := metadata{
		Issuer: e.Issuer(), Authorization: at(authorizePath), Token: at(tokenPath), Userinfo: at(userinfoPath), JWKS: at(jwksPath),
		Introspection: at(introspectPath), Revocation: at(revokePath), PAR: at(parPath), EndSession: at(logoutPath),

		Scopes:        []string{oauth.OpenID, "profile", "email", "address", "phone", oauth.OfflineAccess},
		ResponseTypes: []string{"code"}, ResponseModes: oauth.ResponseModes,
		GrantTypes:   []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials},
		ACRValues:    []string{engine.ACR},
		SubjectTypes: []oauth.SubjectType{oauth.SubjectPublic, oauth.SubjectPairwise},
		Claims:       append([]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid"}, oauth.StandardClaims()...),
		ClaimTypes:   []string{"normal"}, Displays: []string{"page"}, Languages: pages.Languages,
		Prompts:    []string{"none", "login", "consent", "select_account"},
		Challenges: []string{oauth.S256},

		IDTokenAlgs: oauth.SigningAlgs, UserinfoAlgs: oauth.SigningAlgs, RequestAlgs: oauth.ClientSigningAlgs,
		TokenAuth: oauth.AuthMethods, TokenAlgs: oauth.ClientSigningAlgs,
		// A public client proves nothing, so it is told nothing of tokens.
		IntrospectionAuth: []oauth.AuthMethod{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthPrivateKeyJWT},
		IntrospectionAlgs: oauth.ClientSigningAlgs,
		RevocationAuth:    oauth.AuthMethods, RevocationAlgs: oauth.ClientSigningAlgs,

		ClaimsParameter: true, RequestParameter: true, RequestURIParameter: true, RegisterRequestURIs: true,
		IssInResponse: true, BackchannelLogout: true, BackchannelSID: true,
	}
	if e.RegistrationMode() != engine.RegistrationClosed {
		m.Registration = at(registerPath)
	}
	return m
}

// metadata answers GET /.well-known/openid-configuration, and the same under the
// name of RFC 8414 §3.
func (a *api) metadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", publicly)
	return wire.WriteJSON(w, http.StatusOK, metadataOf(a.engine))
}

// jwks answers with the JWK Set (RFC 7517 §5). A key that replaces another must
// be in it for longer than this cache life before it signs.
func (a *api) jwks(w http.ResponseWriter, _ *http.Request) error {
	body := a.engine.JWKS()
	h := w.Header()
	h.Set("Cache-Control", publicly)
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}
