package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/config"
)

// A time span is read alike in both forms of the log, with its unit.
func TestLogHasUnits(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := logOf(config.Log{Format: format, Level: "info"}, &out)
		log.Info("served", slog.Duration("took", 1500*time.Microsecond), "after", 10*time.Second)
		line := struct{ Took, After string }{}
		if format == "text" {
			for _, want := range []string{"took=1.5ms", "after=10s"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%s, want %s", out.String(), want)
				}
			}
		} else if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Took != "1.5ms" || line.After != "10s" {
			t.Errorf("%v %s", err, out.String())
		}
	}
}
