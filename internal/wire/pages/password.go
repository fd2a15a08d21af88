package pages

import (
	"math"
	"net/http"
	"strconv"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// Problems are what is wrong with a form: keys of texts, by the names of fields.
type Problems map[string]string

// Whole is the form's own place among its problems.
const Whole = ""

// Add says what is wrong with a field, unless something is already.
func (p Problems) Add(field, key string) {
	if _, ok := p[field]; !ok && key != "" {
		p[field] = key
	}
}

// Email checks what [EmailField] has asked for.
func (p Problems) Email(typed wire.Params) {
	if typed["username"] == "" {
		p.Add("username", "email.missing")
	} else if engine.CheckEmail(typed["username"]) != nil {
		p.Add("username", "email.malformed")
	}
}

// NewPassword checks what [NewPasswordFields] have asked for.
func (p Problems) NewPassword(typed wire.Params) {
	word := typed["password"]
	if word == "" {
		p.Add("password", "password.new_missing")
		return
	}
	if err := engine.CheckNewPassword(word, typed["username"]); err != nil {
		p.Add("password", PasswordProblem(err))
		return
	}
	if word != typed["password_again"] {
		p.Add("password_again", "password.differ")
	}
}

// PasswordProblem is what a form says of a password that the engine has refused; ""
// if that is not what is wrong.
func PasswordProblem(err error) string {
	return map[string]string{
		"password too short": "password.short", "password too long": "password.long", "password too common": "password.common",
	}[oauth.AsError(err).Reason]
}

// Trouble is what a form says of a limit that was reached, or of a fault, with its
// status; "" for any other refusal. says fills the text.
func Trouble(e *oauth.Error) (status int, key string, says map[string]string) {
	minutes := max(1, int(math.Ceil(e.RetryAfter.Minutes())))
	says = map[string]string{"minutes": strconv.Itoa(minutes)}
	switch {
	case e.Code == oauth.TemporarilyUnavailable && !e.Fault() && minutes == 1: // a limit
		return http.StatusTooManyRequests, "wrong.busy_minute", says
	case e.Code == oauth.TemporarilyUnavailable && !e.Fault():
		return http.StatusTooManyRequests, "wrong.busy_minutes", says
	case e.Code == oauth.TemporarilyUnavailable:
		return http.StatusServiceUnavailable, "wrong.unavailable", says
	case e.Fault():
		return http.StatusInternalServerError, "wrong.unavailable", says
	}
	return http.StatusBadRequest, "", nil
}

// Fill fills a form with what was typed, passwords left out, and with what is wrong
// with it.
func (f *Form) Fill(typed wire.Params, wrong Problems) {
	f.Problem = wrong[Whole]
	for i := range f.Fields {
		field := &f.Fields[i]
		field.Problem = wrong[field.Name]
		switch field.Type {
		case "checkbox":
			field.Checked = typed[field.Name] != ""
		case "email", "text":
			field.Value = typed[field.Name]
		}
	}
}

// EmailField asks for an e-mail address.
func EmailField() Field {
	return Field{Name: "username", Type: "email", Label: "email", Autocomplete: "username"}
}

// NewPasswordFields ask for a password twice: nobody sees what he types.
func NewPasswordFields(label string) []Field {
	return []Field{
		{Name: "password", Type: "password", Label: label, Hint: "password.hint", Autocomplete: "new-password"},
		{Name: "password_again", Type: "password", Label: "password.again", Autocomplete: "new-password"},
	}
}

// Forgot asks who wants a new password where to send the link.
func Forgot(action string) Page {
	return Page{Title: "forgot.title", Lead: "forgot.lead", Form: &Form{
		Action: action, Submit: "forgot.submit", ID: "forgot-submit", Fields: []Field{EmailField()},
	}}
}

// Mailed says that a mail is on its way; the lead has an {email} in it.
func Mailed(lead, email string) Page {
	return Page{Title: "mail.title", Lead: lead, More: "mail.hint", Says: map[string]string{"email": email}}
}

// Reset asks for the new password, once the link has been followed.
func Reset(action string) Page {
	return Page{Title: "reset.title", Lead: "reset.lead", Form: &Form{
		Action: action, Submit: "reset.submit", ID: "reset-submit", Fields: NewPasswordFields("password.new"),
	}}
}

// Done says that what the link was for (confirm, reset) is done.
func Done(what string) Page {
	return Page{Title: what + ".done.title", Lead: what + ".done.lead"}
}

// Dead says that the link can be used no more.
func Dead(what string) Page {
	return Page{ID: "oauth-error", Title: "dead.title", Lead: "dead." + what}
}
