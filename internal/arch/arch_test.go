package arch

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTreeKeepsToTheTable(t *testing.T) {
	tree, err := readTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tree["internal/arch"]; !ok {
		t.Fatal("the tree that was read does not contain this package")
	}
	for _, fault := range judge(tree, table, reserved) {
		t.Error(fault)
	}
}

func TestJudge(t *testing.T) {
	rows := map[string]row{
		"rules": {},
		"face":  {imports: []string{"rules"}},
		"kit":   {imports: []string{"face"}, testOnly: true},
		"kit2":  {imports: []string{"kit"}, testOnly: true},
		"soon":  {planned: true},
	}
	only := map[string][]string{"net/http": {"face"}}
	// tree is what the rows describe, with one package changed or added.
	tree := func(pkg string, imports ...string) map[string]map[string]string {
		files := map[string]string{}
		for _, imp := range imports {
			files[imp] = pkg + "/x.go"
		}
		all := map[string]map[string]string{"rules": {}, "face": {}, "kit": {}, "kit2": {}}
		all[pkg] = files
		return all
	}
	tests := []struct {
		name string
		tree map[string]map[string]string
		want []string
	}{
		{"an import in the row", tree("face", module+"/rules", "net/http/httptest", "net/httpx"), nil},
		{"a package without a row", tree("new"), []string{
			"new has no row in internal/arch/table.go: add one that names what it may import of ours",
		}},
		{"a row without a package", map[string]map[string]string{"rules": {}, "face": {}, "kit": {}}, []string{
			"kit2 has a row in internal/arch/table.go but no Go file: remove the row",
		}},
		{"a planned package that exists", tree("soon"), []string{
			"soon exists now: remove planned from its row in internal/arch/table.go",
		}},
		{"an import that is not in the row", tree("rules", module+"/face"), []string{
			"rules/x.go imports face, which rules may not (internal/arch/table.go)",
		}},
		{"a test-only package in the code, though the row allows it", tree("face", module+"/kit"), []string{
			"face/x.go imports kit, which is for tests only",
		}},
		{"one test-only package in another", tree("kit2", module+"/kit"), nil},
		{"a reserved import", tree("rules", "net/http"), []string{
			"rules/x.go imports net/http, which is reserved for face (internal/arch/table.go)",
		}},
		{"a package below a reserved import", tree("rules", "net/http/httputil"), []string{
			"rules/x.go imports net/http/httputil, which is reserved for face (internal/arch/table.go)",
		}},
		{"a name that only begins like a reserved import", tree("rules", "net/httpx"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, judge(tt.tree, rows, only)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// judge holds a tree, imports by package and for each a file that has it,
// against the rows, and says in sentences what is wrong.
func judge(tree map[string]map[string]string, rows map[string]row, only map[string][]string) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, pkg := range slices.Sorted(maps.Keys(rows)) {
		_, exists := tree[pkg]
		switch {
		case !exists && !rows[pkg].planned:
			fault("%s has a row in internal/arch/table.go but no Go file: remove the row", pkg)
		case exists && rows[pkg].planned:
			fault("%s exists now: remove planned from its row in internal/arch/table.go", pkg)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(tree)) {
		r, ok := rows[pkg]
		if !ok {
			fault("%s has no row in internal/arch/table.go: add one that names what it may import of ours", pkg)
			continue
		}
		for _, imp := range slices.Sorted(maps.Keys(tree[pkg])) {
			file := tree[pkg][imp]
			if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
				switch {
				case rows[ours].testOnly && !r.testOnly:
					fault("%s imports %s, which is for tests only", file, ours)
				case !slices.Contains(r.imports, ours):
					fault("%s imports %s, which %s may not (internal/arch/table.go)", file, ours, pkg)
				}
				continue
			}
			for prefix, owners := range only {
				if (imp == prefix || strings.HasPrefix(imp, prefix+"/")) && !slices.Contains(owners, pkg) {
					fault("%s imports %s, which is reserved for %s (internal/arch/table.go)", file, imp, strings.Join(owners, ", "))
				}
			}
		}
	}
	return faults
}

// readTree parses the import clauses of every Go file below root, whatever its
// build tags. A package of test files alone has a row too, and no imports.
func readTree(root string) (map[string]map[string]string, error) {
	tree := map[string]map[string]string{}
	fset := token.NewFileSet()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); d.IsDir() {
			// What the go command does not take for packages, and what npm installs.
			if name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		pkg := path.Dir(name)
		if tree[pkg] == nil {
			tree[pkg] = map[string]string{}
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			tree[pkg][imp] = name
		}
		return nil
	})
	return tree, err
}
