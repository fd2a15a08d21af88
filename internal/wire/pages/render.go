package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
)

var layout = template.Must(template.ParseFS(files, "templates/*.html"))

// version is in the address of the files, so that they can be cached for good.
var version = func() string {
	h := sha256.New()
	for _, name := range []string{"static/style.css", "static/mark.svg"} {
		content, err := files.ReadFile(name)
		if err != nil {
			panic(err) // the file is part of the binary
		}
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}()

// view is a page as the template sees it.
type view struct {
	Page
	Static, Version     string
	Logo, Policy, Terms string // of the client, as far as they may be shown

	// What a form hands on as it is, and the nonce of the script that submits it.
	Hidden [][2]string
	Nonce  string
}

func (s *Site) view(p Page) view {
	v := view{Page: p, Static: s.static, Version: version}
	says := map[string]string{"client": "", "app": ""}
	if c := p.Client; c != nil {
		says["client"] = clientName(c)
		says["app"] = withPlace(says["client"], p.FormTarget)
		v.Logo, v.Policy, v.Terms = shown(c.LogoURI), shown(c.PolicyURI), shown(c.TermsURI)
	}
	v.Says, v.Detail = filled(says, p.Says), legible(p.Detail)
	return v
}

func (v view) render() ([]byte, error) {
	var b bytes.Buffer
	if err := layout.ExecuteTemplate(&b, "layout", v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// filled is what fills a text: before, and what comes first.
func filled(before, first map[string]string) map[string]string {
	says := maps.Clone(before)
	for name, value := range first {
		says[name] = legible(value)
	}
	return says
}

// T is a text of the page's language, filled.
func (v view) T(key string) string { return text(v.Language, key, v.Says) }

// ClientName is what the client is called.
func (v view) ClientName() string { return v.Says["client"] }

// Initial stands for a client without a logo.
func (v view) Initial() string { return initial(v.ClientName()) }

// User is what the user is called first and second; second may be "".
func (v view) User() [2]string {
	name, email := strings.TrimSpace(legible(v.Who.Name)), legible(v.Who.Email)
	if !strings.ContainsFunc(name, visible) || name == email {
		return [2]string{email, ""}
	}
	return [2]string{name, email}
}

// UserInitial stands for the user.
func (v view) UserInitial() string { return initial(v.User()[0]) }

// Wide reports whether the page lists things that need room for their buttons.
func (v view) Wide() bool {
	return slices.ContainsFunc(v.Lists, func(l List) bool { return l.Lines == nil })
}

// Say is a line, filled.
func (v view) Say(l Line) Line {
	v.Says = filled(v.Says, l.Says)
	l.Text = v.T(l.Text)
	if l.More != "" {
		l.More = v.T(l.More)
	}
	return l
}

// piece is a part of a page with the view that it stands in.
type piece struct {
	view
	X any
}

// And is for the template of a piece.
func (v view) And(x any) piece { return piece{v, x} }

// Entry is for the template of an item, whose texts are about its own client.
func (v view) Entry(i Item) piece {
	v.Says = filled(v.Says, i.Says)
	if i.Client != nil {
		v.Says["client"] = clientName(i.Client)
	}
	return piece{v, i}
}

// shown is a URI of a client's metadata if it may stand on a page: one of a
// scheme that runs nothing, on a plain host.
func shown(uri string) string {
	if source(oauth.Origin(uri)) == "" {
		return ""
	}
	return uri
}

type other struct{ Tag, Name, Href string }

// Others is the page in the languages that it is not in.
func (v view) Others() (all []other) {
	if v.Here == nil {
		return nil
	}
	for _, tag := range Languages {
		if tag != v.Language {
			all = append(all, other{tag, names[tag], v.Here(tag)})
		}
	}
	return all
}

// part is a field with the view that it stands in.
type part struct {
	view
	F Field
}

// With is for the template of a field.
func (v view) With(f Field) part { return part{v, f} }

// DescribedBy is the ids of what explains the field: its hint and its problem.
func (p part) DescribedBy() string {
	var ids []string
	if p.F.Problem != "" {
		ids = append(ids, p.F.Name+"-problem")
	}
	if p.F.Hint != "" {
		ids = append(ids, p.F.Name+"-hint")
	}
	return strings.Join(ids, " ")
}

// Href is where the label's link leads to, if it can be shown.
func (p part) Href() string { return shown(p.F.Link.Href) }

// Before and After are the label around its {link}.
func (p part) Before() string {
	before, _, _ := strings.Cut(p.T(p.F.Label), "{link}")
	return before
}

// After is what follows the link.
func (p part) After() string {
	_, after, _ := strings.Cut(p.T(p.F.Label), "{link}")
	return after
}
