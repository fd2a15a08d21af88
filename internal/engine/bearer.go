package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
	"github.com/tallystick/tallystick/internal/store"
)

const invalidToken = "The access token is not valid: it is malformed, expired, revoked, or not one of ours."

func refuseToken(reason string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidToken, "access token: "+reason, invalidToken)
}

// VerifyToken checks a JWT that this issuer has signed for the purpose: the
// algorithm is one that the purpose has keys for, the signature is right and
// exp has not passed (the second of exp is still valid). It reads the header
// and the claims; what they must be is the face's to know.
func (e *Engine) VerifyToken(purpose, token string) (typ string, claims []byte, err error) {
	typ, claims, err = e.verifyJWT(purpose, token)
	if err != nil {
		return "", nil, refuseToken(err.Error())
	}
	var times struct {
		Exp *int64 `json:"exp"`
	}
	if err := json.Unmarshal(claims, &times); err != nil || times.Exp == nil {
		return "", nil, refuseToken("no exp")
	}
	if e.now().Unix() > *times.Exp {
		return "", nil, refuseToken("expired")
	}
	return typ, claims, nil
}

// verifyJWT is VerifyToken at whatever time.
func (e *Engine) verifyJWT(purpose, token string) (typ string, claims []byte, err error) {
	set, now := e.keys.current.Load(), e.now()
	var allowed []jose.Alg
	for _, k := range set.signing {
		if k.Purpose == purpose {
			allowed = append(allowed, jose.Alg(k.Algorithm))
		}
	}
	payload, header, err := jose.Verify(token, allowed, func(kid string, alg jose.Alg) (jose.PublicKey, bool) {
		for i := len(set.signing) - 1; i >= 0; i-- {
			k := &set.signing[i]
			// A purpose whose tokens name no key has one key at a time.
			if k.of(KeySpec{purpose, alg}) && k.counts(now) && (kid == k.ID || kid == "") {
				return k.key.Public(), true
			}
		}
		return jose.PublicKey{}, false
	})
	return header.Typ, payload, err
}

// GID prints a grant's id as tokens name it.
func GID(g *Grant) string { return hex.EncodeToString(g.ID[:]) }

// ResourceOwner is who a living grant stands for (RFC 6749 §1.1).
type ResourceOwner struct {
	User        User
	Memberships []Membership
}

// ResourceOwner answers for an access token by the grant that it names (see Living),
// if the user is enabled too.
func (e *Engine) ResourceOwner(ctx context.Context, face oauth.Face, clientID, gid string) (*ResourceOwner, error) {
	g, err := e.Living(ctx, face, clientID, gid)
	if err != nil {
		return nil, err
	}
	u, found, err := e.store.User(ctx, g.User)
	switch {
	case err != nil:
		return nil, fault("user", err)
	case !found:
		return nil, refuseToken("user deleted")
	case u.DisabledAt != 0:
		return nil, refuseToken("user disabled")
	}
	m, err := e.store.Memberships(ctx, u.ID)
	if err != nil {
		return nil, fault("memberships", err)
	}
	return &ResourceOwner{User: u, Memberships: m}, nil
}

// Living finds the grant that an access token of a client names, if both are
// alive. No cache stands before the grant: what was revoked is refused at once.
// Refusals: invalid_token; unauthorized_client (the client is disabled).
func (e *Engine) Living(ctx context.Context, face oauth.Face, clientID, gid string) (*Grant, error) {
	client, _, err := e.clients.get(ctx, face, clientID)
	switch {
	case err != nil:
		return nil, fault("client", err)
	case client == nil:
		return nil, refuseToken("client unknown to this face")
	case client.DisabledAt != 0:
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "client disabled", "The client is disabled.")
	}
	raw, err := hex.DecodeString(gid)
	if err != nil || len(raw) != len(store.GrantID{}) {
		return nil, refuseToken("gid malformed")
	}
	g, found, err := e.store.Grant(ctx, store.GrantID(raw))
	switch {
	case err != nil:
		return nil, fault("grant", err)
	case !found:
		return nil, refuseToken("grant unknown")
	case g.RevokedAt != 0:
		return nil, refuseToken("grant ended: " + string(g.RevokedWhy))
	case g.RedeemedAt == 0:
		return nil, refuseToken("grant not redeemed")
	case g.ClientID != clientID:
		return nil, refuseToken("grant of another client")
	}
	return &g.Birthright, nil
}

// EndGrant revokes a grant; every refresh token and access token of it is
// refused from then on.
func (e *Engine) EndGrant(ctx context.Context, id store.GrantID, why store.Why, trace Trace) (store.Outcome, error) {
	out, err := e.store.EndGrant(ctx, store.End{Grant: id, Why: why, Now: millis(e.now()), Trace: trace})
	if err != nil {
		return 0, fault("end grant", err)
	}
	return out, nil
}

func passwordError(err error) error {
	if errors.Is(err, password.ErrTooLong) {
		return refuseSignIn("password too long")
	}
	return fault("password hash", err)
}
