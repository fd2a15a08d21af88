package userdocks_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/wire/userdocks"
)

type object = map[string]any

// description is the document as the server hands it out.
type description struct{ root object }

func readDescription(t *testing.T, w *testkit.World) description {
	t.Helper()
	var d description
	if err := json.Unmarshal([]byte(send(t, w, httptest.NewRequest("GET", "/api/v1/openapi.json", nil), 200).Body), &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows names down from a value, through references.
func (d description) at(v any, names ...string) any {
	o, _ := v.(object)
	if ref, ok := o["$ref"].(string); ok {
		return d.at(d.root, append(strings.Split(strings.TrimPrefix(ref, "#/"), "/"), names...)...)
	}
	if len(names) == 0 {
		return v
	}
	return d.at(o[names[0]], names[1:]...)
}

func (d description) operation(method, path string) object {
	o, _ := d.at(d.root, "paths", path, strings.ToLower(method)).(object)
	return o
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// Every route is described with its methods and the parameters of its path, and
// nothing else is.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	w := testkit.NewWorld(t)
	d := readDescription(t, w)
	routes, described := map[string][]string{}, map[string][]string{}
	for _, r := range userdocks.Face(w.Engine).Routes {
		if strings.HasPrefix(r.Path, "/api/v1/") && len(r.Methods) > 0 {
			routes[r.Path] = slices.Sorted(maps.Keys(r.Methods))
		}
	}
	for path, item := range d.at(d.root, "paths").(object) {
		for method := range item.(object) {
			described[path] = append(described[path], strings.ToUpper(method))
			var params []string
			list, _ := d.operation(method, path)["parameters"].([]any)
			for _, p := range list {
				if d.at(p, "in") == "path" {
					params = append(params, "{"+d.at(p, "name").(string)+"}")
				}
			}
			if want := inBraces.FindAllString(path, -1); !slices.Equal(params, want) {
				t.Errorf("%s %s: parameters %v, want %v", method, path, params, want)
			}
		}
		slices.Sort(described[path])
	}
	if !reflect.DeepEqual(routes, described) {
		t.Errorf("routes    %v\ndescribed %v", routes, described)
	}
}

// Every example is what its schema says.
func TestOpenAPIExamplesFitTheirSchemas(t *testing.T) {
	d := readDescription(t, testkit.NewWorld(t))
	n := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok && d.at(v) == nil {
				t.Errorf("%s: %s leads nowhere", path, ref)
			}
			check := func(name string, example any) {
				n++
				if fault := d.fit("", v["schema"], example); fault != "" {
					t.Errorf("%s %s: %s", path, name, fault)
				}
			}
			if example, ok := v["example"]; ok {
				check("example", example)
			}
			if examples, ok := v["examples"].(object); ok {
				for name, example := range examples {
					check(name, d.at(example, "value"))
				}
			}
			for name, child := range v {
				walk(path+"/"+name, child)
			}
		case []any:
			for i, child := range v {
				walk(path+"/"+strconv.Itoa(i), child)
			}
		}
	}
	walk("", d.root)
	if n < 30 {
		t.Errorf("found %d examples only", n)
	}
}

// fit reports what is wrong with a value by a schema: the keywords that the
// document uses, and that no member stands there without being described.
func (d description) fit(path string, schema, v any) string {
	if fault := d.fits(path, schema, v); fault != "" {
		return fault
	}
	known := d.members(schema)
	switch v := v.(type) {
	case object:
		for name, member := range v {
			s, ok := known[name]
			if !ok {
				return path + "." + name + ": not described"
			}
			if fault := d.fit(path+"."+name, s, member); fault != "" {
				return fault
			}
		}
	case []any:
		for i, element := range v {
			if fault := d.fit(fmt.Sprintf("%s[%d]", path, i), d.at(schema, "items"), element); fault != "" {
				return fault
			}
		}
	}
	return ""
}

// members are the schemas of an object's members, wherever they are written.
func (d description) members(schema any) object {
	known := object{}
	s, _ := d.at(schema).(object)
	if own, ok := s["properties"].(object); ok {
		maps.Copy(known, own)
	}
	for _, keyword := range []string{"allOf", "anyOf"} {
		list, _ := s[keyword].([]any)
		for _, part := range list {
			maps.Copy(known, d.members(part))
		}
	}
	return known
}

func (d description) fits(path string, schema, v any) string {
	s, _ := d.at(schema).(object)
	for keyword, want := range s {
		ok := true
		switch keyword {
		case "type":
			kinds, several := want.([]any)
			if !several {
				kinds = []any{want}
			}
			ok = slices.Contains(kinds, any(kindOf(v))) || kindOf(v) == "integer" && slices.Contains(kinds, any("number"))
		case "const":
			ok = reflect.DeepEqual(v, want)
		case "enum":
			ok = slices.ContainsFunc(want.([]any), func(e any) bool { return reflect.DeepEqual(e, v) })
		case "pattern":
			text, isText := v.(string)
			ok = !isText || regexp.MustCompile(want.(string)).MatchString(text)
		case "minLength", "maxLength":
			if text, isText := v.(string); isText {
				length := float64(len([]rune(text)))
				ok = keyword == "minLength" && length >= want.(float64) || keyword == "maxLength" && length <= want.(float64)
			}
		case "minItems", "maxItems":
			if list, isList := v.([]any); isList {
				length := float64(len(list))
				ok = keyword == "minItems" && length >= want.(float64) || keyword == "maxItems" && length <= want.(float64)
			}
		case "minimum":
			number, isNumber := v.(float64)
			ok = !isNumber || number >= want.(float64)
		case "format":
			text, isText := v.(string)
			ok = !isText || want != "uuid" || uuid.MatchString(text)
		case "required":
			if o, isObject := v.(object); isObject {
				for _, name := range want.([]any) {
					if _, there := o[name.(string)]; !there {
						return path + "." + name.(string) + ": missing"
					}
				}
			}
		case "allOf", "anyOf":
			fitting, fault := 0, ""
			for _, part := range want.([]any) {
				if f := d.fits(path, part, v); f == "" {
					fitting++
				} else {
					fault = f
				}
			}
			ok = keyword == "allOf" && fault == "" || keyword == "anyOf" && fitting > 0
			if !ok && fault != "" {
				return fault
			}
		case "properties", "items", "description", "examples":
		default:
			return path + ": this test does not know " + keyword
		}
		if !ok {
			return fmt.Sprintf("%s: %v is not by %s %v", path, v, keyword, want)
		}
	}
	if o, isObject := v.(object); isObject {
		props, _ := s["properties"].(object)
		for name, member := range o {
			if p, ok := props[name]; ok {
				if fault := d.fits(path+"."+name, p, member); fault != "" {
					return fault
				}
			}
		}
	}
	return ""
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

// step is a request made of the document: the example of the operation with what
// only a living server knows.
type step struct {
	method, path string
	in           map[string]string // path parameters
	query        string
	example      string
	with         object
	token        string
	key          string
	status       int
}

func (d description) do(t *testing.T, w *testkit.World, s step) (item object) {
	t.Helper()
	target := inBraces.ReplaceAllStringFunc(s.path, func(name string) string { return url.PathEscape(s.in[strings.Trim(name, "{}")]) })
	op := d.operation(s.method, s.path)
	var body any
	if s.example != "" {
		example, ok := d.at(op, "requestBody", "content", "application/json", "examples", s.example, "value").(object)
		if !ok {
			t.Fatalf("%s %s has no example %s", s.method, s.path, s.example)
		}
		live := maps.Clone(example)
		maps.Copy(live, s.with)
		body = live
	}
	r := testkit.UserdocksAs(s.token, s.method, target+s.query, body)
	if s.key != "" {
		access := map[string]string{"GET": "read", "PUT": "write"}[s.method]
		r = testkit.UserdocksBackEnd(testkit.App, s.key, access, s.method, target+s.query, body)
	}
	if s.token == "" {
		r.Header.Del("Authorization")
	}
	a := send(t, w, r, s.status)
	var got any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	schema := d.at(op, "responses", strconv.Itoa(s.status), "content", "application/json", "schema")
	if schema == nil {
		t.Fatalf("%s %s: %d is not described", s.method, s.path, s.status)
	}
	if fault := d.fit("", schema, got); fault != "" {
		t.Errorf("%s %s: %d %s\nis not as described: %s", s.method, s.path, s.status, a.Body, fault)
	}
	items, _ := got.(object)["items"].([]any)
	if len(items) == 0 {
		return nil
	}
	return items[0].(object)
}

// Whoever follows the document word for word comes through the whole journey,
// and gets nothing that the document does not tell of.
func TestOpenAPIJourney(t *testing.T) {
	w := testkit.NewWorld(t)
	d := readDescription(t, w)
	link := func(template store.Purpose) string {
		mails := w.Mails(t)
		if len(mails) != 1 || mails[0].Template != template {
			t.Fatalf("mails %+v, want one to %s", mails, template)
		}
		return mails[0].Link
	}
	const (
		users, me, tokens = "/api/v1/users", "/api/v1/users/me", "/api/v1/tokens"
		appUsers, appUser = "/api/v1/apps/{appUuid}/users", "/api/v1/apps/{appUuid}/users/{userUuidOrEmail}"
	)
	app := map[string]string{"appUuid": testkit.App}
	english := "?language=en"

	d.do(t, w, step{method: "POST", path: users, query: english, example: "register", status: 201})
	d.do(t, w, step{method: "POST", path: users, example: "register", status: 400})
	confirm := map[string]string{"hash": link(store.PurposeConfirm)}
	d.do(t, w, step{method: "PUT", path: "/api/v1/user-confirm-hashes/{hash}", in: confirm, example: "confirm", status: 200})
	d.do(t, w, step{method: "PUT", path: "/api/v1/user-confirm-hashes/{hash}", in: confirm, example: "confirm", status: 400})

	code := d.do(t, w, step{method: "POST", path: "/api/v1/codes", example: "signIn", status: 201})
	target, err := url.Parse(code["nextAction"].(object)["url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	issued := d.do(t, w, step{method: "POST", path: tokens, example: "code", with: object{"code": target.Query().Get("code")}, status: 201})
	d.do(t, w, step{method: "POST", path: tokens, example: "code", status: 400})
	issued = d.do(t, w, step{method: "POST", path: tokens, example: "refresh", with: object{"refresh_token": issued["refreshToken"]}, status: 201})
	token := issued["accessToken"].(string)

	user := d.do(t, w, step{method: "GET", path: me, token: token, status: 200})
	d.do(t, w, step{method: "GET", path: me, status: 401})
	for _, example := range []string{"profile", "clear"} {
		d.do(t, w, step{method: "PUT", path: me, token: token, example: example, status: 200})
	}
	d.do(t, w, step{method: "PUT", path: me, token: token, example: "profile", with: object{"locale": 5}, status: 400})
	d.do(t, w, step{method: "GET", path: "/api/v1/tenants/{tenantUuid}", in: map[string]string{"tenantUuid": user["tenantUuid"].(string)}, token: token, status: 200})
	d.do(t, w, step{method: "GET", path: "/api/v1/tenants/{tenantUuid}", in: map[string]string{"tenantUuid": testkit.App}, token: token, status: 404})

	d.do(t, w, step{method: "GET", path: "/api/v1/public-key", key: testkit.ReadKey, status: 200})
	d.do(t, w, step{method: "GET", path: "/api/v1/apps/{appUuid}/keys", in: app, key: testkit.ReadKey, status: 200})
	d.do(t, w, step{method: "GET", path: appUsers, in: app, key: testkit.ReadKey, query: "?page=1&limit=100", status: 200})
	d.do(t, w, step{method: "GET", path: appUsers, in: app, key: testkit.WriteKey, status: 401})
	hers := map[string]string{"appUuid": testkit.App, "userUuidOrEmail": user["uuid"].(string)}
	d.do(t, w, step{method: "PUT", path: appUser, in: hers, query: english, key: testkit.WriteKey, example: "profile", status: 200})
	d.do(t, w, step{method: "PUT", path: appUser, in: hers, query: english, key: testkit.ReadKey, example: "profile", status: 401})

	d.do(t, w, step{method: "PUT", path: users, query: english, example: "forgot", status: 200})
	d.do(t, w, step{method: "PUT", path: users, query: english, example: "reset", status: 400})
	d.do(t, w, step{method: "PUT", path: users, query: english, example: "reset", with: object{"confirmHash": link(store.PurposeReset)}, status: 200})
	d.do(t, w, step{method: "DELETE", path: me, token: token, status: 401})
	again := w.SignInAs(t, "grace@example.com", "another long passphrase")
	d.do(t, w, step{method: "DELETE", path: me, token: again.AccessToken, status: 200})

	for range 10 {
		send(t, w, testkit.UserdocksCodes(testkit.App, testkit.Email, "wrong"), http.StatusBadRequest)
	}
	d.do(t, w, step{method: "POST", path: "/api/v1/codes", example: "signIn", with: object{"email": testkit.Email}, status: 429})
}
