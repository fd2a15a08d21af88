package demo

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func fixed() time.Time { return time.Unix(1735689600, 0) }

func TestShellQuote(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"an empty word is still a word", "", "''"},
		{"a URL", "http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080/a/b"},
		{"an artefact", "tsa_AA-b_c", "tsa_AA-b_c"},
		{"an escaped pair", "redirect_uri=urn%3Aietf", "redirect_uri=urn%3Aietf"},
		{"blanks", "a b", "'a b'"},
		{"a query and a glob", "http://[::1]/?a=1&b=*", "'http://[::1]/?a=1&b=*'"},
		{"variables and commands", "$HOME `id` $(id)", "'$HOME `id` $(id)'"},
		{"history", "!!", "'!!'"},
		{"a quote", "it's", `'it'\''s'`},
		{"only a quote", "'", `''\'''`},
		{"backslash and double quotes", `\"`, `'\"'`},
		{"a home directory", "~/x", "'~/x'"},
		{"lines", "a\nb", "'a\nb'"},
		{"not ASCII", "Zoë", "'Zoë'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := shellQuote(tt.in); got != tt.want {
				t.Errorf("shellQuote(%q) = %s, want %s", tt.in, got, tt.want)
			}
		})
	}
}

// The printed command is run by a shell, with a program in curl's place that
// prints its arguments.
func TestCurlInAShell(t *testing.T) {
	const nasty = `a'b "c" $HOME $(id) \n & ! ` + "`id`" + ` é`
	tests := []struct {
		name    string
		carrier carrier
		header  params
		list    params
		body    string
		want    []string
	}{
		{"query", inQuery, nil, params{{Name: "a", Value: nasty}, {Name: "b"}}, "",
			[]string{"-i", "-G", "http://[::1]:8080/p", "-d", "a=a%27b+%22c%22+%24HOME+%24%28id%29+%5Cn+%26+%21+%60id%60+%C3%A9", "-d", "b="}},
		{"form: curl sets the type by itself", inForm, params{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}, params{{Name: "a", Value: "@file"}}, "",
			[]string{"-i", "http://[::1]:8080/p", "-d", "a=%40file"}},
		{"JSON", inJSON, params{{Name: "Content-Type", Value: "application/json"}}, nil, params{{Name: "a", Value: nasty}}.json(),
			[]string{"-i", "http://[::1]:8080/p", "-H", "Content-Type: application/json", "-d", params{{Name: "a", Value: nasty}}.json()}},
		{"headers", inQuery, params{{Name: "Authorization", Value: "Bearer " + nasty}}, nil, "",
			[]string{"-i", "http://[::1]:8080/p", "-H", "Authorization: Bearer " + nasty}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			command := curl(`printf '%s\0'`, &step{carrier: tt.carrier}, "http://[::1]:8080/p", tt.header, tt.list, tt.body)
			out, err := exec.Command("/bin/sh", "-c", command).Output()
			if err != nil {
				t.Fatalf("%v in:\n%s", err, command)
			}
			got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("arguments (-want +got):\n%s\n%s", diff, command)
			}
		})
	}
}

func TestListings(t *testing.T) {
	list := params{{Name: "a b", Value: "1&2"}, {Name: "c", Value: ""}}
	if diff := cmp.Diff([]line{{"?a+b", "=1%262"}, {"&c", "="}}, list.lines("?", "&")); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if got, want := list.json(), "{\n  \"a b\": \"1&2\",\n  \"c\": \"\"\n}"; got != want {
		t.Errorf("JSON %s, want %s", got, want)
	}
	tests := []struct {
		name, body string
		want       []line
	}{
		{"JSON is indented, in its order", `{"b":"x: y","a":[1,"c"]}`,
			[]line{{"", "{"}, {`  "b"`, `: "x: y",`}, {`  "a"`, ": ["}, {"", "    1,"}, {"", `    "c"`}, {"", "  ]"}, {"", "}"}}},
		{"JSON that is nested deeper than anything of ours is as it came", strings.Repeat("[", 201) + strings.Repeat("]", 201),
			[]line{{"", strings.Repeat("[", 201) + strings.Repeat("]", 201)}}},
		{"anything else is as it came", "a\n: b", []line{{"", "a"}, {"", ": b"}}},
		{"nothing", "", []line{{"", ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, bodyLines([]byte(tt.body))); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	a := &answer{header: http.Header{}}
	a.WriteHeader(http.StatusEarlyHints) // RFC 9110 §15.2
	a.Header().Set("X-Request-Id", "1")
	a.WriteHeader(http.StatusCreated)
	a.WriteHeader(http.StatusOK)
	a.Header().Set("X-Request-Id", "too late")
	if a.status != http.StatusCreated || a.sent.Get("X-Request-Id") != "1" {
		t.Errorf("status %d, header %v", a.status, a.sent)
	}
	chunk := make([]byte, maxAnswer-1)
	for range 3 {
		if n, err := a.Write(chunk); n != len(chunk) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	if a.body.Len() != maxAnswer || !a.truncated {
		t.Errorf("kept %d bytes, truncated %v", a.body.Len(), a.truncated)
	}
}
