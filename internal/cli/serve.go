package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallystick/tallystick/internal/config"
	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/seed"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
)

func newServe() *cobra.Command {
	var file string
	var example bool
	var initial time.Duration
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server in production",
		Long: `Runs the server by a file of settings in YAML; --example prints one with every
setting and what it means. A variable takes the place of a setting: TALLYSTICK_ISSUER,
TALLYSTICK_TLS_MODE and so on. What is wrong with any of them is told at once, and
nothing is begun.

On SIGTERM, /readyz is red for the time of shutdown_notice; then the port closes, and
what is under way has ten seconds to end.`,
		Example: `  tallystick serve --example > tallystick.yaml
  tallystick serve --config tallystick.yaml
  tallystick serve --config tallystick.yaml --initial-token 24h`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if example {
				_, err := io.WriteString(cmd.OutOrStdout(), config.Example())
				return err
			}
			if file == "" && os.Getenv(config.Prefix+"ISSUER") == "" {
				return usageError{cmd, errors.New("want --config FILE (--example prints one), or every setting in a variable")}
			}
			if cmd.Flags().Changed("initial-token") && initial <= 0 {
				return usageError{cmd, fmt.Errorf("--initial-token: want how long it is good for, such as 24h, got %v", initial)}
			}
			c, err := loadSettings(file)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			if initial > 0 {
				return printInitialToken(ctx, &c, initial, cmd.OutOrStdout())
			}
			log := logOf(c.Log, cmd.ErrOrStderr())
			go goOn(ctx, log)
			err = serve(ctx, &c, log)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // it was stopped while it started
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "YAML `file` of settings")
	f.BoolVar(&example, "example", false, "print a file with every setting")
	f.DurationVar(&initial, "initial-token", 0, "print an initial access token for the registration of clients, good for so `long`, and do not serve")
	return cmd
}

// goOn keeps what must not end a server from ending it.
func goOn(ctx context.Context, log *slog.Logger) {
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	for {
		select {
		case <-hup:
			log.Warn("SIGHUP changes nothing: settings and clients are read at the start, a renewed certificate is followed by itself")
		case <-ctx.Done():
			return
		}
	}
}

// serve runs until ctx is done.
func serve(ctx context.Context, c *config.Config, log *slog.Logger) (err error) {
	for _, name := range c.Ignored {
		log.Warn("this variable is no setting and is ignored", "variable", name)
	}
	if c.TLS.Mode == config.TLSProxy && len(c.TLS.Proxies) == 0 {
		log.Warn("tls.proxies is empty: limits per network take all people for one, the proxy")
	}
	clients, err := readClients(c.Clients)
	if err != nil {
		return err
	}
	var secure *tls.Config
	if c.TLS.Mode == config.TLSFiles {
		if secure, err = server.TLS(c.TLS.CertFile, c.TLS.KeyFile, log); err != nil {
			return err
		}
	}
	database, there, err := databaseOf(c) //nolint:contextcheck // it asks one question, and the driver gets no context
	if err != nil {
		return err
	}
	if !there { // who has mistyped a path must see why everybody is logged out
		log.Warn("there is no database yet; a new one is made", "database", database.String())
	}
	lock, err := server.Lock(c.Database.Reveal())
	if err != nil {
		return err
	}
	defer lock.Close()
	srv, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	if err := apply(ctx, srv, clients, log); err != nil {
		return err
	}
	var metrics net.Listener
	if c.Metrics.Listen != "" {
		if metrics, err = listen("metrics.listen", c.Metrics.Listen); err != nil {
			return err
		}
		defer metrics.Close()
	}
	// Last of all: who can connect is answered.
	l, err := listen("listen", c.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	if metrics != nil {
		log.Info("metrics", "listen", metrics.Addr().String())
		go func() {
			if err := srv.ServeMetrics(ctx, metrics); err != nil && ctx.Err() == nil {
				log.Error("metrics", "err", err)
			}
		}()
	}
	log.Info("ready", "issuer", c.Issuer, "listen", l.Addr().String(), "database", database.String())
	defer context.AfterFunc(ctx, func() { log.Info("stopping") })()
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	err = srv.Serve(ctx, l)
	log.Info("stopped")
	return err
}

// databaseOf is where the database of the settings is, and whether it is there.
func databaseOf(c *config.Config) (at sqlstore.Config, there bool, err error) {
	if at, err = locate(c.Database.Reveal()); err != nil {
		return at, false, fmt.Errorf("database: %w", err)
	}
	there, err = exists(at)
	return at, there, err
}

// open opens the server of the settings.
func open(ctx context.Context, c *config.Config, log *slog.Logger) (*server.Server, error) {
	master, made, err := masterOf(c)
	if err != nil {
		return nil, err
	}
	proxies, err := c.TLS.Networks()
	if err != nil {
		return nil, err
	}
	sc := server.Config{
		Database: c.Database.Reveal(), Issuer: c.Issuer, Master: master, Resources: c.Resources, Proxies: proxies,
		Registration: engine.Registration{Mode: modes[c.Registration.Mode], RequirePKCE: c.Registration.RequirePKCE},
		Keeping:      engine.Keeping{KeyRotation: time.Duration(c.Keys.RotateEvery), Audit: time.Duration(c.Audit.Retention)},
		Metrics:      c.Metrics.Listen != "", ShutdownNotice: time.Duration(c.ShutdownNotice), Log: log,
		BirthsPerNetwork: c.Limits.BirthsPerNetwork,
	}
	if c.Mail.SMTP != "" {
		if sc.Mail, err = mail.SMTP(c.Mail.SMTP.Reveal(), c.Mail.From); err != nil {
			return nil, err
		}
	}
	srv, err := server.Open(ctx, sc)
	if !errors.Is(err, server.ErrMasterKey) {
		return srv, err
	}
	if made { // it is of no use to anybody
		err = errors.Join(err, os.Remove(c.MasterKeyFile))
	}
	return nil, fmt.Errorf("%s: %w; bring the key that it was made with", keyName(c), err)
}

var modes = map[string]engine.RegistrationMode{
	"closed": engine.RegistrationClosed, "token": engine.RegistrationByToken, "open": engine.RegistrationOpen,
}

func masterOf(c *config.Config) (*seal.Master, bool, error) {
	return server.MasterKey(c.MasterKey.Reveal(), c.MasterKeyFile, c.Database.Reveal())
}

// keyName says where the master key has come from.
func keyName(c *config.Config) string {
	if c.MasterKey != "" {
		return server.MasterKeyVariable
	}
	return c.MasterKeyFile
}

// readClients reads all files before anything is begun, and joins their faults.
func readClients(paths []string) ([]*seed.File, error) {
	var files []*seed.File
	var errs []error
	in := map[string]string{}
	for _, path := range paths {
		f, err := seed.Read(path)
		if err == nil && len(f.Users) > 0 {
			err = errors.New("users are for dev; here they register themselves")
		}
		if err == nil {
			for _, c := range f.Clients {
				if other, ok := in[c.ID]; ok {
					err = errors.Join(err, fmt.Errorf("the client %q stands in %s, too", c.ID, other))
				}
				in[c.ID] = path
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("clients: %s: %w", path, err))
		}
		files = append(files, f)
	}
	return files, errors.Join(errs...)
}

// apply puts the files' clients into the store.
func apply(ctx context.Context, srv *server.Server, files []*seed.File, log *slog.Logger) error {
	if len(files) == 0 {
		return nil // they may be another node's to say
	}
	w := &seed.Writer{Ctx: ctx, Store: srv.Store, Engine: srv.Engine, Now: srv.Engine.Now().UnixMilli()}
	for _, f := range files {
		if err := w.File(f, log); err != nil {
			return fmt.Errorf("clients: %w", err)
		}
	}
	return w.Only(files, log)
}

func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is taken by another program", key, address)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", key, address, e.Err)
	}
	return l, err
}

func logOf(l config.Log, to io.Writer) *slog.Logger {
	level, _ := l.Threshold() // checked before
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(to, options))
	}
	// As text has them: JSON would have bare nanoseconds.
	options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}
	return slog.New(slog.NewJSONHandler(to, options))
}

// printInitialToken makes a token, beside the servers that run.
func printInitialToken(ctx context.Context, c *config.Config, lifetime time.Duration, out io.Writer) error {
	if c.Registration.Mode != "token" {
		return fmt.Errorf("registration.mode: an initial access token is for the mode token, not for %s", c.Registration.Mode)
	}
	database, there, err := databaseOf(c) //nolint:contextcheck // it asks one question, and the driver gets no context
	if err != nil {
		return err
	}
	if !there { // and is not to be made here: it would be this user's, not the server's
		return fmt.Errorf("there is no database in %s; start the server once", database)
	}
	srv, err := open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	token, err := srv.Engine.NewInitialToken(lifetime)
	if err = errors.Join(err, srv.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, token)
	return err
}

// servedOutbox reads the outbox of a server that is run by a file of settings.
func servedOutbox(ctx context.Context, file string, limit int) ([]store.Mail, error) {
	c, err := loadSettings(file)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.MasterKeyFile); err != nil && c.MasterKey == "" {
		return nil, fmt.Errorf("%s is missing", c.MasterKeyFile) // and is not to be made here
	}
	master, _, err := masterOf(&c)
	if err != nil {
		return nil, err
	}
	mails, err := server.Outbox(ctx, c.Database.Reveal(), master, limit)
	if errors.Is(err, server.ErrMasterKey) {
		err = fmt.Errorf("%s: %w", keyName(&c), err)
	}
	return mails, err
}
