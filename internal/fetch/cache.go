package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	longest = 10 * time.Minute
	// pause is for how long a failure is kept, and an answer at least, and how
	// long lies between two fetches of Fresh. So a client cannot make us send a
	// request for each one that it sends.
	pause = 30 * time.Second

	maxEntries = 1024
	maxSize    = 8 << 20
	overhead   = 512 // of one entry, roughly
)

// key: what a server answers may depend on the Accept header.
type key struct{ uri, accept string }

// entry is the outcome of the last fetch: a body or a failure.
type entry struct {
	body     []byte
	err      error
	fragment string
	expires  time.Time
	passed   time.Time // when the cache was last passed by
}

func (e entry) size(k key) int {
	return len(k.uri) + len(k.accept) + len(e.fragment) + cap(e.body) + overhead
}

// flight is one fetch that all who ask meanwhile wait for.
type flight struct {
	done chan struct{}
	body []byte
	err  error
}

func (f *Fetcher) get(ctx context.Context, uri string, accept []string, pass bool) ([]byte, error) {
	uri, fragment, _ := strings.Cut(uri, "#")
	u, err := f.parse(uri)
	if err != nil {
		return nil, fmt.Errorf("fetch: the URI %w", err)
	}
	k := key{uri, strings.Join(accept, ", ")}

	f.mu.Lock()
	now := f.now()
	e, cached := f.entries[k]
	pass = (pass || e.fragment != fragment) && now.Sub(e.passed) >= pause
	if cached && now.Before(e.expires) && !pass {
		f.mu.Unlock()
		return e.body, e.err
	}
	fl := f.flights[k]
	if fl == nil {
		fl = &flight{done: make(chan struct{})}
		f.flights[k] = fl
		// It is everybody's fetch: it does not end with the one who asked first.
		go f.fly(context.WithoutCancel(ctx), fl, k, u, accept, fragment, cached && pass)
	}
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.body, fl.err
	case <-ctx.Done():
		return nil, fmt.Errorf("fetch %s: %w", u.Host, ctx.Err())
	}
}

func (f *Fetcher) fly(ctx context.Context, fl *flight, k key, u *url.URL, accept []string, fragment string, passes bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, life, err := f.fetch(ctx, u, accept)
	if err != nil {
		life = pause
	}
	fl.body, fl.err = body, err

	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	old := f.entries[k]
	e := entry{body: body, err: err, fragment: fragment, expires: now.Add(life), passed: old.passed}
	if err != nil && old.body != nil && now.Before(old.expires) {
		e = old // a fault of the moment does not undo what is still good
	}
	if passes {
		e.passed = now
	}
	if !errors.Is(err, errBusy) { // which is not the peer's failure
		f.keep(k, e)
	}
	delete(f.flights, k)
	close(fl.done)
}

// keep makes room and stores e. What goes is as good as random, so nobody can
// choose whose entry it is; it costs its owner one fetch.
func (f *Fetcher) keep(k key, e entry) {
	f.drop(k)
	for other := range f.entries {
		if len(f.entries) < maxEntries && f.size+e.size(k) <= maxSize {
			break
		}
		f.drop(other)
	}
	f.entries[k] = e
	f.size += e.size(k)
}

func (f *Fetcher) drop(k key) {
	if e, ok := f.entries[k]; ok {
		f.size -= e.size(k)
		delete(f.entries, k)
	}
}

// lifetime is how long an answer may be kept (RFC 9111 §5.2.2).
func lifetime(h http.Header) time.Duration {
	life := longest
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			life = 0
		case "max-age":
			// What is no number is 0, and what is too large a one is large.
			if n, _ := strconv.ParseUint(value, 10, 64); n < uint64(life/time.Second) {
				life = time.Duration(n) * time.Second
			}
		}
	}
	return max(life, pause)
}
