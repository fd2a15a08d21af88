// Package cli is the command: flags, exit codes and what is printed.
package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2 // the command's words are off
)

// usageError is wrong usage: its command and what would be right.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Main runs the command and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "tallystick: %v\n", err)
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "See '%s --help'.\n", usage.cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tallystick",
		Short: "An authorization server that redeems exactly once",
		Long: `Tallystick exchanges authorization codes and refresh tokens for JWTs: exactly
once, fast, and with a reason when it refuses.

To see it work, run: tallystick dev
To run it, see:      tallystick serve --help`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              func(cmd *cobra.Command, args []string) error { return noArgs(cmd, args) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd, err} })
	root.SetHelpCommand(newHelp())
	root.AddCommand(newDev(), newServe(), newMail(), newKey(), newMigrate(), newBackup(), newVersion())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usageError{cmd, fmt.Errorf("there is no command %q", args[0])}
	}
	return usageError{cmd, fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])}
}

// newHelp is cobra's own but that it refuses what there is no help about.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{cmd.Root(), fmt.Errorf("there is no command %q", strings.Join(args, " "))}
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version, goVersion := "devel", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				goVersion = info.GoVersion
				if v := info.Main.Version; v != "" && v != "(devel)" {
					version = v
				}
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "tallystick %s %s\n", version, goVersion)
			return err
		},
	}
}
