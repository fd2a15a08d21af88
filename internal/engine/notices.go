package engine

import (
	"context"
	"errors"
	"time"

	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/store"
)

// LogoutNotice is a logout that a client is to be told of (OpenID Connect
// Back-Channel Logout §2.5).
type LogoutNotice struct {
	URI   string // the client's backchannel_logout_uri
	Token string // the logout token, good for two minutes
}

// LogoutShape is how the standard face wants a logout token to look.
type LogoutShape func(LogoutIssue) Draft

// LogoutIssue is all that may enter a logout token.
type LogoutIssue struct {
	Issuer    string
	Client    *oauth.Client
	Subject   string
	SID       string
	IssuedAt  time.Time
	ExpiresAt time.Time
	ID        string
}

// The life of a notice that a client does not take: it is tried again ever more
// seldom, and given up after a day or so.
const (
	noticeLease       = time.Minute
	noticeBatch       = 64 // few of each client, see the store
	noticeAttempts    = 12
	maxNoticeWait     = 6 * time.Hour
	logoutTokenLife   = 2 * time.Minute
	firstNoticeRetry  = 5 * time.Second
	noticeGrowth      = 2 // doublings per attempt, as a shift
	noticeGrowthLimit = 6
)

func noticeWait(attempts int64) time.Duration {
	return min(firstNoticeRetry<<(noticeGrowth*min(attempts, noticeGrowthLimit)), maxNoticeWait)
}

// RunNotices tells clients of logouts until ctx is done: at once those of this
// node, and every few seconds what others or failures have left.
func (e *Engine) RunNotices(ctx context.Context, every time.Duration, shape LogoutShape, post func(context.Context, LogoutNotice) error, log func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := e.DeliverNotices(ctx, shape, post); err != nil && ctx.Err() == nil {
			log(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-e.notices:
		case <-tick.C:
		}
	}
}

// DeliverNotices tries every notice that is due, once: the clients side by side, so
// that one that does not answer holds up nobody but itself. Its error joins what
// failed; each failure is also noted in the store.
func (e *Engine) DeliverNotices(ctx context.Context, shape LogoutShape, post func(context.Context, LogoutNotice) error) error {
	var errs []error
	tired := make(map[string]bool) // clients that have failed in this round
	for {
		due, err := e.store.DueNotices(ctx, millis(e.now()), noticeBatch)
		if err != nil {
			return errors.Join(append(errs, fault("due notices", err))...)
		}
		byClient := make(map[string][]store.Notice)
		for _, n := range due {
			if !tired[n.ClientID] {
				byClient[n.ClientID] = append(byClient[n.ClientID], n)
			}
		}
		if len(byClient) == 0 {
			return errors.Join(errs...)
		}
		type result struct {
			client string
			err    error
		}
		results := make(chan result)
		for id, notices := range byClient {
			go func() {
				var err error
				for _, n := range notices {
					if err = e.notify(ctx, n, shape, post); err != nil {
						break // the others would wait as long for nothing
					}
				}
				results <- result{id, err}
			}()
		}
		for range byClient {
			if r := <-results; r.err != nil {
				errs, tired[r.client] = append(errs, r.err), true
			}
		}
	}
}

func (e *Engine) notify(ctx context.Context, n store.Notice, shape LogoutShape, post func(context.Context, LogoutNotice) error) error {
	now := e.now()
	out, err := e.store.AttemptNotice(ctx, store.AttemptNotice{
		Browser: n.Browser, ClientID: n.ClientID, Attempts: n.Attempts, NextAttemptAt: millis(now.Add(noticeLease)),
	})
	if err != nil {
		return fault("attempt notice", err)
	}
	if out != store.Done {
		return nil // another worker has it
	}
	finish := store.FinishNotice{Browser: n.Browser, ClientID: n.ClientID}
	failure := e.tell(ctx, n, shape, post, now)
	if failure != nil {
		finish.Error = failure.Error()
		if n.Attempts+1 < noticeAttempts {
			finish.NextAttemptAt = millis(e.now().Add(noticeWait(n.Attempts)))
		}
	}
	finish.Now = millis(e.now())
	if err := e.store.FinishNotice(context.WithoutCancel(ctx), finish); err != nil {
		return fault("finish notice", err)
	}
	return failure
}

// tell makes the logout token anew at each attempt: the store holds none.
func (e *Engine) tell(ctx context.Context, n store.Notice, shape LogoutShape, post func(context.Context, LogoutNotice) error, now time.Time) error {
	client, found, err := e.store.Client(ctx, n.ClientID)
	if err != nil {
		return fault("client", err)
	}
	if !found || client.BackchannelLogout == "" || client.DisabledAt != 0 {
		return nil // there is nobody to be told any more
	}
	id, err := e.newUUID()
	if err != nil {
		return err
	}
	draft := shape(LogoutIssue{
		Issuer: e.issuer, Client: &client.Client, Subject: n.Subject, SID: e.sid(n.ClientID, n.Browser),
		IssuedAt: now, ExpiresAt: now.Add(logoutTokenLife), ID: id,
	})
	token, err := e.keys.sign(&draft, now)
	if err != nil {
		return err
	}
	return post(ctx, LogoutNotice{URI: client.BackchannelLogout, Token: token})
}
