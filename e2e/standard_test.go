//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// devWorld is what of dev.json the tests in Go need.
type devWorld struct {
	Issuer  string
	Clients struct {
		Service struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
	}
}

func readDev(t *testing.T, dir string) (dev devWorld) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if err == nil {
		err = json.Unmarshal(text, &dev)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// Clients that want https, at one server.
func TestStandardClientsByTLS(t *testing.T) {
	t.Parallel()
	client, key := keyed(t)
	logoutURI, logouts := newInbox(t)
	seed := seed(t, []string{"openid-client", "oauth4webapi", "go-oidc"}, append(gophers(logoutURI), client)...)
	dir := startDev(t, "--tls", "--seed", seed)
	ca := filepath.Join(dir, "ca.pem")
	trusting := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+ca) }
	t.Run("openid-client", func(t *testing.T) {
		t.Parallel()
		runScript(t, "openid-client.mjs", dir, []string{seed, key}, trusting)
	})
	t.Run("oauth4webapi", func(t *testing.T) {
		t.Parallel()
		runScript(t, "oauth4webapi.mjs", dir, []string{seed}, trusting)
	})
	t.Run("go-oidc", func(t *testing.T) {
		t.Parallel()
		testGoOIDC(t, readDev(t, dir), clientOf(t, ca), logouts)
	})
}

// clientOf trusts one certification authority.
func clientOf(t *testing.T, ca string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", ca)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Clients on this machine, where http will do: an app in the browser on another
// origin, and an MCP client with its server.
func TestStandardClientsOnLoopback(t *testing.T) {
	t.Parallel()
	client, key := keyed(t)
	socket, port := listen(t)
	args := []string{"--seed", seed(t, []string{"mcp"}, client)}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		for _, path := range []string{"/callback", "/popup", "/popup-out", "/silent"} {
			args = append(args, "--client-redirect", "http://"+host+":"+port+path)
		}
	}
	dir := startDev(t, args...)
	t.Run("oidc-client-ts", func(t *testing.T) {
		t.Parallel()
		runScript(t, "oidc-client-ts.mjs", dir, []string{"fd:3"}, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{socket} })
	})
	t.Run("mcp", func(t *testing.T) {
		t.Parallel()
		runScript(t, "mcp.mjs", dir, []string{args[1], key})
	})
}

// listen opens the port of an app that listens before the server starts, which has
// to know its address. The script gets the socket that listens, so nobody takes
// the port in between.
func listen(t *testing.T) (socket *os.File, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if socket, err = listener.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
