package sqlstore

// The SQL text, for SQLite and PostgreSQL alike: $n, quoted "user" and "grant",
// no function that only one of them has. $1 is the issuer everywhere. Time comes
// in and is never asked of the database.
//
// A parameter is used as one type only and stands in arithmetic only within
// a CAST, or PostgreSQL would take it for a 32-bit number.

const configVersion = `(SELECT config_version FROM issuer WHERE issuer.id = $1)`

// Issuers.
const (
	sqlInsertIssuer = `INSERT INTO issuer (id, name, master_check, config_version, created_at)
		VALUES ($1, $2, $3, 1, $4) ON CONFLICT DO NOTHING`
	sqlIssuerByName = `SELECT id, master_check FROM issuer WHERE name = $1`

	sqlConfigVersion     = `SELECT config_version FROM issuer WHERE id = $1`
	sqlBumpConfigVersion = `UPDATE issuer SET config_version = config_version + 1 WHERE id = $1`
	// sqlTouchIssuer changes nothing, but writes a page.
	sqlTouchIssuer = `UPDATE issuer SET config_version = config_version WHERE id = $1`
)

// Grants. The conditions of the three updates are the only place where it is
// decided who is the one that redeems or rotates.
const (
	grantColumns = `id, client_id, subject, "user", scope, nonce, auth_time, redirect_uri, code_challenge,
		created_at, code_expires_at, absolute_expires_at, session, state_hash, resources, claims, browser,
		redeemed_at, generation, mac_key, rotated_at, idle_expires_at, revoked_at, revoked_why`

	sqlGrant = `SELECT ` + grantColumns + ` FROM "grant" WHERE issuer = $1 AND id = $2`

	sqlGrantState = `SELECT redeemed_at, generation, mac_key, rotated_at, idle_expires_at, revoked_at, revoked_why,
		absolute_expires_at, ` + configVersion + ` FROM "grant" WHERE issuer = $1 AND id = $2`

	sqlInsertGrant = `INSERT INTO "grant" (issuer, ` + grantColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
			$23, $24, $25)
		ON CONFLICT DO NOTHING RETURNING ` + configVersion

	sqlRedeem = `UPDATE "grant" SET redeemed_at = $3, mac_key = $4, idle_expires_at = $5
		WHERE issuer = $1 AND id = $2 AND redeemed_at = 0 AND code_expires_at > $3 AND revoked_at = 0
			AND (absolute_expires_at = 0 OR absolute_expires_at > $3)
		RETURNING generation, rotated_at, ` + configVersion

	sqlRotate = `UPDATE "grant" SET generation = generation + 1, mac_key = $5,
			rotated_at = CASE WHEN rotated_at > $6 THEN rotated_at ELSE $6 END, idle_expires_at = $7
		WHERE issuer = $1 AND id = $2 AND generation = $3 AND mac_key = $4 AND redeemed_at <> 0 AND revoked_at = 0
			AND (idle_expires_at = 0 OR idle_expires_at > $6)
			AND (absolute_expires_at = 0 OR absolute_expires_at > $6)
		RETURNING redeemed_at, rotated_at, ` + configVersion

	sqlAhead = `UPDATE "grant" SET generation = $4, mac_key = $5,
			rotated_at = CASE WHEN rotated_at > $6 THEN rotated_at ELSE $6 END, idle_expires_at = $7,
			redeemed_at = CASE WHEN redeemed_at = 0 THEN $6 ELSE redeemed_at END
		WHERE issuer = $1 AND id = $2 AND (generation < $3 OR generation = $3 AND redeemed_at = 0) AND revoked_at = 0
			AND (idle_expires_at = 0 OR idle_expires_at > $6)
			AND (absolute_expires_at = 0 OR absolute_expires_at > $6)
		RETURNING redeemed_at, rotated_at, ` + configVersion

	sqlExtend = `UPDATE "grant" SET idle_expires_at = $5
		WHERE issuer = $1 AND id = $2 AND generation = $3 AND idle_expires_at = $4 AND revoked_at = 0`

	sqlEndGrant = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
		WHERE issuer = $1 AND id = $2 AND revoked_at = 0`

	// Every grant of the user that is not revoked yet, expired or not: a node
	// with another clock, or a row that lost commits, might bring it back.
	sqlEndGrantsOfUser = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
		WHERE issuer = $1 AND "user" = $2 AND revoked_at = 0 RETURNING id`
)

// Audit.
const (
	auditColumns = `issuer, "grant", node, sequence, at, kind, client_id, "user", reason, request_id, ip`

	// Client and user of an event about a grant are the grant's.
	sqlAuditGrant = `INSERT INTO audit (` + auditColumns + `)
		SELECT $1, $2, $3, $4, $5, $6, client_id, "user", $7, $8, $9 FROM "grant" WHERE issuer = $1 AND id = $2`

	// sqlAuditGrants tells the same of many, when there are more ids than $9. $3 is the
	// sequence that the first comes after.
	sqlAuditGrants = `INSERT INTO audit (` + auditColumns + `)
		SELECT $1, id, $2, CAST($3 AS BIGINT) + row_number() OVER (ORDER BY id), $4, $5, client_id, "user", $6, $7, $8
		FROM "grant" WHERE issuer = $1 AND id IN ($9)`

	sqlAuditUser = `INSERT INTO audit (` + auditColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, '', '')`

	sqlEventExists = `SELECT sequence FROM audit WHERE issuer = $1 AND "grant" = $2 AND node = $3 AND sequence = $4`

	sqlAuditOf = `SELECT node, sequence, at, kind, "grant", client_id, "user", reason, request_id, ip
		FROM audit WHERE issuer = $1 AND "grant" = $2 ORDER BY at, node, sequence`
)

// Clients and API keys.
const (
	clientColumns = `face, source, metadata, disabled_at, created_at, updated_at, backchannel_logout_uri`

	// A client stands in as many rows as it has secrets, at least in one.
	selectClient = `SELECT c.id, c.face, c.source, c.metadata, c.disabled_at, c.created_at, c.updated_at,
			s.hash, s.created_at, s.expires_at
		FROM client c LEFT JOIN client_secret s ON s.issuer = c.issuer AND s.client_id = c.id
		WHERE c.issuer = $1 AND c.`
	orderClients = ` ORDER BY c.id, s.created_at, s.hash`
	sqlClient    = selectClient + `id = $2` + orderClients
	sqlClientsOf = selectClient + `face = $2` + orderClients
	sqlPutClient = `INSERT INTO client (issuer, id, ` + clientColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (issuer, id) DO UPDATE SET face = excluded.face, source = excluded.source,
			metadata = excluded.metadata, disabled_at = excluded.disabled_at,
			created_at = excluded.created_at, updated_at = excluded.updated_at,
			backchannel_logout_uri = excluded.backchannel_logout_uri`

	sqlAPIKey    = `SELECT client_id, access, created_at FROM api_key WHERE issuer = $1 AND hash = $2`
	sqlPutAPIKey = `INSERT INTO api_key (issuer, hash, client_id, access, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (issuer, hash) DO UPDATE SET client_id = excluded.client_id, access = excluded.access,
			created_at = excluded.created_at`
)

// Users.
const (
	// A user stands in as many rows as it has identifiers, at least in one.
	selectUser = `SELECT u.id, u.claims, u.email, u.email_verified, u.password_hash, u.credential_version,
			u.disabled_at, u.created_at, u.updated_at, u.last_sign_in_at, u.pending, u.client_id, u.referral_code, u.attributes,
			u.guess_failures, u.blocked_until, u.known_address, i.kind, i.value
		FROM "user" u LEFT JOIN user_identifier i ON i.issuer = u.issuer AND i."user" = u.id
		WHERE u.issuer = $1 AND u.id = `
	sqlUser             = selectUser + `$2 ORDER BY i.position`
	sqlUserByIdentifier = selectUser + `(SELECT "user" FROM user_identifier WHERE issuer = $1 AND value = $2)
		ORDER BY i.position`

	sqlInsertUser = `INSERT INTO "user" (issuer, id, claims, email, email_verified, password_hash,
			credential_version, disabled_at, created_at, updated_at, last_sign_in_at,
			client_id, referral_code, attributes, guess_failures, blocked_until, known_address, pending)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT DO NOTHING`
	sqlChangeCredential = `UPDATE "user" SET credential_version = $3
		WHERE issuer = $1 AND id = $2 AND credential_version <> $3`
	sqlUpdateUser = `UPDATE "user" SET claims = $3, email = $4, email_verified = $5, password_hash = $6,
			disabled_at = $7, updated_at = $8, client_id = $9, referral_code = $10, attributes = $11,
			guess_failures = $12, blocked_until = $13, known_address = $14, pending = $15
		WHERE issuer = $1 AND id = $2`
	sqlSignIn = `UPDATE "user" SET last_sign_in_at = $3
		WHERE issuer = $1 AND id = $2 AND disabled_at = 0 AND credential_version = $4`

	sqlDeleteIdentifiers = `DELETE FROM user_identifier WHERE issuer = $1 AND "user" = $2`
	// No row if the name is another user's.
	sqlPutIdentifier = `INSERT INTO user_identifier (issuer, value, kind, position, "user") VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (issuer, value) DO UPDATE SET kind = excluded.kind, position = excluded.position
			WHERE user_identifier."user" = excluded."user"`

	sqlPutTenant = `INSERT INTO tenant (issuer, id, name, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (issuer, id) DO UPDATE SET name = excluded.name, created_at = excluded.created_at`
	sqlPutMembership = `INSERT INTO membership (issuer, "user", tenant, role, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (issuer, "user", tenant) DO UPDATE SET role = excluded.role, created_at = excluded.created_at`
	sqlMemberships = `SELECT m.tenant, t.name, m."user", m.role, m.created_at
		FROM membership m JOIN tenant t ON t.issuer = m.issuer AND t.id = m.tenant
		WHERE m.issuer = $1 AND m."user" = $2 ORDER BY m.created_at, m.tenant`
)

// Keys.
const (
	sqlSigningKeys = `SELECT purpose, algorithm, number, id, sealed, created_at, active_at, retired_at
		FROM signing_key WHERE issuer = $1 ORDER BY purpose, algorithm, number`
	sqlAddSigningKey = `INSERT INTO signing_key (issuer, purpose, algorithm, number, id, sealed, created_at, active_at, retired_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`
	sqlMACKeys   = `SELECT number, sealed, created_at, active_at FROM mac_key WHERE issuer = $1 ORDER BY number`
	sqlAddMACKey = `INSERT INTO mac_key (issuer, number, sealed, created_at, active_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
)
