package config

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
)

// Example is a file with every setting at its default, those that have none at a
// value that shows their form, and the comment of each.
func Example() string {
	c := Default()
	c.Issuer = "https://login.example.com"
	c.Database = "sqlite:/var/lib/tallystick/tallystick.db"
	c.MasterKeyFile = "/var/lib/tallystick/master.key"
	c.TLS.CertFile, c.TLS.KeyFile = "/etc/tallystick/tls.crt", "/etc/tallystick/tls.key"
	c.Metrics.Listen = "127.0.0.1:9464"
	out := &strings.Builder{}
	out.WriteString("# Settings of `tallystick serve --config FILE`. Each can also be set by a variable:\n" +
		"# TALLYSTICK_ISSUER, TALLYSTICK_TLS_MODE and so on, lists by commas.\n")
	writeSection(out, comments(), reflect.ValueOf(c), "")
	return out.String()
}

// comments are those of the fields, by struct and field.
func comments() map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		panic(err) // it has been compiled
	}
	all := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return false
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				all[spec.Name.Name+"."+name.Name] = f.Doc.Text()
			}
		}
		return false
	})
	return all
}

func writeSection(out *strings.Builder, comments map[string]string, s reflect.Value, indent string) {
	for i := range s.NumField() {
		field, value := s.Type().Field(i), s.Field(i)
		key := field.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		if value.Kind() == reflect.Struct {
			fmt.Fprintf(out, "\n%s:\n", key)
			writeSection(out, comments, value, indent+"  ")
			continue
		}
		if indent == "" {
			out.WriteString("\n")
		}
		for line := range strings.Lines(comments[s.Type().Name()+"."+field.Name]) {
			fmt.Fprintf(out, "%s# %s", indent, line)
		}
		fmt.Fprintf(out, "%s%s: %s\n", indent, key, written(value))
	}
}

// written is a value as YAML has it.
func written(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Secret:
		return scalar(x.Reveal())
	case encoding.TextMarshaler:
		text, _ := x.MarshalText() // a time span always has one
		return string(text)
	}
	switch v.Kind() {
	case reflect.Slice:
		return "[]"
	case reflect.String:
		return scalar(v.String())
	}
	return fmt.Sprint(v)
}

// scalar quotes what would not be the same text without quotes.
func scalar(s string) string {
	if s == "" || strings.HasPrefix(s, ":") {
		return strconv.Quote(s)
	}
	return s
}
