// Command tallystick is the authorization server and its operator's tools.
package main

import (
	"os"

	"github.com/tallystick/tallystick/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
