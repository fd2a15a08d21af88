package seal

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestReadOrCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	first, err := ReadOrCreate(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if perm := info.Mode().Perm(); perm != 0o600 {
		t.Errorf("mode %04o, want 0600", perm)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Parse(string(text)); err != nil || *m.key() != *first.key() || !strings.HasSuffix(string(text), "\n") {
		t.Errorf("the file does not hold the key: %v", err)
	}
	// The second start needs no randomness.
	again, err := ReadOrCreate(path, iotest.ErrReader(errors.New("dry")))
	if err != nil || *again.key() != *first.key() {
		t.Errorf("the second start: another key, %v", err)
	}
	onlyFile(t, dir, "master.key")
}

func TestReadOrCreateRefuses(t *testing.T) {
	line := fixed(t).text()
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"group may read", line, 0o640, "mode 0640 lets others at it; want 0600"},
		{"others may read", line, 0o604, "mode 0604 lets others at it; want 0600"},
		{"group may write", line, 0o620, "mode 0620 lets others at it; want 0600"},
		{"an empty file", "", 0o600, want},
		{"half a line", line[:40], 0o600, want},
		{"another format", "correct horse battery staple\n", 0o600, want},
		{"a long file", line + strings.Repeat("\n", 1000), 0o600, want},
	} {
		path := filepath.Join(t.TempDir(), "master.key")
		if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		m, err := ReadOrCreate(path, rand.Reader)
		if err == nil || m != nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		s := err.Error()
		if !strings.Contains(s, path) || !strings.Contains(s, tt.want) || strings.Contains(s, "\n") {
			t.Errorf("%s: error %q, want the path and %q", tt.name, s, tt.want)
		}
		for _, leak := range []string{"AAECAw", "horse"} {
			if strings.Contains(s, leak) {
				t.Errorf("%s: error %q tells the content", tt.name, s)
			}
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != tt.text {
			t.Errorf("%s: the file was changed", tt.name)
		}
	}
}

func TestReadOrCreateFaults(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadOrCreate(dir, rand.Reader); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := ReadOrCreate(filepath.Join(dir, "no", "master.key"), rand.Reader); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("no directory: %v", err)
	}
	dry := errors.New("dry")
	if _, err := ReadOrCreate(filepath.Join(dir, "master.key"), iotest.ErrReader(dry)); !errors.Is(err, dry) {
		t.Errorf("no randomness: %v", err)
	}
	onlyFile(t, dir)
}

// hook runs between the look for the file and its creation.
type hook func()

func (h hook) Read(p []byte) (int, error) {
	h()
	return rand.Read(p)
}

func TestReadOrCreateLosesARace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	var winner *Master
	loser, err := ReadOrCreate(path, hook(func() {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the name exists before the key: %v", err)
		}
		var err error
		if winner, err = ReadOrCreate(path, rand.Reader); err != nil {
			t.Error(err)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if *loser.key() != *winner.key() {
		t.Error("two starts, two keys")
	}
	onlyFile(t, dir, "master.key")
}

func TestReadOrCreateAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	const starts = 16
	keys := make([]*Master, starts)
	// All have seen that there is no file before any writes one.
	var seen, done sync.WaitGroup
	seen.Add(starts)
	for i := range keys {
		done.Go(func() {
			var err error
			keys[i], err = ReadOrCreate(path, hook(func() { seen.Done(); seen.Wait() }))
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	for _, m := range keys {
		if m == nil || *m.key() != *keys[0].key() {
			t.Fatal("not all starts agree on one key")
		}
	}
	onlyFile(t, dir, "master.key")
}

// onlyFile fails if dir holds anything else, such as a forgotten temporary file
// with a key in it.
func onlyFile(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) {
		t.Errorf("the directory holds %v, want %v", entries, names)
	}
}
