package oidc_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit"
)

func TestDialogues(t *testing.T) {
	testkit.Dialogues(t, "testdata/wire", map[string]string{
		"WEB": basic(testkit.Web, testkit.WebSecret), "SERVICE": basic(testkit.Service, testkit.ServiceSecret),
		"WRONG": basic(testkit.Service, "wrong"), "NOBODY": basic("nobody", testkit.ServiceSecret), "SERVICE_SECRET": testkit.ServiceSecret,
		"APP": testkit.App, "CHALLENGE": testkit.Challenge,
		"MANY": strings.Repeat(`"https://rp.example.org/cb", `, 1000) + `"https://rp.example.org/cb"`,
	})
}

// basic is RFC 6749 §2.3.1.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}
