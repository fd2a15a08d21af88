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
	var p place
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
			served, err := p.served(cmd)
			if err != nil {
				return err
			}
			if p.database != "" {
				if _, err := locate(p.database); err != nil {
					return usageError{cmd, fmt.Errorf("--database: %w", err)}
				}
			}
			read := func(ctx context.Context) ([]store.Mail, error) { return dev.Outbox(ctx, p.data, p.database, limit) }
			if served {
				read = func(ctx context.Context) ([]store.Mail, error) { return servedOutbox(ctx, p.config, limit) }
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
	p.flags(f)
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
