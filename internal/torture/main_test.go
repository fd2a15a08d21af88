//go:build scale

package torture

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tallystick/tallystick/internal/cli"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

var long = flag.Bool("long", false, "run the long forms, and judge times as on a quiet machine")

// The test binary is the command, too, and runs itself as one; and as a node whose time
// is told.
func TestMain(m *testing.M) {
	testscript.Main(tests{postgres.Tests{All: m}}, map[string]func(){
		"tallystick": func() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) },
		"clocked":    clockedMain,
	})
}

// tests print what they have seen.
type tests struct{ postgres.Tests }

func (m tests) Run() int {
	code := m.Tests.Run()
	if *long {
		fmt.Print(summary.text())
	}
	return code
}

// size is how much of something an experiment has.
func size(short, full int) int {
	if *long {
		return full
	}
	return short
}

// within judges how long something took. The short form runs beside other tests, on
// whatever machine, and only tells what hangs from what is slow.
func within(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	if !*long {
		limit *= 10
	}
	if took > limit {
		t.Errorf("%s: after %v, want at most %v", what, took.Round(time.Millisecond), limit)
	}
}

// table is the summary, a row for each experiment.
type table struct {
	mu   sync.Mutex
	rows []string
}

var summary table

// add adds a row: what was done, what went wrong, and the longest way back.
func (s *table) add(t *testing.T, done, wrong, back string) {
	t.Helper()
	t.Logf("%s: %s; %s", done, wrong, back)
	result := "ok"
	if t.Failed() {
		result = "**failed**"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, fmt.Sprintf("| %s | %s | %s | %s | %s |", t.Name(), done, wrong, back, result))
}

func (s *table) text() string {
	busy, _ := os.ReadFile("/proc/loadavg") // Linux has it; elsewhere it is left out
	load, _, _ := strings.Cut(string(busy), " ")
	head := fmt.Sprintf("\n%s, %s, %s/%s, %d processors, load average %s\n\n", time.Now().UTC().Format(time.DateOnly),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load)
	head += "| experiment | what was done | what went wrong | longest way back | |\n|---|---|---|---|---|\n"
	return head + strings.Join(s.rows, "\n") + "\n"
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }
