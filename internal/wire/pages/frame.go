package pages

import (
	"bytes"
	"crypto/rand"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// The one script that there is: it hands the message to the page around it, if
// there is one, and to that page only if it is of the origin.
var frame = template.Must(template.New("frame").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>…</title>
<script type="application/json" id="message">{{.}}</script>
<script nonce="{{.Nonce}}">
const { text, target } = JSON.parse(document.getElementById("message").textContent);
if (window.parent !== window) window.parent.postMessage(text, target);
</script>
</head>
</html>
`))

type message struct {
	Text   string `json:"text"`
	Target string `json:"target"`
	Nonce  string `json:"-"`
}

// Post writes a page for a frame that posts text to the page around it, which
// must be of the origin target, and may be only of the origins ancestors.
func (s *Site) Post(w http.ResponseWriter, status int, text, target string, ancestors []string) error {
	m := message{Text: text, Target: target, Nonce: rand.Text()}
	var b bytes.Buffer
	if err := frame.Execute(&b, m); err != nil {
		return err
	}
	h := w.Header()
	head(h, "default-src 'none'; script-src 'nonce-"+m.Nonce+"'; form-action 'none'; frame-ancestors"+sources(ancestors)+"; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the frame may be gone
	return nil
}

func sources(origins []string) string {
	origins = slices.Clone(origins)
	slices.Sort(origins)
	var b strings.Builder
	for _, o := range slices.Compact(origins) {
		b.WriteString(source(o))
	}
	if b.Len() == 0 {
		return " 'none'"
	}
	return b.String()
}
