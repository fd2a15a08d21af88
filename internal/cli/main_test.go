package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the command, too: scripts and the crash test run it as a
// process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tallystick": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
