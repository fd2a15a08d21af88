package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
)

func mount(log io.Writer, routes ...Route) http.Handler {
	mux := http.NewServeMux()
	Funnel{Log: slog.New(slog.NewJSONHandler(log, nil)), Now: time.Now}.Mount(mux, Face{Name: "test", Routes: routes})
	return mux
}

func render(w http.ResponseWriter, _ *http.Request, r *Refusal) {
	status := r.Status
	if status == 0 {
		status = 400
	}
	WriteOAuthError(w, status, r, "")
}

func get(h Handler) map[string]Handler { return map[string]Handler{http.MethodGet: h} }

// A panic is a fault like any other: a fixed text for the client, the stack for
// the operator, and the process lives.
func TestPanicBecomesAFault(t *testing.T) {
	var log bytes.Buffer
	h := mount(&log, Route{Path: "/", Methods: get(func(http.ResponseWriter, *http.Request) error { panic("secret detail") }), Render: render})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), `"server_error"`) || strings.Contains(rec.Body.String(), "secret detail") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(log.String(), "secret detail") || !strings.Contains(log.String(), `"level":"ERROR"`) {
		t.Errorf("the log: %s", log.String())
	}
}

// http.ErrAbortHandler is a way to hang up, not a fault.
func TestAbortIsPassedOn(t *testing.T) {
	h := mount(io.Discard, Route{Path: "/", Methods: get(func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }), Render: render})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// Of every way that an error can take, the client learns Description alone, the
// log all of it, under one request id.
func TestErrorsHaveOneWayOut(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		level string
		msg   string
	}{
		{"a refusal", oauth.Refuse(oauth.InvalidGrant, "the reason", "The description."), "INFO", "refused"},
		{"a wrapped refusal", fmt.Errorf("x: %w", oauth.Refuse(oauth.InvalidGrant, "the reason", "The description.")), "INFO", "refused"},
		{"a fault", fmt.Errorf("the reason: %w", errors.New("disk")), "ERROR", "failed"},
		{"a passing fault", oauth.Unavailable("the reason", errors.New("disk")), "ERROR", "failed"},
	} {
		var log bytes.Buffer
		h := mount(&log, Route{Path: "/p", Methods: get(func(http.ResponseWriter, *http.Request) error { return tt.err }), Render: render})
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/p?secret=query", nil))
		if body := rec.Body.String(); strings.Contains(body, "reason") || strings.Contains(body, "disk") {
			t.Errorf("%s: the client learns %s", tt.name, body)
		}
		var line struct{ Level, Msg, Reason, Cause, Request_ID string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("%s: want one line, got %s", tt.name, log.String())
		}
		if line.Level != tt.level || line.Msg != tt.msg || !strings.Contains(line.Reason+line.Cause, "the reason") {
			t.Errorf("%s: the operator learns %s", tt.name, log.String())
		}
		if id := rec.Header().Get("X-Request-Id"); id == "" || line.Request_ID != id {
			t.Errorf("%s: request id %q in the answer, %q in the log", tt.name, id, line.Request_ID)
		}
		if strings.Contains(log.String(), "query") {
			t.Errorf("%s: the query is in the log", tt.name)
		}
	}
}

func TestDescriptionKeepsToItsCharacters(t *testing.T) {
	rec := httptest.NewRecorder()
	WriteOAuthError(rec, 400, &Refusal{Err: oauth.Refuse(oauth.InvalidRequest, "", "a \"b\" \\ ü\n~")}, "")
	var v map[string]string
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil || v["error_description"] != "a 'b' ' ''~" {
		t.Errorf("RFC 6749 §5.2 allows %%x20-21 / %%x23-5B / %%x5D-7E: %q, %v", v["error_description"], err)
	}
}

func TestRetryAfterIsAtLeastASecond(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		rec := httptest.NewRecorder()
		SetRefusalHeaders(rec, &Refusal{Err: &oauth.Error{RetryAfter: after}})
		if got := rec.Header().Get("Retry-After"); got != want {
			t.Errorf("%v: %q, want %q", after, got, want)
		}
	}
}

// A peer that hangs up in the middle of its body is told so, and costs nothing.
func TestBodyCutShort(t *testing.T) {
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("a=b"), errReader{}))
	if _, err := ReadBody(httptest.NewRecorder(), r); err == nil || oauth.AsError(err).Code != oauth.InvalidRequest {
		t.Errorf("%v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The limit holds for a body that announces no length.
func TestBodyLimit(t *testing.T) {
	for n, ok := range map[int]bool{MaxBody: true, MaxBody + 1: false} {
		r := httptest.NewRequest("POST", "/", struct{ io.Reader }{strings.NewReader(strings.Repeat("a", n))})
		r.ContentLength = -1
		_, err := ReadBody(httptest.NewRecorder(), r)
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
		if refusal := asRefusal(err); !ok && refusal.Status != 413 {
			t.Errorf("%d bytes: status %d", n, refusal.Status)
		}
	}
}

func TestObject(t *testing.T) {
	o, err := ParseObject([]byte(`{"s":"é😀","n":null,"i":5,"t":true,"f":false,"o":{"s":{"s":[]}},"nul":"a\u0000"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		limit      int
		ok         bool
	}{
		{"s", "é😀", 2, true}, {"s", "", 1, false}, {"n", "", 9, true}, {"absent", "", 9, true}, {"i", "", 9, false}, {"o", "", 9, false}, {"nul", "", 9, false},
	} {
		if got, err := o.String(tt.name, tt.limit); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("String(%s, %d) = %q, %v", tt.name, tt.limit, got, err)
		}
	}
	for name, want := range map[string]bool{"t": true, "f": false, "n": false, "absent": false} {
		if got, err := o.Bool(name); got != want || err != nil {
			t.Errorf("Bool(%s) = %v, %v", name, got, err)
		}
	}
	if _, err := o.Bool("s"); err == nil {
		t.Error("a string is no boolean")
	}
}

func TestDeepAndWideJSON(t *testing.T) {
	for name, body := range map[string]string{
		"10,000 arrays":      `{"a":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`,
		"unclosed arrays":    `{"a":` + strings.Repeat("[", 60000),
		"51 members":         `{` + members(51) + `}`,
		"a member twice":     `{"a":1,"\u0061":2}`,
		"something follows":  `{} x`,
		"a bare word":        `{"a":nul}`,
		"not UTF-8":          "{\"a\":\"\xff\"}",
		"a number of a name": `{1:2}`,
	} {
		if _, err := ParseObject([]byte(body)); err == nil || oauth.AsError(err).Code != oauth.InvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseObject([]byte(`{` + members(50) + `}`)); err != nil {
		t.Errorf("50 members: %v", err)
	}
}

func members(n int) string {
	var m []string
	for i := range n {
		m = append(m, fmt.Sprintf(`"m%d":1`, i))
	}
	return strings.Join(m, ",")
}

// Whatever is accepted encodes to what was meant: no parameter is lost, doubled
// or made up.
func FuzzParseParams(f *testing.F) {
	for _, s := range []string{"", "a=b", "a=b&a=c", "a=%zz", "a;b", "a=%00", "%ff=1", "a==b", "=", "&", "a+b=c%20d", strings.Repeat("&", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseParams(s)
		if err != nil {
			return
		}
		again := url.Values{}
		for name, v := range p {
			if v == "" {
				t.Errorf("%q: %q is there without a value", s, name)
			}
			again.Set(name, v)
		}
		q, err := ParseParams(again.Encode())
		if err != nil || fmt.Sprint(q) != fmt.Sprint(p) {
			t.Errorf("%q gives %q, which gives %q, %v", s, p, q, err)
		}
	})
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{"{}", `{"a":"b"}`, `{"a":1,"a":2}`, `{"a":[{"b":null}]}`, `{"a":"\ud800"}`, `{"a":"x"}x`, "[]", "", "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := ParseObject(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Errorf("%q was accepted", body)
		}
		for name := range o {
			_, _ = o.String(name, 256)
			_, _ = o.Bool(name)
		}
	})
}
