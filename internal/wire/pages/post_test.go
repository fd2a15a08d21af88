package pages

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// OAuth 2.0 Form Post Response Mode §2.
func TestFormPost(t *testing.T) {
	s := New("https://as.example", "/oauth2/static/", "/x/login", plain{})
	fields := [][2]string{{"code", "c+/="}, {"state", `"'><script>alert(1)</script>&amp;{client}`}, {`x" onload="y`, "1"}, {"state", ""}}
	nonces := map[string]bool{}
	for action, origin := range map[string]string{
		"https://app.example.com/cb?a=1&b=2": "https://app.example.com https:",
		"https://app.example.com?a=1":        "https://app.example.com https:",
		"http://127.0.0.1:3000/cb":           "http://127.0.0.1:3000 https: http://localhost:* http://127.0.0.1:*",
		"http://[::1]:3000/cb":               "http://[::1]:3000 https: http://localhost:* http://127.0.0.1:*",
	} {
		rec := httptest.NewRecorder()
		if err := s.FormPost(rec, 200, action, fields, "de", hostileClient()); err != nil {
			t.Fatal(err)
		}
		body := rec.Body.String()
		doc := parse(t, body)
		forms, scripts := doc.all("form"), doc.all("script")
		if len(forms) != 1 || len(scripts) != 1 {
			t.Fatalf("%d forms, %d scripts in\n%s", len(forms), len(scripts), body)
		}
		if f := forms[0]; f.attr["method"] != "post" || f.attr["action"] != action || len(f.all("button")) != 1 {
			t.Errorf("%s: a form by %s for %s with %d buttons", action, f.attr["method"], f.attr["action"], len(f.all("button")))
		}
		var got [][2]string
		for _, in := range forms[0].all("input") {
			if in.attr["type"] != "hidden" || len(in.attr) != 3 {
				t.Errorf("an input with %v", in.attr)
			}
			got = append(got, [2]string{in.attr["name"], in.attr["value"]})
		}
		if diff := cmp.Diff(fields, got); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
		nonce := scripts[0].attr["nonce"]
		if len(nonce) < 20 || nonces[nonce] {
			t.Errorf("nonce %q", nonce)
		}
		nonces[nonce] = true
		if scripts[0].text != "document.forms[0].submit();" {
			t.Errorf("script %q", scripts[0].text)
		}
		want := map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'nonce-" + nonce + "'; form-action " + origin + "; frame-ancestors 'none'; base-uri 'none'",
			"Cache-Control":           "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
		}
		for name, value := range want {
			if got := rec.Header().Get(name); got != value {
				t.Errorf("%s: %s: %s, want %s", action, name, got, value)
			}
		}
	}
	for _, action := range []string{
		"", "/cb", "//app.example.com/cb", "javascript:alert(1)", "javascript://x/%0aalert(1)", "data:text/html,x", "com.example.app:/cb",
		"https://a;script-src *", "https://user@a/cb", "urn:ietf:wg:oauth:2.0:oob:auto",
	} {
		rec := httptest.NewRecorder()
		if err := s.FormPost(rec, 200, action, fields, "en", nil); err == nil || rec.Body.Len() > 0 || len(rec.Header()) > 0 {
			t.Errorf("%q: %v %v %s", action, err, rec.Header(), rec.Body)
		} else if strings.Contains(err.Error(), "c+/=") {
			t.Errorf("%q: the error holds the code", action)
		}
	}
}
