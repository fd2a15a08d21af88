package arch

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// How the pages name what they rest on.
var (
	fenced      = regexp.MustCompile("(?s)```.*?```")
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	namedTalks  = regexp.MustCompile("dialogues? ((?:`[a-z_]+`(?:, | and )?)+)")
	quoted      = regexp.MustCompile("`([^`]+)`")
	namedRule   = regexp.MustCompile(`storetest "([^"]+)"`)
	namedModule = regexp.MustCompile("`(oidcc-[\\w-]+)`")

	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
)

// The pages that say which test covers what name only tests that there are.
func TestPagesNameTestsThatExist(t *testing.T) {
	tests, sources := testSources(t)
	talks := map[string]bool{}
	files, err := filepath.Glob("../../internal/wire/*/testdata/wire/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, f := range files {
		talks[strings.TrimSuffix(filepath.Base(f), ".txt")] = true
	}
	for _, name := range []string{"threats", "divergences", "contract-tests", "conformance"} {
		text, err := os.ReadFile(filepath.Join("../../docs", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		page := fenced.ReplaceAllString(string(text), "")
		found := 0
		for _, m := range namedTest.FindAllStringSubmatch(page, -1) {
			if found++; !tests[m[1]] {
				t.Errorf("docs/%s.md: there is no %s", name, m[1])
			}
		}
		for _, list := range namedTalks.FindAllStringSubmatch(page, -1) {
			for _, m := range quoted.FindAllStringSubmatch(list[1], -1) {
				if !talks[m[1]] {
					t.Errorf("docs/%s.md: there is no dialogue %s", name, m[1])
				}
			}
		}
		for _, m := range namedRule.FindAllStringSubmatch(page, -1) {
			if !strings.Contains(sources, `"`+m[1]) {
				t.Errorf("docs/%s.md: storetest has no %q", name, m[1])
			}
		}
		for line := range strings.Lines(page) {
			for _, m := range namedModule.FindAllStringSubmatch(line, -1) {
				if strings.Contains(sources, `"`+m[1]+`"`) == strings.Contains(line, "no test") {
					t.Errorf("docs/%s.md: whether there is a test of %s: %s", name, m[1], line)
				}
			}
		}
		if found == 0 {
			t.Errorf("docs/%s.md names no test", name)
		}
	}
}

// testSources finds the tests of the tree by name, and returns the text of all
// test files and of the contract's rules.
func testSources(t *testing.T) (tests map[string]bool, sources string) {
	t.Helper()
	tests = map[string]bool{}
	var all strings.Builder
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); d.IsDir() {
			if name != "." && (base[0] == '.' || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") && (path.Ext(name) != ".go" || path.Base(path.Dir(name)) != "storetest") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			return err
		}
		all.Write(text)
		for _, m := range declaredTest.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, all.String()
}
