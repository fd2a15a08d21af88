package demo

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

//go:embed templates
var templateFiles embed.FS

// pages are the templates by page. Those of the walks are one layout with a set
// of texts each.
var pages = map[string]*template.Template{
	"home":      parse("home"),
	"problem":   parse("problem"),
	"spa":       parse("spa"),
	"app":       parse("walk", "app"),
	"dressipi":  parse("walk", "dressipi"),
	"userdocks": parse("walk", "userdocks"),
}

func parse(names ...string) *template.Template {
	files := []string{"templates/layout.html"}
	for _, n := range names {
		files = append(files, "templates/"+n+".html")
	}
	return template.Must(template.ParseFS(templateFiles, files...))
}

// show writes a page, whole or not at all.
func show(w http.ResponseWriter, status int, page string, data any) {
	var b bytes.Buffer
	if err := pages[page].ExecuteTemplate(&b, "layout", data); err != nil {
		panic(err) // a template that does not fit its data
	}
	allowed := policy
	if page == "spa" {
		allowed = spaPolicy
	}
	secure(w.Header(), allowed)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader may be gone
}

// problem is why a page cannot be shown; its sentence is in the template.
type problem struct {
	Kind string
	Text string // a detail, of ours or the visitor's
	Back string // where to start again
}

func (p *problem) Error() string { return p.Kind }

// refuse shows a problem.
func (d *demo) refuse(w http.ResponseWriter, r *http.Request, status int, p problem) {
	p.Back = "/dev"
	if strings.HasPrefix(r.URL.Path, SPAPath+"/") {
		p.Back = SPAPath
	}
	for _, walk := range d.walks {
		if strings.HasPrefix(r.URL.Path+"/", walk.path()+"/") {
			p.Back = walk.path()
		}
	}
	show(w, status, "problem", p)
}

func (d *demo) refuseBecause(w http.ResponseWriter, r *http.Request, err error) {
	p, status := problem{Kind: "malformed"}, http.StatusBadRequest
	if own, ok := errors.AsType[*problem](err); ok {
		p = *own
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		p.Text = e.Description
	}
	if refusal, ok := errors.AsType[*wire.Refusal](err); ok && refusal.Status != 0 {
		status = refusal.Status // 413, 415
	}
	d.refuse(w, r, status, p)
}
