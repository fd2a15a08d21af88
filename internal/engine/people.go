package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// RegisterRequest asks for an account.
type RegisterRequest struct {
	Face       oauth.Face
	ClientID   string // the client that the user registers with
	Email      string
	Password   string
	Language   string // of the mail
	Invitation string // id of the tenant to join; "" = a new one
	Claims     []byte // standard claims as one JSON object
	Attributes []byte // the face's own, as one JSON object
	Trace      Trace
}

// Register makes an account that waits for its address to be verified, and
// puts the mail into the outbox. A stranger cannot tell from the answer whether
// the address has an account already: then the owner gets a mail, and the
// answer looks like that of a new account. Refusals: invalid_client;
// invalid_request (address, password, invitation).
func (e *Engine) Register(ctx context.Context, req RegisterRequest) (*ResourceOwner, error) {
	client, err := e.client(ctx, req.Face, req.ClientID)
	if err != nil {
		return nil, err
	}
	if err := CheckEmail(req.Email); err != nil {
		return nil, err
	}
	if err := CheckNewPassword(req.Password, req.Email); err != nil {
		return nil, err
	}
	// Looked at before the address is: whether an invitation is good must not
	// depend on whether somebody has an account.
	invited, err := e.invitation(ctx, req.Invitation)
	if err != nil {
		return nil, err
	}
	hash, err := e.hasher.Hash(ctx, req.Password)
	if err != nil {
		return nil, passwordError(err)
	}
	var ids [4][16]byte // user, tenant, two mails
	for i := range ids {
		if _, err := io.ReadFull(e.rand, ids[i][:]); err != nil {
			return nil, fault("randomness", err)
		}
		ids[i] = UUIDBits(ids[i])
	}
	now := millis(e.now())
	u := store.User{
		ID: ids[0], ClientID: client.ID, Email: strings.TrimSpace(req.Email), PasswordHash: hash, CredentialVersion: 1,
		Pending: NormaliseIdentifier(req.Email),
		Claims:  req.Claims, Attributes: req.Attributes, ReferralCode: referralCode(ids[0]),
		CreatedAt: now, UpdatedAt: now,
	}
	joined := store.Membership{Tenant: ids[1], TenantName: u.Email, User: u.ID, Role: "admin", CreatedAt: now}
	if invited.ID != (store.TenantID{}) {
		joined.Tenant, joined.TenantName, joined.Role = invited.ID, invited.Name, "member"
	}
	letter := store.Mail{
		ID: ids[2], Template: store.PurposeConfirm, Recipient: u.Email, Address: addressOf(u.Email), Language: req.Language, User: u.ID, ClientID: client.ID,
		CreatedAt: now, NextAttemptAt: now,
	}
	taken := letter
	taken.ID, taken.Template = ids[3], store.PurposeTaken
	out, err := e.store.Register(ctx, store.Register{
		User: u, Tenant: store.Tenant{ID: ids[1], Name: u.Email, CreatedAt: now}, Invitation: invited.ID, Mail: letter, MailIfTaken: taken, PerHour: mailsPerHour, Now: now, Trace: req.Trace,
	})
	if err != nil {
		return nil, fault("register", err)
	}
	if out.Outcome == store.Refused {
		return nil, refuseInvitation("no such tenant")
	}
	e.wake(e.mail)
	// The same whatever came of it: the id is fresh, and that of an account only
	// if one was made now. Were it the old one's for an account that waits for its
	// address, who registers twice would see whether there is a verified one.
	return &ResourceOwner{User: u, Memberships: []store.Membership{joined}}, nil
}

// invitation finds the tenant that somebody was invited to; zero if nobody was.
func (e *Engine) invitation(ctx context.Context, id string) (store.Tenant, error) {
	if id == "" {
		return store.Tenant{}, nil
	}
	tenantID, ok := parseUUID(id)
	if !ok {
		return store.Tenant{}, refuseInvitation("invitation malformed")
	}
	t, found, err := e.store.Tenant(ctx, tenantID)
	if err != nil {
		return t, fault("tenant", err)
	}
	if !found {
		return t, refuseInvitation("no such tenant")
	}
	return t, nil
}

func refuseInvitation(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, reason, "The invitation is not valid.")
}

// addressOf is what mails to an address are counted by.
func addressOf(email string) store.Hash { return sha256.Sum256([]byte(NormaliseIdentifier(email))) }

// CheckEmail refuses what is no e-mail address, and what could become a second
// header or recipient on its way into a mail.
func CheckEmail(s string) error {
	s = strings.TrimSpace(s)
	a, err := mail.ParseAddress(s)
	at := strings.LastIndexByte(s, '@')
	if err != nil || a.Name != "" || a.Address != s || len(s) > 254 || at < 1 || strings.Count(s, "@") != 1 ||
		strings.ContainsAny(s, "\r\n\t <>()[]\\,;:\"") || !strings.Contains(s[at:], ".") || strings.ContainsFunc(s, foldsToASCII) {
		return oauth.Refuse(oauth.InvalidRequest, "e-mail address malformed", "The e-mail address is not valid.")
	}
	return nil
}

// foldsToASCII: a letter that is another one in lower case (the Kelvin sign) would
// make two mailboxes one name.
func foldsToASCII(r rune) bool { return r > unicode.MaxASCII && unicode.ToLower(r) <= unicode.MaxASCII }

// CheckNewPassword refuses passwords that are guessed first: short ones, common
// ones, and the user's own address.
func CheckNewPassword(word, email string) error {
	refuse := func(reason, description string) error {
		return oauth.Refuse(oauth.InvalidRequest, "password "+reason, description)
	}
	local, _, _ := strings.Cut(NormaliseIdentifier(email), "@")
	switch {
	case len([]rune(word)) < 8:
		return refuse("too short", "The password must have at least 8 characters.")
	case len(word) > password.MaxLength:
		return refuse("too long", "The password must have at most 1024 bytes.")
	case password.Common(word), strings.EqualFold(word, email), strings.EqualFold(word, local):
		return refuse("too common", "The password is one of the first that are guessed. Please choose another.")
	}
	return nil
}

// ConfirmEmail spends the link of a confirmation mail.
func (e *Engine) ConfirmEmail(ctx context.Context, face oauth.Face, clientID, link string, trace Trace) (*ResourceOwner, error) {
	id, err := e.useLink(ctx, face, clientID, link, store.UseLink{Purpose: store.PurposeConfirm, Trace: trace})
	if err != nil {
		return nil, err
	}
	return e.ownerOf(ctx, id)
}

// ForgotPassword puts a mail into the outbox if there is an account of this
// address. The answer is the same if there is none.
func (e *Engine) ForgotPassword(ctx context.Context, face oauth.Face, clientID, email, language string, trace Trace) error {
	client, err := e.client(ctx, face, clientID)
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
		Mail: store.Mail{ID: id, Template: store.PurposeReset, Recipient: NormaliseIdentifier(email), Address: addressOf(email), Language: language, ClientID: client.ID,
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
	_, err = e.useLink(ctx, face, clientID, link, store.UseLink{Purpose: store.PurposeReset, PasswordHash: hash, Trace: trace})
	return err
}

func refuseLink(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "link: "+reason, "The link is not valid: it is unknown, expired or already used. Please ask for a new one.")
}

func (e *Engine) useLink(ctx context.Context, face oauth.Face, clientID, link string, use store.UseLink) (store.UserID, error) {
	client, err := e.client(ctx, face, clientID)
	if err != nil {
		return store.UserID{}, err
	}
	t, err := e.verify(ctx, tally.MailLink, link)
	if err != nil {
		return store.UserID{}, artefactError(err, link, refuseLink)
	}
	use.Link, use.ClientID, use.Now = store.LinkID(e.grantID(t.Secret)), client.ID, millis(e.now())
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
	client, err := e.client(ctx, face, clientID)
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
	if !found || l.Purpose != purpose || l.ClientID != client.ID || l.UsedAt != 0 || l.ExpiresAt <= millis(e.now()) {
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

// The purposes of mail links, for faces.
const (
	PurposeConfirm = store.PurposeConfirm
	PurposeReset   = store.PurposeReset
)

func (e *Engine) ownerOf(ctx context.Context, id store.UserID) (*ResourceOwner, error) {
	u, found, err := e.store.User(ctx, id)
	if err != nil {
		return nil, fault("user", err)
	}
	if !found {
		return nil, oauth.Refuse(oauth.InvalidRequest, "user unknown", "There is no such user.")
	}
	m, err := e.store.Memberships(ctx, id)
	if err != nil {
		return nil, fault("memberships", err)
	}
	return &ResourceOwner{User: u, Memberships: m}, nil
}

// UpdateProfile changes a user's claims and attributes: change gets the user as
// he is and says what is to be. It is asked again if somebody else was faster.
func (e *Engine) UpdateProfile(ctx context.Context, id store.UserID, change func(*User) (claims, attributes []byte, err error), trace Trace) (*ResourceOwner, error) {
	for range 4 {
		account, err := e.ownerOf(ctx, id)
		if err != nil {
			return nil, err
		}
		u := &account.User
		claims, attributes, err := change(u)
		if err != nil {
			return nil, err
		}
		out, err := e.store.UpdateProfile(ctx, store.UpdateProfile{
			User: id, SeenClaims: u.Claims, SeenAttributes: u.Attributes, Claims: claims, Attributes: attributes, Now: millis(e.now()), Trace: trace,
		})
		if err != nil {
			return nil, fault("update profile", err)
		}
		if out == store.Done {
			return e.ownerOf(ctx, id)
		}
	}
	return nil, fault("update profile", errors.New("too many changes at once"))
}

// DeleteUser erases a user, his sessions, his grants' life and his mails.
func (e *Engine) DeleteUser(ctx context.Context, user store.UserID, trace Trace) error {
	if _, err := e.store.DeleteUser(ctx, store.DeleteUser{User: user, Now: millis(e.now()), Trace: trace}); err != nil {
		return fault("delete user", err)
	}
	return nil
}

// UsersOf lists a page of the users that registered with a client, and counts
// all. Pages count from 1.
func (e *Engine) UsersOf(ctx context.Context, clientID, referralCode string, page, limit int) ([]User, int, error) {
	users, total, err := e.store.UsersOf(ctx, clientID, referralCode, (page-1)*limit, limit)
	if err != nil {
		return nil, 0, fault("users", err)
	}
	return users, total, nil
}

// UserOf finds a user that registered with a client, by id or e-mail address.
func (e *Engine) UserOf(ctx context.Context, clientID, idOrEmail string) (*ResourceOwner, error) {
	var u User
	var found bool
	var err error
	if id, ok := parseUUID(idOrEmail); ok {
		u, found, err = e.store.User(ctx, id)
	} else {
		u, found, err = e.store.UserByIdentifier(ctx, NormaliseIdentifier(idOrEmail))
	}
	if err != nil {
		return nil, fault("user", err)
	}
	if !found || u.ClientID != clientID {
		return nil, oauth.Refuse(oauth.InvalidRequest, "user unknown to this client", "There is no such user.")
	}
	return e.ownerOf(ctx, u.ID)
}

// Tenant answers for a member: the tenant and everybody in it. Refusal:
// access_denied, also where there is no such tenant.
func (e *Engine) Tenant(ctx context.Context, user store.UserID, id string) (*store.Tenant, []store.Membership, error) {
	refuse := func(reason string) error {
		return oauth.Refuse(oauth.AccessDenied, "tenant: "+reason, "There is no such tenant, or you are not a member of it.")
	}
	tenantID, ok := parseUUID(id)
	if !ok {
		return nil, nil, refuse("malformed id")
	}
	members, err := e.store.Members(ctx, tenantID)
	if err != nil {
		return nil, nil, fault("members", err)
	}
	member := false
	for _, m := range members {
		member = member || m.User == user
	}
	if !member {
		return nil, nil, refuse("not a member")
	}
	t, found, err := e.store.Tenant(ctx, tenantID)
	if err != nil {
		return nil, nil, fault("tenant", err)
	}
	if !found {
		return nil, nil, refuse("unknown")
	}
	return &t, members, nil
}

// referralCode follows from the id, and does not lead back to it.
func referralCode(id store.UserID) string {
	sum := sha256.Sum256(append([]byte("tallystick referral\x00"), id[:]...))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:10])
}

func parseUUID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 {
		return id, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return id, false
			}
			continue
		}
		v := strings.IndexByte("0123456789abcdef", s[i])
		if v < 0 {
			v = strings.IndexByte("0123456789ABCDEF", s[i])
		}
		if v < 0 {
			return id, false
		}
		id[n/2] = id[n/2]<<4 | byte(v)
		n++
	}
	return id, true
}

const (
	confirmLifetime = 24 * time.Hour
	resetLifetime   = time.Hour
	mailsPerHour    = 5 // of one template to one user
)
