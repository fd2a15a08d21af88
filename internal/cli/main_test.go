package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// The test binary is the command, too: scripts and nodes run it as a process of its
// own.
func TestMain(m *testing.M) {
	testscript.Main(postgres.Tests{All: m}, map[string]func(){
		"tallystick": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
