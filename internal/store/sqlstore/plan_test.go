package sqlstore

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// statements are all that the package has, by name.
func statements(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("queries*.go")
	if err != nil {
		t.Fatal(err)
	}
	set, files := token.NewFileSet(), []*ast.File{}
	for _, name := range names {
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	pkg, err := new(types.Config).Check("sqlstore", set, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && strings.HasPrefix(name, "sql") {
			all[name] = constant.StringVal(c.Val())
		}
	}
	return all
}

var (
	parameter = regexp.MustCompile(`\$([0-9]+)`)
	usesIndex = regexp.MustCompile(`USING (?:COVERING )?INDEX (\w+) \((.*)\)`)
)

var (
	// These list all of what there is little of.
	listed = map[string]bool{
		"sqlClientsOf": true, "sqlDeleteAPIKeysOfClient": true, "sqlMACKeys": true, "sqlMails": true, "sqlSigningKeys": true,
		"sqlRetireSigningKey": true, "sqlSigningKeyExists": true,
	}
	// These want every grant of a client, or to know whether there is one.
	ofClients = map[string]bool{"sqlEndGrantsOfClient": true, "sqlUnusedClients": true, "sqlPurgeClient": true}
)

// arguments are as many as a statement has parameters; each is nothing.
func arguments(t *testing.T, query string) (args []any) {
	t.Helper()
	for _, p := range parameter.FindAllStringSubmatch(query, -1) {
		var n int
		if _, err := fmt.Sscan(p[1], &n); err != nil {
			t.Fatal(err)
		}
		for len(args) < n {
			args = append(args, nil)
		}
	}
	return args
}

// There is one writer, so a statement that walks through all of an issuer's
// grants makes everybody wait. SQLite plans without statistics: one index more,
// or a GROUP BY, can lead it to another one than the statement was written for.
func TestEveryStatementIsASearch(t *testing.T) {
	s := fresh(t)
	all := statements(t)
	if len(all) < 100 {
		t.Fatalf("%d statements, and there are more", len(all))
	}
	for name, query := range all {
		var plan []string
		err := s.db.read(t.Context(), func(q tx) error {
			return q.all("EXPLAIN QUERY PLAN "+query, func(r *row) error {
				plan = append(plan, fmt.Sprint(r.values[3]))
				return r.err
			}, arguments(t, query)...)
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, step := range plan {
			index := usesIndex.FindStringSubmatch(step)
			switch {
			case strings.HasPrefix(step, "SCAN") && step != "SCAN CONSTANT ROW" && step != "SCAN due" && !strings.HasPrefix(step, "SCAN (subquery"), strings.HasPrefix(step, "SEARCH") && index == nil:
				t.Errorf("%s: %s", name, step)
			case index != nil && index[2] == "issuer=?" && !listed[name]:
				t.Errorf("%s walks through the issuer: %s", name, step)
			case index != nil && index[1] == "grant_client" && !ofClients[name]:
				t.Errorf("%s walks through the client's grants: %s", name, step)
			}
		}
	}
}
