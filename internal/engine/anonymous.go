package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/tally"
)

// AnonymousRequest asks for the code of an anonymous profile.
type AnonymousRequest struct {
	Face      oauth.Face
	ClientID  string
	Challenge oauth.CodeChallenge
}

// AuthorizeAnonymous makes a code and stores nothing: the code itself carries
// what a row would, under its MAC. A request that anybody can send, crawlers
// among them, must not fill a database.
func (e *Engine) AuthorizeAnonymous(ctx context.Context, req AnonymousRequest) (code string, err error) {
	client, err := e.client(ctx, req.Face, req.ClientID)
	if err != nil {
		return "", err
	}
	if !client.AnonymousProfile || !client.Allows(oauth.AuthorizationCode) {
		return "", oauth.Refuse(oauth.UnauthorizedClient, "client is not of the anonymous class", "The client may not ask for an anonymous profile.")
	}
	secret, _, err := e.newSecret()
	if err != nil {
		return "", err
	}
	now := e.now()
	ring := e.keys.ring(now)
	body := tally.AnonymousBody{
		ExpiresAt: millis(now.Add(oauth.CodeLifetime)),
		Client:    tally.ClientHash(client.ID),
		Challenge: req.Challenge,
	}
	code, err = ring.Mint(tally.AnonymousCode, tally.Tally{Key: ring.Active(), Secret: secret, Body: body.Append(nil)})
	if err != nil {
		return "", fault("mint code", err)
	}
	return code, nil
}

// redeemAnonymous spends such a code by inserting its grant: one row is one
// redemption.
func (e *Engine) redeemAnonymous(ctx context.Context, caller *Caller, req *TokenRequest) (*Issued, int64, error) {
	client := caller.client
	t, err := e.verify(ctx, tally.AnonymousCode, req.Code)
	if err != nil {
		return nil, 0, codeError(err, req.Code)
	}
	body := t.Anonymous()
	if body.Client != tally.ClientHash(client.ID) {
		return nil, 0, refuseCode("issued to another client")
	}
	now := e.now()
	// The row-less code is judged by its own expiry first: after it, the row may
	// have been purged, and the insert would no longer tell a second use.
	if millis(now) >= body.ExpiresAt {
		return nil, 0, refuseCode("expired")
	}
	if err := checkVerifier(body.Challenge, true, req.CodeVerifier); err != nil {
		return nil, 0, err
	}

	ring := e.keys.ring(now)
	g := store.Grant{
		Birthright: store.Birthright{
			ID: e.grantID(t.Secret), ClientID: client.ID, AuthTime: millis(now), RedirectURI: req.RedirectURI,
			CodeChallenge: body.Challenge, HasChallenge: true,
			CreatedAt: millis(now), CodeExpiresAt: body.ExpiresAt, AbsoluteExpiresAt: absoluteEnd(client, now),
		},
		GrantState: store.GrantState{
			RedeemedAt: millis(now), RotatedAt: millis(now), MACKey: ring.Active(),
			IdleExpiresAt: store.IdleEnd(millis(now), idleLife(client)),
		},
	}
	if err := e.takeAnonymous(ctx, client, g.ID, req.Trace.IP); err != nil {
		return nil, 0, err
	}
	// Two profiles in some ten billion may draw one subject; the store says so
	// and the next draw is taken.
	for draw := range uint64(3) {
		g.Subject = e.profileSubject(g.ID, draw)
		birth := g.Birthright
		issued, err := e.sign(ctx, client, &birth, birth.Scope, birth.Resources, req.Shape, now)
		if err != nil {
			return nil, 0, err
		}
		redeem := store.RedeemAnonymous{
			Grant: g, Now: millis(now), Proven: true, EndOnReplay: client.OnReplay == oauth.EndGrant, Trace: req.Trace,
		}
		out, err := e.store.RedeemAnonymous(ctx, redeem)
		if err == nil && e.worthReport(out.Outcome, out.Ended, g.ID, now) {
			redeem.Report = true
			out, err = e.store.RedeemAnonymous(ctx, redeem)
		}
		if err != nil {
			e.returnBirth(ctx, req.Trace.IP)
			return nil, 0, fault("redeem anonymous code", err)
		}
		switch {
		case out.Outcome == store.Taken:
			continue
		case !out.Outcome.Served():
			return nil, 0, refuseCode(out.Outcome.String())
		}
		return e.withRefreshToken(ctx, issued, t.Secret, out.Outcome, out.State, out.ConfigVersion)
	}
	return nil, 0, fault("subject", errors.New("no free subject in three draws"))
}

// profileSubject is a string of decimal digits that fits a signed 64-bit
// column, since integrators keep it in one.
func (e *Engine) profileSubject(id store.GrantID, draw uint64) string {
	h := sha256.New()
	h.Write([]byte("tallystick profile\x00"))
	issuer := e.store.Issuer()
	h.Write(issuer[:])
	h.Write(id[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], draw)
	h.Write(n[:])
	sum := h.Sum(nil)
	return strconv.FormatUint(binary.BigEndian.Uint64(sum)>>1, 10)
}
