//go:build scale

package model

import (
	"strings"
	"testing"
)

// Each broken rule breaks a promise, so the promises are worth their name: an
// exploration that finds nothing has looked.
func TestFlawsBreakPromises(t *testing.T) {
	for _, tt := range []struct {
		flaw     Flaw
		name     string
		scenario string
		broken   string
	}{
		{RedeemsAgain, "redeems again", "web, code and verifier stolen", "promise 1"},
		{RedeemsAgain, "inserts over a grant that is there", "shop, all stolen", "promise 1"},
		{ReadsFirst, "reads, then redeems", "strict, all stolen", "promise 1"},
		{ReadsFirst, "reads, then rotates", "web", "promise 1"},
		{RotatesAnyGeneration, "rotates any generation", "web", "promise 1"},
		{ServesTheRevoked, "serves a grant that has ended", "web", "promise 3"},
		{OutlivesItsEnd, "serves after code, idle or absolute end", "web", "promise 3"},
		{MintsSibling, "mints a sibling for each retry", "web", "promise 1"},
		{AnswersParent, "answers a retry with what was presented", "web", "promise 1"},
		{MintsUnderActiveKey, "mints a retry under the active key", "web, new MAC key", "promise 4"},
		{ForgetsRetries, "has no retry", "web", "promise 2"},
		{ForgetsWindow, "has a window without end", "web, code and verifier stolen", "promise 3"},
		{RotatesUnasked, "has no window where the server rotates", "service", "promise 2"},
		{ServesGrandparent, "has a window for every token", "web, token stolen", "promise 3"},
		{EndsNothing, "does not end a replayed grant", "web, code and verifier stolen", "promise 3"},
		{EndsUnproven, "ends a grant on a use that proves nothing", "web, no challenge, code stolen", "promise 3"},
		{EndsForForeigners, "ends a grant on a foreign client's try", "web", "promise 3"},
		{ServesForeigners, "serves a foreign client", "web", "promise 3"},
		{RefusesAhead, "refuses a token that is newer than the row", "web, restored copy", "promise 2"},
		{GoesBackwards, "sets the row back to an older token", "web, token stolen, restored copy", "promise 1"},
		{AnswersBeforeCommit, "answers, then commits", "web", "promise 4"},

		{Impatient, "the owner goes on while an older request is with a node", "web", "promise 2"},
		{RetriesLate, "the owner retries after his window", "web", "promise 2"},
		{RetriesCode, "the owner redeems twice", "web", "promise 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := scenario(t, tt.scenario)
			sc.Flaw = tt.flaw
			e := Explore(sc, 0)
			if !strings.HasPrefix(e.Broken, tt.broken) {
				t.Fatalf("%s breaks %q, want %q (%d states)\n%s", tt.scenario, e.Broken, tt.broken, e.States, e.Story())
			}
			t.Logf("%s, after %d states:\n%s", e.Broken, e.States, e.Story())
		})
	}
}

func scenario(t *testing.T, name string) Scenario {
	t.Helper()
	for _, sc := range Scenarios {
		if sc.Name == name {
			return sc
		}
	}
	t.Fatalf("no scenario %q", name)
	return Scenario{}
}
