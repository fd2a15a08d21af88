package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// piped returns a Fetcher whose http connections lead to handler through pipes,
// so that a bubble of synctest holds both ends and their clock.
func piped(t *testing.T, handler http.HandlerFunc) *Fetcher {
	t.Helper()
	f := New(Config{Loopback: true})
	conns := make(pipes)
	f.plain.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case conns <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(conns) }()
	t.Cleanup(func() { _ = server.Close() })
	return f
}

type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error { close(p); return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

const uri = "http://127.0.0.1/keys"

// A step is one call and how many requests there have been after it.
type step struct {
	after    time.Duration // since the step before
	fresh    bool
	fragment string
	down     bool // the peer answers 503
	want     string
	requests int32
}

func TestCache(t *testing.T) {
	for _, tt := range []struct {
		name, control string
		steps         []step
	}{
		{"ten minutes without Cache-Control", "", []step{
			{want: "1", requests: 1},
			{after: 10*time.Minute - 1, want: "1", requests: 1},
			{after: 1, want: "2", requests: 2},
			{after: time.Minute, want: "2", requests: 2},
		}},
		{"less by max-age (RFC 9111 §5.2.2.1)", "max-age=60", []step{
			{want: "1", requests: 1},
			{after: time.Minute - 1, want: "1", requests: 1},
			{after: 1, want: "2", requests: 2},
		}},
		{"no-store does not make each of their requests one of ours", "no-store", []step{
			{want: "1", requests: 1},
			{after: 30*time.Second - 1, want: "1", requests: 1},
			{after: 1, want: "2", requests: 2},
		}},
		{"a failure is kept for 30 seconds", "", []step{
			{down: true, want: "503", requests: 1},
			{after: 30*time.Second - 1, want: "503", requests: 1},
			{after: 1, want: "2", requests: 2},
			{after: 5 * time.Minute, want: "2", requests: 2},
		}},
		{"a failure after the end of what was cached", "", []step{
			{want: "1", requests: 1},
			{after: 10 * time.Minute, down: true, want: "503", requests: 2},
			{want: "503", requests: 2},
			{after: 30 * time.Second, want: "3", requests: 3},
		}},
		{"Fresh passes by the cache once in 30 seconds", "", []step{
			{want: "1", requests: 1},
			{after: time.Second, fresh: true, want: "2", requests: 2},
			{after: time.Second, fresh: true, want: "2", requests: 2},
			{after: 29*time.Second - 1, fresh: true, want: "2", requests: 2},
			{after: 1, fresh: true, want: "3", requests: 3},
			{want: "3", requests: 3},
		}},
		{"Fresh with nothing cached does not spend its turn", "", []step{
			{fresh: true, want: "1", requests: 1},
			{fresh: true, want: "2", requests: 2},
			{fresh: true, want: "2", requests: 2},
		}},
		{"Fresh passes by a failure, too", "", []step{
			{down: true, want: "503", requests: 1},
			{fresh: true, want: "2", requests: 2},
			{fresh: true, down: true, want: "2", requests: 2},
		}},
		{"Fresh that fails leaves what is cached", "", []step{
			{want: "1", requests: 1},
			{after: time.Minute, fresh: true, down: true, want: "503", requests: 2},
			{want: "1", requests: 2},
			{fresh: true, want: "1", requests: 2},
			{after: 9*time.Minute - 1, want: "1", requests: 2},
			{after: 1, want: "3", requests: 3},
		}},
		{"another fragment, another content (OpenID Connect Core §6.2)", "", []step{
			{fragment: "a", want: "1", requests: 1},
			{fragment: "a", want: "1", requests: 1},
			{fragment: "b", want: "2", requests: 2},
			{fragment: "b", want: "2", requests: 2},
			{fragment: "c", want: "2", requests: 2},
			{after: 30 * time.Second, fragment: "c", want: "3", requests: 3},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				var down atomic.Bool
				f := piped(t, func(w http.ResponseWriter, _ *http.Request) {
					n := requests.Add(1)
					if down.Load() {
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					w.Header().Set("Cache-Control", tt.control)
					fmt.Fprint(w, n)
				})
				start := time.Now()
				f.now = func() time.Time { return start }
				for i, s := range tt.steps {
					start = start.Add(s.after)
					down.Store(s.down)
					get := f.Get
					if s.fresh {
						get = f.Fresh
					}
					body, err := get(t.Context(), uri+"#"+s.fragment)
					if err != nil {
						body = []byte(err.Error())
					}
					if !strings.Contains(string(body), s.want) || (err != nil) != (s.want == "503") {
						t.Errorf("step %d: %s, want %s", i+1, body, s.want)
					}
					if n := requests.Load(); n != s.requests {
						t.Errorf("step %d: %d requests, want %d", i+1, n, s.requests)
					}
				}
			})
		})
	}
}

func TestLifetime(t *testing.T) {
	for _, tt := range []struct {
		control []string
		want    time.Duration
	}{
		{nil, 10 * time.Minute},
		{[]string{"public"}, 10 * time.Minute},
		{[]string{"max-age=599"}, 599 * time.Second},
		{[]string{"max-age=601"}, 10 * time.Minute},
		{[]string{"max-age=99999999999999999999999"}, 10 * time.Minute},
		{[]string{"public, Max-Age=60 , must-revalidate"}, time.Minute},
		{[]string{"public", "max-age=60"}, time.Minute},
		{[]string{"max-age=60, max-age=90"}, time.Minute},
		{[]string{"s-maxage=60"}, 10 * time.Minute},
		{[]string{"max-age=0"}, 30 * time.Second},
		{[]string{"max-age=-1"}, 30 * time.Second},
		{[]string{"max-age"}, 30 * time.Second},
		{[]string{"max-age=300, no-cache"}, 30 * time.Second},
		{[]string{"no-store, max-age=300"}, 30 * time.Second},
	} {
		if got := lifetime(http.Header{"Cache-Control": tt.control}); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.control, got, tt.want)
		}
	}
}

// What a server answers may depend on what is accepted.
func TestCacheByMediaType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := piped(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.Header.Get("Accept"))
			_, _ = io.WriteString(w, r.Header.Get("Accept"))
		})
		for range 2 {
			for _, media := range []string{"application/json", "application/jwt"} {
				if body, err := f.Get(t.Context(), uri, media); err != nil || string(body) != media {
					t.Errorf("%s: %s, error %v", media, body, err)
				}
			}
		}
	})
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		release := make(chan struct{})
		f := piped(t, func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			<-release
			_, _ = io.WriteString(w, "body")
		})
		// The one who began it goes away; nobody else is harmed.
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := f.Get(ctx, uri)
			left <- err
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		for i := range 50 {
			get := f.Get
			if i%2 == 1 {
				get = f.Fresh
			}
			wg.Go(func() {
				if body, err := get(t.Context(), uri); err != nil || string(body) != "body" {
					t.Errorf("%q, error %v", body, err)
				}
			})
		}
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left: error %v", err)
		}
		close(release)
		wg.Wait()
		if n := requests.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
		if len(f.flights) != 0 || len(f.slots) != 0 {
			t.Errorf("%d flights and %d slots are left", len(f.flights), len(f.slots))
		}
	})
}

// hang answers nothing until the connection is gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestSlowPeer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"no answer", hang},
		{"a body that never ends", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}},
		{"a body that drips", func(w http.ResponseWriter, r *http.Request) {
			drip := time.NewTicker(time.Second)
			defer drip.Stop()
			for {
				select {
				case <-drip.C:
					_, _ = io.WriteString(w, "x")
					_ = http.NewResponseController(w).Flush()
				case <-r.Context().Done():
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := piped(t, tt.answer)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				start := time.Now()
				if _, err := f.Get(ctx, uri); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 200*time.Millisecond {
					t.Errorf("with a deadline: error %v after %v", err, time.Since(start))
				}
				if _, err := f.Get(t.Context(), uri); !errors.Is(err, errLate) || time.Since(start) != patience {
					t.Errorf("error %v after %v", err, time.Since(start))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := piped(t, hang)
		start := time.Now()
		if _, err := f.Post(t.Context(), uri, nil); !errors.Is(err, errLate) || time.Since(start) != patience {
			t.Errorf("Post: error %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Post(ctx, uri, nil); err == nil || time.Since(start) != patience {
			t.Errorf("Post, given up: error %v after %v", err, time.Since(start))
		}
	})
}

func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var here atomic.Int32
		f := piped(t, func(w http.ResponseWriter, r *http.Request) {
			if here.Add(1) <= atOnce {
				hang(w, r)
			}
		})
		f.perHost = atOnce
		var wg sync.WaitGroup
		for i := range atOnce {
			wg.Go(func() {
				var err error
				if uri := fmt.Sprint(uri, i); i%2 == 0 {
					_, err = f.Get(t.Context(), uri)
				} else {
					_, err = f.Post(t.Context(), uri, nil)
				}
				if !errors.Is(err, errLate) {
					t.Errorf("one of the first: error %v", err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Post(ctx, uri, nil); !errors.Is(err, errBusy) || here.Load() != atOnce {
			t.Errorf("one more: error %v, %d exchanges at once", err, here.Load())
		}
		// A second later there is a second left when the slots are given back.
		if _, err := f.Get(t.Context(), uri); err != nil {
			t.Errorf("one who waited: %v", err)
		}
		wg.Wait()

		// To have found no slot is not the peer's failure, so it is not kept.
		for range atOnce {
			f.slots <- struct{}{}
		}
		if _, err := f.Get(t.Context(), uri+"/busy"); !errors.Is(err, errBusy) {
			t.Errorf("without a slot: error %v", err)
		}
		for range atOnce {
			<-f.slots
		}
		if _, err := f.Get(t.Context(), uri+"/busy"); err != nil {
			t.Errorf("with a slot again: %v", err)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		count int
		body  int
		err   error
		least int // entries that must be left
	}{
		{"small answers", 3 * maxEntries, 2, nil, maxEntries},
		{"the largest answers", 300, maxBody, nil, maxSize/(maxBody+overhead+maxURI) - 1},
		{"failures", 3 * maxEntries, 0, errAnswer, maxEntries},
	} {
		f := New(Config{})
		pad := strings.Repeat("x", maxURI-64)
		last := key{}
		for i := range tt.count {
			last = key{uri: fmt.Sprintf("https://client.example.com/%d/%s", i, pad)}
			f.keep(last, entry{body: make([]byte, tt.body), err: tt.err})
			f.keep(last, entry{body: make([]byte, tt.body), err: tt.err}) // the same again
		}
		size := 0
		for k, e := range f.entries {
			size += e.size(k)
		}
		if len(f.entries) > maxEntries || size > maxSize || size != f.size {
			t.Errorf("%s: %d entries of %d bytes, counted as %d", tt.name, len(f.entries), size, f.size)
		}
		if _, ok := f.entries[last]; !ok || len(f.entries) < tt.least {
			t.Errorf("%s: %d entries, with the last one: %v", tt.name, len(f.entries), ok)
		}
	}
}

// The clock that is handed in ages the cache.
func TestConfigNow(t *testing.T) {
	var requests int
	p := newPeer(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) { requests++; document(w, r) })
	now := time.UnixMilli(1767225600000)
	f := New(Config{Loopback: true, Now: func() time.Time { return now }})
	for i, want := range []int{1, 1, 2} {
		if _, err := f.Get(t.Context(), p.URL); err != nil || requests != want {
			t.Errorf("request %d: %d were sent, error %v", i+1, requests, err)
		}
		now = now.Add(5 * time.Minute)
	}
}

// A host that does not answer leaves slots for the others, and is told from them.
func TestAtOnceWithOneHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := piped(t, hang)
		var wg sync.WaitGroup
		for i := range atOnceOne {
			wg.Go(func() {
				if _, err := f.Get(t.Context(), fmt.Sprint(uri, i)); !errors.Is(err, errLate) {
					t.Errorf("one of the first: error %v", err)
				}
			})
		}
		synctest.Wait()
		if _, err := f.Post(t.Context(), uri, nil); !errors.Is(err, errBusy) || len(f.slots) != atOnceOne {
			t.Errorf("one more: error %v, %d slots taken", err, len(f.slots))
		}
		wg.Wait()
		if len(f.hosts) != 0 {
			t.Errorf("hosts left: %v", f.hosts)
		}
	})
}
