package model

// Flaw is a rule that is broken on purpose: the exploration must find what comes
// of it, or its invariants would be idle.
type Flaw uint8

// The flaws.
const (
	NoFlaw               Flaw = iota
	RedeemsAgain              // the redemption does not ask whether there was one
	ReadsFirst                // decides by what it has read, and writes whatever the row has become
	RotatesAnyGeneration      // the rotation does not ask for the generation
	ServesTheRevoked          // nobody asks whether the grant has ended
	OutlivesItsEnd            // nobody asks what time it is
	MintsSibling              // each retry gets a successor of its own
	AnswersParent             // a retry gets back what it has presented
	MintsUnderActiveKey       // a retry is minted under the active key, not the row's
	ForgetsRetries            // the parent is a replay at once
	ForgetsWindow             // the parent is a retry for ever
	RotatesUnasked            // a client that does not rotate has no window where the server rotates
	ServesGrandparent         // the window is of every token, not of the parent
	EndsNothing               // a replay is refused, and the grant lives on
	EndsUnproven              // a use that proves nothing ends the grant
	EndsForForeigners         // a foreign client's try ends the grant
	ServesForeigners          // nobody asks whose client it is
	RefusesAhead              // a token that is newer than the row is unknown
	GoesBackwards             // a token that was newer than the row sets it back
	AnswersBeforeCommit       // the answer leaves while the write is not durable

	// The owner's own: what a client must keep to, so that the promises are his.
	Impatient   // he presents his successor while an older request of his is with a node
	RetriesLate // he retries after his window
	RetriesCode // he redeems again if he was not answered
)
