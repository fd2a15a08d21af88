package userdocks

import (
	"net/http"
	"unicode/utf8"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// What somebody comes to a hosted page for (contract §D).
const (
	signIn          = "signIn"
	signUp          = "signUp"
	unauthenticated = "unauthenticated" // signIn, whatever session there is
	logout          = "logout"
	forgot          = "forgot"
	reset           = "reset"
	confirm         = "confirm"
)

// visit is what somebody has come for. It travels in the form: nothing is kept
// for a visitor who may never answer.
type visit struct {
	Type        string `json:"type"`
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri,omitempty"` // as requested
	State       string `json:"state,omitempty"`
	Language    string `json:"language,omitempty"` // that was asked for; "" = the browser's
	Hash        string `json:"hash,omitempty"`     // of a mail
	// A challenge may come along, with its method; old clients send none.
	Challenge string `json:"code_challenge,omitempty"`
	Method    string `json:"code_challenge_method,omitempty"`
}

// challenge reads the code challenge; nil if none was sent.
func (v *visit) challenge() (*oauth.CodeChallenge, error) {
	if v.Challenge == "" && v.Method == "" {
		return nil, nil
	}
	c, err := oauth.ParseCodeChallenge(v.Challenge, v.Method)
	if err != nil {
		return nil, invalid("challenge malformed", "The "+err.Error()+".")
	}
	return &c, nil
}

// byMail reports whether a mail has led here.
func (v *visit) byMail() bool { return v.Type == confirm || v.Type == reset }

// decodeVisit reads the query of the login page. redirect_uri comes as the SDK
// writes it, encoded or not.
func decodeVisit(r *http.Request) (visit, wire.Params, error) {
	params, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return visit{}, nil, err
	}
	v := visit{Type: params["type"]}
	switch v.Type {
	case "":
		v.Type = signIn
	case signIn, signUp, unauthenticated, logout, forgot, reset, confirm:
	default:
		return v, nil, invalid("type unknown", "type must be signIn, signUp, unauthenticated, logout, forgot, reset or confirm.")
	}
	required := []string{"client_id", "redirect_uri"}
	if v.byMail() {
		required = []string{"client_id", "hash"}
	}
	return v, params, v.read(params, required...)
}

// decodeMailed reads the query of a link in a mail.
func decodeMailed(r *http.Request, kind string) (visit, error) {
	params, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return visit{}, err
	}
	v := visit{Type: kind}
	return v, v.read(params, "client_id", "hash")
}

func (v *visit) read(params wire.Params, required ...string) error {
	if err := params.Require(required...); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		limit int
		into  *string
	}{
		{"client_id", maxID, &v.ClientID}, {"redirect_uri", maxURI, &v.RedirectURI},
		{"state", maxOpaque, &v.State}, {"hash", maxArtefact, &v.Hash},
		{"nonce", maxOpaque, new(string)},
		{"code_challenge", maxOpaque, &v.Challenge}, {"code_challenge_method", maxOpaque, &v.Method},
	} {
		*f.into = params[f.name]
		if utf8.RuneCountInString(*f.into) > f.limit {
			return invalid(f.name+" too long", "The parameter "+f.name+" is too long.")
		}
	}
	if v.Language = pages.Known(params["language"]); v.Language == "" {
		v.Language = pages.Known(params["ui_locales"])
	}
	// Refused now, and not only after somebody has typed a password.
	_, err := v.challenge()
	return err
}

// ConfirmURL is the page that a confirmation mail leads to.
func ConfirmURL(issuer, clientID, link, language string) string {
	return mailedURL(issuer+confirmPath, clientID, link, language)
}

// ResetURL is the page that a reset mail leads to.
func ResetURL(issuer, clientID, link, language string) string {
	return mailedURL(issuer+resetPath, clientID, link, language)
}

func mailedURL(page, clientID, link, language string) string {
	u := page + "?client_id=" + escape(clientID) + "&hash=" + escape(link)
	if language != "" {
		u += "&language=" + escape(language)
	}
	return u
}

// url is the address of a hosted page for the same visitor.
func (v *visit) url(kind, language string) string {
	switch kind {
	case confirm:
		return mailedURL(confirmPath, v.ClientID, v.Hash, language)
	case reset:
		return mailedURL(resetPath, v.ClientID, v.Hash, language)
	case logout: // once is enough
		kind = unauthenticated
	}
	u := LoginPath + "?client_id=" + escape(v.ClientID)
	if v.State != "" {
		u += "&state=" + escape(v.State)
	}
	u += "&type=" + kind + "&redirect_uri=" + escape(v.RedirectURI)
	if v.Challenge != "" {
		u += "&code_challenge=" + escape(v.Challenge) + "&code_challenge_method=" + escape(v.Method)
	}
	if language != "" {
		u += "&language=" + language
	}
	return u
}

// cancelled is the address of the app for a visitor who does not want to. There
// is no code, and the SDK keeps the client_id that it finds (contract §D).
func (v *visit) cancelled() string {
	u := v.RedirectURI + "?error=access_denied&client_id=" + escape(v.ClientID)
	if v.State != "" {
		u += "&state=" + escape(v.State)
	}
	return u
}
