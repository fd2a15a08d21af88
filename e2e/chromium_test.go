//go:build e2e

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"testing"
)

var screenshots = flag.String("screenshots", "", "also write pictures of hosted pages into this `folder`")

func TestUserdocksJourneyInChromium(t *testing.T) {
	t.Parallel()
	socket, port := listen(t)
	dir := startDev(t,
		"--client-redirect", "http://127.0.0.1:"+port+"/callback",
		"--client-redirect", "http://localhost:"+port+"/callback")
	runScript(t, "journey.mjs", dir, []string{"fd:3"}, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{socket} })
}

func TestHostedPagesInChromium(t *testing.T) {
	t.Parallel()
	var args []string
	if *screenshots != "" {
		args = []string{"--screenshots", *screenshots}
	}
	runScript(t, "pages.mjs", startDev(t), args)
}
