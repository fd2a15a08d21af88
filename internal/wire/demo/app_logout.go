package demo

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

// logoutEvent is the one member of events (OpenID Connect Back-Channel Logout
// §2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// notice is a logout token that has come and was right.
type notice struct {
	At    time.Time
	Token token

	id string
}

// notices are the last ones. They are the only thing that these pages keep, and
// they are gone when the process ends.
type notices struct {
	mu  sync.Mutex
	all []notice // the newest first
}

const (
	maxNotices  = 100 // kept, to know one that comes again
	lastNotices = 3   // shown
)

// add reports whether it was not there yet.
func (n *notices) add(one notice) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.ContainsFunc(n.all, func(have notice) bool { return have.id == one.id }) {
		return false
	}
	n.all = slices.Insert(n.all, 0, one)
	n.all = n.all[:min(len(n.all), maxNotices)]
	return true
}

func (n *notices) last() []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all[:min(len(n.all), lastNotices)])
}

// backchannelLogout is where the server tells the app of logouts (§2.5, §2.8).
func (d *demo) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), policy)
	err := d.receive(w, r)
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	status, refusal := http.StatusBadRequest, &wire.Refusal{Err: oauth.AsError(err)}
	if own, ok := errors.AsType[*wire.Refusal](err); ok && own.Status != 0 {
		status = own.Status // 413, 415
	}
	wire.WriteOAuthError(w, status, refusal, "")
}

// receive takes a logout token in, or says why not.
func (d *demo) receive(w http.ResponseWriter, r *http.Request) error {
	if wire.MediaType(r) != wire.FormType {
		return wire.UnsupportedMediaType(wire.FormType)
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return err
	}
	p, err := wire.ParseParams(string(body))
	if err != nil {
		return err
	}
	if err := p.Require("logout_token"); err != nil {
		return err
	}
	keys, err := d.keys(r)
	if err != nil {
		return refuseNotice("The keys of the issuer cannot be read.")
	}
	text, now := p["logout_token"], d.Now()
	t := readJWT(text, keys)
	if fault := d.logoutFault(t, now); fault != "" {
		return refuseNotice(fault)
	}
	if !d.notices.add(notice{At: now.UTC(), Token: decodeToken("logout_token", text), id: t.Claims.ID}) {
		return refuseNotice("The jti has come before.")
	}
	return nil
}

func refuseNotice(why string) error { return oauth.Refuse(oauth.InvalidRequest, "logout token", why) }

// logoutFault is what is wrong with a logout token (§2.6); "" if it is right.
func (d *demo) logoutFault(t jwt, now time.Time) string {
	c := t.Claims
	switch {
	case t.Fault != "":
		return "The token does not verify: " + t.Fault + "."
	case t.Alg != idTokenAlg:
		return "The alg is not " + idTokenAlg + "."
	case strings.TrimPrefix(t.Typ, "application/") != "logout+jwt":
		return "The typ is not logout+jwt."
	case c.Issuer != d.Issuer:
		return "The iss is not the issuer."
	case !slices.Contains(c.Audience, d.Web):
		return "The aud has not this client."
	case c.Issued > now.Unix()+leeway:
		return "The iat is in the future."
	case c.Expires <= now.Unix():
		return "The exp is over."
	case c.ID == "":
		return "There is no jti."
	case c.Subject == "" && c.SID == "":
		return "There is neither sub nor sid."
	case !bytes.HasPrefix(bytes.TrimSpace(c.Events[logoutEvent]), []byte("{")):
		return "The events do not have the logout event."
	case c.Nonce != nil:
		return "There is a nonce, so it is no logout token."
	}
	return ""
}
