package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
)

// Every exchange, refusal, replay and loss is counted, and nothing that a client made
// up becomes a label.
func TestMetrics(t *testing.T) {
	counted := func(c *server.Config) { c.Metrics = true }
	w := testkit.NewWorld(t, counted)
	code := testkit.Send(w.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code
	a := testkit.Send(w.Handler, testkit.DressipiRedeem(testkit.Shop, code))
	testkit.Send(w.Handler, testkit.DressipiRedeem(testkit.Shop, code)) // a replay
	testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, a.RefreshToken))
	testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, a.RefreshToken))
	app := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code
	testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, app))
	testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, "wrong")) // a mail must not go out for it
	service := func(grantType, secret string) {
		r, err := http.NewRequest(http.MethodPost, testkit.Issuer+"/oauth2/token", strings.NewReader("grant_type="+grantType))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(testkit.Service, secret)
		testkit.Send(w.Handler, r)
	}
	service("client_credentials", testkit.ServiceSecret)
	service("evil-grant", testkit.ServiceSecret)
	service("client_credentials", "evil-secret")
	testkit.Send(w.Handler, testkit.DressipiAuthorize("evil-client"))
	for _, path := range []string{"/evil-path", "/oauth2/evil-path", "//evil"} {
		get(w.Handler, path)
	}

	text := get(w.Metrics, "/metrics").Body.String()
	for _, want := range []string{
		`tallystick_exchanges_total{face="dressipi",grant_type="authorization_code",outcome="done"} 1`,
		`tallystick_exchanges_total{face="dressipi",grant_type="refresh_token",outcome="done"} 1`,
		`tallystick_exchanges_total{face="dressipi",grant_type="refresh_token",outcome="retried"} 1`,
		`tallystick_exchanges_total{face="userdocks",grant_type="authorization_code",outcome="done"} 1`,
		`tallystick_exchanges_total{face="oidc",grant_type="client_credentials",outcome="done"} 1`,
		`tallystick_replays_total{face="dressipi"} 1`,
		`tallystick_refusals_total{error="invalid_grant",face="dressipi"} 1`,
		`tallystick_refusals_total{error="invalid_client",face="oidc"} 1`,
		`tallystick_refusals_total{error="unsupported_grant_type",face="oidc"} 1`,
		`tallystick_request_duration_seconds_count{endpoint="/oauth2/token",face="oidc"} 3`,
		`tallystick_request_duration_seconds_count{endpoint="unclean path",face="none"} 1`,
		"tallystick_store_waiting 0", "tallystick_store_connections_busy ", "tallystick_store_connections_max 4",
		"tallystick_mails_pending 0", "tallystick_notices_pending 0",
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %s", want)
		}
	}
	if evil := regexp.MustCompile(`(?m)^.*evil.*$`).FindString(text); evil != "" {
		t.Errorf("a client made a label: %s", evil)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// A database that has lost commits is counted.
func TestMetricsAhead(t *testing.T) {
	w := testkit.NewWorld(t)
	profile := w.NewProfile(t)
	copied := copyDatabase(t, w)
	token := testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, profile.RefreshToken)).RefreshToken
	restored, err := server.Open(t.Context(), server.Config{
		Database: copied, Issuer: testkit.Issuer, Master: w.Master, Now: w.Clock.Now, Metrics: true, Log: testkit.NoLog(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if a := testkit.Send(restored.Handler, testkit.DressipiRefresh(testkit.Shop, token)); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if text := get(restored.Metrics, "/metrics").Body.String(); !strings.Contains(text, `tallystick_ahead_total{face="dressipi"} 1`) {
		t.Error(text)
	}
}

// They have a port of their own, and are not on the public one.
func TestMetricsHaveTheirOwnPort(t *testing.T) {
	w := testkit.NewWorld(t, func(c *server.Config) { c.Metrics = true })
	if rec := get(w.Handler, "/metrics"); rec.Code != 404 {
		t.Errorf("the public port answers %d", rec.Code)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.ServeMetrics(ctx, l) }()
	for path, want := range map[string]int{"/metrics": 200, "/oauth2/jwks": 404} {
		res, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
