package storetest_test

import "github.com/tallystick/tallystick/internal/store"

// The statements around clients, by what no other has.
const (
	theSpend         = `INSERT INTO spent`
	thePush          = `INSERT INTO request`
	theUseOfARequest = `UPDATE request SET used_at`
	theHoldOfSession = `UPDATE session SET ended_at = ended_at`
	theReplacement   = `UPDATE session SET expires_at`
	theHoldOfConsent = `UPDATE consent SET given_at = given_at`
	theAgreement     = `INSERT INTO consent`
	theWithdrawal    = `DELETE FROM consent WHERE issuer = $1 AND "user" = $2`
	theWithdrawnEnd  = `WHERE issuer = $1 AND "user" = $2 AND client_id = $5 AND revoked_at = 0`
	theSecrets       = `LEFT JOIN client_secret s`
	theRegistration  = `(SELECT count(*) FROM client WHERE`
	theDeletedEnd    = `WHERE issuer = $1 AND client_id = $2 AND revoked_at = 0`
	theConsentsAudit = `VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', $9, $10)`
	theClientsAudit  = `VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10)`
	theNotices       = `INSERT INTO notice`
	theUsersNotices  = `SELECT browser FROM session`
	theAttempt       = `UPDATE notice SET attempts = attempts + 1`
	theDue           = `FROM notice`
	theGrantsOf      = `FROM "grant"
		WHERE issuer = $1 AND "user" = $2 AND redeemed_at <> 0`
	theSessionsOf = `FROM session
		WHERE issuer = $1 AND "user" = $2 AND ended_at = 0`
	aClients    = `client_id = $2`
	noneOfThem  = ` AND 1 = 0`
	anyUser     = `("user" = $2` + anything
	thisUser    = `"user" = $2`
	thisClient3 = `client_id = $3`
	anyClient3  = `(client_id = $3` + anything
)

var clientMutants = []mutant{
	// What a birth hangs on.
	{name: "births from an ended session", in: theHoldOfSession, old: `ended_at = 0`, new: `1 = 1`, caught: "birth: from a session"},
	{name: "births from an expired session", in: theHoldOfSession, old: `expires_at > $4`, new: `(expires_at > $4` + anything, caught: "birth: from a session"},
	{name: "births from another's session", in: theHoldOfSession, old: `"user" = $3`, new: `("user" = $3` + anything, caught: "birth: from a session"},
	{name: "signs out who sends a form twice", in: theReplacement, old: `ended_at = 0`, new: `ended_at = 0 AND expires_at > $4`, caught: "session: a former whose place"},
	{name: "goes on in a browser that was signed out", in: theReplacement, old: `ended_at = 0`, new: `1 = 1`, caught: "session: a former that has ended"},
	{name: "births on a consent to another scope", in: theHoldOfConsent, old: `scope = $4`, new: `(scope = $4` + anything, caught: "consent: seen before and changed"},
	{name: "births on a consent to other resources", in: theHoldOfConsent, old: `resources = $5`, new: `(resources = $5` + anything, caught: "consent: seen before and changed"},
	{name: "births on a consent to other claims", in: theHoldOfConsent, old: `claims = $6`, new: `(claims = $6` + anything, caught: "consent: seen before and changed"},
	{name: "births on a consent for another client", in: theHoldOfConsent, old: thisClient3, new: anyClient3, caught: "consent: none, withdrawn"},
	{name: "births on another user's consent", in: theHoldOfConsent, old: thisUser, new: anyUser, caught: "consent: none, withdrawn"},
	{name: "births on another issuer's consent", in: theHoldOfConsent, old: thisIssuer, new: anyIssuer, caught: "issuer: nothing around"},
	{name: "reads the consent, then births", wrap: readsConsentThenBirths, caught: "consent: withdrawn against births that rely"},
	{name: "reads the session, then births", wrap: readsSessionThenBirths, caught: "notice: births against the end"},
	{name: "keeps the first scope that was agreed to", in: theAgreement, old: `scope = excluded.scope`, new: `scope = consent.scope`, caught: "consent: given again"},
	{name: "births twice of one request", in: theUseOfARequest, old: `used_at = 0`, new: `1 = 1`, caught: "request: 20 births"},
	{name: "births of another client's request", in: theUseOfARequest, old: thisClient3, new: anyClient3, caught: "request: of another client"},
	{name: "births of another issuer's request", in: theUseOfARequest, old: thisIssuer, new: anyIssuer, caught: "issuer: nothing around"},

	// Consents that are withdrawn.
	{name: "leaves the consent that is withdrawn", in: theWithdrawal, old: thisUser, new: thisUser + noneOfThem, caught: "consent: withdrawn, the user's grants"},
	{name: "leaves the consents of a deleted user", in: theWithdrawal, old: thisUser, new: thisUser + noneOfThem, caught: "consent: erased"},
	{name: "tells nobody that a consent was withdrawn", in: theConsentsAudit, old: theConsentsAudit, new: `SELECT $1, $2, $3, $4, $5, $6, $7, $8, '', $9, $10 WHERE 1 = 0`, caught: "consent: withdrawn where"},
	{name: "ends nothing by a withdrawal", in: theWithdrawnEnd, old: notRevoked, new: `1 = 0`, caught: "consent: withdrawn, the user's grants"},
	{name: "ends everybody's grants for the client", in: theWithdrawnEnd, old: thisUser, new: anyUser, caught: "consent: withdrawn, the user's grants"},
	{name: "ends the user's grants for every client", in: theWithdrawnEnd, old: `client_id = $5`, new: `(client_id = $5` + anything, caught: "consent: withdrawn, the user's grants"},
	{name: "ends the grants of another issuer's consent", in: theWithdrawnEnd, old: thisIssuer, new: anyIssuer, caught: "issuer: what becomes"},

	// Requests and assertions.
	{name: "counts the requests of every client", in: thePush, old: thisClient3, new: anyClient3, caught: "request: so many"},
	{name: "counts the requests that are used", in: thePush, old: `used_at = 0`, new: `1 = 1`, caught: "request: so many"},
	{name: "counts the requests that have expired", in: thePush, old: `expires_at > $8`, new: `expires_at >= $8`, caught: "request: so many"},
	{name: "overwrites a request", in: thePush, old: noConflict, new: `ON CONFLICT (issuer, id) DO UPDATE SET params = excluded.params`, caught: "request: an id"},
	{name: "spends again", in: theSpend, old: `spent.expires_at <= $4`, new: `(spent.expires_at <= $4` + anything, caught: "spend: 200"},
	{name: "spends until after the end", in: theSpend, old: `spent.expires_at <= $4`, new: `spent.expires_at < $4`, caught: "spend: once"},
	{name: "never forgets what was spent", in: theSpend, old: `spent.expires_at <= $4`, new: `spent.expires_at <= $4` + noneOfThem, caught: "spend: once"},
	{name: "spends an assertion only on success", wrap: spendsOnSuccess, caught: "assertion: a replayed code spends it"},
	{name: "spends an assertion in a transaction of its own", wrap: spendsApart, caught: "fault: a call fails, at every call around clients"},
	{name: "spends no assertion where nothing else is written", wrap: rotated(func(in *store.Rotate) {
		if !in.Rotating {
			in.Assertion = store.Spend{}
		}
	}), caught: "assertion: a refresh that writes nothing"},

	// Secrets, registration, deletion.
	{name: "lets in with another client's secret", in: theSecrets, old: ` AND s.client_id = c.id`, new: ``, caught: "secret: several"},
	{name: "lets in with another issuer's secret", in: theSecrets, old: `s.issuer = c.issuer AND `, new: ``, caught: "issuer: nothing around"},
	{name: "has secrets in no order", in: theSecrets, old: `s.created_at, s.hash`, new: `s.hash`, caught: "secret: several"},
	{name: "keeps the secret that is replaced", in: `INSERT INTO client_secret`, old: `expires_at = excluded.expires_at`, new: `expires_at = client_secret.expires_at`, caught: "secret: replaced"},
	{name: "takes away every client's secret", in: `DELETE FROM client_secret`, old: aClients + ` AND hash`, new: `(client_id = $2` + anything + ` AND hash`, caught: "secret: taken away"},
	{name: "counts every client as self-registered", in: theRegistration, old: `source = $4)`, new: `(source = $4` + anything + `)`, caught: "registration: so many"},
	{name: "counts another issuer's registrations", in: theRegistration, old: thisIssuer, new: anyIssuer, caught: "issuer: nothing around"},
	{name: "registers over a client", in: theRegistration, old: noConflict, new: `ON CONFLICT (issuer, id) DO UPDATE SET metadata = excluded.metadata`, caught: "registration: an id"},
	{name: "tells no audit of a client", in: theClientsAudit, old: theClientsAudit, new: `SELECT $1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10 WHERE 1 = 0`, caught: "registration: a client"},
	{name: "leaves a deleted client's secrets", in: `DELETE FROM client_secret`, old: aClients, new: aClients + noneOfThem, caught: "client deleted: with all"},
	{name: "leaves a deleted client's API keys", in: `DELETE FROM api_key`, old: aClients, new: aClients + noneOfThem, caught: "client deleted: with all"},
	{name: "leaves a deleted client's consents", in: `DELETE FROM consent WHERE issuer = $1 AND client_id`, old: aClients, new: aClients + noneOfThem, caught: "client deleted: with all"},
	{name: "leaves a deleted client's grants", in: theDeletedEnd, old: notRevoked, new: `1 = 0`, caught: "client deleted: with all"},
	{name: "ends every client's grants", in: theDeletedEnd, old: aClients, new: `(client_id = $2` + anything, caught: "client deleted: with all"},
	{name: "deletes another issuer's client", in: `DELETE FROM client WHERE`, old: thisIssuer, new: anyIssuer, caught: "issuer: what becomes"},

	// Notices.
	{name: "tells every client", in: theNotices, old: `c.backchannel_logout_uri <> ''`, new: `1 = 1`, caught: "notice: one for each browser and client, when the session is ended"},
	{name: "tells of another issuer's client", in: theNotices, old: `c.issuer = g.issuer AND `, new: ``, caught: "issuer: nothing around"},
	{name: "tells of grants of other browsers", in: theNotices, old: `g.browser = $2`, new: `g.browser IS NOT NULL AND $2 = $2`, caught: "notice: one for each browser and client, when another user"},
	{name: "tells nobody of a new password", in: theUsersNotices, old: `ended_at = $3`, new: `ended_at = $3` + noneOfThem, caught: "notice: one for each browser and client, when the password is changed"},
	{name: "counts an attempt twice", in: theAttempt, old: `attempts = $4`, new: `(attempts = $4` + anything, caught: "notice: an attempt is one worker's"},
	{name: "tries what was given up", in: theAttempt, old: `next_attempt_at <> 0`, new: `1 = 1`, caught: "notice: given up"},
	{name: "tells again what was told", in: `UPDATE notice SET last_error`, old: `sent_at = 0`, new: `1 = 1`, caught: "notice: told stays told"},
	{name: "sends again what was sent", in: `UPDATE outbox SET last_error`, old: `sent_at = 0`, new: `1 = 1`, caught: "outbox: sent stays sent"},
	{name: "tries every client's notice", in: theAttempt, old: thisClient3, new: anyClient3, caught: "notice: an attempt and its end"},
	{name: "tells every client's notice", in: `UPDATE notice SET sent_at`, old: thisClient3, new: anyClient3, caught: "notice: an attempt and its end"},
	{name: "has the newest first", in: theDue, old: `ORDER BY next_attempt_at, client_id`, new: `ORDER BY next_attempt_at DESC, client_id`, caught: "notice: the longest due"},
	{name: "has the newest of a client first", in: theDue, old: `ORDER BY next_attempt_at, browser`, new: `ORDER BY next_attempt_at DESC, browser`, caught: "notice: few of one client"},
	{name: "lets one client fill the list", in: theDue, old: `WHERE place <= 4`, new: `WHERE place > 0`, caught: "notice: few of one client"},
	{name: "has a notice due a millisecond late", in: theDue, old: `next_attempt_at <= $2`, new: `next_attempt_at < $2`, caught: "notice: due, leased"},

	// Lists.
	{name: "lists grants that nobody has redeemed", in: theGrantsOf, old: `redeemed_at <> 0`, new: `1 = 1`, caught: "grants of a user"},
	{name: "lists grants at their idle end", in: theGrantsOf, old: `idle_expires_at > $3`, new: `idle_expires_at >= $3`, caught: "grants of a user"},
	{name: "lists grants after their absolute end", in: theGrantsOf, old: `absolute_expires_at > $3`, new: `(absolute_expires_at > $3` + anything, caught: "grants of a user"},
	{name: "lists sessions that have expired", in: theSessionsOf, old: `expires_at > $3`, new: `expires_at >= $3`, caught: "sessions of a user"},
	{name: "lists another issuer's sessions", in: theSessionsOf, old: thisIssuer, new: anyIssuer, caught: "issuer: nothing around"},
}
