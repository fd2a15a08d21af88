package oidc

import (
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// showAccount shows the account of a session's user.
func (a *api) showAccount(w http.ResponseWriter, r *http.Request, status int, s *engine.Session, note pages.Note) error {
	account, err := a.engine.Account(r.Context(), s)
	if err != nil {
		return err
	}
	language, id := accountLanguage(r), engine.FormatSession(s.ID)
	seal := func(does act, about string) string {
		if err != nil {
			return ""
		}
		var text string
		text, err = a.site.Seal(w, r, form{Act: does, Session: id, About: about})
		return text
	}
	p := pages.Page{
		Title: "account.title", Language: language, Here: accountIn, Note: note, Who: who(s),
		Lists: []pages.List{{Title: "account.apps", None: "account.apps_none"}, {Title: "account.sessions"}},
	}
	for _, app := range account.Apps {
		item := pages.Item{
			Client: app.Client, Notes: []pages.Line{dated("account.since", pages.Day(language, app.Since))}, Lines: pages.Asked(app.Scope, nil, nil),
			Button: &pages.Button{Action: accountRevoke, Sealed: seal(actRevoke, app.Client.ID), Text: "account.revoke", Label: "account.revoke_label"},
		}
		if !app.Used.IsZero() {
			item.Notes = append(item.Notes, dated("account.used", pages.Day(language, app.Used)))
		}
		p.Lists[0].Items = append(p.Lists[0].Items, item)
	}
	for _, one := range account.Sessions {
		item := pages.Item{Text: "account.session", Says: map[string]string{"date": pages.Moment(language, one.Since)}}
		if one.Current {
			item.Mark = "account.here"
		} else {
			item.Button = &pages.Button{Action: accountEnd, Sealed: seal(actEndSession, one.ID), Text: "account.end", Label: "account.end_label"}
		}
		p.Lists[1].Items = append(p.Lists[1].Items, item)
	}
	p.Buttons = []pages.Button{{Action: accountSignOut, Sealed: seal(actSignOut, ""), Text: "account.sign_out", ID: "sign-out"}}
	if err != nil {
		return err
	}
	if note.Text == "" {
		p.Note = done(r)
	}
	return a.site.Show(w, status, p)
}

func dated(text, date string) pages.Line {
	return pages.Line{Text: text, Says: map[string]string{"date": date}}
}

// done tells what has just been done. The address only says what: whoever makes one
// up gets no words of his own onto the page.
func done(r *http.Request) pages.Note {
	switch q := r.URL.Query(); {
	case q.Has("revoked"):
		return pages.Note{Text: "account.revoked"}
	case q.Has("ended"):
		return pages.Note{Text: "account.ended"}
	}
	return pages.Note{}
}
