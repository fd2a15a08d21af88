package demo

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRefusedPages(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	whole := newWorld(t).do("GET", "/dev/dressipi", nil).fields
	without := func(name string) string {
		v := url.Values{}
		for n := range whole {
			if n != name {
				v.Set(n, whole.Get(n))
			}
		}
		return v.Encode()
	}
	profile := "keep.client_id=&keep.code=&keep.code_verifier=&keep.refresh_token=&keep.access_token=&x-dressipi-jwt="
	tests := []struct {
		name, method, path, mediaType, body string
		status                              int
		allow, says                         string
	}{
		{"a step is not opened", "GET", "/dev/dressipi/token", "", "", 405, "POST", "pressed, not opened"},
		{"HEAD of a step", "HEAD", "/dev/userdocks/codes", "", "", 405, "POST", ""},
		{"a page is not posted to", "POST", "/dev", form, "", 405, "GET, HEAD", ""},
		{"a walk is not posted to", "POST", "/dev/dressipi", form, "", 405, "GET, HEAD", ""},
		{"the callback is not posted to", "POST", "/dev/userdocks/callback", form, "code=x", 405, "GET, HEAD", ""},
		{"no such page", "GET", "/dev/nothing", "", "", 404, "", "no page"},
		{"no such step", "POST", "/dev/dressipi/nothing", form, "", 404, "", "no page"},
		{"an empty form", "POST", "/dev/dressipi/authorize", form, "", 400, "", "missing"},
		{"a parameter's field is missing", "POST", "/dev/dressipi/authorize", form, without("state"), 400, "", "missing"},
		{"a hidden field is missing", "POST", "/dev/dressipi/authorize", form, without("keep.code_verifier"), 400, "", "missing"},
		{"a field twice (RFC 6749 §3.1)", "POST", "/dev/dressipi/authorize", form, whole.Encode() + "&state=2", 400, "", "more than once"},
		{"a hidden field twice", "POST", "/dev/dressipi/authorize", form, whole.Encode() + "&keep.code=2&keep.code=3", 400, "", "more than once"},
		{"a broken escape", "POST", "/dev/dressipi/authorize", form, whole.Encode() + "&x=%zz", 400, "", "percent-encoding"},
		{"NUL", "POST", "/dev/dressipi/profile", form, profile + "%00", 400, "", "NUL"},
		{"not UTF-8, in a hidden field", "POST", "/dev/dressipi/profile", form, strings.Replace(profile, "code=", "code=%ff", 1), 400, "", "UTF-8"},
		{"a line break in a header (RFC 9110 §5.5)", "POST", "/dev/dressipi/profile", form, profile + "a%0d%0aX-Evil: 1", 400, "", "x-dressipi-jwt"},
		{"JSON instead of a form", "POST", "/dev/dressipi/authorize", "application/json", "{}", 415, "", "must be sent as"},
		{"no media type", "POST", "/dev/dressipi/authorize", "", whole.Encode(), 415, "", ""},
		{"an oversized body", "POST", "/dev/dressipi/authorize", form, "state=" + strings.Repeat("x", 64<<10), 413, "", "64 KiB"},
		{"the callback without a code", "GET", "/dev/userdocks/callback", "", "", 400, "", "without a code"},
		{"the callback with an error (RFC 6749 §4.1.2.1)", "GET", "/dev/userdocks/callback?error=access_denied&state=s", "", "", 400, "", "“access_denied”"},
		{"the callback with two codes", "GET", "/dev/userdocks/callback?code=a&code=b", "", "", 400, "", "more than once"},
		{"the callback with a broken escape", "GET", "/dev/userdocks/callback?code=%zz", "", "", 400, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t) // no answers: a request that is sent fails the test
			p := w.send(tt.method, tt.path, tt.mediaType, tt.body)
			w.wants(p, tt.status, tt.says)
			if got := p.header.Get("Allow"); got != tt.allow {
				t.Errorf("Allow %q, want %q", got, tt.allow)
			}
			if !strings.Contains(p.body, `id="oauth-error"`) {
				t.Errorf("no error box in:\n%s", p.body)
			}
		})
	}
}

func TestOtherSitesPressNoButton(t *testing.T) {
	w := newWorld(t)
	start := w.do("GET", "/dev/dressipi", nil)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://127.0.0.1:9999"},
	} {
		p := w.do("POST", start.action, start.fields, headers...)
		w.wants(p, http.StatusForbidden, "Nothing was sent")
	}
}

// A hostile value may come from the visitor, from the callback's address or from
// the server; it is shown as text wherever it stands.
func TestHostileValuesAreText(t *testing.T) {
	const hostile = `"><script>alert(1)</script>'&{{.}}`
	in := quoteJSON(hostile)
	w := newWorld(t,
		`200 {"code":`+in+`,`+in+`:1}`,
		`400 `+hostile,
		`200 {"access_token":`+in+`,"refresh_token":`+in+`}`,
	)
	p := w.press(w.do("GET", "/dev/dressipi", nil), "state", hostile, "keep.code_verifier", hostile)
	w.wants(p, 200)
	if got := p.fields.Get("code_verifier"); got != hostile {
		t.Errorf("verifier came along as %q", got)
	}
	p = w.press(p)
	w.wants(p, 200, "400 Bad Request")
	p = w.press(p, "keep.access_token", hostile)
	w.wants(p, 200, "This is not a JWT")
	if got := p.fields.Get("refresh_token"); got != hostile {
		t.Errorf("refresh token came along as %q", got)
	}
	q := url.QueryEscape(hostile)
	w.wants(w.do("GET", "/dev/userdocks/callback?code="+q+"&state="+q+"&"+q+"="+q, nil), 200)
	w.wants(w.do("GET", "/dev/userdocks/callback?error="+q, nil), 400)
}

func TestLinkIsNoScript(t *testing.T) {
	w := newWorld(t, `201 {"items":[{"nextAction":{"url":"javascript:alert(1)"}}]}`)
	p := w.press(w.do("GET", "/dev/userdocks", nil))
	w.wants(p, 200, "names no address")
	if strings.Contains(p.body, `href="javascript:`) {
		t.Error("the page links to a script")
	}
}

// Whatever the server answers, the page is shown.
func TestOddAnswers(t *testing.T) {
	for _, answer := range []string{
		"200 ", "200 null", "200 []", "200 {}", `200 {"code":7}`, `200 {"items":[]}`, `200 {"items":[null]}`, `200 {"items":7}`,
		"200 <html>", "200 \xff\xfe", "200 " + strings.Repeat("[", 20000), "200 " + strings.Repeat("x", maxAnswer+1), "400 ",
	} {
		for _, start := range []string{"/dev/dressipi", "/dev/userdocks"} {
			w := newWorld(t, answer)
			w.wants(w.press(w.do("GET", start, nil)), 200, "Came back")
		}
		for _, step := range []string{"tokens", "refresh", "me", "key", "again"} {
			w := newWorld(t, answer)
			form := url.Values{}
			walk := userdocksWalk()
			for _, s := range walk.steps {
				if s.Slug == step {
					for _, f := range s.fields(&demo{Config: Config{Now: fixed}}, values{}) {
						form.Set(f.Name, f.Value)
					}
				}
			}
			for _, k := range walk.keeps {
				form.Set("keep."+k, "x")
			}
			w.wants(w.do("POST", "/dev/userdocks/"+step, form), 200, "Came back")
		}
	}
}
