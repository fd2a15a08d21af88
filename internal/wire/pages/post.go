package pages

import (
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/tallystick/tallystick/internal/oauth"
)

// FormPost writes the page that carries an authorization response to a client as
// a form (OAuth 2.0 Form Post Response Mode §2): fields are its names and values,
// action is the redirect URI, which has matched. A script submits it; without
// JavaScript there is a button. An action that is not http or https is an error,
// and nothing is written.
func (s *Site) FormPost(w http.ResponseWriter, status int, action string, fields [][2]string, language string, client *oauth.Client) error {
	if source(oauth.Origin(action)) == "" {
		return errors.New("form_post: the action is not an http or https URI")
	}
	v := s.view(Page{
		Client: client, Language: language, Title: "return.title", Lead: "return.lead",
		Form: &Form{Action: action, Submit: "return.submit"},
	})
	v.Hidden, v.Nonce = fields, rand.Text()
	body, err := v.render()
	if err != nil {
		return err
	}
	s.head(w.Header(), policy(client)+"; script-src 'nonce-"+v.Nonce+"'; form-action"+onwards(action))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader may be gone
	return nil
}
