package cli

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// A mail server that is dead loses no registration, and the operator sees why
// the mail waits, while the server runs.
func TestOutboxIsVisible(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "--smtp", "smtp://user:s3cret-word@127.0.0.1:1")
	body := `{"appUuid":"` + p.World.Userdocks.AppUUID + `","email":"new@example.com","password":"a wholly unlikely phrase",` +
		`"passwordConfirmation":"a wholly unlikely phrase","acceptedTermsAndConditions":true,"acceptedDataPrivacy":true,"acceptPrivacyPolicy":false}`
	res, err := p.client.Post(p.World.Issuer+"/api/v1/users?language=en", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("register: %s", res.Status)
	}
	var lines []mailLine
	for range 500 { // until the attempt has been noted
		out, err := exec.Command("tallystick", "mail", "--data", dir, "--json").Output()
		if err == nil {
			err = json.Unmarshal(out, &lines)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(lines) == 1 && lines[0].Error != "" {
			break
		}
	}
	if len(lines) != 1 || lines[0].State != "waiting" || lines[0].Attempts != 1 || lines[0].Recipient != "new@example.com" ||
		!strings.Contains(lines[0].Error, "127.0.0.1:1") || strings.Contains(lines[0].Error, "s3cret-word") {
		t.Errorf("the operator sees %+v", lines)
	}
	out, err := exec.Command("tallystick", "mail", "--data", dir).Output()
	if err != nil || !strings.Contains(string(out), "waiting") {
		t.Errorf("%v: %s", err, out)
	}
}
