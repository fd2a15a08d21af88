//go:build scale

package torture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallystick/tallystick/internal/testkit"
)

// network is an http.RoundTripper that carries each request to the next of the nodes,
// and may do it badly.
type network struct {
	*route
	// lost and twice are the shares of requests whose answer is lost, and that are
	// sent twice.
	lost, twice float64
	// late has the requests that a client waits for no more. nil: it breaks the
	// connection instead, and nobody knows when the node is done with it.
	late *sync.WaitGroup
}

// route is what networks to the same nodes share.
type route struct {
	hosts []atomic.Pointer[string] // of each node; nil while it is not to be asked
	turn  atomic.Uint64

	answers, faults atomic.Int64 // whole answers, and those of them from 500 on
	transport       *http.Transport
}

var (
	errLost = errors.New("the answer was lost")
	errDown = errors.New("no node is up")
)

// patience is how long a client waits for an answer.
const patience = 10 * time.Second

func newNetwork(nodes ...*node) *network {
	n := &network{route: &route{hosts: make([]atomic.Pointer[string], len(nodes)), transport: &http.Transport{MaxIdleConnsPerHost: 200}}}
	for i, at := range nodes {
		n.hosts[i].Store(&at.host)
	}
	return n
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	switch chance := rand.Float64(); {
	case chance < n.lost/2 && n.late != nil: // the client gives up, and its request goes on
		n.late.Go(func() { _, _ = n.send(r) })
		<-time.After(rand.N(5 * time.Millisecond))
		return nil, errLost
	case chance < n.lost/2: // the connection breaks, before or after the node has acted
		ctx, cancel := context.WithTimeout(r.Context(), rand.N(5*time.Millisecond))
		defer cancel()
		_, _ = n.send(r.WithContext(ctx))
		return nil, errLost
	case chance < n.lost: // the node has acted and answered
		_, _ = n.send(r)
		return nil, errLost
	case chance < n.lost+n.twice:
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			again.Body = body
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = n.send(again)
		}()
		defer func() { <-done }()
	}
	return n.send(r)
}

// send returns when the whole answer is there.
func (n *network) send(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	out := r.Clone(ctx)
	host := n.next()
	if host == nil {
		return nil, errDown
	}
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = "http", *host, issuerHost, ""
	res, err := n.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	n.answers.Add(1)
	if res.StatusCode >= http.StatusInternalServerError {
		n.faults.Add(1)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}

func (n *network) next() *string {
	turn := n.turn.Add(1)
	for i := range uint64(len(n.hosts)) {
		if host := n.hosts[(turn+i)%uint64(len(n.hosts))].Load(); host != nil {
			return host
		}
	}
	return nil
}

// ask sends a request of testkit's; an answer that did not come has status 0.
func (n *network) ask(r *http.Request) testkit.Answer {
	res, err := n.RoundTrip(r)
	if err != nil {
		return testkit.Answer{Body: err.Error()}
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return testkit.Answer{Body: err.Error()}
	}
	return testkit.Read(res.StatusCode, res.Header, string(text))
}
