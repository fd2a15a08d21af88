package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/server"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Show, rotate and revoke keys",
		Long: `Keys rotate by themselves; these commands are for when you want it otherwise. They
work on the database, beside the servers that run, which see it within 3 seconds.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyList(), newKeyRotate(), newKeyRevoke())
	return cmd
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
	// Revoked: it is retired and has no such time, for it counts at none.
	Revoked bool `json:"revoked,omitempty"`
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
	switch {
	case k.RetiredAt.IsZero():
	case k.RetiredAt.Before(k.ActiveAt):
		out.Revoked = true
	default:
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
		ends := k.Ends
		if k.Revoked {
			ends = "revoked"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.KID, k.Purpose, k.Algorithm, k.State, k.Active, ends)
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
	var text strings.Builder
	for _, k := range made.Signing {
		fmt.Fprintf(&text, "%s %s signs from %s on.\n", k.Algorithm, k.KID, k.Active)
	}
	for _, k := range made.MAC {
		fmt.Fprintf(&text, "Key %d makes codes and refresh tokens from %s on.\n", k.Number, k.Active)
	}
	_, err := io.WriteString(out, text.String())
	return err
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
tokens are none of its business, so clients get new ones and nobody signs in again.

A KID that begins with - comes last, after --.`,
		Example: `  tallystick key revoke --config tallystick.yaml -- KID`,
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
	// One KID in 64 does, and nobody who is in a hurry shall be told of unknown flags.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{cmd, fmt.Errorf("%w; a KID that begins with - comes last, after --", err)}
	})
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
	text := "Servers that run follow within 3 seconds; verifiers when they fetch the JWK Set anew."
	if revoked.Purpose != engine.Standard {
		text = "Servers that run follow within 3 seconds. This key is in no JWK Set: who verifies by it\n" +
			"has a copy, and goes on until he fetches it anew (a Userdocks server SDK: until it is restarted)."
	}
	done := "Revoked " + kid
	if revoked.State == "retired" {
		done = kid + " counted no more already"
	}
	_, err = fmt.Fprintf(out, "%s. %s signs.\n%s\n", done, told.Signs, text)
	return err
}
