package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tallystick/tallystick/internal/config"
	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
)

// place is the flags that say which server a command is about: dev's by its
// directory, or serve's by its settings.
type place struct {
	data, database, config string
}

func (p *place) flags(f *pflag.FlagSet) {
	f.StringVar(&p.data, "data", "./.tallystick", "`directory` of the master key and the database of dev")
	f.StringVar(&p.database, "database", "", "`address` of the database, sqlite:PATH or postgres://user:password@host:5432/name (default SQLite in the directory)")
	f.StringVar(&p.config, "config", "", "`file` of settings of serve, in the place of both")
}

// found is where a server's database and master key are.
type found struct {
	database      string
	word, keyFile string // of the master key: the word of the variable, or the file
}

func (p *place) find() (found, error) {
	if p.config != "" {
		c, err := config.Load(p.config, os.Environ())
		if err != nil {
			return found{}, fmt.Errorf("the settings are not right:\n%w", err)
		}
		return found{c.Database.Reveal(), c.MasterKey.Reveal(), c.MasterKeyFile}, nil
	}
	at := found{p.database, os.Getenv(server.MasterKeyVariable), filepath.Join(p.data, "master.key")}
	if at.database == "" {
		at.database = "sqlite:" + filepath.Join(p.data, "tallystick.db")
	}
	return at, nil
}

// open opens a server that exists, beside the one that runs. It makes neither a
// database nor a master key.
func (p *place) open(ctx context.Context) (*server.Server, error) {
	at, err := p.find()
	if err != nil {
		return nil, err
	}
	cfg, err := sqlstore.Locate(at.database)
	if err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	switch exists, err := sqlstore.Exists(cfg); { //nolint:contextcheck // it asks one question, and the driver gets no context
	case err != nil:
		return nil, err
	case !exists:
		return nil, fmt.Errorf("there is no database in %s", cfg)
	}
	name := server.MasterKeyVariable
	if at.word == "" {
		if name = at.keyFile; name == "" {
			name = "the master key"
		}
		if _, err := os.Stat(at.keyFile); err != nil {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	master, _, err := server.MasterKey(at.word, at.keyFile, at.database)
	if err != nil {
		return nil, err
	}
	srv, err := server.Open(ctx, server.Config{Database: at.database, Master: master, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, server.ErrMasterKey) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return srv, err
}

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Show, rotate and revoke keys",
		Long: `Keys rotate by themselves; these commands are for when you want it otherwise. They
work on the database, beside the servers that run, which see it within 20 seconds.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyList(), newKeyRotate(), newKeyRevoke())
	return cmd
}

// withEngine runs f on the server that the flags mean.
func (p *place) withEngine(cmd *cobra.Command, f func(context.Context, *server.Server) error) error {
	srv, err := p.open(cmd.Context())
	if err != nil {
		return err
	}
	return errors.Join(f(cmd.Context(), srv), srv.Close())
}

// keyJSON is a key as the operator sees it. Scripts read its names.
type keyJSON struct {
	KID       string `json:"kid"`
	Purpose   string `json:"purpose"`
	Algorithm string `json:"algorithm"`
	// State is published (it will sign), signs, verifies (it has signed) or retired.
	State  string `json:"state"`
	Active string `json:"active_at"`
	Ends   string `json:"retired_at,omitempty"` // when it counts, or has counted, no more
}

type macJSON struct {
	Number uint16 `json:"number"`
	// State is published (it will mint), mints or verifies (it has minted).
	State  string `json:"state"`
	Active string `json:"active_at"`
}

type keysJSON struct {
	Signing []keyJSON `json:"signing_keys"`
	MAC     []macJSON `json:"mac_keys"`
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func keyOf(k engine.KeyState, now time.Time) keyJSON {
	out := keyJSON{KID: k.ID, Purpose: k.Purpose, Algorithm: k.Algorithm, State: "verifies", Active: stamp(k.ActiveAt)}
	if !k.RetiredAt.IsZero() {
		out.Ends = stamp(k.RetiredAt)
	}
	switch {
	case !k.RetiredAt.IsZero() && !k.RetiredAt.After(now):
		out.State = "retired"
	case k.ActiveAt.After(now):
		out.State = "published"
	case k.Signs:
		out.State = "signs"
	}
	return out
}

func readKeys(ctx context.Context, srv *server.Server) (all keysJSON, err error) {
	signing, err := srv.Engine.SigningKeys(ctx)
	if err != nil {
		return all, err
	}
	now := srv.Engine.Now()
	for _, k := range signing {
		all.Signing = append(all.Signing, keyOf(k, now))
	}
	mac, err := srv.Store.MACKeys(ctx)
	if err != nil {
		return all, err
	}
	mints := -1
	for i, k := range mac { // the newest that is active
		if k.ActiveAt <= now.UnixMilli() {
			mints = i
		}
	}
	for i, k := range mac {
		m := macJSON{Number: k.Number, State: "verifies", Active: when(k.ActiveAt)}
		switch {
		case i == mints:
			m.State = "mints"
		case i > mints:
			m.State = "published"
		}
		all.MAC = append(all.MAC, m)
	}
	return all, nil
}

func newKeyList() *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the keys, and which of them sign now",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withEngine(cmd, func(ctx context.Context, srv *server.Server) error {
				all, err := readKeys(ctx, srv)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), all)
				}
				return printKeys(cmd.OutOrStdout(), all)
			})
		},
	}
	p.flags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printKeys(out io.Writer, all keysJSON) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tPURPOSE\tALGORITHM\tSTATE\tACTIVE\tENDS")
	for _, k := range all.Signing {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.KID, k.Purpose, k.Algorithm, k.State, k.Active, k.Ends)
	}
	for _, k := range all.MAC {
		fmt.Fprintf(w, "%d\tcodes and refresh tokens\tHMAC\t%s\t%s\t\n", k.Number, k.State, k.Active)
	}
	return w.Flush()
}

func newKeyRotate() *cobra.Command {
	var p place
	var asJSON, mac bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give every standard signing key a successor now",
		Long: `Adds a successor to each key of the standard face. It is published at once and signs
in ten minutes, when every verifier has had time to fetch it; the key before it goes
on verifying. No token becomes invalid.

--mac rotates the key of codes and refresh tokens instead: tokens under the key
before it stay good, and move to the new one as they are used.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withEngine(cmd, func(ctx context.Context, srv *server.Server) error {
				var number uint16
				var ids []string
				var err error
				if mac {
					number, err = srv.Engine.RotateMACKey(ctx)
				} else {
					ids, err = srv.Engine.RotateSigningKeys(ctx)
				}
				if err != nil {
					return err
				}
				all, err := readKeys(ctx, srv)
				if err != nil {
					return err
				}
				return printKeysOf(cmd.OutOrStdout(), all, ids, number, asJSON)
			})
		},
	}
	p.flags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&mac, "mac", false, "rotate the key of codes and refresh tokens instead")
	return cmd
}

// printKeysOf prints the keys that have just been made.
func printKeysOf(out io.Writer, all keysJSON, ids []string, number uint16, asJSON bool) error {
	made := keysJSON{Signing: []keyJSON{}, MAC: []macJSON{}}
	for _, k := range all.Signing {
		for _, id := range ids {
			if k.KID == id {
				made.Signing = append(made.Signing, k)
			}
		}
	}
	for _, k := range all.MAC {
		if k.Number == number {
			made.MAC = append(made.MAC, k)
		}
	}
	if asJSON {
		return printJSON(out, made)
	}
	for _, k := range made.Signing {
		fmt.Fprintf(out, "%s %s signs from %s on.\n", k.Algorithm, k.KID, k.Active)
	}
	for _, k := range made.MAC {
		fmt.Fprintf(out, "Key %s makes codes and refresh tokens from %s on.\n", strconv.Itoa(int(k.Number)), k.Active)
	}
	return nil
}

func newKeyRevoke() *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke KID",
		Short: "End a signing key that somebody else may know",
		Long: `Ends a signing key now: it neither signs nor verifies any more, and is in the JWK Set
no more. If it was the one that signs, another takes its place at once. Access tokens
that it has signed are refused where they are verified by the new JWK Set; refresh
tokens are none of its business, so clients get new ones and nobody signs in again.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usageError{cmd, errors.New("want the KID of one key; tallystick key list shows them")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withEngine(cmd, func(ctx context.Context, srv *server.Server) error {
				return revokeKey(ctx, srv, args[0], cmd.OutOrStdout(), asJSON)
			})
		},
	}
	p.flags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type revokedJSON struct {
	Revoked string `json:"revoked"`
	Signs   string `json:"signs"` // in its place, or already
}

func revokeKey(ctx context.Context, srv *server.Server, kid string, out io.Writer, asJSON bool) error {
	before, err := readKeys(ctx, srv)
	if err != nil {
		return err
	}
	var revoked *keyJSON
	for i := range before.Signing {
		if before.Signing[i].KID == kid {
			revoked = &before.Signing[i]
		}
	}
	if revoked == nil {
		return fmt.Errorf("there is no signing key %q; tallystick key list shows them", kid)
	}
	if err := srv.Engine.RevokeSigningKey(ctx, kid); err != nil {
		return err
	}
	after, err := readKeys(ctx, srv)
	if err != nil {
		return err
	}
	told := revokedJSON{Revoked: kid}
	for _, k := range after.Signing {
		if k.Purpose == revoked.Purpose && k.Algorithm == revoked.Algorithm && k.State == "signs" {
			told.Signs = k.KID
		}
	}
	if asJSON {
		return printJSON(out, told)
	}
	_, err = fmt.Fprintf(out, "Revoked %s. %s signs.\nServers that run follow within 20 seconds; verifiers when they fetch the JWK Set anew.\n", kid, told.Signs)
	return err
}
