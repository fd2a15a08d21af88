package oidc

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// refuse tells the client of a visit why it gets no code (RFC 6749 §4.1.2.1), and
// returns the error for the log. Without a visit there is nobody to be told, and
// what is the server's fault is told to whoever sits there: to try again may help.
// With prompt=none nobody does.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	e := oauth.AsError(err)
	if v == nil || e.Fault() && !v.Prompt.Has(oauth.PromptNone) {
		return err
	}
	params := [][2]string{{"error", string(e.Code)}}
	if e.Description != "" {
		params = append(params, [2]string{"error_description", describable.Replace(e.Description)})
	}
	return cmp.Or(a.respond(w, r, v, params), err)
}

// describable leaves out what error_description must not have (RFC 6749 §4.1.2.1).
var describable = strings.NewReplacer(`"`, "'", `\`, "'")

// respond answers the client of a visit, with the state and the issuer (RFC 9207
// §2), as it wants it: see oauth.ResponseMode.
func (a *api) respond(w http.ResponseWriter, r *http.Request, v *visit, params [][2]string) error {
	if v.State != "" {
		params = append(params, [2]string{"state", v.State})
	}
	params = append(params, [2]string{"iss", a.engine.Issuer()})
	to := v.RedirectURI()
	switch v.Mode {
	case oauth.ModeFormPost:
		return a.site.FormPost(w, http.StatusOK, to, params, v.language, v.Client())
	case oauth.ModeFragment:
		to += "#" + encoded(params)
	case oauth.ModeQuery:
		to = withQuery(to, params)
	}
	if r.Method == http.MethodPost {
		seeOther(w, to) // a 307 would post the password on (RFC 9700 §4.12)
		return nil
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
	return nil
}

// withQuery adds parameters to an address, which keeps its own (RFC 6749 §3.1.2).
func withQuery(to string, params [][2]string) string {
	if strings.Contains(to, "?") {
		return to + "&" + encoded(params)
	}
	return to + "?" + encoded(params)
}

// encoded writes parameters as a form, in this order.
func encoded(params [][2]string) string {
	var b strings.Builder
	for i, p := range params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1]))
	}
	return b.String()
}

// query writes the parameters of an authorization request, for ourselves to read.
func query(p wire.Params) string {
	var all [][2]string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		all = append(all, [2]string{name, p[name]})
	}
	return encoded(all)
}
