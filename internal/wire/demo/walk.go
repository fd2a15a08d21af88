package demo

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/wire"
)

// walk is a face's exchange, step by step.
type walk struct {
	Face  string // last element of its path, and the name of its texts
	Name  string
	keeps []string // what travels from step to step in hidden fields
	steps []step
}

func (w *walk) path() string { return "/dev/" + w.Face }

// Steps are for the page's rail.
func (w *walk) Steps() []step { return w.steps }

// step is one request. Its form has a field for every parameter, so that each
// of them can be broken.
type step struct {
	Slug string
	Name string
	// method is "" for the step that the browser takes itself, to the callback.
	method, path string
	carrier      carrier
	// fields are the form, filled with what is right.
	fields func(d *demo, keep values) params
	// learn reads from a good answer what it is worth; it is given whatever came.
	learn func(body []byte) values
	// prove, if set, checks a token against what came back.
	prove func(body []byte, token string) *proof
}

// carrier is the part of a request that a step's parameters travel in.
type carrier int

const (
	inQuery carrier = iota
	inForm
	inJSON
	inHeader
)

// param is a parameter of a request, and a field of a form.
type param struct {
	Name, Value string
	// Kept is not sent: the client keeps it for a later step.
	Kept bool
}

type params []param

// Value is that of the parameter of this name, "" without one.
func (p params) Value(name string) string {
	if i := slices.IndexFunc(p, func(p param) bool { return p.Name == name }); i >= 0 {
		return p[i].Value
	}
	return ""
}

type values map[string]string

// view is a page of a walk.
type view struct {
	Walk     *walk
	Step     *step // nil on the page that the walk starts from
	Number   int   // of Step, from 1
	Exchange *exchange
	Query    []line // what the callback was called with
	Tokens   []token
	Proof    *proof
	Link     string // where the browser is sent
	Next     *offer // nil after the last step
}

// Refused reports that the step's request was sent and not served.
func (v view) Refused() bool { return v.Exchange != nil && !v.Exchange.Served() }

// Cut reports whether the step with index i has been taken: the rail shows a
// notch for it.
func (v view) Cut(i int) bool { return i+1 < v.Number || i+1 == v.Number && !v.Refused() }

// Current reports whether it is the step with index i that the page shows.
func (v view) Current(i int) bool { return i+1 == v.Number }

// offer is the form of a step. Its one button is named by what it does.
type offer struct {
	Walk   *walk
	Step   *step
	Number int
	Fields params
	Keeps  params
}

func (o offer) Action() string { return o.Walk.path() + "/" + o.Step.Slug }

func (d *demo) offer(walk *walk, i int, keep values) *offer {
	step := &walk.steps[i]
	o := &offer{Walk: walk, Step: step, Number: i + 1}
	if step.method == "" {
		return o
	}
	o.Fields = step.fields(d, keep)
	for _, name := range walk.keeps {
		// A kept value that the form shows travels in its field.
		if !slices.ContainsFunc(o.Fields, func(p param) bool { return p.Kept && p.Name == name }) {
			o.Keeps = append(o.Keeps, param{Name: name, Value: keep[name], Kept: true})
		}
	}
	return o
}

// FieldName is the name in the form: a kept value and a sent one may have the
// same name, and only the sent one is for breaking.
func (p param) FieldName() string {
	if p.Kept {
		return "keep." + p.Name
	}
	return p.Name
}

// readStep reads the form of a step: what is to be sent, and what is kept. A
// field that is empty is sent empty; one that is missing is not this form.
func readStep(w http.ResponseWriter, r *http.Request, walk *walk, step *step, d *demo) (sent, keep values, err error) {
	if wire.MediaType(r) != wire.FormType {
		return nil, nil, wire.UnsupportedMediaType(wire.FormType)
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	got, err := wire.ParseParams(string(body))
	if err != nil {
		return nil, nil, err
	}
	present, _ := url.ParseQuery(string(body)) // ParseParams has seen to the errors
	sent, keep = values{}, values{}
	for _, f := range step.fields(d, values{}) {
		if f.Kept {
			continue // one of the walk's keeps, below
		}
		if !present.Has(f.Name) {
			return nil, nil, &problem{Kind: "incomplete"}
		}
		sent[f.Name] = got[f.Name]
	}
	for _, name := range walk.keeps {
		field := param{Name: name, Kept: true}.FieldName()
		if !present.Has(field) {
			return nil, nil, &problem{Kind: "incomplete"}
		}
		keep[name] = got[field]
	}
	return sent, keep, nil
}

// readCallback reads the query of the redirect URI, and lists it as it came.
func readCallback(r *http.Request) (wire.Params, []line, error) {
	got, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return nil, nil, err
	}
	if got["code"] == "" {
		return nil, nil, &problem{Kind: "no-code", Text: got["error"]}
	}
	lines := []line{{"GET " + callbackPath, ""}}
	lead := "    ?"
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		lines = append(lines, line{lead + name, "=" + value})
		lead = "    &"
	}
	return got, lines, nil
}
