package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tallystick/tallystick/internal/store/sqlstore"
)

func newMigrate() *cobra.Command {
	var from, to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate --from ADDRESS --to ADDRESS",
		Short: "Move everything to another database",
		Long: `Copies the whole database to another one, between SQLite and PostgreSQL or within
one of them, and compares the two row by row. The target must be empty. Nobody is
logged out: with the same master key, every token goes on.

Stop every server on the source first, and start none there afterwards. The source
is not changed. A run that was stopped or killed goes on where it was when the same
command is given again; until it is done, no server starts on the target.

A password may come from the variable PGPASSWORD or a PostgreSQL password file, so
that it is not seen among the arguments.`,
		Example: `  tallystick migrate --from sqlite:/var/lib/tallystick/tallystick.db \
      --to postgres://tallystick@db.example.com/tallystick
  tallystick migrate --from postgres://tallystick@db.example.com/tallystick --to sqlite:copy.db`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var m sqlstore.Move
			var err1, err2 error
			if m.From, err1 = locate(from); err1 != nil {
				err1 = fmt.Errorf("--from: %w", err1)
			}
			if m.To, err2 = locate(to); err2 != nil {
				err2 = fmt.Errorf("--to: %w", err2)
			}
			if err := errors.Join(err1, err2); err != nil {
				return usageError{cmd, err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			watch := progressOn(cmd.ErrOrStderr())
			m.Progress = watch.step
			moved, err := m.Run(ctx)
			watch.end()
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return errors.New("stopped; the same command goes on where this one was")
			}
			if len(moved) == 0 || err != nil && !errors.Is(err, sqlstore.ErrDiffers) {
				return err
			}
			return errors.Join(printMoved(cmd.OutOrStdout(), m, moved, asJSON), err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "`address` of the source, sqlite:PATH or postgres://user@host:5432/name")
	f.StringVar(&to, "to", "", "`address` of the target")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// movedJSON is what a move has done. Scripts read its names.
type movedJSON struct {
	From   string       `json:"from"`
	To     string       `json:"to"`
	Same   bool         `json:"same"`
	Tables []movedTable `json:"tables"`
}

type movedTable struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`   // of the source
	Copied int64  `json:"copied"` // by this run
	Target int64  `json:"target_rows"`
	From   string `json:"source_checksum"`
	To     string `json:"target_checksum"`
	Same   bool   `json:"same"`
}

func printMoved(out io.Writer, m sqlstore.Move, moved []sqlstore.Moved, asJSON bool) error {
	all := movedJSON{From: m.From.String(), To: m.To.String(), Same: true}
	rows, copied := int64(0), int64(0)
	for _, t := range moved {
		all.Tables = append(all.Tables, movedTable{
			Table: t.Table, Rows: t.From.Rows, Copied: t.Copied, Target: t.To.Rows, From: t.From.String(), To: t.To.String(), Same: t.From == t.To,
		})
		all.Same = all.Same && t.From == t.To
		rows, copied = rows+t.From.Rows, copied+t.Copied
	}
	if asJSON {
		return printJSON(out, all)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tROWS\tCOPIED\tSOURCE\tTARGET\t")
	for _, t := range all.Tables {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.16s\t%.16s\t%s\n", t.Table, t.Rows, t.Copied, t.From, t.To, map[bool]string{true: "same", false: "differs"}[t.Same])
	}
	if err := w.Flush(); err != nil || !all.Same {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d rows are the same at %s and %s; %d of them were copied now.\n"+
		"Start servers on the target, with the same master key, and none on the source any more.\n", rows, all.From, all.To, copied)
	return err
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// progress shows how far a move is: a bar on a terminal, else a line for each table,
// and one now and then within a long one.
type progress struct {
	out     io.Writer
	bar     *progressbar.ProgressBar
	onTerm  bool
	last    sqlstore.Step
	before  int64 // rows of the tables before this one
	told    time.Time
	nothing bool // has been shown yet
}

// tellEvery is how often a long table has a line.
const tellEvery = 10 * time.Second

func progressOn(out io.Writer) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, onTerm: ok && term.IsTerminal(int(f.Fd())), nothing: true}
}

func (p *progress) step(s sqlstore.Step) {
	verb := map[bool]string{true: "compare", false: "copy"}[s.Comparing]
	if p.nothing || s.Comparing != p.last.Comparing {
		p.end()
		p.before, p.nothing, p.told = 0, false, time.Now()
		if p.onTerm {
			p.bar = progressbar.NewOptions64(max(s.All, 1), progressbar.OptionSetWriter(p.out), progressbar.OptionShowCount(),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionUseANSICodes(true))
		}
	} else if s.Table != p.last.Table {
		p.before += p.last.Of
	}
	p.last = s
	switch {
	case p.bar != nil:
		p.bar.Describe(fmt.Sprintf("%-7s %-16s", verb, s.Table))
		_ = p.bar.Set64(min(p.before+s.Done, max(s.All, 1))) // a bar that cannot be drawn stops nothing
	case s.Done >= s.Of && s.Of > 0:
		fmt.Fprintf(p.out, "%s %s: %d rows\n", verb, s.Table, s.Of)
		p.told = time.Now()
	case time.Since(p.told) >= tellEvery:
		fmt.Fprintf(p.out, "%s %s: %d of %d rows\n", verb, s.Table, s.Done, s.Of)
		p.told = time.Now()
	}
}

// end leaves the terminal as what comes next wants it.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	_, _ = fmt.Fprintln(p.out)
	p.bar = nil
}
