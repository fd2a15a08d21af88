// Package fetch reaches the addresses that clients register: jwks_uri,
// request_uri, sector_identifier_uri and backchannel_logout_uri. Whoever may
// register a client chooses them, so they must not lead inside.
//
// It promises that a connection is made to a public address only, which is
// judged when the socket is about to connect, so that neither a name that
// resolves to two things nor an odd spelling of an address gets by; that
// nothing is followed from there; that the peer costs bounded time and memory;
// and that one URI is fetched at most twice in 30 seconds, however often it is
// asked for.
//
// The errors of Get, Fresh and Post name the host and the check that failed.
// They are for the log: told to a client, they would make us a port scanner.
package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxBody  = 64 << 10
	maxURI   = 2048
	atOnce   = 16 // connections, over all peers
	patience = 5 * time.Second
)

// Config is what New makes a Fetcher of. The zero value is for production.
type Config struct {
	// Loopback is for development: loopback addresses may be reached, and those
	// by http, too.
	Loopback bool
	// Now is nil for the real clock. It ages the cache, nothing else.
	Now func() time.Time
	// RootCAs are trusted instead of the system's; nil for these. Who wants both
	// adds to x509.SystemCertPool.
	RootCAs *x509.CertPool
}

// Fetcher is safe for concurrent use.
type Fetcher struct {
	loopback bool
	now      func() time.Time
	resolver *net.Resolver   // nil for the system's
	secure   *http.Transport // for https
	plain    *http.Transport // for http, to loopback only
	slots    chan struct{}
	perHost  int // of the slots
	hostsMu  sync.Mutex
	hosts    map[string]int // exchanges under way

	mu      sync.Mutex
	entries map[key]entry
	size    int // of entries, in bytes
	flights map[key]*flight
}

// New returns a Fetcher with an empty cache.
func New(c Config) *Fetcher {
	f := &Fetcher{
		loopback: c.Loopback, now: c.Now, slots: make(chan struct{}, atOnce), perHost: atOnceOne, hosts: make(map[string]int),
		entries: map[key]entry{}, flights: map[key]*flight{},
	}
	if f.now == nil {
		f.now = time.Now //nolint:forbidigo // the real clock unless one is handed in
	}
	f.secure = f.transport(f.may, c.RootCAs)
	f.plain = f.transport(loopback, nil)
	return f
}

// Get returns the body of a 200 answer of at most 64 KiB, whose media type is
// one of accept (in lower case, without parameters; none stand for any). The
// caller must not change the body. A fragment is not sent, but another one than
// before tells that the content is another, too (OpenID Connect Core §6.2).
//
// An answer is cached for 10 minutes, less if its Cache-Control says so, but
// for 30 seconds at least; a failure is cached for 30 seconds.
//
// It ends with ctx, and after 5 seconds in any case.
func (f *Fetcher) Get(ctx context.Context, uri string, accept ...string) ([]byte, error) {
	return f.get(ctx, uri, accept, false)
}

// Fresh is Get for a caller who misses something in what Get returned, such as
// a key. It passes by what is cached, but only once in 30 seconds per URI;
// otherwise it is Get. If it fails, what was cached stays.
func (f *Fetcher) Fresh(ctx context.Context, uri string, accept ...string) ([]byte, error) {
	return f.get(ctx, uri, accept, true)
}

// Post sends a form and returns the status of the answer, whose body is not
// read. A redirect is an error that comes with its status.
func (f *Fetcher) Post(ctx context.Context, uri string, form url.Values) (status int, err error) {
	u, err := f.parse(uri)
	if err != nil {
		return 0, fmt.Errorf("fetch: the URI %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return 0, errors.New("fetch: no request can be made of the URI")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	err = f.exchange(req, func(res *http.Response) error {
		status = res.StatusCode
		if status/100 == 3 {
			return fmt.Errorf("a redirect (%d)", status)
		}
		return nil
	})
	return status, err
}

// Check says what is wrong with a URI that is to be registered, in words that
// continue "the URI"; nil if nothing is. A fragment is wrong: one that a
// request_uri may have has to be cut off before. Nothing is sent or resolved.
func (f *Fetcher) Check(uri string) error {
	_, err := f.parse(uri)
	return err
}

// fetch gets u, past the cache, and says for how long the answer may be kept.
func (f *Fetcher) fetch(ctx context.Context, u *url.URL, accept []string) (body []byte, life time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, errors.New("fetch: no request can be made of the URI")
	}
	if len(accept) > 0 {
		req.Header.Set("Accept", strings.Join(accept, ", "))
	}
	err = f.exchange(req, func(res *http.Response) error {
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d where 200 is wanted", res.StatusCode)
		}
		media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if len(accept) > 0 && (err != nil || !slices.Contains(accept, media)) {
			return errors.New("not of the media type " + strings.Join(accept, " or "))
		}
		// Not asked for, and a few bytes of it could stand for gigabytes.
		if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
			return errors.New("a compressed answer")
		}
		body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
		switch {
		case len(body) > maxBody:
			return fmt.Errorf("an answer of more than %d bytes", maxBody)
		case err != nil:
			return why(err)
		}
		life = lifetime(res.Header)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return body, life, nil
}

var errBusy error = busy{}

// busy is this server's own failure, and not the peer's.
type busy struct{}

func (busy) Error() string { return fmt.Sprintf("%d other exchanges are under way", atOnce) }

// Busy reports that the same may be asked again.
func (busy) Busy() bool { return true }

// atOnceOne is how many of the exchanges may be with one host: a slow one must not
// take all slots.
const atOnceOne = 4

func (f *Fetcher) enter(host string) bool {
	f.hostsMu.Lock()
	defer f.hostsMu.Unlock()
	if f.hosts[host] >= f.perHost {
		return false
	}
	f.hosts[host]++
	return true
}

func (f *Fetcher) leave(host string) {
	f.hostsMu.Lock()
	defer f.hostsMu.Unlock()
	if f.hosts[host]--; f.hosts[host] == 0 {
		delete(f.hosts, host)
	}
}

// exchange sends req once a slot is free and hands the answer to read. It goes
// to the transport itself: that one follows nothing and keeps no cookies.
func (f *Fetcher) exchange(req *http.Request, read func(*http.Response) error) error {
	host := req.URL.Host
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-req.Context().Done():
		return fmt.Errorf("fetch %s: %w", host, errBusy)
	}
	if !f.enter(host) {
		return fmt.Errorf("fetch %s: %w", host, errBusy)
	}
	defer f.leave(host)
	req.Header.Set("User-Agent", "tallystick")
	req.Header.Set("Accept-Encoding", "identity")
	transport := f.secure
	if req.URL.Scheme == "http" {
		transport = f.plain
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", host, why(err))
	}
	defer res.Body.Close()
	if err := read(res); err != nil {
		return fmt.Errorf("fetch %s: %w", host, err)
	}
	return nil
}
