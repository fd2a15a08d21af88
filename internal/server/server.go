// Package server wires the parts together by hand: store, engine, faces, HTTP.
package server

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/fetch"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/dressipi"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// Config is what a server is made of.
type Config struct {
	Database string // path of the SQLite file
	Tenant   string // name of the issuer's row; "" is "default"
	Issuer   string // URL, without a trailing slash
	Master   *seal.Master
	Hasher   *password.Hasher // nil for the default
	// Mail sends what the outbox holds; nil leaves it there, for another node.
	Mail mail.Sender
	// Registration is who may register clients; the zero value is nobody.
	Registration engine.Registration
	// Resources may be asked for by every client (RFC 8707).
	Resources []string
	// Loopback is for dev: clients may have addresses on this machine that the server
	// fetches and posts to, and may ask for resources on it.
	Loopback bool
	// RootCAs are trusted where the server fetches and posts; nil for the system's.
	RootCAs *x509.CertPool
	Log     *slog.Logger
	// Now and Rand are nil for the real ones.
	Now  func() time.Time
	Rand io.Reader
}

// Server is one node of one issuer.
type Server struct {
	Store   store.Store
	Engine  *engine.Engine
	Handler http.Handler // the faces and the probes

	db    io.Closer
	mux   *http.ServeMux
	mail  mail.Sender
	fetch *fetch.Fetcher
	log   *slog.Logger
}

// keysEvery is how often a node looks for keys that others have added; they wait
// a minute before they are used.
const keysEvery = 20 * time.Second

// ErrMasterKey says that the database was made under another master key.
var ErrMasterKey = errors.New("the master key does not fit this database: it was made under another one")

// Open opens the database, makes what is missing in it, and assembles the
// faces.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Hasher == nil {
		c.Hasher = password.New(password.Default(), 0)
	}
	st, db, err := OpenStore(ctx, c)
	if err != nil {
		return nil, err
	}
	s, err := assemble(ctx, st, db, c)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// OpenStore opens the store alone, for the operator's tools: of the config it
// uses Database, Tenant, Master, Log and Now. The server may be running beside
// it.
func OpenStore(ctx context.Context, c Config) (store.Store, io.Closer, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tenant == "" {
		c.Tenant = "default"
	}
	db, err := sqlstore.Open(ctx, sqlstore.Config{Path: c.Database, Log: c.Log})
	if err != nil {
		return nil, nil, err
	}
	st, err := openIssuer(ctx, db, c)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return st, db, nil
}

func assemble(ctx context.Context, st store.Store, db io.Closer, c Config) (*Server, error) {
	fetcher := fetch.New(fetch.Config{Loopback: c.Loopback, RootCAs: c.RootCAs, Now: c.Now})
	e, err := engine.New(ctx, engine.Config{
		Store: st, Master: c.Master, Issuer: c.Issuer, Hasher: c.Hasher, Now: c.Now, Rand: c.Rand,
		Keys:  append([]engine.KeySpec{dressipi.SigningKey, userdocks.SigningKey}, oidc.SigningKeys...),
		Fetch: fetcher, Registration: c.Registration, Resources: c.Resources, LoopbackResources: c.Loopback,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{Store: st, Engine: e, db: db, mux: http.NewServeMux(), mail: c.Mail, fetch: fetcher, log: c.Log}
	s.Handler = s.funnel().Clean(s.mux, renderProbe)
	s.Mount(oidc.Face(e))
	s.Mount(userdocks.Face(e))
	s.Mount(dressipi.Face(e))
	s.Mount(probes(e))
	return s, nil
}

// openIssuer finds or makes the issuer's row, and sees that the master key is
// the one that it was made under.
func openIssuer(ctx context.Context, db *sqlstore.DB, c Config) (*sqlstore.Store, error) {
	var candidate store.IssuerID
	copy(candidate[:], c.Master.Derive("issuer id "+c.Tenant, len(candidate)))
	check := c.Master.Check(candidate)
	st, have, err := db.Issuer(ctx, c.Tenant, candidate, check, c.Now().UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("open issuer: %w", err)
	}
	want := c.Master.Check(st.Issuer())
	if subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
		return nil, ErrMasterKey
	}
	return st, nil
}

// Mount adds a face.
func (s *Server) Mount(f wire.Face) { s.funnel().Mount(s.mux, f) }

func (s *Server) funnel() wire.Funnel { return wire.Funnel{Log: s.log, Now: time.Now} }

// Handle adds a handler that is no face, such as the pages of dev.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Serve answers on the listener until ctx is done, then finishes what is in
// flight, at most ten seconds.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	hs := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	var background sync.WaitGroup
	defer background.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background.Go(func() {
		s.Engine.WatchKeys(ctx, keysEvery, func(err error) { s.log.Error("keys", "err", err) })
	})
	background.Go(func() { s.runNotices(ctx) })
	if s.mail != nil {
		background.Go(func() { s.runOutbox(ctx) })
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := hs.Shutdown(drain)
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Close commits what is queued and closes the database.
func (s *Server) Close() error { return s.db.Close() }
