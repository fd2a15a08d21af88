package demo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallystick/tallystick/internal/wire"
)

// maxAnswer bounds what is kept of an answer. Ours are below 4 KiB.
const maxAnswer = 64 << 10

// line is one line of a listing; Key is set off.
type line struct{ Key, Rest string }

// exchange is a request that was sent, and its answer.
type exchange struct {
	Sent      []line
	Received  []line
	Status    int
	RequestID string
	Curl      string
	Truncated bool // the answer was longer than is shown

	body []byte
}

// Served reports success (RFC 9110 §15.3).
func (x *exchange) Served() bool { return x.Status >= 200 && x.Status < 300 }

// StatusText is the reason phrase of the status.
func (x *exchange) StatusText() string { return http.StatusText(x.Status) }

// shownHeaders are those of an answer that matter to the reader of a walk.
var shownHeaders = []string{
	"Content-Type", "Cache-Control", "Allow", "Retry-After", "WWW-Authenticate", "Location", "X-Request-Id",
}

// send sends a step's request to the server that this page belongs to, in its
// own process but through its front door, and records the exchange.
func (d *demo) send(visitor *http.Request, step *step, sent values) (*exchange, error) {
	header, list := step.fields(d, values{}).filled(sent)
	target, body, mediaType := d.Base+step.path, "", ""
	switch step.carrier {
	case inQuery:
		if len(list) > 0 {
			target += "?" + list.encode()
		}
	case inForm:
		body, mediaType = list.encode(), wire.FormType
	case inJSON:
		body, mediaType = list.json(), wire.JSONType
	}
	r, err := http.NewRequestWithContext(visitor.Context(), step.method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), visitor.RemoteAddr
	if mediaType != "" {
		header = append(params{{Name: "Content-Type", Value: mediaType}}, header...)
	}
	for _, p := range header {
		if strings.ContainsFunc(p.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, &problem{Kind: "header", Text: p.Name} // RFC 9110 §5.5
		}
		r.Header.Set(p.Name, p.Value)
	}

	a := &answer{header: http.Header{}}
	d.Target.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK) // if nothing was written at all

	x := &exchange{
		Status: a.status, RequestID: a.sent.Get("X-Request-Id"), Truncated: a.truncated, body: a.body.Bytes(),
		Curl: curl(d.Curl, step, d.Base+step.path, header, list, body),
	}
	x.Sent = []line{{step.method + " " + step.path, ""}}
	if step.carrier == inQuery {
		x.Sent = append(x.Sent, list.lines("    ?", "    &")...)
	}
	for _, p := range header {
		x.Sent = append(x.Sent, line{p.Name, ": " + p.Value})
	}
	switch step.carrier {
	case inForm:
		x.Sent = append(append(x.Sent, line{}), list.lines("", "&")...)
	case inJSON:
		x.Sent = append(append(x.Sent, line{}), bodyLines([]byte(body))...)
	case inQuery:
	}
	for _, name := range shownHeaders {
		if v := a.sent.Get(name); v != "" {
			x.Received = append(x.Received, line{name, ": " + v})
		}
	}
	x.Received = append(append(x.Received, line{}), bodyLines(x.body)...)
	return x, nil
}

// filled are the parameters that go out with these values: the headers, and the
// rest.
func (p params) filled(sent values) (header, list params) {
	for _, f := range p {
		switch f.Value = sent[f.Name]; {
		case !f.sends():
		case f.Header:
			header = append(header, f)
		default:
			list = append(list, f)
		}
	}
	return header, list
}

// encode is the parameters as a form or a query, in their order.
func (p params) encode() string {
	pairs := make([]string, len(p))
	for i, p := range p {
		pairs[i] = pair(p)
	}
	return strings.Join(pairs, "&")
}

func pair(p param) string { return url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value) }

// json is the parameters as an object of strings, in their order.
func (p params) json() string {
	var b strings.Builder
	for i, p := range p {
		b.WriteString([]string{"{\n  ", ",\n  "}[min(i, 1)])
		b.WriteString(quoteJSON(p.Name) + ": " + quoteJSON(p.Value))
	}
	return b.String() + "\n}"
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

// lines lists the parameters as they are sent, one a line.
func (p params) lines(first, other string) []line {
	if len(p) == 0 {
		return nil
	}
	return pairs(p.encode(), first, other)
}

// maxNested bounds what is indented: depth costs its square in blanks.
const maxNested = 200

// bodyLines lists a body; JSON is indented, and its members are set off.
func bodyLines(body []byte) []line {
	var indented bytes.Buffer
	nested := bytes.Count(body, []byte("[")) + bytes.Count(body, []byte("{"))
	if nested <= maxNested && json.Indent(&indented, body, "", "  ") == nil {
		body = indented.Bytes()
	}
	var lines []line
	for s := range strings.SplitSeq(strings.TrimSuffix(string(body), "\n"), "\n") {
		l := line{"", s}
		if strings.HasPrefix(strings.TrimLeft(s, " "), `"`) {
			if name, value, ok := strings.Cut(s, `": `); ok {
				l = line{name + `"`, ": " + value}
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// curl is the request as a command for a POSIX shell that sends the same bytes.
func curl(program string, step *step, target string, header, list params, body string) string {
	first := program + " -i " + shellQuote(target)
	var args []string
	for _, p := range header {
		// -d says this one by itself.
		if p.Value != wire.FormType {
			args = append(args, "-H "+shellQuote(p.Name+": "+p.Value))
		}
	}
	switch step.carrier {
	case inQuery:
		if len(list) > 0 {
			first = program + " -i -G " + shellQuote(target)
		}
		fallthrough
	case inForm:
		for _, p := range list {
			args = append(args, "-d "+shellQuote(pair(p)))
		}
	case inJSON:
		args = append(args, "-d "+shellQuote(body))
	}
	return strings.Join(append([]string{first}, args...), " \\\n  ")
}

// shellQuote quotes a word for a POSIX shell where it must be.
func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// answer is a ResponseWriter that keeps what a step shows.
type answer struct {
	header    http.Header
	sent      http.Header // as it was when the status was written
	status    int
	body      bytes.Buffer
	truncated bool
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 { // a 1xx is not the answer yet (RFC 9110 §15.2)
		a.status, a.sent = status, a.header.Clone()
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	keep := b[:min(len(b), maxAnswer-a.body.Len())]
	a.truncated = a.truncated || len(keep) < len(b)
	a.body.Write(keep)
	return len(b), nil
}
