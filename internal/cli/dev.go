package cli

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallystick/tallystick/internal/dev"
)

func newDev() *cobra.Command {
	var o dev.Options
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on the embedded database, with a demo user and demo clients",
		Long: `Runs the server on SQLite with one demo user and demo clients for every face,
on loopback only and without any configuration, and prints where to click first.

What a script needs to know (ports, ids, secrets) is written to DIR/dev.json as
soon as the server is ready, and removed when it stops. The same user and clients
come back at the next start: their secrets follow from the master key, which is in
DIR/master.key, or in the variable TALLYSTICK_MASTER_KEY if that is set.

With --database postgres://… the same demo is on PostgreSQL. A second process with
the same database, --issuer and master key is a replica: give it a --data of its own
with a copy of the first one's master.key.`,
		Example: `  tallystick dev
  tallystick dev --listen 127.0.0.1:0 --data /tmp/demo
  tallystick dev --seed clients.json
  tallystick dev --database postgres://user:password@127.0.0.1:5432/demo
  tallystick dev --tls --client-redirect https://app.example.com/callback`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Check(); err != nil {
				return usageError{cmd, err}
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			o.Out, o.ErrOut = cmd.OutOrStdout(), cmd.ErrOrStderr()
			err := dev.Run(ctx, o)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "`address` to listen on; loopback only, port 0 takes a free one")
	f.StringVar(&o.Data, "data", "./.tallystick", "`directory` for the database, the master key and dev.json")
	f.StringVar(&o.Database, "database", "", "`address` of the database, sqlite:PATH or postgres://user:password@host:5432/name (default SQLite in DIR)")
	f.StringVar(&o.Issuer, "issuer", "", "`URL` that the server is reached by (default http://<listen address>)")
	f.StringArrayVar(&o.Redirects, "client-redirect", nil, "further redirect `URI` for the demo clients web, spa and the Userdocks app (repeatable)")
	f.StringVar(&o.Seed, "seed", "", "JSON `file` of further clients and users")
	f.BoolVar(&o.TLS, "tls", false, "serve https://localhost:PORT by a local CA, written to DIR/ca.pem")
	f.StringVar(&o.SMTP, "smtp", "", "send mails by `URL` (smtp://user:password@host:587) instead of catching them at /dev/mail")
	f.StringVar(&o.Metrics, "metrics", "", "`address` to serve /metrics on; loopback only")
	f.DurationVar(&o.ShutdownNotice, "shutdown-notice", 0, "how long /readyz is red before the port closes, for a proxy in front to see it")
	return cmd
}
