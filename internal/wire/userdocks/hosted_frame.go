package userdocks

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
	"github.com/tallystick/tallystick/internal/wire/pages"
)

// posted is what a hidden frame tells the app's page (contract §D): the SDK
// takes a JSON string of this form, and nothing else.
type posted struct {
	Originator string `json:"originator"`
	IsAllowed  bool   `json:"isAllowed"`
	Token      any    `json:"token"`
}

// noItem is the token that there is none.
type noItem struct {
	AccessToken  *string `json:"accessToken"`
	IDToken      *string `json:"idToken"`
	ExpiresIn    int     `json:"expiresIn"`
	TokenType    *string `json:"tokenType"`
	RedirectURI  *string `json:"redirectUri"`
	RefreshToken *string `json:"refreshToken"`
}

// silent answers in a hidden frame: with tokens for the session that the browser
// has, or by ending it. It always answers: without a message the SDK waits for 5
// seconds, and at logout for ever.
func (h *hosted) silent(w http.ResponseWriter, r *http.Request, s *stage, params wire.Params) error {
	// What a link or a script of another page fetches gets no tokens made.
	if dest := r.Header.Get("Sec-Fetch-Dest"); s.destination == nil || dest != "" && dest != "iframe" {
		return invalid("prompt=none outside of a frame", "prompt=none is for a frame in the app's page.")
	}
	answer := posted{Originator: "userdocks", Token: noItem{}}
	var cause error
	if params["logout"] == "true" {
		// Also where there was nothing to end, or where it failed: what follows is
		// the page of type=logout, which ends the session or says why it cannot.
		answer.IsAllowed = true
		cause = h.silentLogout(w, r, s)
	} else if item, err := h.silentItem(r, s, params); err != nil {
		cause = err
	} else if item != nil {
		answer.IsAllowed, answer.Token = true, item
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		status, _, _ = pages.Trouble(oauth.AsError(cause))
		wire.SetRefusalHeaders(w, &wire.Refusal{Err: oauth.AsError(cause)})
	}
	var origins []string
	for _, uri := range s.client.RedirectURIs {
		origins = append(origins, oauth.Origin(uri))
	}
	if err := h.site.Post(w, status, string(text), s.destination.Origin(), origins); err != nil {
		return err
	}
	return cause
}

// silentItem is tokens for the session of the frame's cookie; nil if it has none.
func (h *hosted) silentItem(r *http.Request, s *stage, params wire.Params) (*item, error) {
	session, err := h.engine.SilentSession(r.Context(), h.site.SilentSession(r))
	if err != nil || session == nil {
		return nil, err
	}
	issued, err := h.engine.SilentTokens(r.Context(), session, s.destination, shape{nonce: params["nonce"], language: s.Language}, trace(r))
	if err != nil {
		return nil, err
	}
	event := wire.EventOf(r)
	event.Grant, event.GrantType, event.Outcome = engine.GID(issued.Grant), "session", issued.Outcome.String()
	i := tokensItem(issued)
	return &i, nil
}

// silentLogout ends the session of either cookie. A browser that sends neither
// into a frame keeps them until the page of type=logout.
func (h *hosted) silentLogout(w http.ResponseWriter, r *http.Request, s *stage) error {
	if err := h.endSession(r, h.site.Session(r), h.engine.Session); err != nil {
		return err
	}
	if s.client.SilentCrossSite {
		if err := h.endSession(r, h.site.SilentSession(r), h.engine.SilentSession); err != nil {
			return err
		}
	}
	h.site.ClearSession(w)
	return nil
}

//go:embed worker.js
var worker []byte

// workerRoutes serve the script that the SDK keeps its tokens in (contract §D.1).
// A page of any origin fetches it; an older SDK looks for it without a version.
func workerRoutes() []wire.Route {
	serve := func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(worker)
		return nil
	}
	methods := map[string]wire.Handler{http.MethodGet: serve, http.MethodHead: serve}
	return []wire.Route{
		{Path: "/v1/identity-worker.js", Render: renderPublicError, CORS: &wire.CORS{}, Methods: methods},
		{Path: "/identity-worker.js", Render: renderPublicError, CORS: &wire.CORS{}, Methods: methods},
	}
}
