//go:build scale

package torture

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// What server.Serve does by timers, in the time of the wall.
const (
	keysEvery    = 20 * time.Second
	keepingEvery = time.Minute
)

// clocked is a node whose time is told by its test, so that hours pass in seconds. It
// answers what is told when it has done what has come due by then: however slow the
// machine is, a look at the keys is never late by the node's own clock.
type clocked struct {
	*server.Server
	now atomic.Int64 // Unix milliseconds

	mu           sync.Mutex
	looked, kept time.Time
}

func clockedConfig(database string, now func() time.Time) (server.Config, error) {
	master, err := seal.Parse(testkit.ReplicaKey)
	return server.Config{
		Database: database, Issuer: issuer, Master: master, Now: now, Keeping: engine.Keeping{KeyRotation: keyRotation},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, err
}

// clockedMain is the command of such a node.
func clockedMain() {
	database := flag.String("database", "", "")
	now := flag.Int64("now", 0, "")
	flag.Parse()
	fmt.Fprintln(os.Stderr, serveClocked(*database, *now))
	os.Exit(1)
}

func serveClocked(database string, now int64) error {
	n := new(clocked)
	n.now.Store(now)
	config, err := clockedConfig(database, n.time)
	if err != nil {
		return err
	}
	if n.Server, err = server.Open(context.Background(), config); err != nil {
		return err
	}
	// No two nodes have been started at the same moment.
	n.looked, n.kept = n.time().Add(-rand.N(keysEvery)), n.time().Add(-rand.N(keepingEvery))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("Click first http://%s/dev\nStop by kill\n", l.Addr()) // as testkit.Node reads it
	mux := http.NewServeMux()
	mux.Handle("/", n.Handler)
	mux.HandleFunc("POST /clock/{now}", n.tell)
	return (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(l)
}

func (n *clocked) time() time.Time { return time.UnixMilli(n.now.Load()) }

func (n *clocked) tell(w http.ResponseWriter, r *http.Request) {
	now, err := strconv.ParseInt(r.PathValue("now"), 10, 64)
	if err == nil {
		n.now.Store(now)
		err = n.due(r.Context())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// due does what Engine.WatchKeys and Engine.RunKeeping do at their ticks.
func (n *clocked) due(ctx context.Context) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.time()
	if now.Sub(n.looked) >= keysEvery {
		n.looked = now
		_, err = n.Engine.SigningKeys(ctx)
	}
	if now.Sub(n.kept) >= keepingEvery {
		n.kept = now
		err = errors.Join(err, n.Engine.Keep(ctx, 3*keepingEvery))
	}
	return err
}

// tick is the step of a timeline.
const tick = 10 * time.Second

// timeline is the clock of a test and of its nodes. None of them is ahead of the test.
type timeline struct {
	*testkit.Clock
	nodes []*node
}

var teller = &http.Client{Timeout: time.Minute}

// pass lets a tick pass, everywhere.
func (l *timeline) pass(t *testing.T) {
	t.Helper()
	l.Advance(tick)
	for i, n := range l.nodes {
		res, err := teller.Post(fmt.Sprintf("http://%s/clock/%d", n.host, l.Now().UnixMilli()), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("node %d: %d %s %v", i, res.StatusCode, text, err)
		}
	}
}

// startClocked opens an empty database as an operator's command does, beside two nodes.
func startClocked(t *testing.T) (*timeline, *server.Server) {
	t.Helper()
	l, db := &timeline{Clock: testkit.NewClock()}, postgres.Database(t)
	config, err := clockedConfig(db, l.Now)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := server.Open(t.Context(), config)
	if err == nil {
		err = testkit.Populate(t.Context(), operator, l.Clock)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = operator.Close() })
	for range 2 {
		cmd := exec.Command("clocked", "-database", db, "-now", strconv.FormatInt(l.Now().UnixMilli(), 10))
		l.nodes = append(l.nodes, arrive(t, time.Now(), testkit.Launch(t, t.TempDir(), cmd)))
	}
	return l, operator
}
