package pages

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/tallystick/tallystick/internal/oauth"
)

const hostile = "\"'><script>alert(1)</script>&lt;b&gt;{client}\u202e\r\n\x00`javascript:alert(1)"

func hostileClient() *oauth.Client {
	return &oauth.Client{
		ID: hostile, Name: hostile, LogoURI: "https://a;script-src *,x/logo.svg",
		PolicyURI: "javascript:alert(1)", TermsURI: "data:text/html,<script>alert(1)</script>",
	}
}

func friendlyClient() *oauth.Client {
	return &oauth.Client{
		ID: "shop", Name: "Shop", LogoURI: "https://cdn.example/logo.svg",
		PolicyURI: "https://shop.example/privacy", TermsURI: "https://shop.example/terms",
	}
}

func show(t *testing.T, p Page) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	if err := New("https://as.example", "/oauth2/static/", "/x/login", plain{}).Show(rec, 200, p); err != nil {
		t.Fatal(err)
	}
	return rec
}

// element is a tag of a page, with the text in it.
type element struct {
	tag  string
	attr map[string]string
	in   []*element
	text string
}

func (e *element) all(tag string) (found []*element) {
	for _, in := range e.in {
		if in.tag == tag || tag == "*" {
			found = append(found, in)
		}
		found = append(found, in.all(tag)...)
	}
	return found
}

func parse(t *testing.T, page string) *element {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var read func(*html.Node) *element
	read = func(n *html.Node) *element {
		e := &element{tag: n.Data, attr: map[string]string{}}
		for _, a := range n.Attr {
			e.attr[a.Key] = a.Val
		}
		for c := range n.ChildNodes() {
			switch c.Type {
			case html.TextNode:
				e.text += c.Data
			case html.ElementNode:
				in := read(c)
				e.in = append(e.in, in)
				e.text += in.text
			}
		}
		return e
	}
	return read(doc)
}

// The elements and attributes that our pages are made of. What a foreign text
// could add stands out.
var (
	tags = strings.Fields("html head meta title link body div header img p main h1 h2 h3 span strong a section ul li form input button label footer code")
	attr = strings.Fields("lang charset name content rel type href class src alt width height id role aria-hidden aria-label aria-invalid aria-describedby " +
		"method action accept-charset novalidate value autocomplete required maxlength autocapitalize autocorrect spellcheck target hreflang for tabindex autofocus")
)

// What holds on every page, whoever is shown on it: foreign text is text, ids are
// there once, each form has one button and its own sealed text, no text of ours is
// missing or left unfilled.
func TestPages(t *testing.T) {
	unfilled := regexp.MustCompile(`\{[a-z_]+\}`)
	for _, language := range Languages {
		for who, c := range map[string]*oauth.Client{hostile: hostileClient(), "Ada Lovelace": friendlyClient()} {
			for name, p := range samples(c, who, language) {
				body := show(t, p).Body.String()
				doc := parse(t, body)
				fault := func(format string, args ...any) {
					t.Errorf(language+", "+name+": "+format+"\n%s", append(args, body)...)
				}
				ids, sealed := map[string]bool{}, map[string]bool{}
				for _, e := range doc.all("*") {
					if !slices.Contains(tags, e.tag) {
						fault("<%s>", e.tag)
					}
					for key, value := range e.attr {
						if !slices.Contains(attr, key) {
							fault("<%s %s=%q>", e.tag, key, value)
						}
						if (key == "href" || key == "src" || key == "action") && !strings.HasPrefix(value, "https://") && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") {
							fault("<%s> leads to %q", e.tag, value)
						}
					}
					if id := e.attr["id"]; id != "" {
						if ids[id] {
							fault("two elements have the id %s", id)
						}
						ids[id] = true
					}
				}
				for _, e := range doc.all("*") {
					for _, id := range append(strings.Fields(e.attr["aria-describedby"]), e.attr["for"], strings.TrimPrefix(e.attr["href"], "#")) {
						if id != "" && !strings.HasPrefix(id, "/") && !strings.HasPrefix(id, "https:") && !ids[id] {
							fault("there is no %s", id)
						}
					}
				}
				for _, f := range doc.all("form") {
					buttons := f.all("button")
					if len(buttons) != 1 || buttons[0].attr["type"] != "submit" || f.attr["method"] != "post" {
						fault("a form with %d buttons, by %s", len(buttons), f.attr["method"])
						continue
					}
					if label := buttons[0].attr["aria-label"]; label != "" && !strings.HasPrefix(label, buttons[0].text) {
						fault("a button that says %q is called %q", buttons[0].text, label)
					}
					for _, in := range f.all("input") {
						if in.attr["type"] == "hidden" && in.attr["name"] == SealedField {
							if in.attr["value"] == "" || sealed[in.attr["value"]] {
								fault("two forms are sealed with %q", in.attr["value"])
							}
							sealed[in.attr["value"]] = true
						}
					}
				}
				if len(sealed) != len(doc.all("form")) {
					fault("%d forms, %d of them sealed", len(doc.all("form")), len(sealed))
				}
				for _, tag := range []string{"h1", "h2", "h3", "li", "p", "button", "a", "label"} {
					for _, e := range doc.all(tag) {
						if strings.TrimSpace(e.text) == "" {
							fault("<%s> says nothing", tag)
						}
					}
				}
				if left := unfilled.FindAllString(doc.text, -1); who != hostile && len(left) > 0 {
					fault("not filled: %q", left)
				}
				if strings.ContainsAny(doc.text, "\u202e\x00\ufffd") || strings.Contains(body, "ZgotmplZ") {
					fault("not legible: %q", doc.text)
				}
			}
		}
	}
}

// Each foreign text is there, as it was meant to be read.
func TestPagesShow(t *testing.T) {
	pages := samples(friendlyClient(), "<i>x</i>", "en")
	for name, want := range map[string][]string{
		"sign-in":        {"Sign in to continue to Shop.", "E-mail address or user name", "Cancel"},
		"sign-in again":  {"Please sign in again to continue to Shop.", "The name or the password is wrong", "Signed in as <i>x</i> ada@example.com"},
		"nothing typed":  {"Please check: Enter your e-mail address or your user name."},
		"own sign-in":    {"Sign in to see your account."},
		"logout":         {"Sign out?", "in Shop and all other apps"},
		"logout of none": {"of all apps that you use"},
		"logged out":     {"You are signed out", "Back to Shop"},
		"error":          {"<i>x</i>", "Request r1"},
		"consent": {
			"Shop (app.example.com) wants to:", "Signed in as <i>x</i> ada@example.com", "Nobody has vouched for this app",
			"Recognise you", "See your e-mail address", "Keep this access", "See your birthday", "Not you?",
			"See what your account says under “<i>x</i>”", "Use the permission “<i>x</i>”", "Act for you at <i>x</i>", "Allow Do not allow",
		},
		"account": {
			"Your account", "Signed in as <i>x</i> ada@example.com", "Sign out", "Apps with access S Shop Since 4 July 2026 Last used on 4 July 2026",
			"Revoke access", "Signed in on 4 July 2026, 01:05 UTC This browser End",
		},
		"nothing has access": {"The app has no access any more.", "No app has access to your account."},
	} {
		text := strings.Join(strings.Fields(parse(t, show(t, pages[name]).Body.String()).text), " ")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in %q", name, w, text)
			}
		}
	}
	for _, want := range []string{`aria-label="Revoke access of Shop"`, `aria-label="End the sign-in of 4 July 2026"`, `id="revoke-1"`} {
		if body := show(t, pages["account"]).Body.String(); !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

// The ids and names that DESIGN.md promises to whoever drives the pages stand on
// one button or box each.
func TestPagesAreDriven(t *testing.T) {
	pages := samples(friendlyClient(), "x", "en")
	for id, where := range map[string]struct{ page, tag, form string }{
		"login-submit":   {"sign-in", "button", "in"},
		"login-cancel":   {"sign-in", "button", "cancel"},
		"consent-allow":  {"consent", "button", "allow"},
		"consent-deny":   {"consent", "button", "deny"},
		"logout-confirm": {"logout", "button", "logout"},
		"oauth-error":    {"error", "main", ""},
		"logged-out":     {"logged out", "main", ""},
	} {
		doc := parse(t, show(t, pages[where.page]).Body.String())
		if !slices.ContainsFunc(doc.all(where.tag), func(e *element) bool { return e.attr["id"] == id }) {
			t.Errorf("%s: no %s with the id %s", where.page, where.tag, id)
		}
		for _, f := range doc.all("form") {
			if f.all("button")[0].attr["id"] == id && f.all("input")[0].attr["value"] != where.form {
				t.Errorf("%s is in the form of %s", id, f.all("input")[0].attr["value"])
			}
		}
	}
}

func TestPolicyOfForms(t *testing.T) {
	for uri, want := range map[string]string{
		"":                                  "'self'",
		"https://app.example.com":           "'self' https://app.example.com https:",
		"https://app.example.com:8443/cb?x": "'self' https://app.example.com:8443 https:",
		"http://127.0.0.1:3000/cb":          "'self' http://127.0.0.1:3000 https: http://localhost:* http://127.0.0.1:*",
		"com.example.app:/callback":         "'self' com.example.app:", // RFC 8252 §7.1
		"javascript:alert(1)":               "'self'",
		"data:text/html,x":                  "'self'",
		"x.y;script-src:/":                  "'self'",
		"https://a;script-src *":            "'self'",
		"urn:ietf:wg:oauth:2.0:oob:auto":    "'self'",
	} {
		got := show(t, Page{Language: "en", Title: "consent.title", FormTarget: uri}).Header().Get("Content-Security-Policy")
		if want := "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + want + "; frame-ancestors 'none'; base-uri 'none'"; got != want {
			t.Errorf("%q:\n%s, want\n%s", uri, got, want)
		}
	}
}

// HTML §7.1.3: an app that has opened a window keeps it, where the face says so.
func TestPopups(t *testing.T) {
	for popups, want := range map[bool]string{false: "same-origin", true: "unsafe-none"} {
		s := New("https://as.example", "/x/", "/x/login", plain{})
		s.Popups = popups
		shown, posted := httptest.NewRecorder(), httptest.NewRecorder()
		if err := s.Show(shown, 200, Page{Language: "en", Title: "consent.title"}); err != nil {
			t.Fatal(err)
		}
		if err := s.FormPost(posted, 200, "https://app.example.com/cb", nil, "en", nil); err != nil {
			t.Fatal(err)
		}
		for _, rec := range []*httptest.ResponseRecorder{shown, posted} {
			if got := rec.Header().Get("Cross-Origin-Opener-Policy"); got != want {
				t.Errorf("popups %v: %s, want %s", popups, got, want)
			}
		}
	}
}

// Two faces of an issuer read one session, whichever has written it.
func TestSitesShareTheSession(t *testing.T) {
	one := New("https://as.example", "/userdocks/", "/userdocks/login", plain{})
	two := New("https://as.example", "/oauth2/static/", "/userdocks/login", plain{})
	var written [2][]string
	for i, s := range []*Site{one, two} {
		rec := httptest.NewRecorder()
		s.SetSession(rec, "a", 5)
		s.SetSilentSession(rec, "b", 5)
		written[i] = rec.Header().Values("Set-Cookie")
		r := httptest.NewRequest("GET", "/", nil)
		for _, c := range rec.Result().Cookies() {
			r.AddCookie(c)
		}
		for _, reader := range []*Site{one, two} {
			if reader.Session(r) != "a" || reader.SilentSession(r) != "b" {
				t.Errorf("%s does not read what %s has written", reader.static, s.static)
			}
		}
	}
	if !slices.Equal(written[0], written[1]) {
		t.Errorf("%q and %q", written[0], written[1])
	}
}
