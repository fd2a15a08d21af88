package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// subject is what a user is called to a client. A pairwise subject is computed from
// the client's sector and the user (OpenID Connect Core §8.1), so that two clients
// cannot tell that they speak of the same one; it is the same for ever, and nobody
// without the master key gets from it to the user.
func (e *Engine) subject(client *oauth.Client, user store.UserID) (string, error) {
	if client.SubjectType != oauth.SubjectPairwise {
		return FormatUUID(user), nil
	}
	sector, err := client.Sector()
	if err != nil {
		return "", fault("sector of client", err)
	}
	h := hmac.New(sha256.New, e.pairwiseKey)
	h.Write([]byte("tallystick pairwise\x00" + sector + "\x00"))
	h.Write(user[:])
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

// sid names a browser to one client, in its ID and logout tokens: another client's is
// another, or two of them could tell that they speak of one person. "" if there was
// no browser.
func (e *Engine) sid(clientID string, browser store.SessionID) string {
	if browser == (store.SessionID{}) {
		return ""
	}
	h := hmac.New(sha256.New, e.pairwiseKey)
	h.Write([]byte("tallystick sid\x00" + clientID + "\x00"))
	h.Write(browser[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}
