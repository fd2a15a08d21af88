package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/seal"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/wire/oidc"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

// outboxEvery is how often a node looks for mails that others have left.
const outboxEvery = 5 * time.Second

// runOutbox sends mails until ctx is done.
func (s *Server) runOutbox(ctx context.Context) {
	s.Engine.RunOutbox(ctx, outboxEvery, s.sendMail, func(err error) {
		s.log.Error("mail", "err", err)
	})
}

// Outbox reads the newest mails of an outbox, while servers run or not.
func Outbox(ctx context.Context, database string, master *seal.Master, limit int) ([]store.Mail, error) {
	if path := databaseOf(Config{Database: database}).Path; path != "" {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("there is no database %s", path)
		}
	}
	st, db, err := OpenStore(ctx, Config{Database: database, Master: master, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	mails, err := st.Mails(ctx, limit)
	return mails, errors.Join(err, db.Close())
}

func (s *Server) sendMail(ctx context.Context, m engine.Mail) error {
	letter := mail.Letter{
		Template: string(m.Template), Recipient: m.Recipient, Language: m.Language, Client: m.Client, Lifetime: m.Lifetime,
	}
	switch m.Template {
	case engine.PurposeConfirm:
		letter.URL = userdocks.ConfirmURL(s.Engine.Issuer(), m.ClientID, m.Link, m.Language)
	case engine.PurposeReset:
		reset := oidc.ResetURL
		if m.Face == userdocks.Name {
			reset = userdocks.ResetURL
		}
		letter.URL = reset(s.Engine.Issuer(), m.ClientID, m.Link, m.Language)
	}
	message, err := mail.Compose(letter)
	if err != nil {
		return err
	}
	return s.mail.Send(ctx, message)
}
