// Package demo is the page of `tallystick dev` that a newcomer clicks first. It
// explains each face's exchange as a walk that is pressed through step by step:
// what was sent, what came back, the decoded tokens, the rule that applied, and
// the same as curl. Every request really goes to the server that it explains;
// what a later step needs travels in hidden fields, or in a cookie where the
// browser goes away in between. The one thing kept here is the last few logouts
// that the app was told of. One walk is an app that runs in the browser.
package demo

import (
	"cmp"
	"embed"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Config is the demo world that the walks are prefilled with. Nothing in it is
// a secret: everything belongs to the demo user, on loopback.
type Config struct {
	Target http.Handler // the server's own mux, which answers every step
	Base   string       // where the server listens: http://127.0.0.1:8080
	Issuer string       // where browsers reach it; Base, unless a proxy stands before it
	Curl   string       // the beginning of every printed command: "curl", quoted where needed

	Email, Password string // the demo user

	App         string // client_id of the demo app of the Userdocks face
	AppRedirect string // its registered redirect URI: Base + "/dev/userdocks/callback"
	ReadAPIKey  string // its API key of type read
	Boutique    string // client_id of the demo client of the Dressipi face

	Web, WebSecret string // the confidential client of the standard face
	SPA            string // its public client

	SignIn  string // the hosted page of the Userdocks face, for the demo app
	Mailbox string // the page of caught mails

	Now func() time.Time // nil for the real clock
}

// The policy leaves a page nothing but its own stylesheet, mark and forms. The
// browser app has its scripts, too, and may ask the server that it came from.
const (
	policy    = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	spaPolicy = policy + "; script-src 'self'; connect-src 'self'"
)

//go:embed static
var static embed.FS

const callbackPath = "/dev/userdocks/callback"

type demo struct {
	Config
	walks          []*walk
	app, userdocks *walk // two of them
	notices        notices
}

// Handlers are the pages by ServeMux pattern. They claim "/{$}" and all that is
// below /dev and not claimed by a more specific pattern.
func Handlers(c Config) map[string]http.Handler {
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the page plays a client, and this is that client's clock
	}
	d := &demo{Config: c, app: appWalk(), userdocks: userdocksWalk()}
	d.walks = []*walk{d.app, dressipiWalk(), d.userdocks}
	// A form of another site must not press these buttons, although all that it
	// could gain is a demo session.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.refuse(w, r, http.StatusForbidden, problem{Kind: "cross-origin"})
	}))

	all := map[string]http.Handler{
		"GET /{$}":            http.RedirectHandler("/dev", http.StatusSeeOther),
		"GET /dev":            http.HandlerFunc(d.home),
		"GET /dev/style.css":  file("static/style.css", "text/css; charset=utf-8"),
		"GET /dev/mark.svg":   file("static/mark.svg", "image/svg+xml"),
		"GET " + callbackPath: http.HandlerFunc(d.callback),
		"GET " + SPAPath:      http.HandlerFunc(d.spa),
		"GET " + SPACallback:  http.HandlerFunc(d.spa),
	}
	for _, name := range spaScripts {
		all["GET "+SPAPath+"/"+name] = file("static/spa/"+name, "text/javascript; charset=utf-8")
	}
	for _, walk := range d.walks {
		all["GET "+walk.path()] = d.start(walk)
		for i := range walk.steps {
			if walk.steps[i].method != "" {
				all["POST "+walk.path()+"/"+walk.steps[i].Slug] = guard.Handler(d.press(walk, i))
			}
		}
	}
	all["GET "+AppPath] = http.HandlerFunc(d.startApp)
	all["POST "+AppPath+"/"+d.app.steps[atRequest].Slug] = guard.Handler(http.HandlerFunc(d.request))
	// What may come from another site has a proof of its own: the state, the token.
	all["GET "+AppCallback] = http.HandlerFunc(d.callbackOfApp)
	all["POST "+AppCallback] = http.HandlerFunc(d.callbackOfApp)
	all["POST "+AppLogout] = http.HandlerFunc(d.backchannelLogout)
	stray := d.stray(all)
	all["/dev"], all["/dev/"], all["HEAD "+AppCallback] = stray, stray, stray
	return all
}

// stray answers for what no pattern is for.
func (d *demo) stray(all map[string]http.Handler) http.Handler {
	allow := map[string]string{}
	for _, pattern := range slices.Sorted(maps.Keys(all)) {
		method, path, _ := strings.Cut(pattern, " ")
		if method == http.MethodGet && path != AppCallback { // which uses the flow up
			method += ", " + http.MethodHead
		}
		allow[path] = strings.TrimPrefix(allow[path]+", "+method, ", ")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods, ok := allow[r.URL.Path]
		switch {
		case ok:
			w.Header().Set("Allow", methods)
			d.refuse(w, r, http.StatusMethodNotAllowed, problem{Kind: "method"})
		case r.URL.Path == "/dev/":
			http.Redirect(w, r, "/dev", http.StatusSeeOther)
		default:
			d.refuse(w, r, http.StatusNotFound, problem{Kind: "not-found"})
		}
	})
}

func file(name, mediaType string) http.Handler {
	content, err := static.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the binary
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		secure(w.Header(), policy)
		// Small and local: asking again beats yesterday's stylesheet.
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write(content)
	})
}

func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

func (d *demo) home(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "home", d)
}

// AppSteps and Others are for the home page.
func (d *demo) AppSteps() []step { return d.app.steps }

// Others are the walks of the faces beside the standard one.
func (d *demo) Others() []*walk { return d.walks[1:] }

// start shows a walk with the form of its first step.
func (d *demo) start(walk *walk) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		show(w, http.StatusOK, walk.Face, view{Walk: walk, Next: d.offer(walk, 0, values{})})
	})
}

// press sends the request of a step and shows what became of it. A refusal is
// shown like a success: it is what the visitor came to see.
func (d *demo) press(walk *walk, i int) http.Handler {
	step := &walk.steps[i]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, keep, err := readStep(w, r, walk, step, d)
		if err != nil {
			d.refuseBecause(w, r, err)
			return
		}
		x, err := d.send(r, step, sent)
		if err != nil {
			d.refuseBecause(w, r, err)
			return
		}
		v := view{Walk: walk, Step: step, Number: i + 1, Exchange: x}
		next := i
		if x.Served() {
			d.take(r, &v, sent, keep)
		}
		if x.Served() || step.refused {
			next++
		}
		if last := i == len(walk.steps)-1; !last && v.Stopped == "" {
			v.Next = d.offer(walk, next, keep)
		}
		show(w, http.StatusOK, walk.Face, v)
	})
}

// take looks at a good answer, and puts into keep what it is worth.
func (d *demo) take(r *http.Request, v *view, sent, keep values) {
	walk, step, body := v.Walk, v.Step, v.Exchange.body
	learnt := step.learn(body)
	for _, name := range []string{"id_token", "access_token"} {
		if learnt[name] != "" {
			v.Tokens = append(v.Tokens, decodeToken(name, learnt[name]))
		}
	}
	if step.judge != nil {
		v.Checks = step.judge(&evidence{demo: d, visitor: r, body: body, had: keep, got: learnt})
	}
	if v.distrusts() {
		v.Stopped, v.Home = "tokens", d.Issuer+walk.path()
		return
	}
	for _, name := range walk.keeps {
		// What worked is what the next steps begin with; the answer's own values
		// come last, because a refresh token is answered by another.
		keep[name] = cmp.Or(learnt[name], sent[name], keep[name])
	}
	if step.prove != nil {
		v.Proof = step.prove(body, keep["access_token"])
	}
	v.Link = learnt["link"]
}

// callback is the demo app's redirect URI. It shows what the app got, and offers
// the exchange.
func (d *demo) callback(w http.ResponseWriter, r *http.Request) {
	got, lines, err := readCallback(r)
	if err != nil {
		d.refuseBecause(w, r, err)
		return
	}
	walk := d.userdocks
	i := slices.IndexFunc(walk.steps, func(s step) bool { return s.method == "" })
	show(w, http.StatusOK, walk.Face, view{
		Walk: walk, Step: &walk.steps[i], Number: i + 1, Query: lines, Next: d.offer(walk, i+1, values(got)),
	})
}
