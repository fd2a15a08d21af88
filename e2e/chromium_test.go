//go:build e2e

package e2e

import (
	"flag"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

var screenshots = flag.String("screenshots", "", "also write pictures of hosted pages into this `folder`")

// The app listens before the server starts, which has to know its address. The
// script gets the socket that listens, so nobody takes the port in between.
func TestUserdocksJourneyInChromium(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
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
