package userdocks

import (
	"net/http"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
)

// register answers POST /api/v1/users. Whether the address has an account
// already cannot be read off the answer.
func (a *api) register(w http.ResponseWriter, r *http.Request) error {
	req, err := decodeRegister(w, r)
	if err != nil {
		return err
	}
	a.note(r, req.ClientID)
	account, err := a.engine.Register(r.Context(), req)
	if err != nil {
		return err
	}
	return writeUser(w, http.StatusCreated, account, req.ClientID)
}

// password answers PUT /api/v1/users: a mail for who has forgotten his password,
// or the new password of who got it. Both answers are empty, so that neither
// tells whether there is such a user.
func (a *api) password(w http.ResponseWriter, r *http.Request) error {
	req, err := decodePassword(w, r)
	if err != nil {
		return err
	}
	a.note(r, req.appUUID)
	if req.reset {
		err = a.engine.ResetPassword(r.Context(), Name, req.appUUID, req.confirmHash, req.password, trace(r))
	} else {
		err = a.engine.ForgotPassword(r.Context(), Name, req.appUUID, req.email, req.language, trace(r))
	}
	if err != nil {
		return err
	}
	return writeItems(w, http.StatusOK, "users", 0, []any{})
}

// confirm answers PUT /api/v1/user-confirm-hashes/:hash.
func (a *api) confirm(w http.ResponseWriter, r *http.Request) error {
	app, hash, err := decodeConfirm(w, r)
	if err != nil {
		return err
	}
	a.note(r, app)
	account, err := a.engine.ConfirmEmail(r.Context(), Name, app, hash, trace(r))
	if err != nil {
		return err
	}
	return writeUser(w, http.StatusOK, account, app)
}

// me answers GET /api/v1/users/me.
func (a *api) me(w http.ResponseWriter, r *http.Request) error {
	account, app, err := a.account(r)
	if err != nil {
		return err
	}
	return writeUser(w, http.StatusOK, account, app)
}

// updateMe answers PUT /api/v1/users/me.
func (a *api) updateMe(w http.ResponseWriter, r *http.Request) error {
	account, app, err := a.account(r)
	if err != nil {
		return err
	}
	change, err := decodeProfile(w, r)
	if err != nil {
		return err
	}
	return a.update(w, r, account, change, app)
}

func (a *api) update(w http.ResponseWriter, r *http.Request, account *engine.ResourceOwner, change *profile, app string) error {
	account, err := a.engine.UpdateProfile(r.Context(), account.User.ID, change.apply, trace(r))
	if err != nil {
		return err
	}
	return writeUser(w, http.StatusOK, account, app)
}

// deleteMe answers DELETE /api/v1/users/me with the user as he was.
func (a *api) deleteMe(w http.ResponseWriter, r *http.Request) error {
	account, app, err := a.account(r)
	if err != nil {
		return err
	}
	if err := a.engine.DeleteUser(r.Context(), account.User.ID, trace(r)); err != nil {
		return err
	}
	return writeUser(w, http.StatusOK, account, app)
}

// tenant answers GET /api/v1/tenants/:tenantUuid to its members.
func (a *api) tenant(w http.ResponseWriter, r *http.Request) error {
	account, _, err := a.account(r)
	if err != nil {
		return err
	}
	t, members, err := a.engine.Tenant(r.Context(), account.User.ID, r.PathValue("tenantUuid"))
	if err != nil {
		return err
	}
	return writeTenant(w, tenant{UUID: engine.FormatUUID(t.ID), Name: t.Name, CreatedAt: isoTime(time.UnixMilli(t.CreatedAt))}, members)
}

// usersOf answers GET /api/v1/apps/:appUuid/users: who has registered with the
// app.
func (a *api) usersOf(w http.ResponseWriter, r *http.Request) error {
	app, err := a.apiKey(r, engine.Read)
	if err != nil {
		return err
	}
	page, err := decodePage(r)
	if err != nil {
		return err
	}
	users, total, err := a.engine.UsersOf(r.Context(), app.ID, page.referralCode, page.page, page.limit)
	if err != nil {
		return err
	}
	return writeUsers(w, users, total, app.ID)
}

// updateUserOf answers PUT /api/v1/apps/:appUuid/users/:userUuidOrEmail.
func (a *api) updateUserOf(w http.ResponseWriter, r *http.Request) error {
	app, err := a.apiKey(r, engine.Write)
	if err != nil {
		return err
	}
	idOrEmail, change, err := decodeUpdateOf(w, r)
	if err != nil {
		return err
	}
	account, err := a.engine.UserOf(r.Context(), app.ID, idOrEmail)
	if err != nil {
		return err
	}
	return a.update(w, r, account, change, app.ID)
}
