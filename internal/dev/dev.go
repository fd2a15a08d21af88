// Package dev is `tallystick dev`: the whole server on the embedded database
// with a demo user and demo clients, for a newcomer's first minute and for
// scripts.
package dev

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/tallystick/tallystick/internal/config"
	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/seed"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/wire/demo"
)

// Options are the flags.
type Options struct {
	Listen    string
	Data      string
	Issuer    string
	Redirects []string
	TLS       bool
	SMTP      string // URL of a mail server; "" catches mails in a page
	Seed      string // file of further clients and users; "" = none
	Database  string // sqlite:PATH or postgres://…; "" = SQLite in Data
	Metrics   string // address of /metrics; "" = none
	// ShutdownNotice is how long readyz is red before the port closes.
	ShutdownNotice time.Duration

	Out    io.Writer // the banner
	ErrOut io.Writer // the log
}

// MailboxPath is where dev shows the mails that it has caught.
const MailboxPath = "/dev/mail"

// mailFrom is the sender of dev's mails.
const mailFrom = "tallystick@localhost"

// Check joins everything that is wrong with the flags.
func (o *Options) Check() error {
	var errs []error
	if _, err := address(o.Listen); err != nil {
		errs = append(errs, fmt.Errorf("--listen: %w", err))
	}
	if o.Metrics != "" {
		if _, err := address(o.Metrics); err != nil {
			errs = append(errs, fmt.Errorf("--metrics: %w", err))
		}
	}
	if o.Database != "" {
		if err := config.CheckDatabase(o.Database); err != nil {
			errs = append(errs, fmt.Errorf("--database: %w", err))
		}
	}
	if o.ShutdownNotice < 0 || o.ShutdownNotice > time.Minute {
		errs = append(errs, fmt.Errorf("--shutdown-notice: want 0s to 1m, got %v", o.ShutdownNotice))
	}
	if o.Data == "" {
		errs = append(errs, errors.New("--data: want a directory"))
	}
	if o.Issuer != "" {
		if err := config.CheckIssuer(o.Issuer); err != nil {
			errs = append(errs, fmt.Errorf("--issuer: %w", err))
		}
	}
	if o.SMTP != "" {
		if _, err := mail.SMTP(o.SMTP, mailFrom); err != nil {
			errs = append(errs, fmt.Errorf("--smtp: %w", err))
		}
	}
	for _, u := range o.Redirects {
		err := oauth.CheckRedirectURI(u)
		if u == oauth.URNAuto {
			err = errors.New("the URN is for clients of anonymous profiles; the demo app needs a page")
		} else if err == nil && oauth.Origin(u) == "" {
			err = errors.New("the demo clients need a page, http or https")
		} else if err == nil && !oauth.Bare(u) {
			err = errors.New("the Userdocks app's redirect URIs have no query")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--client-redirect %q: %w", u, err))
		}
	}
	return errors.Join(errs...)
}

// address is the loopback address to listen on. The demo's secrets are no
// secrets to whoever can reach it.
func address(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("want HOST:PORT like 127.0.0.1:8080, got %q", listen)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || strings.TrimLeft(port, "0123456789") != "" {
		return "", fmt.Errorf("want a port from 0 to 65535, got %q", port)
	} else if host == "localhost" {
		return fmt.Sprintf("127.0.0.1:%d", n), nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("dev listens on loopback only (127.0.0.1 or [::1]), got %q", host)
	}
	return listen, nil
}

// Run serves until ctx is done. What it made stays in the data directory.
func Run(ctx context.Context, o Options) (err error) {
	address, err := address(o.Listen)
	if err != nil {
		return err
	}
	more := new(seed.File)
	if o.Seed != "" {
		if more, err = seed.Read(o.Seed); err != nil {
			return fmt.Errorf("--seed %s: %w", o.Seed, err)
		}
	}
	// The port first: if it is taken, nothing has been touched.
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return listenError(address, err)
	}
	defer listener.Close()
	dir, err := openDir(o.Data, o.Database)
	if err != nil {
		return err
	}
	defer dir.close()
	lock, err := server.Lock(dir.database(o.Database))
	if err != nil {
		return err
	}
	defer lock.Close()

	base := origin("http", listener.Addr().String())
	served := listener
	var roots *x509.CertPool
	if o.TLS {
		base = origin("https", fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port))
		if served, roots, err = dir.withTLS(listener); err != nil {
			return err
		}
	}
	issuer := o.Issuer
	if issuer == "" {
		issuer = base
	}

	box := new(mail.Mailbox)
	var sender mail.Sender = box
	if o.SMTP != "" {
		if sender, err = mail.SMTP(o.SMTP, mailFrom); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(o.ErrOut, &slog.HandlerOptions{Level: slog.LevelInfo}))
	srv, err := server.Open(ctx, server.Config{
		Database: dir.database(o.Database), Metrics: o.Metrics != "", ShutdownNotice: o.ShutdownNotice, Issuer: issuer, Master: dir.master, Mail: sender, Log: log,
		Registration: engine.Registration{Mode: engine.RegistrationOpen, AnyScope: true, ClientCredentials: true}, Loopback: true, RootCAs: roots,
	})
	if errors.Is(err, server.ErrMasterKey) && o.Database != "" {
		return fmt.Errorf("%s: %w; bring the key that it was made with, which is in the data directory of its first start, or give another --database", dir.keyName(), err)
	}
	if errors.Is(err, server.ErrMasterKey) {
		return fmt.Errorf("%s: %w; bring back the key that it was made with, or remove the directory to start anew", dir.keyName(), err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()

	w, err := populate(ctx, srv, dir.master, issuer, o.Redirects, more, log)
	if err != nil {
		return fmt.Errorf("seed the demo: %w", err)
	}
	// The one password hash of the start took more memory than all that follows.
	debug.FreeOSMemory()
	curl := "curl"
	if o.TLS {
		curl += " --cacert " + shellQuote(dir.path("ca.pem"))
	}
	for pattern, h := range demo.Handlers(demo.Config{
		Target: srv.Handler, Base: base, Issuer: issuer, Curl: curl,
		Email: w.User.Email, Password: w.User.Password,
		App: w.Userdocks.AppUUID, AppRedirect: w.Userdocks.RedirectURI, ReadAPIKey: w.Userdocks.ReadAPIKey,
		Boutique: w.Dressipi.ClientID,
		Web:      w.Clients.Web.ClientID, WebSecret: w.Clients.Web.ClientSecret, SPA: w.Clients.SPA.ClientID,
		SignIn: w.Userdocks.signIn(), Mailbox: w.Mailbox,
	}) {
		srv.Handle(pattern, local(issuer, h))
	}
	srv.Handle(MailboxPath, local(issuer, box))
	srv.Handle(MailboxPath+"/", local(issuer, box))

	if o.Metrics != "" {
		l, err := net.Listen("tcp", o.Metrics)
		if err != nil {
			return listenError(o.Metrics, err)
		}
		defer l.Close()
		log.Info("metrics", "url", "http://"+l.Addr().String()+"/metrics")
		go func() { _ = srv.ServeMetrics(ctx, l) }() // it ends with its listener
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, served) }()
	// The listener queues connections from the first moment on, so whoever reads
	// dev.json now is answered.
	if err := dir.writeJSON("dev.json", w); err != nil {
		return err
	}
	// Who starts dev again and waits for the file must not find this one.
	defer func() { err = errors.Join(err, dir.remove("dev.json")) }()
	printBanner(o.Out, w, base, curl, dir.root)
	return <-done
}

// origin is scheme and address as a browser prints them: without the scheme's
// own port.
func origin(scheme, address string) string {
	own := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return scheme + "://" + strings.TrimSuffix(address, own)
}

// local keeps dev's own pages to the names that dev is reached by. They show the
// demo's secrets and its mails, and a page elsewhere on the web could let its
// own name lead to this machine to read them (DNS rebinding).
func local(issuer string, h http.Handler) http.Handler {
	public, _ := url.Parse(issuer) // checked before
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && host != public.Hostname() && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "This page is for "+issuer+" only.", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func listenError(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; choose another with --listen (port 0 takes a free one)", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, errors.Unwrap(errors.Unwrap(err)))
}

func absolute(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}

func plainPathError(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
