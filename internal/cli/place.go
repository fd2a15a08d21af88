package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tallystick/tallystick/internal/config"
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
	address       string
	database      sqlstore.Config // of the address
	word, keyFile string          // of the master key: the word of the variable, or the file
}

// served reports whether the command is about a server that is run by settings: by a
// file, or by variables alone.
func (p *place) served(cmd *cobra.Command) (bool, error) {
	flags := cmd.Flags().Changed("data") || cmd.Flags().Changed("database")
	if p.config != "" && flags {
		// Which of the two is meant must not be guessed: keys are revoked by this.
		return false, usageError{cmd, errors.New("--config takes the place of --data and --database: want one or the other")}
	}
	return p.config != "" || !flags && os.Getenv(config.Prefix+"ISSUER") != "", nil
}

func (p *place) find(cmd *cobra.Command) (at found, err error) {
	served, err := p.served(cmd)
	if err != nil {
		return at, err
	}
	if served {
		c, err := loadSettings(p.config)
		if err != nil {
			return at, err
		}
		at = found{address: c.Database.Reveal(), word: c.MasterKey.Reveal(), keyFile: c.MasterKeyFile}
		if at.database, err = locate(at.address); err != nil {
			return at, fmt.Errorf("database: %w", err)
		}
		return at, nil
	}
	at = found{address: p.database, word: os.Getenv(server.MasterKeyVariable), keyFile: filepath.Join(p.data, "master.key")}
	if at.address == "" {
		at.address = "sqlite:" + filepath.Join(p.data, "tallystick.db")
	}
	if at.database, err = locate(at.address); err != nil {
		return at, usageError{cmd, fmt.Errorf("--database: %w", err)}
	}
	return at, nil
}

// loadSettings reads those of serve.
func loadSettings(file string) (config.Config, error) {
	c, err := config.Load(file, os.Environ())
	if err != nil {
		return c, fmt.Errorf("the settings are not right:\n%w", err)
	}
	return c, nil
}

// locate reads an address, and repeats nothing of it: it may hold a password.
func locate(address string) (sqlstore.Config, error) {
	if err := config.CheckDatabase(address); err != nil {
		return sqlstore.Config{}, err
	}
	cfg, err := sqlstore.Locate(address)
	if err != nil { // not for its form, so it is what comes after the question mark
		err = errors.New("the parameters after the ?, or the PG… variables, are not right: want those of PostgreSQL's own programs, such as sslmode=verify-full&sslrootcert=FILE, and files that can be read")
	}
	return cfg, err
}

// exists reports whether a database is there and holds anything of ours. It makes
// nothing.
func exists(cfg sqlstore.Config) (bool, error) {
	exists, err := sqlstore.Exists(cfg)
	if err != nil { // PostgreSQL's has a line for each address that was tried
		err = errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	return exists, err
}

// open opens a server that exists, beside the one that runs. It makes neither a
// database nor a master key.
func (p *place) open(cmd *cobra.Command) (*server.Server, error) {
	at, err := p.find(cmd)
	if err != nil {
		return nil, err
	}
	switch exists, err := exists(at.database); {
	case err != nil:
		return nil, err
	case !exists:
		return nil, fmt.Errorf("there is no database in %s", at.database)
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
	master, _, err := server.MasterKey(at.word, at.keyFile, at.address)
	if err != nil {
		return nil, err
	}
	srv, err := server.Open(cmd.Context(), server.Config{Database: at.address, Master: master, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, server.ErrMasterKey) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return srv, err
}

// withEngine runs f on the server that the flags mean.
func (p *place) withEngine(cmd *cobra.Command, f func(context.Context, *server.Server) error) error {
	srv, err := p.open(cmd)
	if err != nil {
		return err
	}
	return errors.Join(f(cmd.Context(), srv), srv.Close())
}
