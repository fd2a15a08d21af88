package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
)

// Outbox reads the newest mails of a data directory's outbox, while the server
// runs or not.
func Outbox(ctx context.Context, data string, limit int) (mails []store.Mail, err error) {
	d := &dir{root: absolute(data)}
	if _, err := os.Stat(d.path("tallystick.db")); err != nil {
		return nil, fmt.Errorf("there is no database in %s", d.root)
	}
	if d.master, err = masterKey(d.path("master.key"), d.path("tallystick.db")); err != nil {
		return nil, err
	}
	st, db, err := server.OpenStore(ctx, server.Config{Database: d.path("tallystick.db"), Master: d.master, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	mails, err = st.Mails(ctx, limit)
	return mails, errors.Join(err, db.Close())
}
