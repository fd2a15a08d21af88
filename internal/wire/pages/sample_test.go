package pages

import (
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
)

// samples are pages as the faces fill them, for a client and a user that are
// called as they are here, and with foreign text wherever there can be any.
func samples(client *oauth.Client, foreign, language string) map[string]Page {
	born := time.Date(2026, 7, 3, 23, 5, 0, 0, time.FixedZone("", -2*3600))
	day := map[string]string{"date": Day(language, born)}
	moment := map[string]string{"date": Moment(language, born)}
	cancel := Button{Action: "/oauth2/sign-in", Sealed: "cancel", Text: "cancel", ID: "login-cancel"}
	lost := Button{Action: "/oauth2/forgot", Sealed: "forgot", Text: "sign_in.forgot", ID: "login-forgot", Plain: true}
	who := Who{Name: foreign, Email: "ada@example.com"}
	me := who
	me.Button = &Button{Action: "/account/sign-out", Sealed: "out", Text: "account.sign_out", ID: "sign-out"}
	other := who
	other.Link = Link{Text: "who.other", Href: "/oauth2/authorize?prompt=login", ID: "who-other"}
	signIn := Form{
		Action: "/oauth2/sign-in", Sealed: "in", Submit: "sign_in.submit", ID: "login-submit",
		Fields: []Field{
			{Name: "username", Type: "text", Label: "username", Autocomplete: "username", Value: foreign},
			{Name: "password", Type: "password", Label: "password", Autocomplete: "current-password"},
		},
	}
	again, wrong, apart := signIn, signIn, signIn
	again.Problem = "sign_in.wrong"
	wrong.Fields = append([]Field(nil), signIn.Fields...)
	wrong.Fields[0].Problem = "username.missing"
	apart.Action = "/account/sign-in"
	logout := Form{
		Action: "/oauth2/logout", Sealed: "logout", Submit: "logout.submit", ID: "logout-confirm",
		Cancel: Link{Text: "logout.stay", Href: "/account", ID: "logout-stay"},
	}
	forgot, reset := Forgot("/oauth2/forgot"), Reset("/oauth2/reset")
	forgot.Form.Sealed, reset.Form.Sealed = "forgot", "reset"
	asked := Asked("email offline_access openid "+oauth.Scope(foreign), []string{foreign}, []string{"birthdate", foreign})
	all := map[string]Page{
		"sign-in":        {Client: client, Title: "sign_in.title", Lead: "sign_in.lead", Form: &signIn, Buttons: []Button{cancel, lost}},
		"sign-in again":  {Client: client, Who: &who, Title: "sign_in.title", Lead: "sign_in.again", Form: &again, Buttons: []Button{cancel}},
		"nothing typed":  {Client: client, Title: "sign_in.title", Lead: "sign_in.lead", Form: &wrong, Buttons: []Button{cancel}},
		"forgot":         forgot,
		"mailed":         Mailed("forgot.sent", foreign),
		"reset":          reset,
		"reset, dead":    Dead("reset"),
		"reset, done":    {Client: client, Title: "reset.done.title", Lead: "reset.done.app", Go: Link{Text: "logged_out.back", Href: "https://app.example.com/"}},
		"own sign-in":    {Title: "sign_in.title", Lead: "sign_in.account", Form: &apart},
		"logout":         {Client: client, Who: &who, Title: "logout.title", Lead: "logout.lead", Form: &logout},
		"logout of none": {Title: "logout.title", Lead: "logout.lead_here", Form: &logout},
		"logged out": {
			Client: client, ID: "logged-out", Title: "logged_out.title", Lead: "logged_out.lead",
			Go: Link{Text: "logged_out.back", Href: "https://app.example.com/"},
		},
		"error": {ID: "oauth-error", Title: "error.title", Lead: "error.link", Detail: foreign, RequestID: "r1"},
		"consent": {
			Client: client, Who: &other, Title: "consent.title", Lead: "consent.lead", FormTarget: "https://app.example.com/callback?a=1",
			Note:    Note{Text: "consent.unvouched", Warning: true},
			Lists:   []List{{Lines: asked}},
			Form:    &Form{Action: "/oauth2/consent", Sealed: "allow", Submit: "consent.allow", ID: "consent-allow"},
			Buttons: []Button{{Action: "/oauth2/consent", Sealed: "deny", Text: "consent.deny", ID: "consent-deny"}},
		},
		"account": {
			Who: &me, Title: "account.title",
			Lists: []List{
				{Title: "account.apps", None: "account.apps_none", Items: []Item{{
					Client: client, Lines: asked,
					Notes:  []Line{{Text: "account.since", Says: day}, {Text: "account.used", Says: day}},
					Button: &Button{Action: "/account/revoke", Sealed: "app", Text: "account.revoke", Label: "account.revoke_label", ID: "revoke-1"},
				}}},
				{Title: "account.sessions", Items: []Item{
					{Text: "account.session", Says: moment, Mark: "account.here", Button: &Button{Action: "/account/revoke", Sealed: "one", Text: "account.end", Label: "account.end_label"}},
					{Text: "account.session", Says: day, Button: &Button{Action: "/account/revoke", Sealed: "two", Text: "account.end", Label: "account.end_label"}},
				}},
			},
		},
		"nothing has access": {
			Who: &me, Title: "account.title", Says: map[string]string{"client": foreign},
			Note:  Note{Text: "account.revoked"},
			Lists: []List{{Title: "account.apps", None: "account.apps_none"}},
		},
		"a session less": {Who: &me, Title: "account.title", Note: Note{Text: "account.ended"}},
	}
	for name, p := range all {
		p.Language = language
		p.Here = func(l string) string { return "/here?ui_locales=" + l }
		all[name] = p
	}
	return all
}
