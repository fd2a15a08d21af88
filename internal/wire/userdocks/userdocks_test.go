package userdocks_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallystick/tallystick/internal/testkit"
)

// Contract §C: the server SDK joins the chunks of the key answer with commas,
// so head and body must leave in one write that fits one segment.
func TestKeyAnswerIsOneSegment(t *testing.T) {
	w := testkit.NewWorld(t)
	conn := &writes{}
	served := make(chan struct{})
	srv := &http.Server{Handler: w.Handler}
	client, server := net.Pipe()
	go func() {
		defer close(served)
		_ = srv.Serve(&oneConn{conn: &countingConn{Conn: server, writes: conn}})
	}()
	fmt.Fprintf(client, "GET /api/v1/public-key HTTP/1.1\r\nHost: a\r\nX-API-KEY-Type: read\r\nX-API-KEY: %s\r\nX-CLIENT-ID: %s\r\naccept: application/json;utf-8\r\n\r\n", testkit.ReadKey, testkit.App)
	res, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := new(bytes.Buffer)
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	client.Close()
	srv.Close()
	<-served
	if res.StatusCode != 200 || res.ContentLength != int64(body.Len()) || len(res.TransferEncoding) != 0 {
		t.Errorf("%d, length %d of %d, coding %v", res.StatusCode, res.ContentLength, body.Len(), res.TransferEncoding)
	}
	if len(conn.sizes) != 1 || conn.sizes[0] > 1400 {
		t.Errorf("written in pieces of %v bytes, want one of at most 1400", conn.sizes)
	}
}

type writes struct{ sizes []int }

type countingConn struct {
	net.Conn
	*writes
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.sizes = append(c.sizes, len(b))
	return c.Conn.Write(b)
}

// oneConn is a listener that accepts once.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, net.ErrClosed
	}
	c := l.conn
	l.conn = nil
	return c, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A back end verifies by the contract's rules with nothing but the PEM.
func TestPEMVerifiesBothTokens(t *testing.T) {
	w := testkit.NewWorld(t)
	a := w.SignIn(t)
	block, _ := pem.Decode([]byte(w.PublicKeyPEM(t)))
	if block == nil || block.Type != "PUBLIC KEY" {
		t.Fatal("not an SPKI PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"access": a.AccessToken, "id": a.IDToken} {
		parts := strings.Split(token, ".")
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		sig, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err == nil {
			err = rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, sum[:], sig)
		}
		if err != nil {
			t.Errorf("%s token: %v", name, err)
		}
	}
}

// G24: the URL that a browser goes to after sign-in has the six parameters, each
// of which comes out of one decoding as it went in.
func TestNextAction(t *testing.T) {
	w := testkit.NewWorld(t)
	state := "a state +&=%?#ü"
	for _, redirect := range []string{testkit.AppCallback, testkit.AppRoot, testkit.AppCallback2} {
		a := send(t, w, testkit.UserdocksAs("", "POST", "/api/v1/codes", map[string]any{
			"appUuid": testkit.App, "email": testkit.Email, "password": testkit.Password, "state": state, "redirectUri": redirect,
		}), 201)
		var v struct {
			Items []struct {
				NextAction struct{ Action, Method, URL string }
			}
		}
		if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
			t.Fatal(err)
		}
		next := v.Items[0].NextAction
		page, query, _ := strings.Cut(next.URL, "?")
		if page != redirect || next.Action != "httpRequest" || next.Method != "GET" {
			t.Errorf("%+v, want a GET of %s", next, redirect)
		}
		// The SDK reads + as a space, and redirect_uri by two decodings.
		if strings.ContainsAny(query, "+#") || strings.Contains(query, "%253A") {
			t.Errorf("%s is not encoded once, with %%20 for a space", query)
		}
		got, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{
			"code": {a.Code}, "state": {state}, "client_id": {testkit.App}, "redirect_uri": {redirect},
			"service": {"email"}, "grant_type": {"authorization_code"},
		}
		if diff := cmp.Diff(want, got); diff != "" || strings.Trim(a.Code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			t.Errorf("(-want +got)\n%s code %q", diff, a.Code)
		}
	}
}

// G15: the app is disabled: no refresh, and 403 where there is a bearer token.
func TestDisabledApp(t *testing.T) {
	w := testkit.NewWorld(t)
	a := w.SignIn(t)
	c := testkit.AppClient(testkit.App, 1, testkit.AppCallback)
	c.DisabledAt = 1
	if err := w.Store.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if r := testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, a.RefreshToken)); r.Status != 400 || r.Error != "[E4000]" {
		t.Errorf("refresh: %d %s", r.Status, r.Body)
	}
	if r := testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken)); r.Status != 403 || r.Error != "[E4030]" {
		t.Errorf("me: %d %s", r.Status, r.Body)
	}
}

// G20: an expired token, one of the standard face, an altered one.
func TestBearerTokens(t *testing.T) {
	w := testkit.NewWorld(t)
	a := w.SignIn(t)
	profile := w.NewProfile(t)
	parts := strings.Split(a.AccessToken, ".")
	for name, token := range map[string]string{
		"of another face":    profile.AccessToken,
		"a refresh token":    a.RefreshToken,
		"without signature":  parts[0] + "." + parts[1] + ".",
		"other claims":       parts[0] + "." + strings.Split(a.IDToken, ".")[1] + "." + parts[2],
		"truncated":          a.AccessToken[:len(a.AccessToken)-1],
		"a megabyte of dots": strings.Repeat(".", 1<<20),
	} {
		if r := testkit.Send(w.Handler, testkit.UserdocksMe(token)); r.Status != 401 || r.Error != "[E4010]" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	w.Clock.Advance(time.Hour)
	if r := testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken)); r.Status != 200 {
		t.Errorf("in the second of exp: %d %s", r.Status, r.Body)
	}
	w.Clock.Advance(time.Second)
	if r := testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken)); r.Status != 401 {
		t.Errorf("expired: %d %s", r.Status, r.Body)
	}
}

// Nothing that was issued or presented is in the log.
func TestLogHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	w := testkit.NewWorld(t, testkit.LogTo(&log))
	code := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code
	a := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, code))
	testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, code))
	testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, a.RefreshToken))
	testkit.Send(w.Handler, testkit.UserdocksMe(a.AccessToken))
	testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, "wrong-"+testkit.Password))
	// A client that mixes up its fields.
	testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.Password, testkit.Email, testkit.App))
	testkit.Send(w.Handler, testkit.UserdocksRefresh(a.RefreshToken, testkit.App))
	testkit.Send(w.Handler, testkit.UserdocksConfirm(testkit.Password, "x"))
	r := httptest.NewRequest("GET", "/api/v1/public-key", nil)
	r.Header.Set("X-Api-Key", testkit.ReadKey)
	testkit.Send(w.Handler, r)
	for name, secret := range map[string]string{
		"code": code, "refresh token": a.RefreshToken, "access token": a.AccessToken, "ID token": a.IDToken,
		"password": testkit.Password, "e-mail address": testkit.Email, "API key": testkit.ReadKey,
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	if !strings.Contains(log.String(), `"reason":"sign-in: wrong password"`) {
		t.Errorf("the log does not say what was wrong:\n%s", log.String())
	}
}
