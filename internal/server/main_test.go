package server_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := postgres.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
