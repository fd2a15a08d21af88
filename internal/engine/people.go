package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"net/mail"
	"strings"
	"unicode"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/store"
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
// invalid_request (address, password, invitation); temporarily_unavailable (too many
// from the network).
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
	if err := e.takeBirth(req.Trace.IP); err != nil {
		return nil, err
	}
	hash, err := e.hasher.Hash(ctx, req.Password)
	if err != nil {
		e.returnBirth(ctx, req.Trace.IP)
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
		e.returnBirth(ctx, req.Trace.IP)
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
