package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the files are looked at.
const certificateEvery = 10 * time.Second

// certificate is a pair of files that somebody renews now and then.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex
	looked time.Time
	stamp  [2]time.Time // of the files that current was read from
	// current is kept while the files do not fit, as they do for a moment when one
	// is renewed before the other.
	current *tls.Certificate
}

// TLS serves by a certificate and its key in PEM form, and follows them when they
// change.
func TLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	return tlsAt(certFile, keyFile, log, time.Now)
}

func tlsAt(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: now}
	if err := c.read(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}, nil
}

func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked).Abs() >= certificateEvery {
		c.looked = now
		if c.stamps() != c.stamp {
			if err := c.read(); err != nil {
				c.log.Error("the TLS certificate is renewed, but cannot be used; the former one serves", "err", err)
			}
		}
	}
	return c.current
}

func (c *certificate) stamps() (at [2]time.Time) {
	for i, path := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(path); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

func (c *certificate) read() error {
	stamp := c.stamps()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("TLS certificate %s, %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}
