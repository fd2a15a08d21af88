package cli

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What is done is told once as done, and later as done before; and of a key that is in
// no JWK Set nobody is told to fetch that.
func TestRevokeTells(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).End(os.Interrupt)
	var all keysJSON
	tool(t, &all, "key", "list", "--data", dir)
	revoke := func(kid string) string {
		t.Helper()
		out, err := exec.Command("tallystick", "key", "revoke", "--data", dir, "--", kid).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	for _, k := range all.Signing {
		first := revoke(k.KID)
		var after keysJSON
		tool(t, &after, "key", "list", "--data", dir)
		second := revoke(k.KID)
		if !strings.HasPrefix(first, "Revoked "+k.KID+". ") || !strings.HasPrefix(second, k.KID+" counted no more already. ") {
			t.Errorf("%s\n%s", first, second)
		}
		for _, b := range after.Signing {
			if b.KID == k.KID && (b.State != "retired" || strings.HasPrefix(b.Ends, "1970")) {
				t.Errorf("%+v", b)
			}
		}
		if inSet := strings.Contains(first, "when they fetch the JWK Set"); inSet != (k.Purpose == "standard") {
			t.Errorf("%s: %s", k.Purpose, first)
		}
		var again keysJSON
		if tool(t, &again, "key", "list", "--data", dir); len(again.Signing) != len(after.Signing) {
			t.Errorf("the second time made a key: %+v", again)
		}
	}
	// An answer that cannot be printed is a failure.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := exec.Command("tallystick", "key", "rotate", "--data", dir)
	cmd.Stdout = full
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("key rotate to a full disk: %v", err)
	}
}
