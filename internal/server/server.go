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
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/fetch"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/oauth"
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
	Database string // sqlite:PATH, PATH, or postgres://…
	Tenant   string // name of the issuer's row; "" is "default"
	Issuer   string // URL, without a trailing slash
	Master   *seal.Master
	Hasher   *password.Hasher // nil for the default
	// Mail sends what the outbox holds; nil leaves it there, for another node, and the
	// pages offer nothing that needs a mail.
	Mail mail.Sender
	// Keeping is how long things are kept.
	Keeping engine.Keeping
	// BirthsPerNetwork is engine.Config's.
	BirthsPerNetwork int
	// Registration is who may register clients; the zero value is nobody.
	Registration engine.Registration
	// Resources may be asked for by every client (RFC 8707).
	Resources []string
	// Loopback is for dev: clients may have addresses on this machine that the server
	// fetches and posts to, and may ask for resources on it.
	Loopback bool
	// RootCAs are trusted where the server fetches and posts; nil for the system's.
	RootCAs *x509.CertPool
	// Proxies are those whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// Metrics makes Server.Metrics.
	Metrics bool
	// ShutdownNotice is how long readyz is red before the port closes.
	ShutdownNotice time.Duration
	Log            *slog.Logger
	// Now and Rand are nil for the real ones: the time is then the database's, see
	// clock.
	Now  func() time.Time
	Rand io.Reader
}

// Server is one node of one issuer.
type Server struct {
	Store   store.Store
	Engine  *engine.Engine
	Handler http.Handler // the faces and the probes
	Metrics http.Handler // for Prometheus; nil unless asked for

	db      io.Closer
	mux     *http.ServeMux
	mail    mail.Sender
	fetch   *fetch.Fetcher
	clock   *clock // nil if the time is handed in
	ready   *readiness
	metrics *metrics
	notice  time.Duration
	goodbye time.Duration
	log     *slog.Logger
}

// keysEvery is how often a node looks for keys that others have added, which wait a
// minute at least before they are used, or revoked, which end with that look.
const keysEvery = 2 * time.Second

// keepingEvery is how often a node looks whether there is something to rotate or to
// purge, and whether it is the one to do it.
const keepingEvery = time.Minute

// ErrMasterKey says that the database was made under another master key.
var ErrMasterKey = errors.New("the master key does not fit this database: it was made under another one")

// Open opens the database, makes what is missing in it, and assembles the
// faces.
func Open(ctx context.Context, c Config) (*Server, error) {
	db, err := openDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	s, err := openOn(ctx, db, c)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func openOn(ctx context.Context, db *sqlstore.DB, c Config) (*Server, error) {
	if c.Hasher == nil {
		c.Hasher = password.New(password.Default(), 0)
	}
	var k *clock
	if c.Now == nil {
		k = newClock(db.Now)
		if err := k.begin(ctx); err != nil {
			return nil, err
		}
		c.Now = k.Now
	}
	st, err := openIssuer(ctx, db, c)
	if err != nil {
		return nil, err
	}
	return assemble(ctx, st, db, k, c)
}

// OpenStore opens the store alone, for the operator's tools: of the config it
// uses Database, Tenant, Master, Log and Now. The server may be running beside
// it.
func OpenStore(ctx context.Context, c Config) (store.Store, io.Closer, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	db, err := openDatabase(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	st, err := openIssuer(ctx, db, c)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return st, db, nil
}

func openDatabase(ctx context.Context, c Config) (*sqlstore.DB, error) {
	at := databaseOf(c)
	db, err := sqlstore.Open(ctx, at)
	if err != nil {
		// What was to be done there, first of all a migration, says nothing then.
		if away, ok := errors.AsType[net.Error](err); ok && at.URL != "" {
			err = fmt.Errorf("the database %s is not reachable: %w", at, away)
		}
		return nil, oneLine{err}
	}
	return db, nil
}

// oneLine is an error in one line: that of PostgreSQL has one for each address that
// was tried.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }

// databaseOf reads the one string that says where the database is.
func databaseOf(c Config) sqlstore.Config {
	if strings.HasPrefix(c.Database, "postgres://") || strings.HasPrefix(c.Database, "postgresql://") {
		return sqlstore.Config{URL: c.Database, Log: c.Log}
	}
	return sqlstore.Config{Path: strings.TrimPrefix(c.Database, "sqlite:"), Log: c.Log}
}

func assemble(ctx context.Context, st *sqlstore.Store, db *sqlstore.DB, k *clock, c Config) (*Server, error) {
	fetcher := fetch.New(fetch.Config{Loopback: c.Loopback, RootCAs: c.RootCAs, Now: c.Now})
	if k != nil {
		c.Keeping.Settled = k.settled
	}
	e, err := engine.New(ctx, engine.Config{
		Store: st, Master: c.Master, Issuer: c.Issuer, Hasher: c.Hasher, Now: c.Now, Rand: c.Rand,
		Keys:  append([]engine.KeySpec{dressipi.SigningKey, userdocks.SigningKey}, oidc.SigningKeys...),
		Faces: []oauth.Face{oidc.Name, userdocks.Name, dressipi.Name}, Keeping: c.Keeping,
		Fetch: fetcher, Registration: c.Registration, SendsMail: c.Mail != nil, Resources: c.Resources, LoopbackResources: c.Loopback,
		BirthsPerNetwork: c.BirthsPerNetwork,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{
		Store: st, Engine: e, db: db, mux: http.NewServeMux(), mail: c.Mail, fetch: fetcher,
		clock: k, ready: &readiness{clock: k, store: e.Ready}, notice: c.ShutdownNotice, goodbye: goodbye, log: c.Log,
	}
	if c.Metrics {
		s.metrics = newMetrics(db, st)
		s.Metrics = s.metrics.handler(c.Log)
	}
	s.Handler = trustProxies(c.Proxies, s.ready.farewell(s.funnel().Clean(s.mux, renderProbe)))
	s.Mount(oidc.Face(e))
	s.Mount(userdocks.Face(e))
	s.Mount(dressipi.Face(e))
	s.Mount(probes(s.ready))
	return s, nil
}

// openIssuer finds or makes the issuer's row, and sees that the master key is
// the one that it was made under.
func openIssuer(ctx context.Context, db *sqlstore.DB, c Config) (*sqlstore.Store, error) {
	if c.Tenant == "" {
		c.Tenant = "default"
	}
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

func (s *Server) funnel() wire.Funnel {
	f := wire.Funnel{Log: s.log, Now: time.Now}
	if s.metrics != nil {
		f.Seen = s.metrics.seen
	}
	return f
}

// Handle adds a handler that is no face, such as the pages of dev.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// goodbye is how long what is in flight has to end.
const goodbye = 10 * time.Second

// Serve answers on the listener until ctx is done. Then it says so by readyz and by
// ending connections after their next answer, for the time of the notice; closes the
// port; and finishes what is in flight, for ten seconds at most.
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
	if s.clock != nil {
		background.Go(func() { s.clock.watch(ctx, s.log) })
	}
	background.Go(func() {
		s.Engine.RunKeeping(ctx, keepingEvery, func(err error) { s.log.Error("keeping", "err", err) })
	})
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
	s.ready.leaving.Store(true)
	select {
	case err := <-served:
		return err
	case <-time.After(s.notice):
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.goodbye)
	defer cancel()
	err := hs.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("shutdown: requests were still under way and are cut off", "after", s.goodbye)
		err = hs.Close()
	}
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Close commits what is queued and closes the database.
func (s *Server) Close() error { return s.db.Close() }
