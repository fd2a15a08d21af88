package engine

import (
	"context"
	"io"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// The purposes of mail links, for faces.
const (
	PurposeConfirm = store.PurposeConfirm
	PurposeReset   = store.PurposeReset
)

const (
	confirmLifetime = 24 * time.Hour
	resetLifetime   = time.Hour
	mailsPerHour    = 5 // of one template to one user
)

// ConfirmEmail spends the link of a confirmation mail.
func (e *Engine) ConfirmEmail(ctx context.Context, face oauth.Face, clientID, link string, trace Trace) (*ResourceOwner, error) {
	id, err := e.useLink(ctx, face, clientID, link, store.UseLink{Purpose: store.PurposeConfirm, Trace: trace})
	if err != nil {
		return nil, err
	}
	return e.ownerOf(ctx, id)
}

// SendsMail reports whether this node sends what is in the outbox: pages offer what
// needs a mail only then.
func (e *Engine) SendsMail() bool { return e.mails }

// mailed is the id of the client that a mail is about. No face and no client are
// the issuer's own pages: a link that is theirs is no client's.
func (e *Engine) mailed(ctx context.Context, face oauth.Face, clientID string) (string, error) {
	if face == "" && clientID == "" {
		return "", nil
	}
	client, err := e.client(ctx, face, clientID)
	if err != nil {
		return "", err
	}
	return client.ID, nil
}

// ForgotPassword puts a mail into the outbox if there is an account of this
// address. The answer is the same if there is none. Without a face and a client, it
// is the issuer itself that was asked; so with ResetPassword and LinkOpen.
func (e *Engine) ForgotPassword(ctx context.Context, face oauth.Face, clientID, email, language string, trace Trace) error {
	about, err := e.mailed(ctx, face, clientID)
	if err != nil {
		return err
	}
	if err := CheckEmail(email); err != nil {
		return err
	}
	var id store.MailID
	if _, err := io.ReadFull(e.rand, id[:]); err != nil {
		return fault("randomness", err)
	}
	now := millis(e.now())
	if _, err = e.store.RequestMail(ctx, store.RequestMail{
		Mail: store.Mail{ID: id, Template: store.PurposeReset, Recipient: NormaliseIdentifier(email), Address: addressOf(email), Language: language, ClientID: about,
			CreatedAt: now, NextAttemptAt: now},
		PerHour: mailsPerHour, Now: now,
	}); err != nil {
		return fault("request mail", err)
	}
	e.wake(e.mail)
	return nil
}

// ResetPassword spends the link of a reset mail for a new password. It ends the
// user's sessions and grants.
func (e *Engine) ResetPassword(ctx context.Context, face oauth.Face, clientID, link, word string, trace Trace) error {
	// Looked at before the hash is spent: junk must not keep the hashers busy.
	user, err := e.linkOpen(ctx, face, clientID, link, store.PurposeReset)
	if err != nil {
		return err
	}
	if user == nil {
		return refuseLink("not open")
	}
	if err := CheckNewPassword(word, user.Email); err != nil {
		return err
	}
	hash, err := e.hasher.Hash(ctx, word)
	if err != nil {
		return passwordError(err)
	}
	if _, err = e.useLink(ctx, face, clientID, link, store.UseLink{Purpose: store.PurposeReset, PasswordHash: hash, Trace: trace}); err != nil {
		return err
	}
	e.wake(e.notices)
	return nil
}

func refuseLink(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "link: "+reason, "The link is not valid: it is unknown, expired or already used. Please ask for a new one.")
}

func (e *Engine) useLink(ctx context.Context, face oauth.Face, clientID, link string, use store.UseLink) (store.UserID, error) {
	about, err := e.mailed(ctx, face, clientID)
	if err != nil {
		return store.UserID{}, err
	}
	t, err := e.verify(ctx, tally.MailLink, link)
	if err != nil {
		return store.UserID{}, artefactError(err, link, refuseLink)
	}
	use.Link, use.ClientID, use.Now = store.LinkID(e.grantID(t.Secret)), about, millis(e.now())
	out, err := e.store.UseLink(ctx, use)
	if err != nil {
		return store.UserID{}, fault("use link", err)
	}
	if out.Outcome != store.Done {
		return store.UserID{}, refuseLink(out.Outcome.String())
	}
	return out.User, nil
}

// LinkOpen reports whether a link could be spent now; a page asks before it
// shows a form. It changes nothing: whatever scans mails follows links.
func (e *Engine) LinkOpen(ctx context.Context, face oauth.Face, clientID, link string, purpose store.Purpose) (bool, error) {
	user, err := e.linkOpen(ctx, face, clientID, link, purpose)
	return user != nil, err
}

// linkOpen finds the user of a link that could be spent now; nil if it could not.
func (e *Engine) linkOpen(ctx context.Context, face oauth.Face, clientID, link string, purpose store.Purpose) (*User, error) {
	about, err := e.mailed(ctx, face, clientID)
	if err != nil {
		return nil, err
	}
	t, err := e.verify(ctx, tally.MailLink, link)
	if err != nil {
		return nil, unlessJunk(err)
	}
	l, found, err := e.store.Link(ctx, store.LinkID(e.grantID(t.Secret)))
	if err != nil {
		return nil, fault("link", err)
	}
	if !found || l.Purpose != purpose || l.ClientID != about || l.UsedAt != 0 || l.ExpiresAt <= millis(e.now()) {
		return nil, nil
	}
	u, found, err := e.store.User(ctx, l.User)
	if err != nil {
		return nil, fault("user", err)
	}
	if !found || u.DisabledAt != 0 || u.CredentialVersion != l.CredentialVersion {
		return nil, nil
	}
	return &u, nil
}
