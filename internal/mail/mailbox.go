package mail

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// mailboxPath is where the mailbox is served: the list there, each mail's HTML
// part by number below it.
const mailboxPath = "/dev/mail"

// maxCaught bounds the memory of a server in development.
const maxCaught = 100

//go:embed page
var pageFiles embed.FS

var page = template.Must(template.ParseFS(pageFiles, "page/mailbox.html"))

// Mailbox catches mails in development instead of sending them: the last 100,
// in memory. The zero Mailbox is empty and ready. As a handler it belongs at
// /dev/mail and /dev/mail/.
type Mailbox struct {
	mu     sync.Mutex
	last   int // number of the last mail caught
	caught []caught
}

type caught struct {
	Number int
	Message
}

// Send catches m. It refuses what the way by SMTP would refuse too.
func (b *Mailbox) Send(_ context.Context, m Message) error {
	if _, err := m.recipient(); err != nil {
		return err
	}
	m.Links = slices.Clone(m.Links)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	b.caught = append(b.caught, caught{b.last, m})
	if len(b.caught) > maxCaught {
		b.caught = slices.Delete(b.caught, 0, 1)
	}
	return nil
}

// newestFirst are the mails now.
func (b *Mailbox) newestFirst() []caught {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.caught)
	slices.Reverse(all)
	return all
}

const (
	listPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
	// A mail brings its styles with it, and is nobody's page otherwise. What its
	// links open is an ordinary window.
	mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; " +
		"sandbox allow-popups allow-popups-to-escape-sandbox"
)

// ServeHTTP shows the mails, newest first: as JSON to whom would rather have
// that, [{"to","subject","text","links":[…]}], otherwise as a page.
func (b *Mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", listPolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Mails can only be read here.", http.StatusMethodNotAllowed)
		return
	}
	switch name := strings.TrimPrefix(r.URL.Path, mailboxPath); name {
	case "", "/":
		h.Set("Vary", "Accept")
		if prefersJSON(r.Header.Values("Accept")) {
			b.listJSON(w)
			return
		}
		b.listPage(w)
	case "/mailbox.css":
		sheet, err := pageFiles.ReadFile("page/mailbox.css")
		if err != nil {
			panic(err) // the file is part of the binary
		}
		write(w, "text/css; charset=utf-8", sheet)
	default:
		all := b.newestFirst()
		i := slices.IndexFunc(all, func(c caught) bool { return name == "/"+strconv.Itoa(c.Number) })
		if i < 0 {
			http.Error(w, "There is no such mail, or not any more.", http.StatusNotFound)
			return
		}
		h.Set("Content-Security-Policy", mailPolicy)
		write(w, "text/html; charset=utf-8", []byte(all[i].HTML))
	}
}

func (b *Mailbox) listJSON(w http.ResponseWriter) {
	type item struct {
		To      string   `json:"to"`
		Subject string   `json:"subject"`
		Text    string   `json:"text"`
		Links   []string `json:"links"`
	}
	list := []item{}
	for _, m := range b.newestFirst() {
		list = append(list, item{m.To, m.Subject, m.Text, append([]string{}, m.Links...)})
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // it is read as JSON and nothing else; & in a link stays &
	if err := enc.Encode(list); err != nil {
		panic(err) // strings always encode
	}
	write(w, "application/json", body.Bytes())
}

func (b *Mailbox) listPage(w http.ResponseWriter) {
	var body bytes.Buffer
	if err := page.Execute(&body, b.newestFirst()); err != nil {
		panic(err) // a template that does not fit its data
	}
	write(w, "text/html; charset=utf-8", body.Bytes())
}

func write(w http.ResponseWriter, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the reader may be gone
}

// prefersJSON reports whether an Accept header (RFC 9110 §12.5.1) would rather
// have JSON than HTML. Who takes anything, as curl does, gets the page; who
// names JSON beside HTML with the same weight is no browser and gets JSON.
func prefersJSON(accept []string) bool {
	type weight struct {
		q        float64
		specific int // 0 not named, 1 by */*, 2 by type/*, 3 itself
	}
	var asJSON, asHTML weight
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		mediaRange, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue // nothing that could be a wish
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		match := func(w *weight, exact, family string) {
			specific := slices.Index([]string{"*/*", family, exact}, mediaRange) + 1
			if specific > w.specific || specific > 0 && specific == w.specific && q > w.q {
				*w = weight{q, specific}
			}
		}
		match(&asJSON, "application/json", "application/*")
		match(&asHTML, "text/html", "text/*")
	}
	return asJSON.q > asHTML.q || asJSON.q > 0 && asJSON.q == asHTML.q && asJSON.specific == 3
}
