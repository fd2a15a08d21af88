package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/testkit"
)

// A store that is restored from an older copy has lost commits. Clients bring
// tokens that are newer than its rows: it serves them, says so in the audit, and
// logs nobody out (DESIGN §3, Ahead).
func TestRestoredOlderCopyLogsNobodyOut(t *testing.T) {
	w := testkit.NewWorld(t)
	profile, signedIn := w.NewProfile(t), w.SignIn(t)
	idle := w.SignIn(t) // its newest token is in the copy
	outstanding := testkit.Send(w.Handler, testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password)).Code
	copied := copyDatabase(t, w)

	// What the copy will not know: rotations, and the redemption of a code.
	shopToken, appToken := profile.RefreshToken, signedIn.RefreshToken
	for range 5 {
		w.Clock.Advance(time.Hour)
		shopToken = testkit.Send(w.Handler, testkit.DressipiRefresh(testkit.Shop, shopToken)).RefreshToken
		appToken = testkit.Send(w.Handler, testkit.UserdocksRefresh(testkit.App, appToken)).RefreshToken
	}
	w.Clock.Advance(-5 * time.Hour)
	late := testkit.Send(w.Handler, testkit.UserdocksRedeem(testkit.App, outstanding))
	w.Clock.Advance(5 * time.Hour)
	if late.Status != 201 {
		t.Fatalf("%d %s", late.Status, late.Body)
	}

	restored := testkit.NewWorldOf(t, w, copied)
	for _, tt := range []struct {
		name  string
		token string
		ahead bool
	}{
		{"rotated since, Userdocks", appToken, true},
		{"redeemed since, Userdocks", late.RefreshToken, true},
		{"unused since, Userdocks", idle.RefreshToken, false},
	} {
		token := tt.token
		for use := range 3 {
			a := testkit.Send(restored.Handler, testkit.UserdocksRefresh(testkit.App, token))
			if a.Status != 201 || a.RefreshToken == token {
				t.Fatalf("%s, use %d: %d %s", tt.name, use, a.Status, a.Body)
			}
			token = a.RefreshToken
		}
	}
	token := shopToken
	for use := range 3 {
		a := testkit.Send(restored.Handler, testkit.DressipiRefresh(testkit.Shop, token))
		if a.Status != 200 || a.RefreshToken == token {
			t.Fatalf("Dressipi, use %d: %d %s", use, a.Status, a.Body)
		}
		token = a.RefreshToken
	}
	// The code that the copy takes for unspent has long expired.
	if a := testkit.Send(restored.Handler, testkit.UserdocksRedeem(testkit.App, outstanding)); a.Status != 400 {
		t.Errorf("the code again: %d %s", a.Status, a.Body)
	}
	events, err := restored.Store.AuditOf(t.Context(), restored.GrantOf(t, appToken))
	if err != nil {
		t.Fatal(err)
	}
	if last := events[len(events)-1]; last.Kind != store.AuditAhead {
		t.Errorf("the audit says %v, want %v", last.Kind, store.AuditAhead)
	}
}

// copyDatabase copies the files as they are, log and all, as a backup tool that
// knows nothing of SQLite would if the server stood still.
func copyDatabase(t *testing.T, w *testkit.World) string {
	t.Helper()
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(w.Path + suffix)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "test.db"+suffix), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "test.db")
}

// A database that was made under another master key is refused at the door.
func TestForeignMasterKey(t *testing.T) {
	w := testkit.NewWorld(t)
	copied := copyDatabase(t, w)
	_, err := server.Open(t.Context(), server.Config{Database: copied, Issuer: testkit.Issuer, Master: testkit.NewMaster(t), Log: testkit.NoLog()})
	if err == nil || err.Error() != server.ErrMasterKey.Error() {
		t.Errorf("%v, want %v", err, server.ErrMasterKey)
	}
}
