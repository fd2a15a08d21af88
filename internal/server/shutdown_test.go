package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/testkit"
)

// running is a server on a port, with a request under way that ends when told so.
type running struct {
	*server.Server
	url     string
	stop    context.CancelFunc
	ended   chan error
	begun   chan struct{}
	release chan struct{}
	slow    chan error // what came of the request
	log     *bytes.Buffer
}

func run(t *testing.T, notice time.Duration) *running {
	t.Helper()
	log := new(bytes.Buffer)
	w, err := server.Open(t.Context(), server.Config{
		Database: "sqlite:" + filepath.Join(t.TempDir(), "t.db"), Issuer: testkit.Issuer, Master: testkit.NewMaster(t),
		ShutdownNotice: notice, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{
		Server: w, url: "http://" + l.Addr().String(), ended: make(chan error, 1),
		begun: make(chan struct{}), release: make(chan struct{}), slow: make(chan error, 1), log: log,
	}
	w.Handle("/slow", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		close(r.begun)
		select {
		case <-r.release:
			_, _ = io.WriteString(w, "done")
		case <-q.Context().Done():
		}
	}))
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	t.Cleanup(stop)
	go func() { r.ended <- w.Serve(ctx, l) }()
	go func() {
		res, err := http.Get(r.url + "/slow")
		if err == nil {
			var body []byte
			if body, err = io.ReadAll(res.Body); err == nil && string(body) != "done" {
				err = errors.New("answered " + string(body))
			}
		}
		r.slow <- err
	}()
	<-r.begun
	return r
}

// First readyz is red, while all else is still served and connections are ended one by
// one; then the port closes; and what was under way is finished.
func TestShutdownTellsFirst(t *testing.T) {
	r := run(t, time.Second)
	client := &http.Client{Transport: &http.Transport{}}
	ask := func(path string) (int, bool) {
		res, err := client.Get(r.url + path)
		if err != nil {
			return 0, false
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode, res.Close
	}
	if status, last := ask("/readyz"); status != 200 || last {
		t.Fatalf("before: readyz %d, connection closed: %v", status, last)
	}
	r.stop()
	red := false
	for !red {
		status, last := ask("/readyz")
		if red = status == 503; red && !last {
			t.Error("the connection is kept")
		}
		if status == 0 {
			t.Fatal("the port closed before readyz was red")
		}
	}
	for _, path := range []string{"/livez", "/oauth2/jwks"} {
		if status, last := ask(path); status != 200 || !last {
			t.Errorf("%s while it tells: %d, connection closed: %v", path, status, last)
		}
	}
	for status := 1; status != 0; status, _ = ask("/livez") {
	}
	select {
	case err := <-r.ended:
		t.Fatalf("it ended with a request under way: %v", err)
	default:
	}
	close(r.release)
	if err := errors.Join(<-r.slow, <-r.ended); err != nil {
		t.Error(err)
	}
	// It was planned, so nobody is called for it.
	if log := r.log.String(); !strings.Contains(log, "shutting down") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log is\n%s", log)
	}
}

// What does not end in its time is cut off, and that is no failure.
func TestShutdownWaitsNotForEver(t *testing.T) {
	r := run(t, 0)
	r.SetGoodbye(50 * time.Millisecond)
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if err := <-r.slow; err == nil {
		t.Error("the request was answered")
	}
}
