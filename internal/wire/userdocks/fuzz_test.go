package userdocks

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/engine"
)

// Whatever a user tells about himself is refused, or is stored as one line per
// field, loses nothing that he did not speak of, and tells the same if it is
// told twice.
func FuzzProfile(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"givenName":"Ada","familyName":null,"phoneNumber":"+49 30 1","locale":"de-AT"}`, `{"addresses":[{"locality":"London"},{}]}`,
		`{"addresses":null,"locale":""}`, `{"addresses":[null]}`, `{"givenName":"a\r\nBcc: x@y.z"}`, `{"givenName":{}}`, `{"phone_number_verified":true}`,
		`{"addresses":[{"name":"\u2028"}]}`, `{"familyName":"\ud800"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		p, err := decodeProfile(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		u := &engine.User{Claims: []byte(`{"given_name":"Grace","zoneinfo":"UTC"}`), Attributes: []byte(`{"referrer":"a friend"}`)}
		once, a1, err := p.apply(u)
		if err != nil {
			t.Fatal(err)
		}
		u.Claims, u.Attributes = once, a1
		twice, a2, err := p.apply(u)
		if err != nil || string(once) != string(twice) || string(a1) != string(a2) {
			t.Errorf("%s, then %s; %s, then %s; %v", once, twice, a1, a2, err)
		}
		item := userItem(u, "app")
		if item.Zoneinfo == nil || item.Referrer == nil {
			t.Errorf("%s %s", once, a1)
		}
		for _, line := range []*string{item.Name, item.GivenName, item.FamilyName, item.PhoneNumber} {
			if line != nil && strings.ContainsFunc(*line, breaksLine) {
				t.Errorf("%q is more than a line", *line)
			}
		}
		if !json.Valid(once) || !json.Valid(a1) {
			t.Errorf("%q %q", once, a1)
		}
	})
}
