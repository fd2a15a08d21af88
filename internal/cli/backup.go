package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallystick/tallystick/internal/store/sqlstore"
)

func newBackup() *cobra.Command {
	var p place
	var to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup --to FILE",
		Short: "Copy a SQLite database while the server runs",
		Long: `Writes a copy of the SQLite database, as it is at one moment, to a new file that
nobody but you can read, while a server goes on with it or not. The copy has been
checked when the file appears; a file that is there already is never overwritten.

The master key is not in it. Keep a copy of that in another place: a backup without
its master key is of no use to anybody, you included.

PostgreSQL has pg_dump and pg_basebackup for that; see docs/operations.md.`,
		Example: `  tallystick backup --database sqlite:/var/lib/tallystick/tallystick.db --to /backup/$(date +%F).db`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError{cmd, errors.New("--to: want a file")}
			}
			at, err := p.find(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			size, err := sqlstore.Backup(ctx, at.database, to)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return errors.New("stopped; there is no copy")
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), backupJSON{From: at.database.String(), To: to, Bytes: size})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Copied %s to %s, %d bytes.\n"+
				"The master key is not in it: keep a copy of that in another place.\n", at.database, to, size)
			return err
		},
	}
	f := cmd.Flags()
	p.flags(f)
	f.StringVar(&to, "to", "", "`file` to write, which must not exist")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// backupJSON is what a backup has done. Scripts read its names.
type backupJSON struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Bytes int64  `json:"bytes"`
	// MasterKey is always false: who writes a script shall not take it for granted.
	MasterKey bool `json:"master_key_included"`
}
