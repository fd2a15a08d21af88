package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// balancer is a small proxy in front of two nodes: round robin over those that are
// ready, and a request is sent once.
type balancer struct {
	url   string
	nodes [2]*url.URL
	up    [2]atomic.Bool
	turn  atomic.Uint64
	proxy *httputil.ReverseProxy
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{url: "http://" + l.Addr().String()}
	b.proxy = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.pick()) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	front := &http.Server{Handler: b.proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = front.Serve(l) }()
	t.Cleanup(func() { _ = front.Close() })
	return b
}

func (b *balancer) pick() *url.URL {
	turn := b.turn.Add(1)
	for i := range uint64(2) {
		if at := (turn + i) % 2; b.up[at].Load() {
			return b.nodes[at]
		}
	}
	return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // none is ready
}

// watch asks the nodes whether they are ready, until ctx is done.
func (b *balancer) watch(ctx context.Context) {
	client := &http.Client{Timeout: 2 * time.Second}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for i, node := range b.nodes {
			res, err := client.Get(node.String() + "/readyz")
			if err == nil {
				res.Body.Close()
			}
			b.up[i].Store(err == nil && res.StatusCode == http.StatusOK)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// await waits for a node to be ready.
func (b *balancer) await(t *testing.T, i int) {
	t.Helper()
	for range 500 {
		if b.up[i].Load() {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("node %d is not ready", i)
}

// replica launches a dev on a PostgreSQL, with the master key of its siblings.
func replica(t *testing.T, database, issuer, listen string) *process {
	t.Helper()
	dir := t.TempDir()
	return clientOf(testkit.Launch(t, dir, testkit.Replica(dir, "--database", database, "--issuer", issuer, "--listen", listen, "--shutdown-notice", "1s")))
}

// address is where the process itself listens.
func (p *process) address(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Two nodes start at the same moment on an empty database and are one server: the same
// world, and what one has begun the other ends. Then each is stopped and started in
// turn under load, and nobody notices.
func TestRollingRestart(t *testing.T) {
	const clients, rounds = 8, 2
	b, db := newBalancer(t), postgres.Database(t)
	var nodes [2]*process
	for i := range nodes {
		nodes[i] = replica(t, db, b.url, "127.0.0.1:0")
	}
	for i, p := range nodes {
		p.Ready(t)
		b.nodes[i] = p.address(t)
	}
	if nodes[0].World != nodes[1].World || nodes[0].World.User.Sub == "" {
		t.Fatalf("two worlds:\n%+v\n%+v", nodes[0].World, nodes[1].World)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go b.watch(ctx)
	b.await(t, 0)
	b.await(t, 1)

	through := nodes[0] // its world names the balancer
	stop := make(chan struct{})
	var load sync.WaitGroup
	var sent atomic.Int64
	failed := make(chan string, clients)
	for range clients {
		load.Go(func() {
			if what := exchange(through, stop, &sent); what != "" {
				failed <- what
			}
		})
	}
	for range rounds {
		for i := range nodes {
			p := nodes[i]
			before := sent.Load()
			if code := p.End(syscall.SIGTERM); code != 0 {
				t.Errorf("node %d exits with %d", i, code)
			}
			for sent.Load() < before+50 { // the other one serves alone
				if len(failed) > 0 {
					break
				}
				<-time.After(time.Millisecond)
			}
			b.up[i].Store(false)
			nodes[i] = replica(t, db, b.url, p.address(t).Host)
			nodes[i].Ready(t)
			b.await(t, i)
		}
	}
	close(stop)
	load.Wait()
	close(failed)
	for what := range failed {
		t.Error(what)
	}
	t.Logf("%d requests over %d restarts", sent.Load(), rounds*len(nodes))
}

// exchange redeems and refreshes until stop, and tells the first answer that a client
// should not have got.
func exchange(p *process, stop <-chan struct{}, sent *atomic.Int64) string {
	wrong := func(what string, a testkit.Answer, ok bool) string {
		sent.Add(1)
		if ok && a.Status == http.StatusOK {
			return ""
		}
		return fmt.Sprintf("%s: answered %v, %d %s", what, ok, a.Status, a.Body)
	}
	for {
		code, ok := p.authorize()
		if !ok {
			return "no code"
		}
		a, ok := p.redeem(code)
		if what := wrong("redeem", a, ok); what != "" {
			return what
		}
		for range 5 {
			select {
			case <-stop:
				return ""
			default:
			}
			token := a.RefreshToken
			a, ok = p.refresh(token)
			if what := wrong("refresh", a, ok); what != "" {
				return what
			}
			if a.RefreshToken == token {
				return "the token was not rotated"
			}
		}
	}
}

// A replica needs the master key of the others.
func TestReplicaWithAnotherKey(t *testing.T) {
	db := postgres.Database(t)
	replica(t, db, "http://127.0.0.1:9", "127.0.0.1:0").Ready(t)
	line := refused(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--database", db)
	if !regexp.MustCompile(`master\.key: the master key does not fit this database: .*; bring the key`).MatchString(line) {
		t.Error(line)
	}
	if line := refused(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--database", "postgres://u:s3cret@127.0.0.1:1/x?connect_timeout=1"); regexp.MustCompile("s3cret").MatchString(line) {
		t.Errorf("the password is shown: %s", line)
	}
}
