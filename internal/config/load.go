package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Prefix is what the names of variables begin with.
const Prefix = "TALLYSTICK_"

// maxFile is more than any file of settings or secret has.
const maxFile = 1 << 20

// Load reads the file, "" for none, over the defaults; then the variables in
// environ ("NAME=value", as os.Environ has them), then the files that hold secrets;
// and joins all that is wrong with any of it. It names lines, keys and variables,
// and no secret.
func Load(path string, environ []string) (Config, error) {
	c := Default()
	var errs []error
	if path != "" {
		text, err := read(path)
		if err != nil {
			return c, fmt.Errorf("%s: %w", path, err)
		}
		for _, err := range c.parse(text) {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	errs = append(errs, c.environment(environ)...)
	for _, from := range []struct {
		key, path string
		to        *Secret
	}{{"database", c.DatabaseFile, &c.Database}, {"mail.smtp", c.Mail.SMTPFile, &c.Mail.SMTP}} {
		if from.path == "" {
			continue
		}
		text, err := read(from.path)
		switch {
		case *from.to != "":
			err = fmt.Errorf("%[1]s, %[1]s_file: want one of the two", from.key)
		case err != nil:
			err = fmt.Errorf("%s_file: %s: %w", from.key, from.path, err)
		}
		errs = append(errs, err)
		*from.to = Secret(strings.TrimSpace(string(text)))
	}
	// What is malformed already would only be told twice.
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	return c, c.Check()
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(f, maxFile+1)); len(text) > maxFile {
			return nil, errors.New("want at most 1 MiB")
		}
		if err == nil {
			return text, nil
		}
	}
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	return nil, err
}

// parse reads YAML: a mapping of settings and of sections of settings. The library's
// own errors are not shown, for they quote the file.
func (c *Config) parse(text []byte) []error {
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		return []error{fmt.Errorf("line %d: not YAML; a text with \": \" or \" #\" in it needs quotes", e.GetToken().Position.Line)}
	}
	if err != nil {
		return []error{errors.New("not YAML")}
	}
	var documents []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType {
			documents = append(documents, d.Body)
		}
	}
	switch len(documents) {
	case 0:
		return nil
	case 1:
		return decode(documents[0], reflect.ValueOf(c).Elem(), "")
	}
	return []error{errors.New("want one document")}
}

// decode puts a mapping's values into the fields of a struct. prefix is the section
// that they stand in.
func decode(node ast.Node, to reflect.Value, prefix string) (errs []error) {
	values, ok := pairs(node)
	if !ok {
		return []error{fmt.Errorf("line %d: want settings, NAME: value", node.GetToken().Position.Line)}
	}
	seen := map[string]bool{}
	for _, pair := range values {
		token := pair.Key.GetToken()
		name := token.Value
		field, ok := fieldOf(to, name)
		var err error
		switch {
		case !ok:
			err = errors.New("there is no such setting")
		case seen[name]:
			err = errors.New("it is set twice")
		case field.Kind() == reflect.Struct:
			if pair.Value.Type() != ast.NullType {
				errs = append(errs, decode(pair.Value, field, prefix+name+".")...)
			}
		case yaml.NodeToValue(pair.Value, field.Addr().Interface()) != nil:
			err = wanted(field.Type())
		}
		if seen[name] = true; err != nil {
			errs = append(errs, fmt.Errorf("line %d: %s%s: %w", token.Position.Line, prefix, name, err))
		}
	}
	return errs
}

func pairs(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// fieldOf finds the field of a key.
func fieldOf(s reflect.Value, name string) (reflect.Value, bool) {
	for i := range s.NumField() {
		if tag := s.Type().Field(i).Tag.Get("yaml"); tag == name && tag != "-" {
			return s.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// wanted says what a field takes.
func wanted(field reflect.Type) error {
	switch {
	case field == reflect.TypeFor[Duration]():
		return errDuration
	case field.Kind() == reflect.Bool:
		return errors.New("want true or false")
	case field.Kind() == reflect.Int:
		return errors.New("want a number")
	case field.Kind() == reflect.Slice:
		return errors.New("want a list of texts")
	}
	return errors.New("want a text")
}

// orchestrated are the variables that Kubernetes makes of a service's name.
var orchestrated = regexp.MustCompile(`(^|_)(SERVICE_HOST|PORT)(_|$)`)

// has reports whether a variable's name, without the prefix, is that of a setting.
func (c *Config) has(name string) bool {
	in, key := reflect.ValueOf(c).Elem(), strings.ToLower(name)
	section, rest, _ := strings.Cut(key, "_")
	if s, ok := fieldOf(in, section); ok && s.Kind() == reflect.Struct {
		in, key = s, rest
	}
	f, ok := fieldOf(in, key)
	return ok && f.Kind() != reflect.Struct
}

// environment reads the variables, one by one, so that a fault can be told with the
// name of its own. Those of other names are no fault, for they may be somebody else's,
// but are noted.
func (c *Config) environment(environ []string) (errs []error) {
	for _, pair := range environ {
		variable, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(variable, Prefix)
		if !ok {
			continue
		}
		if name == "MASTER_KEY" {
			c.MasterKey = Secret(value)
			continue
		}
		if !c.has(name) {
			if !orchestrated.MatchString(name) {
				c.Ignored = append(c.Ignored, variable)
			}
			continue
		}
		// The names of the file, in upper case.
		err := env.ParseWithOptions(c, env.Options{
			TagName: "yaml", Environment: map[string]string{strings.ToLower(name): value},
		})
		if e, ok := errors.AsType[env.ParseError](err); ok {
			err = wanted(e.Type)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", variable, err))
		}
	}
	return errs
}
