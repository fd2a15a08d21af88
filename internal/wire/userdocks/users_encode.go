package userdocks

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tallystick/tallystick/internal/engine"
)

// user is the User of contract §A.5. Its fields are always there; what nobody
// has told is null.
type user struct {
	UUID                  string    `json:"uuid"`
	Email                 string    `json:"email"`
	Sub                   string    `json:"sub"`
	Name                  *string   `json:"name"`
	GivenName             *string   `json:"givenName"`
	FamilyName            *string   `json:"familyName"`
	MiddleName            *string   `json:"middleName"`
	Nickname              *string   `json:"nickname"`
	PreferredUsername     *string   `json:"preferredUsername"`
	Profile               *string   `json:"profile"`
	Picture               *string   `json:"picture"`
	Website               *string   `json:"website"`
	EmailVerified         bool      `json:"emailVerified"`
	Gender                *string   `json:"gender"`
	Birthdate             *string   `json:"birthdate"`
	Zoneinfo              *string   `json:"zoneinfo"`
	Locale                string    `json:"locale"`
	PhoneNumber           *string   `json:"phoneNumber"`
	PhoneNumberVerified   bool      `json:"phoneNumberVerified"`
	Referrer              *string   `json:"referrer"`
	ReferralCode          *string   `json:"referralCode"`
	PreferredLanguageUUID *string   `json:"preferredLanguageUuid"` // languages have no UUIDs here: null
	IsDisabled            bool      `json:"isDisabled"`
	AppUUID               string    `json:"appUuid"`
	CreatedAt             string    `json:"createdAt"`
	UpdatedAt             string    `json:"updatedAt"`
	Addresses             []address `json:"addresses"`
	UserTags              []any     `json:"userTags"`
}

// userWithTenants is a User on his own; in lists, nobody asks for the tenants.
// tenants and tenantUuid are ours: the contract says only that the tenant is
// found by way of the user.
type userWithTenants struct {
	user
	TenantUUID *string      `json:"tenantUuid"` // the oldest
	Tenants    []membership `json:"tenants"`
}

type membership struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// userItem never fails: what is stored in another form is as good as not told.
func userItem(u *engine.User, appUUID string) user {
	id, c := engine.FormatUUID(u.ID), profileOf(u)
	var a struct {
		Referrer  *string   `json:"referrer"`
		Addresses []address `json:"addresses"`
	}
	_ = json.Unmarshal(u.Attributes, &a)
	if a.Addresses == nil {
		a.Addresses = []address{}
	}
	return user{
		UUID: id, Email: u.Email, Sub: id,
		Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, MiddleName: c.MiddleName,
		Nickname: c.Nickname, PreferredUsername: c.PreferredUsername, Profile: c.Profile, Picture: c.Picture,
		Website: c.Website, EmailVerified: u.EmailVerified, Gender: c.Gender, Birthdate: c.Birthdate,
		Zoneinfo: c.Zoneinfo, Locale: language("", u), PhoneNumber: c.PhoneNumber, PhoneNumberVerified: c.PhoneNumberVerified,
		Referrer: a.Referrer, ReferralCode: orNull(u.ReferralCode), IsDisabled: u.DisabledAt != 0, AppUUID: appUUID,
		CreatedAt: isoTime(time.UnixMilli(u.CreatedAt)), UpdatedAt: isoTime(time.UnixMilli(u.UpdatedAt)),
		Addresses: a.Addresses, UserTags: []any{},
	}
}

func writeUser(w http.ResponseWriter, status int, a *engine.ResourceOwner, appUUID string) error {
	out := userWithTenants{user: userItem(&a.User, appUUID), Tenants: []membership{}}
	for _, m := range a.Memberships {
		out.Tenants = append(out.Tenants, membership{UUID: engine.FormatUUID(m.Tenant), Name: m.TenantName, Role: m.Role})
	}
	if len(out.Tenants) > 0 {
		out.TenantUUID = &out.Tenants[0].UUID
	}
	return writeItem(w, status, "users", out)
}

func writeUsers(w http.ResponseWriter, users []engine.User, total int, appUUID string) error {
	items := make([]any, 0, len(users))
	for i := range users {
		items = append(items, userItem(&users[i], appUUID))
	}
	return writeItems(w, http.StatusOK, "users", total, items)
}

// tenant is ours: the contract has no Tenant but the old one, whose company
// fields nobody fills in here.
type tenant struct {
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	CreatedAt string   `json:"createdAt"`
	Users     []member `json:"users"`
}

type member struct {
	UUID      string `json:"uuid"`
	Role      string `json:"role"`
	CreatedAt string `json:"createdAt"` // of the membership
}

func writeTenant(w http.ResponseWriter, t tenant, members []engine.Membership) error {
	for _, m := range members {
		t.Users = append(t.Users, member{UUID: engine.FormatUUID(m.User), Role: m.Role, CreatedAt: isoTime(time.UnixMilli(m.CreatedAt))})
	}
	return writeItem(w, http.StatusOK, "tenants", t)
}
