//go:build e2e

package e2e

import "testing"

// The demo's relying parties, and the pages of the standard face that they lead
// to. Each part has a server of its own.
func TestDemoRelyingPartiesInChromium(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"web", "spa", "pages"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			args := []string{part}
			if *screenshots != "" {
				args = append(args, "--screenshots", *screenshots)
			}
			runScript(t, "rp.mjs", startDev(t), args)
		})
	}
}
