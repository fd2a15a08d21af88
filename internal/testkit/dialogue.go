package testkit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
)

// Dialogues runs every file of a folder as a test: requests and the answers
// that they must get, as text.
//
//	## a title begins a step
//	POST /oauth/token
//	Content-Type: application/x-www-form-urlencoded
//
//	grant_type=refresh_token&refresh_token=$refresh
//	-> 200
//	Cache-Control: no-store
//	Location: -
//	{"access_token": "$access", "refresh_token": "$refresh", "expires_in": 86400, "token_type": "Bearer"}
//
//	@jwt $access             the header and payload of a JWT, each as JSON
//	{"alg": "ES256", …}
//	{"sub": "$sub", …}
//
//	@code $url $code         takes the code out of a URL
//	@mail reset a@b.c $link  delivers mails and takes the link of the oldest; "@mail none"
//	@equal $expires $now+60  compares two values
//	+61s                     time passes; "@back 61s" turns it back
//
// In an expected JSON text a string "$name" takes whatever value is there the
// first time and must be equal to it from then on; "$!name" takes a new value,
// which must differ from the one before; "$_" is anything. A "…" member allows
// further members. A header "-" must be absent. An empty expected body is not
// compared. In requests $name and ${name} are replaced; vars gives the first values.
func Dialogues(t *testing.T, folder string, vars map[string]string, options ...Option) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues in %s: %v", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := NewWorld(t, options...)
			d := &dialogue{t: t, file: file, handler: w.Handler, clock: w.Clock, mails: func() []engine.Mail { return w.Mails(t) }, vars: map[string]any{}}
			for k, v := range vars {
				d.vars[k] = v
			}
			d.vars["now"] = func() string { return strconv.FormatInt(w.Clock.Now().Unix(), 10) }
			d.run(string(text))
		})
	}
}

type dialogue struct {
	t       *testing.T
	file    string
	handler http.Handler
	clock   *Clock
	mails   func() []engine.Mail
	box     []engine.Mail // delivered, not looked at yet
	vars    map[string]any

	line int
	step string
}

func (d *dialogue) fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("%s:%d: %s: %s", d.file, d.line, d.step, fmt.Sprintf(format, args...))
}

func (d *dialogue) run(text string) {
	lines := strings.Split(text, "\n")
	for d.line < len(lines) {
		line := lines[d.line]
		d.line++
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "## "):
			d.step = line[3:]
		case strings.HasPrefix(line, "+"), strings.HasPrefix(line, "@back "):
			d.pass(line)
		case strings.HasPrefix(line, "@code "):
			d.code(strings.Fields(line)[1:])
		case strings.HasPrefix(line, "@mail "):
			d.mail(strings.Fields(line)[1:])
		case strings.HasPrefix(line, "@equal "):
			if f := strings.Fields(d.expandNow(line)); d.expand(f[1]) != d.expand(f[2]) {
				d.fatalf("%s is %s, want %s", f[1], d.expand(f[1]), f[2])
			}
		case strings.HasPrefix(line, "@jwt "):
			d.jwt(d.expand(line[5:]), d.take(lines))
		default:
			request := append([]string{line}, d.until(lines)...)
			if d.line > len(lines) || !strings.HasPrefix(lines[d.line-1], "-> ") {
				d.fatalf("a request without an answer")
			}
			status := strings.TrimPrefix(lines[d.line-1], "-> ")
			d.exchange(request, status, d.take(lines))
		}
	}
}

func (d *dialogue) pass(line string) {
	sign := time.Duration(1)
	if rest, ok := strings.CutPrefix(line, "@back "); ok {
		line, sign = "+"+rest, -1
	}
	by, err := time.ParseDuration(line[1:])
	if err != nil {
		d.fatalf("%v", err)
	}
	d.clock.Advance(sign * by)
}

// code takes the code parameter out of a URL.
func (d *dialogue) code(args []string) {
	u, err := url.Parse(d.expand(args[0]))
	if err != nil || u.Query().Get("code") == "" {
		d.fatalf("no code in %s: %v", d.expand(args[0]), err)
	}
	d.vars[args[1][1:]] = u.Query().Get("code")
}

// mail takes the oldest mail that no step has taken: it must be of the template
// and to the recipient.
func (d *dialogue) mail(args []string) {
	d.box = append(d.box, d.mails()...)
	switch {
	case args[0] == "none" && len(d.box) > 0:
		d.fatalf("a mail %s to %s, want none", d.box[0].Template, d.box[0].Recipient)
	case args[0] == "none":
		return
	case len(d.box) == 0:
		d.fatalf("no mail, want %s to %s", args[0], args[1])
	}
	m := d.box[0]
	d.box = d.box[1:]
	if string(m.Template) != args[0] || m.Recipient != args[1] {
		d.fatalf("a mail %s to %s, want %s to %s", m.Template, m.Recipient, args[0], args[1])
	}
	if len(args) > 2 {
		d.vars[args[2][1:]] = m.Link
	}
}

// until takes the lines of a request, up to its "->".
func (d *dialogue) until(lines []string) (taken []string) {
	for d.line < len(lines) {
		line := lines[d.line]
		d.line++
		if strings.HasPrefix(line, "-> ") {
			break
		}
		taken = append(taken, line)
	}
	return taken
}

// take takes the lines up to the next empty one.
func (d *dialogue) take(lines []string) (taken []string) {
	for d.line < len(lines) && strings.TrimSpace(lines[d.line]) != "" {
		taken = append(taken, lines[d.line])
		d.line++
	}
	return taken
}

var variable = regexp.MustCompile(`\$(?:\{[A-Za-z][A-Za-z0-9_]*\}|[A-Za-z][A-Za-z0-9_]*)`)

func (d *dialogue) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(name string) string {
		switch v := d.vars[strings.Trim(name[1:], "{}")].(type) {
		case string:
			return v
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		case func() string:
			return v()
		default:
			d.fatalf("%s has no value yet", name)
			return ""
		}
	})
}

func (d *dialogue) exchange(request []string, status string, want []string) {
	method, target, ok := strings.Cut(d.expand(request[0]), " ")
	if !ok {
		d.fatalf("want METHOD TARGET, got %q", request[0])
	}
	var headers, body []string
	for i, line := range request[1:] {
		if line == "" {
			body = request[i+2:]
			break
		}
		headers = append(headers, line)
	}
	text := d.expand(strings.Join(body, "\n"))
	if unquoted, ok := strings.CutPrefix(text, "@quoted "); ok { // bytes that do not fit into a text file
		var err error
		if text, err = strconv.Unquote(unquoted); err != nil {
			d.fatalf("%v", err)
		}
	}
	if unquoted, ok := strings.CutPrefix(text, "@spaces "); ok { // a body of n characters
		n, err := strconv.Atoi(unquoted)
		if err != nil {
			d.fatalf("%v", err)
		}
		text = strings.Repeat(" ", n)
	}
	r := httptest.NewRequest(method, target, strings.NewReader(text))
	for _, h := range headers {
		name, value, _ := strings.Cut(d.expand(h), ": ")
		r.Header.Add(name, value)
	}
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r)
	res := rec.Result()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		d.fatalf("%v", err)
	}
	if strconv.Itoa(res.StatusCode) != strings.TrimSpace(status) {
		d.fatalf("status %d, want %s; body %s", res.StatusCode, status, got)
	}
	if res.Header.Get("X-Request-Id") == "" {
		d.fatalf("no X-Request-Id")
	}
	for i, line := range want {
		if name, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, "{") {
			d.header(res.Header, name, d.expand(value))
			continue
		}
		d.json(got, strings.Join(want[i:], "\n"))
		break
	}
}

func (d *dialogue) header(h http.Header, name, want string) {
	got, present := h[http.CanonicalHeaderKey(name)]
	switch {
	case want == "-" && present:
		d.fatalf("header %s: %q, want none", name, got)
	case want != "-" && strings.Join(got, ", ") != want:
		d.fatalf("header %s: %q, want %q", name, got, want)
	}
}

func (d *dialogue) json(got []byte, want string) {
	var g, w any
	if err := strictJSON(got, &g); err != nil {
		d.fatalf("the answer is not JSON: %v: %s", err, got)
	}
	if err := strictJSON([]byte(want), &w); err != nil {
		d.fatalf("the expectation is not JSON: %v: %s", err, want)
	}
	if fault := d.match("", g, w); fault != "" {
		d.fatalf("%s\ngot  %s\nwant %s", fault, got, want)
	}
}

func strictJSON(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("something follows the value")
	}
	return nil
}

// match reports the first difference; "" is none.
func (d *dialogue) match(path string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: got %v, want an object", path, got)
		}
		_, more := w["…"]
		for name := range g {
			if _, ok := w[name]; !ok && !more {
				return fmt.Sprintf("%s.%s: not expected", path, name)
			}
		}
		for name, v := range w {
			if name == "…" {
				continue
			}
			gv, ok := g[name]
			if !ok {
				return fmt.Sprintf("%s.%s: missing", path, name)
			}
			if fault := d.match(path+"."+name, gv, v); fault != "" {
				return fault
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: got %v, want %d elements", path, got, len(w))
		}
		for i := range w {
			if fault := d.match(fmt.Sprintf("%s[%d]", path, i), g[i], w[i]); fault != "" {
				return fault
			}
		}
		return ""
	case string:
		name, isVariable := strings.CutPrefix(w, "$")
		if !isVariable {
			break
		}
		return d.capture(path, name, got)
	}
	if fmt.Sprintf("%T%v", got, got) != fmt.Sprintf("%T%v", want, want) {
		return fmt.Sprintf("%s: got %#v, want %#v", path, got, want)
	}
	return ""
}

func (d *dialogue) capture(path, name string, got any) string {
	if name == "_" {
		return ""
	}
	fresh := false
	if name, fresh = strings.CutPrefix(name, "!"); fresh {
		if have, ok := d.vars[name]; ok && have == got {
			return fmt.Sprintf("%s: got %v again, want another $%s", path, got, name)
		}
		d.vars[name] = got
		return ""
	}
	switch have := d.vars[name].(type) {
	case nil:
		d.vars[name] = got
	case func() string:
		if n, ok := got.(float64); !ok || strconv.FormatFloat(n, 'f', -1, 64) != have() {
			return fmt.Sprintf("%s: got %v, want $%s = %s", path, got, name, have())
		}
	default:
		if have != got {
			return fmt.Sprintf("%s: got %v, want $%s = %v", path, got, name, have)
		}
	}
	return ""
}

// jwt compares the header and the payload of a JWT, read as both vendors' SDKs
// read it: by the standard base64 alphabet.
func (d *dialogue) jwt(token string, want []string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(want) != 2 {
		d.fatalf("want a JWT of three parts and two lines of JSON; got %q, %d lines", token, len(want))
	}
	for i := range want {
		plain, err := base64.RawStdEncoding.DecodeString(parts[i])
		if err != nil {
			d.fatalf("part %d is not what atob can read: %v", i, err)
		}
		d.json(plain, d.expandNow(want[i]))
	}
}

var nowPlus = regexp.MustCompile(`"?\$now\+(\d+)"?`)

// expandNow replaces "$now+60" by a number.
func (d *dialogue) expandNow(s string) string {
	return nowPlus.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseInt(nowPlus.FindStringSubmatch(m)[1], 10, 64)
		if err != nil {
			d.fatalf("%v", err)
		}
		return strconv.FormatInt(d.clock.Now().Unix()+n, 10)
	})
}
