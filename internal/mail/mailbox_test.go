package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type item struct {
	To      string   `json:"to"`
	Subject string   `json:"subject"`
	Text    string   `json:"text"`
	Links   []string `json:"links"`
}

// serve is a mailbox with these mails, and a way to ask it over HTTP.
func serve(t *testing.T, mails ...Message) func(method, path, accept string) (*http.Response, string) {
	t.Helper()
	box := new(Mailbox)
	for _, m := range mails {
		if err := box.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(box)
	t.Cleanup(s.Close)
	return func(method, path, accept string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s %s: %s: %q, want %q", method, path, name, got, want)
			}
		}
		return answer, string(body)
	}
}

func TestMailboxJSON(t *testing.T) {
	first, second := compose(t, letter("confirm", "de")), compose(t, letter("taken", "en"))
	second.Links = nil
	ask := serve(t, first, second)
	answer, body := ask("GET", "/dev/mail", "application/json")
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/json" || answer.Header.Get("Vary") != "Accept" {
		t.Errorf("status %d, header %v", answer.StatusCode, answer.Header)
	}
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	var got []item
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := []item{
		{"zoe@example.com", second.Subject, second.Text, []string{}}, // newest first
		{"zoe@example.com", first.Subject, first.Text, []string{link}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	if !strings.Contains(body, link) {
		t.Error("the link cannot be found by grep")
	}

	if _, body := serve(t)("GET", "/dev/mail", "application/json"); body != "[]\n" {
		t.Errorf("an empty mailbox is %q", body)
	}
}

func TestMailboxAccept(t *testing.T) {
	tests := []struct{ name, accept, want string }{
		{"nothing", "", "text/html"},
		{"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "text/html"},
		{"curl", "*/*", "text/html"},
		{"JSON", "application/json", "application/json"},
		{"JSON, by a careful client", "application/json; charset=utf-8", "application/json"},
		{"JSON, in capitals", "Application/JSON", "application/json"},
		{"JSON, as axios asks", "application/json, text/plain, */*", "application/json"},
		{"JSON beside HTML", "text/html, application/json", "application/json"},
		{"JSON rather than HTML", "text/html;q=0.5, application/json;q=0.6", "application/json"},
		{"HTML rather than JSON", "application/json;q=0.5, text/html", "text/html"},
		{"HTML rather than JSON, by range", "application/json;q=0.5, text/*", "text/html"},
		{"no JSON", "application/json;q=0, */*", "text/html"},
		{"neither", "application/json;q=0, text/html;q=0", "text/html"},
		{"a range with JSON in it", "application/*", "application/json"},
		{"another type", "application/jsonp", "text/html"},
		{"a weight out of range", "application/json;q=7", "text/html"},
		{"a weight that is none", "application/json;q=NaN", "text/html"},
		{"rubbish", "application/json/;;=,,", "text/html"},
	}
	ask := serve(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer, _ := ask("GET", "/dev/mail", tt.accept)
			if got, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";"); got != tt.want || answer.StatusCode != 200 {
				t.Errorf("%q: %d %s, want %s", tt.accept, answer.StatusCode, got, tt.want)
			}
		})
	}
}

func TestMailboxMethodsAndPaths(t *testing.T) {
	ask := serve(t, compose(t, letter("confirm", "en")))
	for _, path := range []string{"/dev/mail", "/dev/mail/", "/dev/mail/1", "/dev/mail/mailbox.css"} {
		got, body := ask("GET", path, "")
		head, none := ask("HEAD", path, "")
		if got.StatusCode != 200 || head.StatusCode != 200 || body == "" || none != "" || head.ContentLength != int64(len(body)) {
			t.Errorf("%s: GET %d with %d bytes, HEAD %d with %d of %d", path, got.StatusCode, len(body), head.StatusCode, len(none), head.ContentLength)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"} {
			answer, body := ask(method, path, "application/json")
			if answer.StatusCode != 405 || answer.Header.Get("Allow") != "GET, HEAD" || strings.Contains(body, "SECRET") {
				t.Errorf("%s %s: %d, Allow %q", method, path, answer.StatusCode, answer.Header.Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/dev/mail/0", "/dev/mail/2", "/dev/mail/01", "/dev/mail/+1", "/dev/mail/-1", "/dev/mail/1/", "/dev/mail/x", "/dev/mail//", "/dev/mail/99999999999999999999", "/dev/mail/mailbox.html"} {
		if answer, _ := ask("GET", path, ""); answer.StatusCode != 404 {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
}

func TestMailboxPage(t *testing.T) {
	m := compose(t, letter("confirm", "en"))
	ask := serve(t, m, m)
	answer, body := ask("GET", "/dev/mail", "text/html")
	if got := answer.Header.Get("Content-Security-Policy"); got != listPolicy {
		t.Errorf("policy %q", got)
	}
	if strings.Contains(body, "<script") || strings.Contains(body, " style=") || strings.Contains(body, "<style") {
		t.Error("the page holds what its policy forbids")
	}
	for _, want := range []string{
		`<iframe src="/dev/mail/2" title="The HTML part of “Confirm your e-mail address for Acme &amp; Söhne”" sandbox="allow-popups allow-popups-to-escape-sandbox"`,
		`<iframe src="/dev/mail/1"`,
		`<a href="https://id.example.com/?client_id=0b7f&amp;type=confirm#hash=mail_SECRET-LINK_0123456789" rel="noreferrer">`,
		"To zoe@example.com",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in the page", want)
		}
	}
	if strings.Index(body, "/dev/mail/2") > strings.Index(body, "/dev/mail/1") {
		t.Error("the newest mail is not the first")
	}

	answer, body = ask("GET", "/dev/mail/1", "")
	if diff := cmp.Diff(m.HTML, body); diff != "" {
		t.Errorf("the mail (-want +got):\n%s", diff)
	}
	policy := answer.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "sandbox allow-popups allow-popups-to-escape-sandbox", "frame-ancestors 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	for _, no := range []string{"allow-scripts", "allow-same-origin", "allow-forms", "script-src", "img-src"} {
		if strings.Contains(policy, no) {
			t.Errorf("%s in %s", no, policy)
		}
	}
}

// Whatever a mail holds, the page shows it and does not run it.
func TestMailboxEscapes(t *testing.T) {
	const evil = `</pre></title><script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	ask := serve(t, Message{To: "zoe@example.com", Subject: evil, Text: evil, HTML: "<p>fine</p>", Links: []string{"javascript:alert(1)", `https://x/"><script>`}})
	_, body := ask("GET", "/dev/mail", "")
	for _, no := range []string{"<script", "<img src=x", "javascript:alert(1)\"", `"'>`} {
		if strings.Contains(body, no) {
			t.Errorf("%s in the page:\n%s", no, body)
		}
	}
	if n := strings.Count(body, "&lt;script&gt;alert(1)&lt;/script&gt;"); n != 4 {
		t.Errorf("the mail is shown %d times, want 4 (heading, text, two labels):\n%s", n, body)
	}
}

func TestMailboxKeepsTheLast100(t *testing.T) {
	var mails []Message
	for i := range maxCaught + 5 {
		mails = append(mails, Message{To: "zoe@example.com", Subject: fmt.Sprint(i + 1), HTML: fmt.Sprint(i + 1)})
	}
	ask := serve(t, mails...)
	_, body := ask("GET", "/dev/mail", "application/json")
	var got []item
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != maxCaught || got[0].Subject != "105" || got[maxCaught-1].Subject != "6" {
		t.Errorf("%d mails, from %s to %s", len(got), got[0].Subject, got[len(got)-1].Subject)
	}
	// Numbers stay with their mails.
	if _, body := ask("GET", "/dev/mail/6", ""); body != "6" {
		t.Errorf("mail 6 is %q", body)
	}
	if answer, _ := ask("GET", "/dev/mail/5", ""); answer.StatusCode != 404 {
		t.Errorf("mail 5: %d", answer.StatusCode)
	}
}

func TestMailboxRefusesAsSMTPDoes(t *testing.T) {
	box := new(Mailbox)
	for _, to := range []string{"", "zoe", "zoe@example.com\r\nBcc: b@example.org", "a@example.com, b@example.com"} {
		if err := box.Send(t.Context(), Message{To: to}); err != errRecipient {
			t.Errorf("%q: %v", to, err)
		}
	}
	if n := len(box.newestFirst()); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestMailboxKeepsItsOwnCopy(t *testing.T) {
	m := compose(t, letter("confirm", "en"))
	box := new(Mailbox)
	if err := box.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	m.Links[0] = "changed"
	if got := box.newestFirst()[0].Links[0]; got != link {
		t.Errorf("the link became %q", got)
	}
}

func TestMailboxTogether(t *testing.T) {
	box := new(Mailbox)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if err := box.Send(t.Context(), Message{To: "zoe@example.com"}); err != nil {
					t.Error(err)
				}
				w := httptest.NewRecorder()
				box.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/dev/mail", nil))
				if w.Code != 200 {
					t.Errorf("status %d", w.Code)
				}
			}
		})
	}
	all.Wait()
	mails := box.newestFirst()
	if len(mails) != maxCaught || mails[0].Number != 200 || mails[maxCaught-1].Number != 101 {
		t.Errorf("%d mails, from %d to %d", len(mails), mails[0].Number, mails[len(mails)-1].Number)
	}
}

var _ = []Sender{new(Mailbox), new(server)}
