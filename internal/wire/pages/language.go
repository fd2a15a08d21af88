package pages

import (
	"embed"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Languages are those that there are texts in; the first is for everybody else.
var Languages = []string{"en", "de"}

// names are what the languages call themselves.
var names = map[string]string{"en": "English", "de": "Deutsch"}

//go:embed texts static templates
var files embed.FS

// texts are the catalogues by language, then key.
var texts = func() map[string]map[string]string {
	all := make(map[string]map[string]string)
	for _, l := range Languages {
		raw, err := files.ReadFile("texts/" + l + ".json")
		if err == nil {
			var catalogue map[string]string
			err = json.Unmarshal(raw, &catalogue)
			all[l] = catalogue
		}
		if err != nil {
			panic(err) // the file is part of the binary
		}
	}
	return all
}()

// Known is the catalogue for a language tag (by its primary subtag, as lookup in
// RFC 4647 §3.4 ends); "" if there is none.
func Known(tag string) string {
	primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
	if slices.Contains(Languages, primary) {
		return primary
	}
	return ""
}

// Language chooses the language of a page: the first known one of those that were
// asked for (tags, or lists of them as in ui_locales of OpenID Connect Core
// §3.1.2.1), else what the browser prefers, else the first.
func Language(r *http.Request, asked ...string) string {
	for _, list := range asked {
		for tag := range strings.FieldsSeq(list) {
			if l := Known(tag); l != "" {
				return l
			}
		}
	}
	best, weight := Languages[0], 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		// RFC 9110 §12.5.4; of equals the first.
		if l := Known(tag); l != "" && q > weight {
			best, weight = l, q
		}
	}
	return best
}

// text is a text of a catalogue with its {placeholders} filled.
func text(language, key string, says map[string]string) string {
	s := texts[language][key]
	if !strings.Contains(s, "{") {
		return s
	}
	var pairs []string
	for name, value := range says {
		pairs = append(pairs, "{"+name+"}", value)
	}
	// One pass: what stands in a value is not filled in turn.
	return strings.NewReplacer(pairs...).Replace(s)
}
