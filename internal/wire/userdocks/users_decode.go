package userdocks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/wire"
)

const (
	maxLine      = 256 // a name, a line of an address
	maxAddresses = 10
	maxTag       = 64

	defaultLimit = 25
	maxLimit     = 100
	maxPage      = 1_000_000
)

var (
	languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$`) // RFC 5646 §2.1, by its form
	phoneNumber = regexp.MustCompile(`^\+?[0-9][0-9 ()./-]{2,30}$`)             // ITU-T E.164, with separators
	uuidForm    = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

const (
	aLanguage = "a language tag such as en or de-AT"
	aPhone    = "a telephone number such as +49 30 123456"
	aUUID     = "a UUID"
)

// query reads the query of a request whose language is required.
func query(r *http.Request) (params wire.Params, language string, err error) {
	if params, err = wire.ParseParams(r.URL.RawQuery); err != nil {
		return nil, "", err
	}
	if err := params.Require("language"); err != nil {
		return nil, "", err
	}
	if language = params["language"]; !languageTag.MatchString(language) {
		return nil, "", invalid("language malformed", "language must be "+aLanguage+".")
	}
	return params, language, nil
}

// decodeRegister reads POST /api/v1/users. The query's type is not looked at:
// whatever it says, an account waits for its address to be confirmed.
func decodeRegister(w http.ResponseWriter, r *http.Request) (req engine.RegisterRequest, err error) {
	params, tag, err := query(r)
	if err != nil {
		return req, err
	}
	f, err := readFields(w, r)
	if err != nil {
		return req, err
	}
	req = engine.RegisterRequest{
		Face: Name, ClientID: f.required("appUuid", maxID), Email: f.address("email"),
		Language: mailLanguage(tag), Invitation: params["invitationTenantUuid"], Trace: trace(r),
	}
	req.Password = f.newPassword()
	phone, referrer := f.match("phoneNumber", phoneNumber, aPhone), f.line("referrer", maxLine)
	f.accepted("acceptedTermsAndConditions")
	f.accepted("acceptedDataPrivacy")
	f.trap()
	if f.err != nil {
		return req, f.err
	}
	claims, attributes := map[string]string{"locale": tag}, map[string]string{}
	if phone != "" {
		claims["phone_number"] = phone
	}
	if referrer != "" {
		attributes["referrer"] = referrer
	}
	if req.Claims, err = json.Marshal(claims); err != nil {
		return req, err
	}
	req.Attributes, err = json.Marshal(attributes)
	return req, err
}

// address is where a mail will go; what an address must be is the engine's to
// know.
func (f *fields) address(name string) string {
	if s := f.line(name, maxText); s != "" {
		return s
	}
	return f.required(name, maxText)
}

// newPassword is a password that was typed twice.
func (f *fields) newPassword() string {
	word, again := f.required("password", maxText), f.required("passwordConfirmation", maxText)
	if f.err == nil && word != again {
		f.err = invalid("passwords differ", "passwordConfirmation must be the same as password.")
	}
	return word
}

// passwordRequest is PUT /api/v1/users: without confirmHash it asks for a mail,
// with it for a new password.
type passwordRequest struct {
	appUUID, email, language string

	reset                 bool
	confirmHash, password string
}

func decodePassword(w http.ResponseWriter, r *http.Request) (req passwordRequest, err error) {
	_, tag, err := query(r)
	if err != nil {
		return req, err
	}
	f, err := readFields(w, r)
	if err != nil {
		return req, err
	}
	req = passwordRequest{appUUID: f.required("appUuid", maxID), email: f.address("email"), language: mailLanguage(tag)}
	f.trap()
	// Who sends a password means to set it, and must not be told that a mail is
	// on its way.
	for _, name := range []string{"confirmHash", "password", "passwordConfirmation"} {
		req.reset = f.string(name, maxText) != "" || req.reset
	}
	if req.reset {
		req.confirmHash = f.required("confirmHash", maxArtefact)
		req.password = f.newPassword()
		f.accepted("acceptedTermsAndConditions")
		f.accepted("acceptedDataPrivacy")
	}
	return req, f.err
}

// decodeConfirm reads PUT /api/v1/user-confirm-hashes/:hash.
func decodeConfirm(w http.ResponseWriter, r *http.Request) (appUUID, hash string, err error) {
	f, err := readFields(w, r)
	if err != nil {
		return "", "", err
	}
	appUUID = f.required("appUuid", maxID)
	return appUUID, r.PathValue("hash"), f.err
}

// profile is a change of what a user tells about himself. What is not in it
// stays as it is.
type profile struct {
	claims    map[string]string // by the names of OIDC Core §5.1; "" = no longer told
	addresses []address
	moved     bool // the addresses are replaced
}

// address is a postal address as clients send it and get it back.
type address struct {
	TypeUUID       *string `json:"typeUuid"`
	Name           *string `json:"name"`
	AddressLineOne *string `json:"addressLineOne"`
	Locality       *string `json:"locality"`
	Region         *string `json:"region"`
	CountryUUID    *string `json:"countryUuid"`
	PostalCode     *string `json:"postalCode"`
}

func decodeProfile(w http.ResponseWriter, r *http.Request) (*profile, error) {
	f, err := readFields(w, r)
	if err != nil {
		return nil, err
	}
	p := &profile{claims: map[string]string{}}
	for _, m := range []struct{ member, claim, value string }{
		{"givenName", "given_name", strings.TrimSpace(f.line("givenName", maxLine))},
		{"familyName", "family_name", strings.TrimSpace(f.line("familyName", maxLine))},
		{"phoneNumber", "phone_number", f.match("phoneNumber", phoneNumber, aPhone)},
		{"locale", "locale", f.match("locale", languageTag, aLanguage)},
	} {
		if _, sent := f.object[m.member]; sent {
			p.claims[m.claim] = m.value
		}
	}
	if raw, sent := f.object["addresses"]; sent && f.err == nil {
		p.moved = true
		p.addresses, f.err = decodeAddresses(raw)
	}
	return p, f.err
}

func decodeAddresses(raw json.RawMessage) ([]address, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) > maxAddresses {
		return nil, invalid("addresses not a list", fmt.Sprintf("addresses must be a list of at most %d addresses.", maxAddresses))
	}
	out := make([]address, 0, len(list))
	for i, raw := range list {
		a, err := decodeAddress(raw)
		if err != nil {
			e := oauth.AsError(err)
			return nil, invalid("addresses: "+e.Reason, fmt.Sprintf("addresses[%d]: %s", i, e.Description))
		}
		out = append(out, a)
	}
	return out, nil
}

func decodeAddress(raw json.RawMessage) (address, error) {
	if !bytes.HasPrefix(raw, []byte("{")) {
		return address{}, invalid("not an object", "An address must be an object.")
	}
	object, err := wire.ParseObject(raw)
	if err != nil {
		return address{}, err
	}
	f := &fields{object: object}
	a := address{
		TypeUUID:       orNull(f.match("typeUuid", uuidForm, aUUID)),
		Name:           orNull(f.line("name", maxLine)),
		AddressLineOne: orNull(f.line("addressLineOne", maxLine)),
		Locality:       orNull(f.line("locality", maxLine)),
		Region:         orNull(f.line("region", maxLine)),
		CountryUUID:    orNull(f.match("countryUuid", uuidForm, aUUID)),
		PostalCode:     orNull(f.line("postalCode", maxLine)),
	}
	return a, f.err
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// apply puts the change onto what is there.
func (p *profile) apply(u *engine.User) (claims, attributes []byte, err error) {
	c, err := members(u.Claims)
	if err != nil {
		return nil, nil, err
	}
	a, err := members(u.Attributes)
	if err != nil {
		return nil, nil, err
	}
	before := profileOf(u)
	for name, value := range p.claims {
		set(c, name, orNull(value))
	}
	if number, sent := p.claims["phone_number"]; sent && (before.PhoneNumber == nil || *before.PhoneNumber != number) {
		delete(c, "phone_number_verified") // it was another's
	}
	given, renamed := p.claims["given_name"]
	family, also := p.claims["family_name"]
	if renamed || also {
		if !renamed && before.GivenName != nil {
			given = *before.GivenName
		}
		if !also && before.FamilyName != nil {
			family = *before.FamilyName
		}
		set(c, "name", orNull(strings.TrimSpace(given+" "+family)))
	}
	if p.moved {
		delete(a, "addresses")
		delete(c, "address")
		if len(p.addresses) > 0 {
			set(a, "addresses", &p.addresses)
			set(c, "address", addressClaim(p.addresses[0]))
		}
	}
	if claims, err = json.Marshal(c); err != nil {
		return nil, nil, err
	}
	attributes, err = json.Marshal(a)
	return claims, attributes, err
}

// members reads a stored object; nothing is stored for an empty one.
func members(stored []byte) (m map[string]json.RawMessage, err error) {
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, &m); err != nil {
			return nil, fmt.Errorf("stored object: %w", err)
		}
	}
	if m == nil {
		m = map[string]json.RawMessage{}
	}
	return m, nil
}

// set writes a member, or takes it away if there is no value.
func set[T any](m map[string]json.RawMessage, name string, value *T) {
	delete(m, name)
	if value != nil {
		raw, _ := json.Marshal(value) // strings, and structs of strings: always encode
		m[name] = raw
	}
}

// addressClaim is OIDC Core §5.1.1. The country is left out: it is known by a
// UUID of the client's, and the claim wants its name.
func addressClaim(a address) *map[string]string {
	claim := map[string]string{}
	for name, v := range map[string]*string{
		"street_address": a.AddressLineOne, "locality": a.Locality, "region": a.Region, "postal_code": a.PostalCode,
	} {
		if v != nil {
			claim[name] = *v
		}
	}
	if len(claim) == 0 {
		return nil
	}
	return &claim
}

// decodeUpdateOf reads PUT /api/v1/apps/:appUuid/users/:userUuidOrEmail.
func decodeUpdateOf(w http.ResponseWriter, r *http.Request) (idOrEmail string, p *profile, err error) {
	params, _, err := query(r)
	if err != nil {
		return "", nil, err
	}
	if params["invitationTenantUuid"] != "" {
		return "", nil, invalid("invitation of an existing user", "invitationTenantUuid is for registration: a user who exists cannot be moved into a tenant by this request.")
	}
	// An escape in a path can be any byte; a database takes text.
	idOrEmail = r.PathValue("userUuidOrEmail")
	if !utf8.ValidString(idOrEmail) || strings.ContainsFunc(idOrEmail, breaksLine) || len(idOrEmail) > maxText {
		return "", nil, invalid("user malformed", "The path must name a user by a UUID or an e-mail address.")
	}
	p, err = decodeProfile(w, r)
	return idOrEmail, p, err
}

type usersPage struct {
	page, limit  int
	referralCode string
}

// decodePage reads the query of GET /api/v1/apps/:appUuid/users. Pages count
// from 1.
func decodePage(r *http.Request) (p usersPage, err error) {
	params, err := wire.ParseParams(r.URL.RawQuery)
	if err != nil {
		return p, err
	}
	if p.page, err = number(params, "page", 1, maxPage); err != nil {
		return p, err
	}
	if p.limit, err = number(params, "limit", defaultLimit, maxLimit); err != nil {
		return p, err
	}
	if p.referralCode = params["referralCode"]; len(p.referralCode) > maxTag {
		return p, invalid("referralCode too long", fmt.Sprintf("referralCode must be at most %d characters.", maxTag))
	}
	return p, nil
}

func number(params wire.Params, name string, otherwise, most int) (int, error) {
	if params[name] == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(params[name], 10, 31)
	if err != nil || n < 1 || int(n) > most {
		return 0, invalid(name+" out of bounds", fmt.Sprintf("%s must be a number from 1 to %d.", name, most))
	}
	return int(n), nil
}
