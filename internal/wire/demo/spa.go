package demo

import "net/http"

// spaScripts are the modules of the browser app, under its path.
var spaScripts = []string{"app.js", "client.js", "jwt.js", "show.js"}

// spa is the page of the app that runs in the browser, and of its callback: all
// that happens is the script's, and this answer is the same whatever the query is.
func (d *demo) spa(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "spa", d)
}
