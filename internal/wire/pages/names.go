package pages

import (
	"strings"
	"unicode"

	"github.com/tallystick/tallystick/internal/oauth"
)

// legible is a foreign text without what turns the text around it (UAX #9) or
// breaks its line.
func legible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, s)
}

// maxName is the length of a name that leaves room for something else.
const maxName = 80

func clientName(c *oauth.Client) string {
	name := strings.TrimSpace(legible(c.Name))
	if strings.ContainsFunc(name, visible) {
		if runes := []rune(name); len(runes) > maxName {
			name = string(runes[:maxName-1]) + "…"
		}
		return name
	}
	// Better than nothing: where the visitor will be sent back to.
	if len(c.RedirectURIs) > 0 {
		if where := place(c.RedirectURIs[0]); where != "" {
			return where
		}
	}
	return c.ID
}

func visible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// place is what tells where a redirect URI or an origin leads: its host, or the
// scheme of a native app.
func place(uri string) string {
	where := strings.TrimSuffix(strings.TrimPrefix(target(uri), " "), ":")
	if _, host, ok := strings.Cut(where, "://"); ok {
		return host
	}
	return where
}

// withPlace is a name and a place that nobody else has.
func withPlace(name, uri string) string {
	where := place(uri)
	if where == "" || where == name {
		return name
	}
	return name + " (" + where + ")"
}

// initial stands for a name where there is no picture.
func initial(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "·"
}
