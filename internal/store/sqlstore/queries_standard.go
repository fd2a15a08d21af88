package sqlstore

// Lists of grants and sessions.
const (
	sqlGrantsOf = `SELECT ` + grantColumns + ` FROM "grant"
		WHERE issuer = $1 AND "user" = $2 AND redeemed_at <> 0 AND revoked_at = 0
			AND (idle_expires_at = 0 OR idle_expires_at > $3)
			AND (absolute_expires_at = 0 OR absolute_expires_at > $3)
		ORDER BY created_at, id`
	sqlSessionsOf = `SELECT ` + sessionColumns + ` FROM session
		WHERE issuer = $1 AND "user" = $2 AND ended_at = 0 AND expires_at > $3 ORDER BY created_at, id`
)

// Clients' secrets, registration and end.
const (
	sqlPutSecret = `INSERT INTO client_secret (issuer, client_id, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (issuer, client_id, hash) DO UPDATE SET created_at = excluded.created_at, expires_at = excluded.expires_at`
	sqlDeleteSecret = `DELETE FROM client_secret WHERE issuer = $1 AND client_id = $2 AND hash = $3`

	// $4 is the source that is counted.
	sqlRegisterClient = `INSERT INTO client (issuer, id, ` + clientColumns + `)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
		WHERE (SELECT count(*) FROM client WHERE issuer = $1 AND source = $4) < $10
		ON CONFLICT DO NOTHING`
	sqlClientExists = `SELECT id FROM client WHERE issuer = $1 AND id = $2`
	// sqlHoldClient writes the row as it is: whoever deletes the client comes before
	// this and refuses the birth, or after it and meets its grant.
	sqlHoldClient = `UPDATE client SET updated_at = updated_at WHERE issuer = $1 AND id = $2`

	sqlDeleteClient           = `DELETE FROM client WHERE issuer = $1 AND id = $2`
	sqlDeleteSecretsOfClient  = `DELETE FROM client_secret WHERE issuer = $1 AND client_id = $2`
	sqlDeleteAPIKeysOfClient  = `DELETE FROM api_key WHERE issuer = $1 AND client_id = $2`
	sqlDeleteConsentsOfClient = `DELETE FROM consent WHERE issuer = $1 AND client_id = $2`
	sqlEndGrantsOfClient      = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
		WHERE issuer = $1 AND revoked_at = 0 AND id IN (
			SELECT id FROM "grant" WHERE issuer = $1 AND client_id = $2 AND revoked_at = 0 LIMIT $5)
		RETURNING id`

	sqlAuditClient = `INSERT INTO audit (` + auditColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10)`
	sqlAuditConsent = `INSERT INTO audit (` + auditColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', $9, $10)`
)

// Pushed requests, and what may be used once.
const (
	requestColumns = `id, client_id, params, created_at, expires_at, used_at`

	sqlRequest     = `SELECT ` + requestColumns + ` FROM request WHERE issuer = $1 AND id = $2`
	sqlPushRequest = `INSERT INTO request (issuer, ` + requestColumns + `)
		SELECT $1, $2, $3, $4, $5, $6, $7
		WHERE (SELECT count(*) FROM request WHERE issuer = $1 AND client_id = $3 AND used_at = 0 AND expires_at > $8) < $9
		ON CONFLICT DO NOTHING`
	sqlUseRequest = `UPDATE request SET used_at = $4 WHERE issuer = $1 AND id = $2 AND client_id = $3 AND used_at = 0`

	// What has expired can be spent again: it is refused for its age.
	sqlSpend = `INSERT INTO spent (issuer, id, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (issuer, id) DO UPDATE SET expires_at = excluded.expires_at WHERE spent.expires_at <= $4`
)

// Consents.
const (
	consentColumns = `"user", client_id, scope, resources, claims, given_at`

	sqlConsent    = `SELECT ` + consentColumns + ` FROM consent WHERE issuer = $1 AND "user" = $2 AND client_id = $3`
	sqlConsentsOf = `SELECT ` + consentColumns + ` FROM consent WHERE issuer = $1 AND "user" = $2`
	sqlAgree      = `INSERT INTO consent (issuer, ` + consentColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (issuer, "user", client_id) DO UPDATE SET scope = excluded.scope, resources = excluded.resources,
			claims = excluded.claims, given_at = excluded.given_at`
	// sqlHoldConsent writes the row as it is: whoever withdraws the consent comes
	// before this and refuses the birth, or after it and ends its grant.
	sqlHoldConsent = `UPDATE consent SET given_at = given_at
		WHERE issuer = $1 AND "user" = $2 AND client_id = $3 AND scope = $4 AND resources = $5 AND claims = $6`
	sqlWithdrawConsent    = `DELETE FROM consent WHERE issuer = $1 AND "user" = $2 AND client_id = $3`
	sqlEndGrantsOfConsent = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
		WHERE issuer = $1 AND "user" = $2 AND client_id = $5 AND revoked_at = 0 RETURNING id`
	sqlDeleteConsents = `DELETE FROM consent WHERE issuer = $1 AND "user" = $2`
)

// Notices.
const (
	noticeColumns = `browser, client_id, subject, created_at, next_attempt_at, attempts, sent_at, last_error`

	// Of every grant that was born in the browser, also if it has ended or goes
	// on: the client's own session hangs on the browser's. All but the first of a
	// client are in conflict.
	insertNotices = `INSERT INTO notice (issuer, ` + noticeColumns + `)
		SELECT g.issuer, g.browser, g.client_id, g.subject, $3, $3, 0, 0, ''
		FROM "grant" g JOIN client c ON c.issuer = g.issuer AND c.id = g.client_id
		WHERE g.issuer = $1 AND c.backchannel_logout_uri <> '' AND g.browser `

	sqlNotifyOfBrowser = insertNotices + `= $2 ON CONFLICT DO NOTHING`
	// The sessions are those that end now.
	sqlNotifyOfUser = insertNotices + `IN (
		SELECT browser FROM session WHERE issuer = $1 AND "user" = $2 AND ended_at = $3) ON CONFLICT DO NOTHING`

	// Few of each client, or one that does not answer would keep the others out.
	sqlDueNotices = `SELECT ` + noticeColumns + ` FROM (SELECT ` + noticeColumns + `,
			row_number() OVER (PARTITION BY client_id ORDER BY next_attempt_at, browser) AS place
			FROM notice WHERE issuer = $1 AND next_attempt_at <> 0 AND next_attempt_at <= $2) AS due
		WHERE place <= 4 ORDER BY next_attempt_at, client_id, place LIMIT $3`
	sqlAttemptNotice = `UPDATE notice SET attempts = attempts + 1, next_attempt_at = $5
		WHERE issuer = $1 AND browser = $2 AND client_id = $3 AND attempts = $4 AND next_attempt_at <> 0`
	sqlNoticeSent = `UPDATE notice SET sent_at = $4, next_attempt_at = 0, last_error = ''
		WHERE issuer = $1 AND browser = $2 AND client_id = $3`
	sqlNoticeFailed = `UPDATE notice SET last_error = $4, next_attempt_at = $5
		WHERE issuer = $1 AND browser = $2 AND client_id = $3 AND sent_at = 0`
)
