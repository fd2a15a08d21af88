package demo

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tallystick/tallystick/internal/wire"
)

// authorizationError is RFC 6749 §4.1.2.1.
type authorizationError struct{ Code, Description string }

// startApp begins the walk; after a logout the browser comes back here.
func (d *demo) startApp(w http.ResponseWriter, r *http.Request) {
	walk := d.app
	if r.URL.Query().Get("state") != signedOut {
		show(w, http.StatusOK, walk.Face, view{Walk: walk, Next: d.offer(walk, 0, values{}), Notices: d.notices.last()})
		return
	}
	show(w, http.StatusOK, walk.Face, view{
		Walk: walk, Step: &walk.steps[atLogout], Number: atLogout + 1,
		Query: apart(http.MethodGet+" "+AppPath, "state="+signedOut), Notices: d.notices.last(),
	})
}

// request builds the authorization request, pushes it if it is to be pushed, and
// shows where the browser goes with it. What the answer has to agree with is left
// in the browser.
func (d *demo) request(w http.ResponseWriter, r *http.Request) {
	walk := d.app
	step := &walk.steps[atRequest]
	sent, keep, err := readStep(w, r, walk, step, d)
	if err != nil {
		d.refuseBecause(w, r, err)
		return
	}
	f := flow{
		State: sent["state"], Nonce: sent["nonce"], Verifier: keep["code_verifier"], MaxAge: sent["max_age"],
		AskedAt: strconv.FormatInt(d.Now().Unix(), 10),
	}
	if err := d.remember(w, f); err != nil {
		d.refuseBecause(w, r, err)
		return
	}
	v := view{Walk: walk, Step: step, Number: atRequest + 1, Next: d.offer(walk, atCallback, nil)}
	_, list := step.fields(d, values{}).filled(sent)
	if keep["how"] == pushed {
		sent["Authorization"] = basic(d).Value
		if v.Exchange, err = d.send(r, &pushStep, sent); err != nil {
			d.refuseBecause(w, r, err)
			return
		}
		if v.Refused() {
			v.Next = d.offer(walk, atRequest, keep)
			show(w, http.StatusOK, walk.Face, v)
			return
		}
		list = params{{Name: "client_id", Value: sent["client_id"]}, {Name: "request_uri", Value: handle(v.Exchange.body)}}
	}
	v.Link = d.Issuer + authorizePath + "?" + list.encode()
	v.Built = apart(d.Issuer+authorizePath, list.encode())
	show(w, http.StatusOK, walk.Face, v)
}

// handle is RFC 9126 §2.2.
func handle(body []byte) string {
	var a struct {
		RequestURI string `json:"request_uri"`
	}
	_ = json.Unmarshal(body, &a) // what cannot be read leads to a refusal
	return a.RequestURI
}

// callbackOfApp is the app's redirect URI, by query or by form post. It may come
// from anywhere; that it answers this browser's request is what the state proves.
func (d *demo) callbackOfApp(w http.ResponseWriter, r *http.Request) {
	walk := d.app
	got, lines, err := readAnswer(w, r)
	if err != nil {
		d.refuseBecause(w, r, err)
		return
	}
	f, begun := recall(r)
	v := view{
		Walk: walk, Step: &walk.steps[atCallback], Number: atCallback + 1, Query: lines, Home: d.Issuer + AppPath,
		Checks: []check{
			equal("state", got["state"], f.State, "is the one that this browser was sent away with", rfc("6749", "10.12")),
			equal("iss", got["iss"], d.Issuer, "is the issuer that was asked", rfc("9207", "2.4")),
		},
	}
	status := http.StatusBadRequest
	switch {
	case !begun || f.State == "":
		v.Checks[0] = check{Claim: "state", Rule: "has nothing to be compared with", Clause: rfc("6749", "10.12"), Result: broken}
		v.Stopped = "no-flow"
	case v.Checks[0].Result == broken:
		v.Stopped = "state"
	case v.Checks[1].Result == broken:
		v.Stopped = "iss"
	case got["error"] != "":
		// An answer like any other: it was asked for, and it is used up.
		v.Stopped, v.Error, status = "error", &authorizationError{got["error"], got["error_description"]}, http.StatusOK
		d.forget(w)
	case got["code"] == "":
		v.Stopped = "no-code"
	default:
		status = http.StatusOK
		d.forget(w)
		v.Next = d.offer(walk, atCallback+1, values{
			"code": got["code"], "code_verifier": f.Verifier, "nonce": f.Nonce, "max_age": f.MaxAge, "asked_at": f.AskedAt,
		})
	}
	show(w, status, walk.Face, v)
}

// readAnswer reads an authorization response, and lists it as it came.
func readAnswer(w http.ResponseWriter, r *http.Request) (wire.Params, []line, error) {
	encoded, lines := r.URL.RawQuery, apart(r.Method+" "+AppCallback, r.URL.RawQuery)
	if r.Method == http.MethodPost {
		if wire.MediaType(r) != wire.FormType {
			return nil, nil, wire.UnsupportedMediaType(wire.FormType)
		}
		body, err := wire.ReadBody(w, r)
		if err != nil {
			return nil, nil, err
		}
		encoded = string(body)
		lines = append([]line{{r.Method + " " + AppCallback, ""}, {"Content-Type", ": " + wire.FormType}, {}}, pairs(encoded, "", "&")...)
	}
	got, err := wire.ParseParams(encoded)
	return got, lines, err
}

// flow is what the app has to know when the answer comes. It is the browser's to
// keep: another browser's answer finds nothing.
type flow struct{ State, Nonce, Verifier, MaxAge, AskedAt string }

const (
	flowCookie = "dev_app"
	flowLife   = 10 * 60 // seconds: time to sign in, and to look around
	maxFlow    = 3 << 10 // bytes; browsers drop a cookie of more than 4 KiB
)

func (d *demo) remember(w http.ResponseWriter, f flow) error {
	value := url.Values{"s": {f.State}, "n": {f.Nonce}, "v": {f.Verifier}, "m": {f.MaxAge}, "t": {f.AskedAt}}.Encode()
	if len(value) > maxFlow {
		return &problem{Kind: "too-long"}
	}
	http.SetCookie(w, d.cookie(value, flowLife))
	return nil
}

func (d *demo) forget(w http.ResponseWriter) { http.SetCookie(w, d.cookie("", -1)) }

// cookie is Lax: a form post from another site's page would come without it, but
// here the server and the app are one site.
func (d *demo) cookie(value string, life int) *http.Cookie {
	return &http.Cookie{
		Name: flowCookie, Value: value, Path: AppPath, MaxAge: life,
		HttpOnly: true, Secure: strings.HasPrefix(d.Issuer, "https:"), SameSite: http.SameSiteLaxMode,
	}
}

func recall(r *http.Request) (f flow, begun bool) {
	c, err := r.Cookie(flowCookie)
	if err != nil {
		return f, false
	}
	v, err := wire.ParseParams(c.Value)
	if err != nil {
		return f, false
	}
	return flow{State: v["s"], Nonce: v["n"], Verifier: v["v"], MaxAge: v["m"], AskedAt: v["t"]}, true
}
