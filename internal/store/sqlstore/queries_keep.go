package sqlstore

// Leases.
const (
	// A lease that ends after $6 was taken by a clock that was wrong.
	sqlLease = `INSERT INTO lease (issuer, name, holder, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (issuer, name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE lease.holder = excluded.holder OR lease.expires_at <= $5 OR lease.expires_at > $6`
)

// The purge. Each table is walked along its primary key: sqlNext… finds the key of
// the row that is $2 after a key, and sqlPurge… deletes what ended before $2 from
// one key to another, so that no statement looks at more than its part.
const (
	afterID  = ` WHERE issuer = $1 AND id > $3 ORDER BY id LIMIT 1 OFFSET $2`
	withinID = ` WHERE issuer = $1 AND id > $3 AND id <= $4 AND `

	sqlNextGrant = `SELECT id FROM "grant"` + afterID
	// The row of a code that could still be redeemed stays, since an anonymous
	// profile could be born of it once more; and so do those of a browser that is
	// signed in, since their clients are to be told when it no longer is.
	sqlPurgeGrants = `DELETE FROM "grant"` + withinID + `code_expires_at < $2
			AND (redeemed_at = 0 OR revoked_at <> 0 AND revoked_at < $2 OR idle_expires_at <> 0 AND idle_expires_at < $2
				OR absolute_expires_at <> 0 AND absolute_expires_at < $2)
			AND NOT EXISTS (SELECT 1 FROM session s WHERE s.issuer = $1 AND s.browser = "grant".browser
				AND s.ended_at = 0 AND s.expires_at >= $2)`

	sqlNextSession = `SELECT id FROM session` + afterID
	// A session that another has taken the place of is what its grants end by.
	sqlPurgeSessions = `DELETE FROM session` + withinID + `(ended_at <> 0 AND ended_at < $2 OR expires_at < $2)
			AND NOT EXISTS (SELECT 1 FROM "grant" g WHERE g.issuer = $1 AND g.session = session.id AND g.revoked_at = 0)`

	sqlNextLink   = `SELECT id FROM link` + afterID
	sqlPurgeLinks = `DELETE FROM link` + withinID + `(used_at <> 0 AND used_at < $2 OR expires_at < $2)`

	sqlNextMail   = `SELECT id FROM outbox` + afterID
	sqlPurgeMails = `DELETE FROM outbox` + withinID + `next_attempt_at = 0 AND created_at < $2`

	sqlNextNotice = `SELECT browser, client_id FROM notice
		WHERE issuer = $1 AND (browser, client_id) > ($3, $4) ORDER BY browser, client_id LIMIT 1 OFFSET $2`
	sqlPurgeNotices = `DELETE FROM notice
		WHERE issuer = $1 AND (browser, client_id) > ($3, $4) AND (browser, client_id) <= ($5, $6)
			AND next_attempt_at = 0 AND created_at < $2`

	sqlNextRequest   = `SELECT id FROM request` + afterID
	sqlPurgeRequests = `DELETE FROM request` + withinID + `expires_at < $2`

	sqlNextSpent  = `SELECT id FROM spent` + afterID
	sqlPurgeSpent = `DELETE FROM spent` + withinID + `expires_at < $2`

	sqlNextUser = `SELECT id FROM "user"` + afterID
	// Whoever confirms his address at this moment has nothing pending any more.
	registrations = ` FROM "user"` + withinID + `created_at < $2 AND pending <> ''
			AND NOT EXISTS (SELECT 1 FROM user_identifier i WHERE i.issuer = $1 AND i."user" = "user".id)`
	// sqlHoldLinks writes the rows as they are: who confirms comes to the link first
	// and to the user then, and two that come from both ends would wait for each other.
	sqlHoldLinks = `UPDATE link SET used_at = used_at WHERE issuer = $1 AND "user" IN (
		SELECT id` + registrations + `)`
	sqlPurgeRegistrations = `DELETE` + registrations + ` RETURNING id`
	sqlDeleteGrantsOfUser = `DELETE FROM "grant" WHERE issuer = $1 AND "user" = $2`

	// The last key that there is comes last, since no text is after every other in
	// every order of text.
	sqlNextClient = `SELECT id FROM client WHERE issuer = $1 AND id = COALESCE((SELECT id FROM client` + afterID + `),
		(SELECT max(id) FROM client WHERE issuer = $1 AND id > $3))`
	nobodys = ` AND NOT EXISTS (SELECT 1 FROM "grant" g WHERE g.issuer = $1 AND g.client_id = client.id)
			AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.issuer = $1 AND c.client_id = client.id)
			AND NOT EXISTS (SELECT 1 FROM "user" u WHERE u.issuer = $1 AND u.client_id = client.id)`
	sqlUnusedClients = `SELECT id, metadata FROM client` + withinID + `source = $5 AND created_at < $2` + nobodys
	// What a birth that was under way has made of it is seen once the row is held.
	sqlPurgeClient = `DELETE FROM client WHERE issuer = $1 AND id = $2` + nobodys

	sqlNextAudit = `SELECT "grant", node, sequence FROM audit
		WHERE issuer = $1 AND ("grant", node, sequence) > ($3, $4, $5) ORDER BY "grant", node, sequence LIMIT 1 OFFSET $2`
	sqlPurgeAudit = `DELETE FROM audit
		WHERE issuer = $1 AND ("grant", node, sequence) > ($3, $4, $5) AND ("grant", node, sequence) <= ($6, $7, $8)
			AND at < $2`
)

// Keys that end.
const (
	sqlRetireSigningKey = `UPDATE signing_key SET retired_at = $3
		WHERE issuer = $1 AND id = $2 AND (retired_at = 0 OR retired_at > $3)`
	sqlSigningKeyExists = `SELECT id FROM signing_key WHERE issuer = $1 AND id = $2`
)

// The cap of a user's grants of a client. Those whose code can still be redeemed
// are alive, too: they would be redeemed after they were counted. $6 is the one
// that has just been born: it stays, whatever its clock says.
const sqlEndOldestGrants = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
	WHERE issuer = $1 AND "user" = $2 AND revoked_at = 0 AND id IN (
		SELECT id FROM "grant" WHERE issuer = $1 AND "user" = $2 AND client_id = $5 AND id <> $6 AND revoked_at = 0
			AND (redeemed_at <> 0 OR code_expires_at > $3)
			AND (idle_expires_at = 0 OR idle_expires_at > $3)
			AND (absolute_expires_at = 0 OR absolute_expires_at > $3)
		ORDER BY created_at DESC, id DESC LIMIT 9223372036854775807 OFFSET $7)
	RETURNING id`
