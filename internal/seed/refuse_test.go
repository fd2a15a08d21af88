package seed

import (
	"strings"
	"testing"
)

// What is of the wrong kind is told in the file's own words.
func TestWrongKinds(t *testing.T) {
	for text, want := range map[string]string{
		`null`:           `want {"clients": [...], "users": [...]}, got null`,
		`[]`:             `want {"clients": [...], "users": [...]}: want an object, got array`,
		`{"clients": 1}`: `want {"clients": [...], "users": [...]}: clients: want a list, got number`,
		`{"clients": [{"client_id":"a","client_secret":12345}]}`:                `clients[0] "": client_secret: want a text, got number`,
		`{"clients": [{"client_id":"a","redirect_uris":"https://a.example/"}]}`: `clients[0] "a": redirect_uris: want a list, got string`,
		`{"clients": [{"client_id":"a","require_pkce":"s3cret"}]}`:              `clients[0] "a": require_pkce: want true or false, got string`,
		`{"clients": [{"client_id":"a","access_token_lifetime":"s3cret"}]}`:     `clients[0] "a": access_token_lifetime: want a number, got string`,
	} {
		if _, err := parse([]byte(text)); err == nil || err.Error() != want || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
	if f, err := parse([]byte(`{}`)); err != nil || len(f.Clients) != 0 {
		t.Error(f, err)
	}
}
