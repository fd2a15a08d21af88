package testkit

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Page is what a browser shows: a page of the server, or the edge that it would
// leave the server by.
type Page struct {
	b      *Browser
	URL    *url.URL
	Status int // 0 where the browser has left the server
	Header http.Header
	Body   string
	doc    *html.Node

	// Answer is what is handed to the client: the address that a redirect leads
	// to, or the form that a page of response_mode form_post sends by itself.
	Answer *Authorization
}

// String says where the page is and what it offers, for a failed test; it shows
// no value of a parameter.
func (p *Page) String() string {
	if p.Doc() == nil {
		return "left for " + bare(p.URL)
	}
	var ids []string
	walk(p.doc, func(n *html.Node) {
		if id := attr(n, "id"); id != "" {
			ids = append(ids, "#"+id)
		}
	})
	text := p.Body
	if p.Has("oauth-error") {
		text = p.Text("oauth-error")
	} else if len(ids) > 0 {
		text = ""
	}
	return fmt.Sprintf("%d %s %v %.300s", p.Status, p.URL.Path, ids, text)
}

// Doc is the parsed page; nil where the browser has left the server.
func (p *Page) Doc() *html.Node { return p.doc }

// Has reports whether the page has an element of that id.
func (p *Page) Has(id string) bool { return p.element(id) != nil }

// Text is the text in the element of that id, with single spaces.
func (p *Page) Text(id string) string {
	var words []string
	walk(p.element(id), func(n *html.Node) {
		if n.Type == html.TextNode {
			words = append(words, strings.Fields(n.Data)...)
		}
	})
	return strings.Join(words, " ")
}

// Links are the addresses of the page's links.
func (p *Page) Links() (all []string) {
	walk(p.doc, func(n *html.Node) {
		if n.Data == "a" && n.Type == html.ElementNode {
			all = append(all, attr(n, "href"))
		}
	})
	return all
}

// Images are the addresses of the page's images.
func (p *Page) Images() (all []string) {
	walk(p.doc, func(n *html.Node) {
		if n.Data == "img" && n.Type == html.ElementNode {
			all = append(all, attr(n, "src"))
		}
	})
	return all
}

// Value is what the field of that name is filled with.
func (p *Page) Value(name string) (value string) {
	walk(p.doc, func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "input" && attr(n, "name") == name {
			value = attr(n, "value")
		}
	})
	return value
}

// FormValue is what a field is filled with in the form that the button of that id
// is in; "" if there is no such button.
func (p *Page) FormValue(button, name string) string {
	f, _ := p.formOf(button)
	return f.fields.Get(name)
}

// Language is the page's lang.
func (p *Page) Language() (lang string) {
	walk(p.doc, func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "html" {
			lang = attr(n, "lang")
		}
	})
	return lang
}

// AsksSignIn reports whether the page asks for a password.
func (p *Page) AsksSignIn() bool { return p.Has("login-submit") }

// AsksConsent reports whether the page asks for consent.
func (p *Page) AsksConsent() bool { return p.Has("consent-allow") }

// IsError reports whether it is an error page.
func (p *Page) IsError() bool { return p.Has("oauth-error") }

// AsksLogout reports whether the page asks to confirm the sign-out.
func (p *Page) AsksLogout() bool { return p.Has("logout-confirm") }

// LoggedOut reports whether the page says that the person is signed out.
func (p *Page) LoggedOut() bool { return p.Has("logged-out") }

func (b *Browser) read(at *url.URL, res *http.Response) *Page {
	b.t.Helper()
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	p := &Page{b: b, URL: at, Status: res.StatusCode, Header: res.Header, Body: string(body)}
	if p.doc, err = html.Parse(strings.NewReader(p.Body)); err != nil {
		b.t.Fatal(err)
	}
	walk(p.doc, func(n *html.Node) {
		if n.Type != html.ElementNode || n.Data != "form" || p.Answer != nil {
			return
		}
		// A form that goes to another origin can only be the answer to a client
		// (OAuth 2.0 Form Post Response Mode §2).
		if to, err := at.Parse(attr(n, "action")); err == nil && b.foreign(to) {
			if !p.mayReach(to) {
				b.t.Fatalf("browser: form-action of %s blocks the form to %s", at.Path, bare(to))
			}
			if f := formAt(n); f.method == "post" {
				p.Answer = &Authorization{To: to, Mode: "form_post", Params: f.fields}
			}
		}
	})
	return p
}

type form struct {
	method, action string
	fields         url.Values // as they are sent if nobody types
	inputs         []string   // names of the fields
	buttons        []*html.Node
}

// formOf is the form of a button; fault says why it cannot be pressed.
func (p *Page) formOf(id string) (f form, fault string) {
	button := p.element(id)
	if button == nil {
		return f, "no #" + id
	}
	node := button
	for node != nil && (node.Type != html.ElementNode || node.Data != "form") {
		node = node.Parent
	}
	if node == nil {
		return f, "#" + id + " is in no form"
	}
	f = formAt(node)
	if !slices.Contains(f.buttons, button) {
		return f, "#" + id + " is no submit button"
	}
	if len(f.buttons) != 1 {
		return f, fmt.Sprintf("the form of #%s has %d submit buttons, want one", id, len(f.buttons))
	}
	if name := attr(button, "name"); name != "" {
		f.fields.Set(name, attr(button, "value"))
	}
	return f, ""
}

// formAt reads a form (HTML §4.10.21.4, as far as our pages go).
func formAt(n *html.Node) form {
	f := form{method: strings.ToLower(attr(n, "method")), action: attr(n, "action"), fields: url.Values{}}
	walk(n, func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		kind, name := attr(n, "type"), attr(n, "name")
		switch {
		case n.Data == "button" && (kind == "" || kind == "submit"), n.Data == "input" && kind == "submit":
			f.buttons = append(f.buttons, n)
		case n.Data != "input" && n.Data != "textarea" && n.Data != "select" || name == "":
		case (kind == "checkbox" || kind == "radio") && !has(n, "checked"):
			f.inputs = append(f.inputs, name)
		default:
			f.inputs = append(f.inputs, name)
			f.fields.Add(name, attr(n, "value"))
		}
	})
	return f
}

func (p *Page) submission(f form) *http.Request {
	p.b.t.Helper()
	to, err := p.URL.Parse(f.action)
	if err != nil {
		p.b.t.Fatal(err)
	}
	r := p.b.request(http.MethodPost, to.String(), f.fields)
	r.Header.Set("Origin", p.b.issuer.Scheme+"://"+p.b.issuer.Host)
	// Fetch §3.1: a page that sends no referrer has no origin to tell either.
	if p.Header.Get("Referrer-Policy") == "no-referrer" {
		r.Header.Set("Origin", "null")
	}
	return r
}

// mayReach reports whether form-action lets a form, or the redirect after it, go
// to u (CSP 3 §6.5.1; Chromium judges redirects, too).
func (p *Page) mayReach(u *url.URL) bool {
	for _, policy := range p.Header.Values("Content-Security-Policy") {
		for directive := range strings.SplitSeq(policy, ";") {
			words := strings.Fields(directive)
			if len(words) == 0 || words[0] != "form-action" {
				continue
			}
			if !slices.ContainsFunc(words[1:], func(source string) bool {
				return source == u.Scheme+"://"+u.Host || source == u.Scheme+":"
			}) {
				return false
			}
		}
	}
	return true
}

func (p *Page) element(id string) (found *html.Node) {
	walk(p.doc, func(n *html.Node) {
		if found == nil && n.Type == html.ElementNode && attr(n, "id") == id {
			found = n
		}
	})
	return found
}

func walk(n *html.Node, visit func(*html.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for c := range n.Descendants() {
		visit(c)
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}
