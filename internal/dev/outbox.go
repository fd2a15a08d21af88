package dev

import (
	"context"
	"fmt"
	"os"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
)

// Outbox reads the newest mails of a data directory's outbox, while the server
// runs or not. database is the flag, "" for the file in the directory.
func Outbox(ctx context.Context, data, database string, limit int) ([]store.Mail, error) {
	d := &dir{root: absolute(data)}
	if _, err := os.Stat(d.path("tallystick.db")); err != nil && database == "" {
		return nil, fmt.Errorf("there is no database in %s", d.root)
	}
	if _, err := os.Stat(d.path("master.key")); err != nil && os.Getenv(server.MasterKeyVariable) == "" {
		return nil, fmt.Errorf("there is no master.key in %s", d.root)
	}
	master, err := d.masterKey(database)
	if err != nil {
		return nil, err
	}
	return server.Outbox(ctx, d.database(database), master, limit)
}
