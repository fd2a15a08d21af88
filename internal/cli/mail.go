package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallystick/tallystick/internal/dev"
	"github.com/tallystick/tallystick/internal/store"
)

func newMail() *cobra.Command {
	var data, database, file string
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "mail",
		Short: "Show the outbox: what was sent, what waits, and why",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError{cmd, fmt.Errorf("--limit: want a number of mails from 1, got %d", limit)}
			}
			read := func(ctx context.Context) ([]store.Mail, error) { return dev.Outbox(ctx, data, database, limit) }
			if file != "" {
				read = func(ctx context.Context) ([]store.Mail, error) { return servedOutbox(ctx, file, limit) }
			}
			mails, err := read(cmd.Context())
			if err != nil {
				return err
			}
			lines := make([]mailLine, len(mails))
			for i, m := range mails {
				lines[i] = lineOf(m)
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(lines)
			}
			return printMails(cmd.OutOrStdout(), lines)
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", "./.tallystick", "`directory` of the master key and the database of dev")
	f.StringVar(&database, "database", "", "`address` of the database, if dev has been given one")
	f.StringVar(&file, "config", "", "`file` of settings of serve, in the place of both")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.IntVar(&limit, "limit", 50, "the newest `N` mails")
	return cmd
}

// mailLine is a mail as the operator sees it. Scripts read its names.
type mailLine struct {
	Created   string `json:"created"`
	Template  string `json:"template"`
	Language  string `json:"language"`
	Recipient string `json:"recipient,omitempty"` // forgotten once it is sent
	Client    string `json:"client"`
	State     string `json:"state"` // sent, waiting, given up
	Attempts  int64  `json:"attempts"`
	Next      string `json:"next_attempt,omitempty"`
	Error     string `json:"last_error,omitempty"`
}

func lineOf(m store.Mail) mailLine {
	l := mailLine{
		Created: when(m.CreatedAt), Template: string(m.Template), Language: m.Language, Recipient: m.Recipient, Client: m.ClientID,
		Attempts: m.Attempts, Error: m.LastError,
	}
	switch {
	case m.SentAt != 0:
		l.State = "sent"
	case m.NextAttemptAt == 0:
		l.State = "given up"
	default:
		l.State, l.Next = "waiting", when(m.NextAttemptAt)
	}
	return l
}

func when(t store.Time) string { return time.UnixMilli(t).UTC().Format(time.RFC3339) }

func printMails(out io.Writer, lines []mailLine) error {
	if len(lines) == 0 {
		_, err := fmt.Fprintln(out, "The outbox is empty.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CREATED\tMAIL\tTO\tSTATE\tATTEMPTS\tNEXT\tERROR")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s (%s)\t%s\t%s\t%d\t%s\t%s\n", l.Created, l.Template, l.Language, l.Recipient, l.State, l.Attempts, l.Next, l.Error)
	}
	return w.Flush()
}
