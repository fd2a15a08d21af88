package pages

import "github.com/tallystick/tallystick/internal/oauth"

// Page is one page: a heading, what it says, a form or a link to go on by.
// Strings that are named after a text are keys of the catalogues; the others are
// shown as they are, and may be hostile. Every id must be the only one of its
// page.
type Page struct {
	// Client is whose page it is: its name, its logo, its terms. Nil on error
	// pages, where nothing is known for sure, and on pages of no client.
	Client *oauth.Client
	// Language is the tag of a catalogue; see [Language].
	Language string
	Title    string
	Lead     string
	More     string // below the lead, less loud
	// Says fills {placeholders} of the texts. {client} is always there; {app} is
	// the client and where FormTarget is, since anybody may call himself Shop.
	Says map[string]string

	ID      string // of the box: oauth-error, logged-out, or none
	Note    Note   // something good to know, above the rest
	Who     *Who   // who is signed in; nil if it does not matter
	Lists   []List
	Form    *Form
	Buttons []Button // what can be done instead, below the form
	Go      Link     // the one thing to do next where there is no form
	Links   []Link   // other ways
	// Here is the address of the same page in another language; nil if it has none.
	Here func(language string) string

	// Detail is for whoever builds the client: the plain English of a refusal.
	Detail    string
	RequestID string

	// FormTarget is where a submitted form may end up by redirects: a redirect URI
	// or its origin. Browsers hold form-action against each hop.
	FormTarget string
}

// Note is a message that the page announces; it is nothing if Text is "".
type Note struct {
	Text    string
	ID      string
	Warning bool // rather than good news
}

// Who is the user that is signed in, with a way to become another: a link, or a
// button for what a link cannot carry; neither if there is none.
type Who struct {
	Name   string // shown as it is; "" if the user has none
	Email  string // or user name; shown as it is
	Link   Link
	Button *Button
}

// List is what a page lists: lines, or items that stand apart.
type List struct {
	Title string // "" where the lead introduces it
	None  string // said instead where there is nothing
	Lines []Line
	Items []Item
}

// Line is one text of a list. See [Asked] for those of a consent.
type Line struct {
	Text string
	More string            // less loud; "" if there is nothing more
	Says map[string]string // before those of the page
}

// Item is a thing with its own button.
type Item struct {
	// Client is the client that the item is about: its name is the heading, and
	// {client} in all texts of the item. Nil: Text is the heading.
	Client *oauth.Client
	Text   string
	Says   map[string]string // before those of the page
	Mark   string            // sets it apart from the others: this browser
	Notes  []Line            // about it: dates
	Lines  []Line            // what it may do; their More is left out
	Button *Button
}

// Link leads away from a page, to a path or by http or https.
type Link struct {
	Text string
	Href string
	ID   string
}

// Form is a form with one button to submit it.
type Form struct {
	Action  string
	Sealed  string // from [Site.Seal]
	Fields  []Field
	Submit  string
	ID      string // of the button
	Cancel  Link   // by a link; by a form of its own: see [Page]
	Problem string // what is wrong with all of it
}

// Button is a form that is nothing but its button.
type Button struct {
	Action string
	Sealed string // from [Site.Seal]
	Text   string
	// Label says it to those who do not see what stands around the button; "" if
	// Text says enough. It begins with Text (WCAG 2.2 §2.5.3).
	Label string
	ID    string // of the button; "" if nobody looks for it
	// Plain: it looks like a link, among the other ways.
	Plain bool
}

// Field is an input.
type Field struct {
	Name         string
	Type         string // email, text, password, checkbox, trap
	Label        string
	Link         Link // what {link} in a checkbox's label leads to
	Hint         string
	Value        string
	Checked      bool
	Autocomplete string
	Optional     bool
	Problem      string
}

// Wrong reports whether anything on the form is.
func (f *Form) Wrong() bool {
	if f.Problem != "" {
		return true
	}
	for _, field := range f.Fields {
		if field.Problem != "" {
			return true
		}
	}
	return false
}
