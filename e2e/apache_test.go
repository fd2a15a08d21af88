//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tallystick/tallystick/internal/testkit"
)

const apacheSecret = "thirty-two characters and more than that"

// Debian's Apache with mod_auth_openidc: as an app that protects its pages, and as
// a resource server, which it is only for an issuer by https. It runs in the
// foreground with its own configuration.
func TestApacheModAuthOpenIDC(t *testing.T) {
	t.Parallel()
	at := freePort(t)
	site := "http://" + at
	callback := site + "/protected/callback"
	dir := startDev(t, "--tls", "--seed", seed(t, []string{"apache"}, metadata{
		"client_id": "apache", "client_secret": apacheSecret, "client_name": "Apache",
		"redirect_uris": []string{callback}, "post_logout_redirect_uris": []string{site + "/bye"},
		"backchannel_logout_uri": callback + "?logout=backchannel",
	}, metadata{
		"client_id": site + "/api", "client_secret": apacheSecret, "client_name": "Apache's API", "grant_types": []string{"client_credentials"}, "scope": "api:read",
	}))
	dev := readDev(t, dir)
	ca := filepath.Join(dir, "ca.pem")
	startApache(t, at, dev.Issuer, ca)
	v := newVisitor(t, site, dev.Issuer, clientOf(t, ca))

	v.signIn("/protected/")
	page := v.open("/protected/", http.StatusOK)
	for _, want := range []string{"OIDC_CLAIM_email=apache@example.com", "OIDC_CLAIM_email_verified=1", "OIDC_CLAIM_name=Ada by apache", "OIDC_CLAIM_iss=" + dev.Issuer, "OIDC_CLAIM_aud=apache"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
	v.open("/protected/mine/", http.StatusOK)
	v.open("/protected/theirs/", http.StatusUnauthorized)

	before := v.info()
	if before.Userinfo.Email != "apache@example.com" || before.IDToken.Subject == "" || before.IDToken.Subject != before.Userinfo.Subject {
		t.Errorf("the info hook tells of sub %q and %q, email %q", before.IDToken.Subject, before.Userinfo.Subject, before.Userinfo.Email)
	}
	v.follow("/protected/callback?"+url.Values{"refresh": {site + "/protected/"}, "access_token": {before.AccessToken}}.Encode(), site+"/protected/")
	after := v.info()
	if after.AccessToken == before.AccessToken {
		t.Error("the refresh hook has brought no new access token")
	}

	// Logout begins at the app, which revokes its tokens, and is confirmed at the
	// issuer.
	out := v.location("/protected/callback?" + url.Values{"logout": {site + "/bye"}}.Encode())
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, v.client)
	app := oauth2.Config{ClientID: "apache", ClientSecret: apacheSecret, Endpoint: oauth2.Endpoint{TokenURL: dev.Issuer + "/oauth2/token"}}
	if refusal := new(oauth2.RetrieveError); !errors.As(second(app.TokenSource(ctx, &oauth2.Token{RefreshToken: after.RefreshToken}).Token()), &refusal) || refusal.ErrorCode != "invalid_grant" {
		t.Errorf("refresh after Apache has revoked its tokens: %v, want invalid_grant", refusal)
	}
	v.browser.Open(out)
	if page := v.browser.ConfirmLogout(); page.Answer == nil || page.Answer.To.String() != site+"/bye" {
		t.Errorf("after the logout: %s", page)
	}
	v.location("/protected/") // to sign in

	// Logout begins at the issuer, which tells the app on the back channel.
	v.signIn("/protected/")
	v.open("/protected/", http.StatusOK)
	v.browser.Open("/oauth2/logout")
	v.browser.ConfirmLogout()
	v.until("/protected/", http.StatusFound)

	service := &clientcredentials.Config{
		ClientID: dev.Clients.Service.ID, ClientSecret: dev.Clients.Service.Secret, TokenURL: dev.Issuer + "/oauth2/token",
		Scopes: []string{"api:read"}, EndpointParams: url.Values{"resource": {site + "/api"}},
	}
	token, err := service.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if page := v.call("/api/", token.AccessToken, http.StatusOK); !strings.Contains(page, "REMOTE_USER="+service.ClientID) {
		t.Error("the API does not know who calls")
	}
	v.call("/api/", token.AccessToken[:len(token.AccessToken)-8]+"AAAAAAAA", http.StatusUnauthorized)
	service.EndpointParams.Set("resource", site+"/other")
	if token, err = service.Token(ctx); err != nil {
		t.Fatal(err)
	}
	v.call("/api/", token.AccessToken, http.StatusUnauthorized)
}

// freePort finds a port for a program that cannot be handed a socket. Nobody else
// uses this address of the loopback network, so it stays free.
func freePort(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// startApache runs Apache until the test ends, and returns once it listens.
func startApache(t *testing.T, at, issuer, ca string) {
	t.Helper()
	run, err := os.MkdirTemp("", "tallystick-apache")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	authority, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	// Started by root, it reads all that as somebody else.
	err = errors.Join(
		os.Chmod(run, 0o755),
		os.WriteFile(filepath.Join(run, "ca.pem"), authority, 0o644),
		os.Mkdir(filepath.Join(run, "www"), 0o755),
		os.WriteFile(filepath.Join(run, "www", "page.shtml"), []byte("<pre><!--#printenv --></pre>\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := filepath.Abs("apache.conf")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(at)
	var out strings.Builder // read only after the process has ended
	cmd := exec.Command("/usr/sbin/apache2", "-f", conf, "-DFOREGROUND")
	cmd.Env = append(os.Environ(), "RUN="+run, "HOST="+host, "PORT="+port, "ISSUER="+issuer, "SECRET="+apacheSecret)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (Debian's apache2-bin and libapache2-mod-auth-openidc are needed: .ci/tools installs them)", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := stop(cmd.Process, syscall.SIGTERM, exited); err != nil {
			t.Errorf("apache2, asked to stop: %v", err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(run, "error.log"))
			t.Logf("apache2 printed:\n%s%s", out.String(), bearer.ReplaceAllString(string(log), "[bearer]"))
		}
	})
	poll(t, "apache2 to listen", func() bool {
		select {
		case err := <-exited:
			exited <- nil // for the cleanup
			t.Fatalf("apache2 ended before it listened: %v", err)
		default:
		}
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// poll waits for a condition, 10 s at most.
func poll(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// visitor is a person at an app: one browser at the app and at the issuer. It
// keeps cookies, and follows a redirect only when it is told to.
type visitor struct {
	t       *testing.T
	site    string
	client  *http.Client
	browser *testkit.Browser
}

func newVisitor(t *testing.T, site, issuer string, client *http.Client) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client = &http.Client{Transport: client.Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &visitor{t: t, site: site, client: client, browser: testkit.NewBrowser(t, client, issuer)}
}

func (v *visitor) do(address, bearer string) (status int, location, body string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html") // others are not sent to sign in
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(text)
}

// open shows a page of the app.
func (v *visitor) open(path string, want int) string {
	v.t.Helper()
	return v.call(path, "", want)
}

// call asks for a page with an access token.
func (v *visitor) call(path, token string, want int) string {
	v.t.Helper()
	status, _, body := v.do(v.site+path, token)
	if status != want {
		v.t.Fatalf("%s answered %d, want %d", strings.SplitN(path, "?", 2)[0], status, want)
	}
	return body
}

// location is where a page of the app sends the browser.
func (v *visitor) location(path string) string {
	v.t.Helper()
	status, to, _ := v.do(v.site+path, "")
	if status != http.StatusFound || to == "" {
		v.t.Fatalf("%s answered %d, want a redirect", strings.SplitN(path, "?", 2)[0], status)
	}
	return to
}

// follow is location where it is known.
func (v *visitor) follow(path, want string) {
	v.t.Helper()
	if to := v.location(path); to != want {
		v.t.Fatalf("%s leads to %s, want %s", strings.SplitN(path, "?", 2)[0], strings.SplitN(to, "?", 2)[0], want)
	}
}

// until opens a page again and again until it is answered with a status.
func (v *visitor) until(path string, want int) {
	v.t.Helper()
	poll(v.t, path+" to answer otherwise", func() bool {
		status, _, _ := v.do(v.site+path, "")
		return status == want
	})
}

// signIn opens a protected page, signs in at the issuer, and comes back to it.
func (v *visitor) signIn(path string) {
	v.t.Helper()
	to, err := url.Parse(v.location(path))
	if err != nil {
		v.t.Fatal(err)
	}
	if q := to.Query(); q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" {
		v.t.Errorf("the app asks with PKCE by %q, nonce %t", q.Get("code_challenge_method"), q.Get("nonce") != "")
	}
	way := v.browser.Complete(to.String(), person("apache"))
	if way.Answer == nil {
		v.t.Fatalf("no answer, but %s", way.End)
	}
	v.follow(strings.TrimPrefix(way.Answer.To.String(), v.site), v.site+path)
}

// session is what mod_auth_openidc's info hook tells.
type session struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      struct {
		Subject string `json:"sub"`
	} `json:"id_token"`
	Userinfo struct {
		Subject string `json:"sub"`
		Email   string `json:"email"`
	} `json:"userinfo"`
}

func (v *visitor) info() (s session) {
	v.t.Helper()
	if err := json.Unmarshal([]byte(v.open("/protected/callback?info=json", http.StatusOK)), &s); err != nil {
		v.t.Fatal(err)
	}
	return s
}
