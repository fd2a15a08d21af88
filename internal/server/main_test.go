package server_test

import (
	"os"
	"testing"

	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

func TestMain(m *testing.M) {
	os.Exit(postgres.Tests{All: m}.Run())
}
