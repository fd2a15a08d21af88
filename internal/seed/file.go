// Package seed puts clients and users into a store where they are not there as they
// should be: those of JSON files, and for dev those of the demo.
package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/tallystick/tallystick/internal/engine"
	"github.com/tallystick/tallystick/internal/jose"
	"github.com/tallystick/tallystick/internal/oauth"
	"github.com/tallystick/tallystick/internal/password"
)

// File is what a file holds: clients of the standard face and users.
type File struct {
	Clients []Client
	Users   []User
	Unknown []string // members that mean nothing here, with where they stand
}

// Client is a client with its secret.
type Client struct {
	oauth.Client
	secret string
}

// User is a user with his password.
type User struct {
	Email    string
	Password string
	Username string
	claims   []byte
}

const maxSize = 1 << 20

// Read reads the whole file and joins everything that is wrong with it, so that
// nothing is applied of a file that is not right. The error does not name the file.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(text) > maxSize {
		return nil, errors.New("want at most 1 MiB")
	}
	return parse(text)
}

func plain(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

func parse(text []byte) (*File, error) {
	var raw struct {
		Clients []json.RawMessage `json:"clients"`
		Users   []json.RawMessage `json:"users"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf(`want {"clients": [...], "users": [...]}: %w`, inJSON(err))
	}
	if dec.More() {
		return nil, errors.New("want one JSON object and nothing after it")
	}
	// What some program writes that has nothing to say must not disable everybody.
	if bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
		return nil, errors.New(`want {"clients": [...], "users": [...]}, got null`)
	}
	file := new(File)
	var errs []error
	ids, names := map[string]bool{}, map[string]bool{}
	for i, member := range raw.Clients {
		c, unknown, err := parseClient(member)
		if err == nil && ids[c.ID] {
			err = errors.New("there is another one of this client_id")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("clients[%d] %q: %w", i, c.ID, err))
			continue
		}
		for _, name := range unknown {
			file.Unknown = append(file.Unknown, fmt.Sprintf("clients[%d].%s", i, name))
		}
		ids[c.ID] = true
		file.Clients = append(file.Clients, c)
	}
	for i, member := range raw.Users {
		u, err := parseUser(member)
		for _, name := range []string{engine.NormaliseIdentifier(u.Email), engine.NormaliseIdentifier(u.Username)} {
			if err == nil && name != "" && names[name] {
				err = fmt.Errorf("%s is another user's as well", name)
			}
			names[name] = true
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d]: %w", i, err))
			continue
		}
		file.Users = append(file.Users, u)
	}
	return file, errors.Join(errs...)
}

// inJSON says of a value of the wrong kind what it is and where, without the names of
// Go's types.
func inJSON(err error) error {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	where := e.Field[strings.LastIndexByte(e.Field, '.')+1:] // without an embedded struct
	if where != "" {
		where += ": "
	}
	want := map[reflect.Kind]string{
		reflect.Bool: "true or false", reflect.String: "a text", reflect.Slice: "a list", reflect.Struct: "an object", reflect.Map: "an object",
	}[e.Type.Kind()]
	if want == "" {
		want = "a number"
	}
	return fmt.Errorf("%swant %s, got %s", where, want, e.Value)
}

// parseClient reads RFC 7591 metadata with an id, a secret and policy names. What
// is left out gets the defaults that a client of its kind has.
func parseClient(text json.RawMessage) (c Client, unknown []string, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return c, nil, errors.New("want an object")
	}
	var own struct {
		ID     string           `json:"client_id"`
		Secret string           `json:"client_secret"`
		Method oauth.AuthMethod `json:"token_endpoint_auth_method"`
		JWKS   json.RawMessage  `json:"jwks"`
		URI    string           `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &own); err != nil {
		return c, nil, inJSON(err)
	}
	c.ID = own.ID
	if own.Method == "" {
		switch {
		case own.Secret != "":
			own.Method = oauth.AuthSecretBasic
		case own.URI != "" || len(own.JWKS) > 0:
			own.Method = oauth.AuthPrivateKeyJWT
		default:
			own.Method = oauth.AuthNone
		}
	}
	c.Policy = oauth.DefaultPolicy(own.Method)
	if err := json.Unmarshal(text, &c.Client); err != nil {
		return c, nil, inJSON(err)
	}
	c.AuthMethod, c.secret = own.Method, own.Secret
	c.Complete()
	if c.Public() {
		c.RequirePKCE = true // whatever the file says
	}
	switch {
	case c.HasSecret() && c.secret == "":
		return c, nil, fmt.Errorf("%s needs a client_secret", c.AuthMethod)
	case !c.HasSecret() && c.secret != "":
		return c, nil, fmt.Errorf("a client of the method %s has no client_secret", c.AuthMethod)
	}
	if len(c.JWKS) > 0 {
		if _, err := jose.ParseKeySet(c.JWKS); err != nil {
			return c, nil, fmt.Errorf("jwks: %w", err)
		}
	}
	known := knownMembers()
	for name := range members {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return c, unknown, c.Check()
}

// knownMembers are the names of a client's members that mean something here.
func knownMembers() []string {
	return append(oauth.MemberNames(), "client_secret")
}

// parseUser reads a user; what is not one of its own members is a standard claim
// (OpenID Connect Core §5.1).
func parseUser(text json.RawMessage) (u User, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return u, errors.New("want an object")
	}
	for name, to := range map[string]*string{"email": &u.Email, "password": &u.Password, "username": &u.Username} {
		if raw, ok := members[name]; ok && json.Unmarshal(raw, to) != nil {
			return u, fmt.Errorf("%s: want a string", name)
		}
		delete(members, name)
	}
	delete(members, "email_verified") // who stands in the file can sign in
	for name := range members {
		if !slices.Contains(oauth.StandardClaims(), name) {
			return u, fmt.Errorf("%s is no standard claim; want email, password, username and the claims of OpenID Connect Core §5.1", name)
		}
	}
	if err := engine.CheckEmail(u.Email); err != nil {
		return u, fmt.Errorf("email: want an address like name@example.com, got %q", u.Email)
	}
	if u.Password == "" || len(u.Password) > password.MaxLength {
		return u, errors.New("password: want 1 to 1024 bytes")
	}
	if strings.ContainsFunc(u.Username, func(r rune) bool { return r <= ' ' || r == '@' || r == 0x7f }) || len(u.Username) > 64 {
		return u, errors.New("username: want at most 64 characters without spaces and @")
	}
	u.claims, err = json.Marshal(members)
	return u, err
}
