package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"strings"
	"unicode"

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
}

func (s *Site) render(p Page) ([]byte, error) {
	says := map[string]string{"client": ""}
	for name, value := range p.Says {
		says[name] = value
	}
	v := view{Page: p, Static: s.static, Version: version}
	if c := p.Client; c != nil {
		says["client"] = clientName(c)
		v.Logo, v.Policy, v.Terms = shown(c.LogoURI), shown(c.PolicyURI), shown(c.TermsURI)
	}
	v.Says = says
	var b bytes.Buffer
	if err := layout.ExecuteTemplate(&b, "layout", v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func clientName(c *oauth.Client) string {
	if name := strings.TrimSpace(c.Name); name != "" {
		return name
	}
	// Better than nothing: where the visitor will be sent back to.
	if len(c.RedirectURIs) > 0 {
		if _, host, ok := strings.Cut(oauth.Origin(c.RedirectURIs[0]), "://"); ok {
			return host
		}
	}
	return c.ID
}

// T is a text of the page's language, filled.
func (v view) T(key string) string { return text(v.Language, key, v.Says) }

// ClientName is what the client is called.
func (v view) ClientName() string { return v.Says["client"] }

// Initial stands for a client without a logo.
func (v view) Initial() string {
	for _, r := range v.ClientName() {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "·"
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
