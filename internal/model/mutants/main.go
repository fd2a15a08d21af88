// Mutants shows that the tests would notice. It applies each patch below
// internal/model/testdata/mutants to a copy of the tree, runs the tests that the
// patch names, and fails if one of them stays green, or if a patch no longer
// applies. From the root of the repository:
//
//	go run ./internal/model/mutants [part of a name]
//
// A patch begins with lines of the form "Name: …" (what is broken), "Breaks: …"
// (the promise) and "Run: package regexp [flags]" (a test that must go red; several
// are allowed).
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const patches = "internal/model/testdata/mutants"

type mutant struct {
	file, name, breaks string
	runs               []run
}

// run is one call of go test.
type run struct{ pkg, tests, flags string }

func main() {
	only := ""
	if len(os.Args) > 1 {
		only = os.Args[1]
	}
	if err := mutate(only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mutate(only string) error {
	mutants, err := read(only)
	if err != nil {
		return err
	}
	tree, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := copyTree(tree); err != nil {
		return err
	}
	if err := green(tree, mutants); err != nil {
		return err
	}
	bad := 0
	for _, m := range mutants {
		caught, err := m.try(tree)
		if err != nil {
			bad++
			fmt.Printf("SURVIVES  %s\n          %s: %v\n", m.name, m.file, err)
			continue
		}
		fmt.Printf("caught    %s (%s)\n          by %s\n", m.name, m.breaks, strings.Join(caught, ", "))
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d mutants are not caught", bad, len(mutants))
	}
	fmt.Printf("all %d mutants are caught\n", len(mutants))
	return nil
}

// read reads the patches' heads.
func read(only string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(patches, "*.patch"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("no patches in "+patches+": run this from the root of the repository"))
	}
	var all []mutant
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		m := mutant{file: abs}
		head, _, _ := strings.Cut(string(text), "\n--- ")
		for line := range strings.Lines(head) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "Name":
				m.name = value
			case "Breaks":
				m.breaks = value
			case "Run":
				pkg, tests, _ := strings.Cut(value, " ")
				tests, flags, _ := strings.Cut(tests, " ")
				m.runs = append(m.runs, run{pkg, tests, flags})
			}
		}
		if m.name == "" || m.breaks == "" || len(m.runs) == 0 {
			return nil, fmt.Errorf("%s: want a head with Name, Breaks and Run", file)
		}
		if strings.Contains(m.name, only) {
			all = append(all, m)
		}
	}
	return all, nil
}

// copyTree copies what go needs to build and test.
func copyTree(to string) error {
	return fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (d.Name()[0] == '.' || d.Name() == "node_modules" || name == "bin") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o600)
	})
}

// green holds every test that is to go red against the tree as it is.
func green(tree string, mutants []mutant) error {
	var seen []run
	for _, m := range mutants {
		for _, r := range m.runs {
			if slices.Contains(seen, r) {
				continue
			}
			seen = append(seen, r)
			if failed, out, err := r.test(tree); err != nil {
				return fmt.Errorf("%s %s is not green without a mutant: %v %w\n%s", r.pkg, r.tests, failed, err, out)
			}
		}
	}
	return nil
}

// try applies a mutant, and returns the tests that caught it.
func (m mutant) try(tree string) (caught []string, err error) {
	if out, err := command(tree, "git", "apply", m.file); err != nil {
		return nil, fmt.Errorf("the patch no longer applies: %s", out)
	}
	defer func() {
		if out, undo := command(tree, "git", "apply", "-R", m.file); undo != nil {
			err = errors.Join(err, fmt.Errorf("the patch cannot be taken back: %s", out))
		}
	}()
	if out, err := command(tree, "go", "build", "./..."); err != nil {
		return nil, fmt.Errorf("it does not build: %s", out)
	}
	for _, r := range m.runs {
		failed, out, err := r.test(tree)
		switch {
		case err == nil:
			return nil, fmt.Errorf("go test -run '%s' %s is green", r.tests, r.pkg)
		case len(failed) == 0:
			return nil, fmt.Errorf("go test -run '%s' %s fails, but no test of it: %s", r.tests, r.pkg, out)
		}
		caught = append(caught, failed...)
	}
	return caught, nil
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (.+) \(`)

// test names the tests that failed; of nested ones the innermost, and of many the
// first.
func (r run) test(tree string) (failed []string, out []byte, err error) {
	args := []string{"test", "-tags=scale", "-count=1", "-failfast", "-run", r.tests, r.pkg}
	out, err = command(tree, "go", append(args, strings.Fields(r.flags)...)...)
	for _, match := range failure.FindAllSubmatch(out, -1) {
		name := string(match[1])
		if n := len(failed); n > 0 && strings.HasPrefix(name, failed[n-1]+"/") {
			failed[n-1] = name
		} else if n == 0 {
			failed = append(failed, name)
		}
	}
	return failed, out, err
}

func command(dir, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	// The tree is a repository of nobody's, wherever it lies.
	c.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	out, err := c.CombinedOutput()
	return bytes.TrimSpace(out), err
}
