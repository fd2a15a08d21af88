package config

import (
	"slices"
	"strings"
	"testing"
)

// A password that is not percent-encoded is told before a driver takes a part of it
// for a host, which errors and logs name.
func TestRawPasswords(t *testing.T) {
	for _, address := range []string{
		"postgres://u:s3@cret@db:5432/x", "postgres://u:s3#cret@db:5432/x", "postgres://u:1#cret@db/x",
		"postgres://u:1?cret@db/x", "postgres://u:1/cret@db/x", "postgres://u:p@db/x?password=s3@cret", "postgres://u:p@db/x#cret",
	} {
		if err := CheckDatabase(address); err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{
		"postgres://u:s3%40%23cret@db:5432/x", "postgres://db/x?user=u&password=s3%40cret", "sqlite:/var/lib/a@b#c.db",
	} {
		if err := CheckDatabase(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A variable that is mistyped is noted, one that Kubernetes makes is not.
func TestIgnoredVariables(t *testing.T) {
	c, err := Load(write(t, least), []string{
		"TALLYSTICK_TLS_MODUS=x", "TALLYSTICK_ISUER=x", "TALLYSTICK_TLS=x", "TALLYSTICK_LOG_LEVEL=warn", "TALLYSTICK_MASTER_KEY=x",
		"TALLYSTICK_PORT=tcp://10.0.0.1:443", "TALLYSTICK_PORT_443_TCP_ADDR=10.0.0.1", "TALLYSTICK_SERVICE_HOST=10.0.0.1",
		"TALLYSTICK_DB_SERVICE_PORT_HTTPS=443", "OTHER_TALLYSTICK_X=1",
	})
	if err != nil || c.Log.Level != "warn" {
		t.Fatal(c.Log, err)
	}
	if want := []string{"TALLYSTICK_TLS_MODUS", "TALLYSTICK_ISUER", "TALLYSTICK_TLS"}; !slices.Equal(c.Ignored, want) {
		t.Errorf("ignored %v, want %v", c.Ignored, want)
	}
}
