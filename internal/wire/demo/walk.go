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
	// method is "" for the step that the browser takes itself: by a form to path if
	// there are fields, otherwise by a link.
	method, path string
	carrier      carrier
	// fields are the form, filled with what is right.
	fields func(d *demo, keep values) params
	// learn reads from a good answer what it is worth; it is given whatever came.
	learn func(body []byte) values
	// prove, if set, checks a token against what came back.
	prove func(body []byte, token string) *proof
	// judge, if set, makes the checks that a client makes of a good answer.
	judge func(e *evidence) []check
	// refused: the answer that one comes to see is a refusal, and the walk goes on.
	refused bool
}

// carrier is the part of a request that a step's parameters travel in, but for
// those that are headers.
type carrier int

const (
	inQuery carrier = iota
	inForm
	inJSON
)

// param is a parameter of a request, and a field of a form.
type param struct {
	Name, Value string
	// Kept is not sent: the client keeps it for a later step.
	Kept bool
	// Header: it is a header. One that is empty is not sent; curl has no other way.
	Header bool
	// Option: it stands in the open part of the form, and is not sent if it is empty.
	Option bool
	// Choices are offered instead of a text.
	Choices []choice
}

type choice struct{ Value, Label string }

// oneOf offers values, or to send none of them.
func oneOf(values ...string) []choice {
	all := []choice{{"", "not sent"}}
	for _, v := range values {
		all = append(all, choice{v, v})
	}
	return all
}

// sends reports whether the parameter goes out.
func (p param) sends() bool { return !p.Kept && (p.Value != "" || !p.Header && !p.Option) }

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
	Built    []line // the address that the browser is sent to, taken apart
	Query    []line // what the callback was called with
	Stopped  string // why the app does not take what it got; "" if it does
	Error    *authorizationError
	Home     string // where to begin again then
	Checks   []check
	Tokens   []token
	Proof    *proof
	Notices  []notice // logouts that the app was told of; only where they belong
	Link     string   // where the browser is sent
	Next     *offer   // nil after the last step
}

// Refused reports that the step was taken in vain.
func (v view) Refused() bool { return v.Exchange != nil && !v.Exchange.Served() || v.Stopped != "" }

// distrusts reports that a token is not what it must be.
func (v view) distrusts() bool {
	return slices.ContainsFunc(v.Checks, func(c check) bool { return c.Of != "" && c.Result == broken })
}

// Again reports that the offer is the step that was just refused.
func (v view) Again() bool { return v.Refused() && v.Next != nil && v.Next.Number == v.Number }

// Expected reports that the refusal is what one came to see.
func (v view) Expected() bool { return v.Refused() && v.Step.refused }

// ChecksOf are the checks of a token; "" are those of the answer itself.
func (v view) ChecksOf(name string) (of checks) {
	for _, c := range v.Checks {
		if c.Of == name {
			of = append(of, c)
		}
	}
	return of
}

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
	Action string // where the form goes
	Fields params
	Keeps  params
}

// Options stand in the open part of the form, the rest is folded away.
func (o offer) Options() params { return o.where(true) }

// Rest is the folded part.
func (o offer) Rest() params { return o.where(false) }

func (o offer) where(option bool) (some params) {
	for _, f := range o.Fields {
		if f.Option == option {
			some = append(some, f)
		}
	}
	return some
}

func (d *demo) offer(walk *walk, i int, keep values) *offer {
	step := &walk.steps[i]
	o := &offer{Walk: walk, Step: step, Number: i + 1, Action: walk.path() + "/" + step.Slug}
	if step.fields == nil {
		return o
	}
	o.Fields = step.fields(d, keep)
	if step.method == "" {
		o.Action = d.Issuer + step.path
		return o
	}
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
	return got, apart(http.MethodGet+" "+callbackPath, r.URL.RawQuery), nil
}

// apart lists an address and its query, a parameter a line.
func apart(address, query string) []line {
	lines := []line{{address, ""}}
	if query == "" {
		return lines
	}
	return append(lines, pairs(query, "    ?", "    &")...)
}

// pairs lists what is form-encoded, as it came.
func pairs(encoded, first, other string) (lines []line) {
	for pair := range strings.SplitSeq(encoded, "&") {
		name, value, _ := strings.Cut(pair, "=")
		lines = append(lines, line{first + name, "=" + value})
		first = other
	}
	return lines
}
