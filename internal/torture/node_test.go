//go:build scale

package torture

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

// The one name of all nodes; the network leads it to them.
const (
	issuerHost = "127.0.0.1:9"
	issuer     = "http://" + issuerHost
)

// node is a process that answers for the issuer.
type node struct {
	*testkit.Node
	host  string
	ready time.Duration // from its start to the first green readyz
}

// start starts a `tallystick dev` and waits until it is ready. Nodes on one database are
// replicas.
func start(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	began := time.Now()
	return arrive(t, began, testkit.Launch(t, dir, testkit.Replica(dir, append([]string{"--issuer", issuer, "--client-redirect", callback}, args...)...)))
}

// arrive waits until a node is ready.
func arrive(t *testing.T, began time.Time, process *testkit.Node) *node {
	t.Helper()
	process.Ready(t)
	at, err := url.Parse(process.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Node: process, host: at.Host}
	if n.ready, err = until(began, 30*time.Second, func() bool { return probe(n.host, "/readyz") == http.StatusOK }); err != nil {
		t.Fatalf("%v\n%s", err, n.Log())
	}
	return n
}

var prober = &http.Client{Timeout: 5 * time.Second}

// probe is the status of a GET; 0 for none.
func probe(host, path string) int {
	res, err := prober.Get("http://" + host + path)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// until asks every few milliseconds, and returns how long after began it held.
func until(began time.Time, patience time.Duration, holds func() bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			return time.Since(began), fmt.Errorf("not within %v", patience)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return time.Since(began), nil
}
