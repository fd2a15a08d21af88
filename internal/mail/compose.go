package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
)

// Letter is what a mail is about.
type Letter struct {
	Template  string // confirm, reset, taken
	Recipient string
	Language  string // a language tag; what has no texts here is written in English
	Client    string // the name of the app; "" for none
	// URL is what the mail is to be clicked for. In a taken mail it leads to the
	// sign-in page and may be missing.
	URL      string
	Lifetime time.Duration // of URL; not used by taken
}

//go:embed templates
var templateFiles embed.FS

// pair is one mail in one language. Both parts are filled from the same texts.
type pair struct {
	text *texttemplate.Template
	html *template.Template
}

// pairs are the mails by language and template.
var pairs = map[string]map[string]pair{"en": parse("en"), "de": parse("de")}

func parse(language string) map[string]pair {
	all := map[string]pair{}
	for _, name := range []string{"confirm", "reset", "taken"} {
		texts := []string{"templates/" + language + "/common.tmpl", "templates/" + language + "/" + name + ".tmpl"}
		all[name] = pair{
			text: texttemplate.Must(texttemplate.ParseFS(templateFiles, append(texts, "templates/layout.txt")...)),
			html: template.Must(template.ParseFS(templateFiles, append(texts, "templates/layout.html")...)),
		}
	}
	return all
}

// Compose writes a letter. It refuses an unknown template, a recipient that is
// not one bare address, a URL that is not absolute http(s) in visible ASCII, and
// a link without a lifetime. The error holds neither URL nor recipient.
func Compose(l Letter) (Message, error) {
	language := languageOf(l.Language)
	texts, ok := pairs[language][l.Template]
	if !ok {
		return Message{}, fmt.Errorf("no mail template %q", l.Template)
	}
	m := Message{To: l.Recipient}
	if _, err := m.recipient(); err != nil {
		return Message{}, err
	}
	if l.URL != "" || l.Template != "taken" {
		if !linkable(l.URL) {
			return Message{}, errors.New("the link of the mail is not an absolute http or https URL")
		}
		m.Links = []string{l.URL}
	}
	if l.Template != "taken" && l.Lifetime < time.Minute {
		return Message{}, errors.New("the link of the mail has no lifetime")
	}
	data := struct{ Language, Client, URL, Lifetime string }{language, displayName(l.Client), l.URL, inWords(l.Lifetime, language)}
	var err error
	execute := func(t interface {
		ExecuteTemplate(io.Writer, string, any) error
	}, part string) string {
		var b bytes.Buffer
		err = errors.Join(err, t.ExecuteTemplate(&b, part, data))
		return b.String()
	}
	m.Subject = execute(texts.text, "subject")
	m.Text = execute(texts.text, "mail")
	m.HTML = execute(texts.html, "mail")
	if err != nil {
		return Message{}, fmt.Errorf("mail template %s: %w", l.Template, err)
	}
	return m, nil
}

// languageOf is the language that a tag (RFC 5646) gets its mail in.
func languageOf(tag string) string {
	primary, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(tag), "_", "-"), "-")
	if _, ok := pairs[primary]; ok {
		return primary
	}
	return "en"
}

// linkable keeps out what a mail program could end a link at, and every scheme
// but the web's.
func linkable(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

const maxName = 60

// displayName is an app's name as one short line. Whoever registered the app
// chose it: control and formatting characters could break lines or, with
// bidirectional overrides, turn the text around it.
func displayName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.C, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxName {
		s = strings.TrimSpace(string(runes[:maxName-1])) + "…"
	}
	return s
}

// inWords is a lifetime for readers: in the largest unit that it is a whole
// number of, and never longer than it is.
func inWords(d time.Duration, language string) string {
	words := map[string][3][2]string{
		"en": {{"day", "days"}, {"hour", "hours"}, {"minute", "minutes"}},
		"de": {{"Tag", "Tage"}, {"Stunde", "Stunden"}, {"Minute", "Minuten"}},
	}[language]
	say := func(n time.Duration, unit [2]string) string {
		if n == 1 {
			return "1 " + unit[0]
		}
		return fmt.Sprintf("%d %s", n, unit[1])
	}
	const day = 24 * time.Hour
	switch {
	case d >= 2*day && d%day == 0:
		return say(d/day, words[0])
	case d >= time.Hour && d%time.Hour == 0:
		return say(d/time.Hour, words[1])
	}
	return say(d/time.Minute, words[2])
}
