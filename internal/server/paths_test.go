package server_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

// A path that is spelt in another way is not found, in our own words; the mux
// would redirect it with its query, and the SDK has secrets there.
func TestUncleanPaths(t *testing.T) {
	w := testkit.NewWorld(t)
	for _, path := range []string{
		"/oauth//token", "//oauth/token", "/oauth/./token", "/x/../oauth/token", "/oauth/token/..", "/api/v1//tokens", "//evil.example/oauth/token",
	} {
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/", nil)
			r.URL.Path, r.URL.RawQuery = path, "code=SECRET"
			a := testkit.Send(w.Handler, r)
			if a.Status != 404 || a.Header.Get("Location") != "" || a.Header.Get("X-Request-Id") == "" || strings.Contains(a.Body, "SECRET") {
				t.Errorf("%s %s: %d %v %s", method, path, a.Status, a.Header, a.Body)
			}
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/": 404, "/nowhere": 404, "/userdocks/login/": 400, "/livez/": 404} {
		if a := testkit.Send(w.Handler, httptest.NewRequest("GET", path, nil)); a.Status != want || a.Header.Get("Location") != "" {
			t.Errorf("GET %s: %d, want %d", path, a.Status, want)
		}
	}
}
