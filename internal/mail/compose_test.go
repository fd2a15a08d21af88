package mail

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

const link = "https://id.example.com/?client_id=0b7f&type=confirm#hash=mail_SECRET-LINK_0123456789"

func letter(template, language string) Letter {
	l := Letter{
		Template: template, Language: language, Recipient: "zoe@example.com", Client: "Acme & Söhne",
		URL: link, Lifetime: 24 * time.Hour,
	}
	if template == "reset" {
		l.Lifetime = time.Hour
	}
	return l
}

func compose(t *testing.T, l Letter) Message {
	t.Helper()
	m, err := Compose(l)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; rewrite with -update):\n%s", path, diff)
	}
}

func TestComposeGolden(t *testing.T) {
	for _, language := range []string{"en", "de"} {
		for _, template := range []string{"confirm", "reset", "taken"} {
			t.Run(template+"."+language, func(t *testing.T) {
				l := letter(template, language)
				m := compose(t, l)
				golden(t, template+"."+language+".txt", "Subject: "+m.Subject+"\n\n"+m.Text)
				golden(t, template+"."+language+".html", m.HTML)
				if diff := cmp.Diff([]string{link}, m.Links); diff != "" {
					t.Errorf("links (-want +got):\n%s", diff)
				}
				// What is true of all: the link stands alone in its line, the app is
				// named, and nothing is fetched from anywhere.
				if !strings.Contains(m.Text, "\n"+link+"\n\n") {
					t.Error("the link does not stand in a line of its own")
				}
				if !strings.Contains(m.Text, l.Client) {
					t.Error("the app is not named")
				}
				for _, fetch := range []string{"<img", "src=", "@import", "@font-face", "url(", "<link", "<script", "<form"} {
					if strings.Contains(m.HTML, fetch) {
						t.Errorf("the HTML contains %s", fetch)
					}
				}

				l.Client = ""
				if template == "taken" {
					l.URL = ""
				}
				m = compose(t, l)
				golden(t, template+"."+language+".bare.txt", "Subject: "+m.Subject+"\n\n"+m.Text)
			})
		}
	}
}

func TestTakenNeedsNoLink(t *testing.T) {
	l := letter("taken", "en")
	l.URL, l.Lifetime = "", 0
	m := compose(t, l)
	if len(m.Links) != 0 || strings.Contains(m.HTML, "<a ") || strings.Contains(m.HTML, "copy this address") {
		t.Errorf("links %q in:\n%s", m.Links, m.HTML)
	}
}

func TestComposeLanguage(t *testing.T) {
	tests := []struct{ tag, want string }{
		{"en", "en"}, {"de", "de"}, {"DE", "de"}, {"de-AT", "de"}, {"de_CH", "de"},
		{"fr", "en"}, {"", "en"}, {"deu", "en"}, {"../de", "en"}, {"de\r\nBcc: x@example.org", "en"},
	}
	for _, tt := range tests {
		m := compose(t, letter("confirm", tt.tag))
		if !strings.Contains(m.HTML, `<html lang="`+tt.want+`"`) {
			t.Errorf("%q: not in %s", tt.tag, tt.want)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Letter)
		want   string
	}{
		{"an unknown template", func(l *Letter) { l.Template = "welcome" }, `no mail template "welcome"`},
		{"a template that is a path", func(l *Letter) { l.Template = "../en/confirm" }, `no mail template "../en/confirm"`},
		{"no recipient", func(l *Letter) { l.Recipient = "" }, "no valid recipient"},
		{"two recipients", func(l *Letter) { l.Recipient = "a@example.com, b@example.com" }, "no valid recipient"},
		{"a group", func(l *Letter) { l.Recipient = "g:a@example.com;" }, "no valid recipient"},
		{"a recipient with a name", func(l *Letter) { l.Recipient = "Zoe <zoe@example.com>" }, "no valid recipient"},
		{"a recipient with a comment", func(l *Letter) { l.Recipient = "zoe@example.com (Zoe)" }, "no valid recipient"},
		{"a header behind the recipient", func(l *Letter) { l.Recipient = "zoe@example.com\r\nBcc: b@example.com" }, "no valid recipient"},
		{"a folded line behind the recipient", func(l *Letter) { l.Recipient = "zoe@example.com\r\n " }, "no valid recipient"},
		{"no link", func(l *Letter) { l.URL = "" }, "not an absolute http or https URL"},
		{"a relative link", func(l *Letter) { l.URL = "/confirm" }, "not an absolute http or https URL"},
		{"a script as link", func(l *Letter) { l.URL = "javascript:alert(1)" }, "not an absolute http or https URL"},
		{"a link with a line break", func(l *Letter) { l.URL = link + "\r\nBcc: b@example.com" }, "not an absolute http or https URL"},
		{"a link that ends its attribute", func(l *Letter) { l.URL = link + `"onclick="x` }, "not an absolute http or https URL"},
		{"a link with a space", func(l *Letter) { l.URL = link + " x" }, "not an absolute http or https URL"},
		{"a link with a user", func(l *Letter) { l.URL = "https://id.example.com@evil.example/" }, "not an absolute http or https URL"},
		{"a link without a lifetime", func(l *Letter) { l.Lifetime = 0 }, "no lifetime"},
		{"a bad link in a mail that needs none", func(l *Letter) { l.Template, l.URL = "taken", "x" }, "not an absolute http or https URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := letter("confirm", "en")
			tt.change(&l)
			m, err := Compose(l)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if diff := cmp.Diff(Message{}, m); diff != "" {
				t.Errorf("a message all the same:\n%s", diff)
			}
			for _, secret := range []string{"SECRET", "zoe", "Bcc"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats %q: %v", secret, err)
				}
			}
		})
	}
}

// Whoever may register an app chooses its name.
func TestHostileName(t *testing.T) {
	l := letter("confirm", "en")
	l.Client = "<script>alert(1)</script>\r\n\r\nBcc: b@example.com\n\"'{{.URL}}\u202egnp\x00\xff\u0085&amp;&amp;"
	m := compose(t, l)
	const shown = `<script>alert(1)</script> Bcc: b@example.com "'{{.URL}}gnp…`
	if got := displayName(l.Client); got != shown {
		t.Errorf("shown as %q, want %q", got, shown)
	}
	if want := "Confirm your e-mail address for " + shown; m.Subject != want {
		t.Errorf("subject %q, want %q", m.Subject, want)
	}
	if !strings.Contains(m.Text, "has registered at "+shown+" with this") {
		t.Errorf("the text does not hold the name as one line:\n%s", m.Text)
	}
	if strings.Contains(m.HTML, "<script") || strings.Contains(m.HTML, `"'`) {
		t.Errorf("markup of the name's in:\n%s", m.HTML)
	}
	if n := strings.Count(m.HTML, "&lt;script&gt;alert(1)&lt;/script&gt; Bcc:"); n != 5 {
		t.Errorf("the escaped name stands there %d times, want 5 (title, label, heading, text, footer):\n%s", n, m.HTML)
	}
}

func TestDisplayName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "", ""},
		{"only control characters", "\r\n\x00\u202e", ""},
		{"other scripts", "Müller 株式会社", "Müller 株式会社"},
		{"60 characters stay", strings.Repeat("ä", 60), strings.Repeat("ä", 60)},
		{"61 do not", strings.Repeat("ä", 61), strings.Repeat("ä", 59) + "…"},
		{"line and paragraph separators", "a\u2028b\u2029c", "a b c"},
		{"private use and broken UTF-8", "a\ue000\xc3b", "ab"},
	}
	for _, tt := range tests {
		if got := displayName(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLifetimeInWords(t *testing.T) {
	tests := []struct {
		d        time.Duration
		language string
		want     string
	}{
		{time.Minute, "en", "1 minute"},
		{119 * time.Second, "en", "1 minute"},
		{30 * time.Minute, "en", "30 minutes"},
		{time.Hour, "en", "1 hour"},
		{90 * time.Minute, "en", "90 minutes"},
		{24 * time.Hour, "en", "24 hours"},
		{72 * time.Hour, "en", "3 days"},
		{time.Minute, "de", "1 Minute"},
		{30 * time.Minute, "de", "30 Minuten"},
		{time.Hour, "de", "1 Stunde"},
		{24 * time.Hour, "de", "24 Stunden"},
		{72 * time.Hour, "de", "3 Tage"},
	}
	for _, tt := range tests {
		if got := inWords(tt.d, tt.language); got != tt.want {
			t.Errorf("%v in %s: %q, want %q", tt.d, tt.language, got, tt.want)
		}
	}
}
