package cli

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// The test binary is the command, too: scripts and the crash test run it as a
// process of its own.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){
		"tallystick": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// tests end the PostgreSQL that they have shared.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	if err := postgres.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
