package sqlstore

// Sessions.
const (
	sqlInsertSession = `INSERT INTO session (issuer, id, "user", auth_time, created_at, expires_at, ended_at, browser)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	// sqlReplaceSession takes a session out of use, without ending it; also one
	// that is so already, as it is when a form is sent twice.
	sqlReplaceSession = `UPDATE session SET expires_at = CASE WHEN expires_at > $4 THEN $4 ELSE expires_at END
		WHERE issuer = $1 AND id = $2 AND "user" = $3 AND ended_at = 0 RETURNING browser`
	sessionColumns = `id, browser, "user", auth_time, created_at, expires_at, ended_at`
	sqlSession     = `SELECT ` + sessionColumns + ` FROM session WHERE issuer = $1 AND id = $2`
	// sqlHoldSession writes the row as it is: whoever ends the session comes
	// before this and refuses the birth, or after it and ends its grant.
	sqlHoldSession = `UPDATE session SET ended_at = ended_at
		WHERE issuer = $1 AND id = $2 AND "user" = $3 AND ended_at = 0 AND expires_at > $4`
	// sqlHoldOwner writes the row of a session's user as it is, as whoever opens a
	// session or bears a grant does first: he comes before, and what he has made is
	// seen and ended, or after and finds the session ended. All of a browser are one
	// user's.
	sqlHoldOwner = `UPDATE "user" SET last_sign_in_at = last_sign_in_at
		WHERE issuer = $1 AND id = (SELECT "user" FROM session WHERE issuer = $1 AND id = $2)`
	sqlEndSession = `UPDATE session SET ended_at = $3 WHERE issuer = $1 AND id = $2 AND ended_at = 0 RETURNING browser`
	// The sign-ins of one browser, of which one has just ended.
	sqlEndSessionsOfBrowser = `UPDATE session SET ended_at = $3 WHERE issuer = $1 AND browser = $2 AND ended_at = 0`
	sqlEndSessionsOfUser    = `UPDATE session SET ended_at = $3 WHERE issuer = $1 AND "user" = $2 AND ended_at = 0`
	sqlEndGrantsOfBrowser   = `UPDATE "grant" SET revoked_at = $3, revoked_why = $4
		WHERE issuer = $1 AND session IN (SELECT id FROM session WHERE issuer = $1 AND browser = $2) AND revoked_at = 0 RETURNING id`
)

// Guesses.
const (
	sqlTakeGuess = `UPDATE "user" SET guess_failures = guess_failures + 1, blocked_until = $5
		WHERE issuer = $1 AND id = $2 AND (guess_failures < $3 OR blocked_until <= $4 OR known_address = $6)`
	sqlReturnGuess = `UPDATE "user" SET guess_failures = guess_failures - 1
		WHERE issuer = $1 AND id = $2 AND guess_failures > 0`
	sqlForgetGuesses = `UPDATE "user" SET guess_failures = 0, blocked_until = 0, known_address = $3
		WHERE issuer = $1 AND id = $2`
)

// Links.
const (
	sqlLink = `SELECT id, purpose, "user", client_id, credential_version, created_at, expires_at, used_at
		FROM link WHERE issuer = $1 AND id = $2`
	// The credential is the user's at this moment: the link is good for it only.
	sqlInsertLink = `INSERT INTO link (issuer, id, purpose, "user", client_id, created_at, expires_at, used_at, credential_version)
		SELECT $1, $2, $3, id, $5, $6, $7, 0, credential_version FROM "user" WHERE issuer = $1 AND id = $4`
	sqlUseLink = `UPDATE link SET used_at = $5
		WHERE issuer = $1 AND id = $2 AND purpose = $3 AND client_id = $4 AND used_at = 0 AND expires_at > $5
		RETURNING "user", credential_version`
	sqlVerifyEmail = `UPDATE "user" SET email_verified = 1, updated_at = $4
		WHERE issuer = $1 AND id = $2 AND credential_version = $3 AND disabled_at = 0`
	// The name is claimed once it is confirmed; no row if it is somebody's already.
	sqlPending         = `SELECT pending FROM "user" WHERE issuer = $1 AND id = $2`
	sqlClaimIdentifier = `INSERT INTO user_identifier (issuer, value, kind, position, "user")
		VALUES ($1, $2, 'email', 0, $3) ON CONFLICT DO NOTHING`
	sqlNothingPending = `UPDATE "user" SET pending = '' WHERE issuer = $1 AND id = $2`
	sqlResetPassword  = `UPDATE "user" SET email_verified = 1, password_hash = $5, credential_version = credential_version + 1,
			guess_failures = 0, blocked_until = 0, updated_at = $4
		WHERE issuer = $1 AND id = $2 AND credential_version = $3 AND disabled_at = 0`
)

// Accounts.
const (
	sqlUpdateProfile = `UPDATE "user" SET claims = $3, attributes = $4, updated_at = $5
		WHERE issuer = $1 AND id = $2 AND claims = $6 AND attributes = $7`
	sqlDeleteUser = `DELETE FROM "user" WHERE issuer = $1 AND id = $2`

	sqlDeleteMemberships = `DELETE FROM membership WHERE issuer = $1 AND "user" = $2 RETURNING tenant`
	sqlDeleteLinks       = `DELETE FROM link WHERE issuer = $1 AND "user" = $2`
	sqlDeleteMails       = `DELETE FROM outbox WHERE issuer = $1 AND "user" = $2`
	sqlDeleteSessions    = `DELETE FROM session WHERE issuer = $1 AND "user" = $2`

	sqlUserIDByIdentifier = `SELECT "user" FROM user_identifier WHERE issuer = $1 AND value = $2`
	sqlUserEmail          = `SELECT id, email FROM "user" WHERE issuer = $1 AND id = $2 AND disabled_at = 0`
	sqlUserIDsOf          = `SELECT id FROM "user" WHERE issuer = $1 AND client_id = $2 AND ($3 = '' OR referral_code = $3)
		ORDER BY created_at, id LIMIT $4 OFFSET $5`
	sqlCountUsersOf = `SELECT count(*) FROM "user" WHERE issuer = $1 AND client_id = $2 AND ($3 = '' OR referral_code = $3)`

	// sqlHoldTenant writes the row as it is: of those who leave a tenant and those who
	// join it each sees what the others have done.
	sqlHoldTenant        = `UPDATE tenant SET created_at = created_at WHERE issuer = $1 AND id = $2`
	sqlDeleteEmptyTenant = `DELETE FROM tenant WHERE issuer = $1 AND id = $2
		AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.issuer = $1 AND m.tenant = $2)`
	sqlTenant  = `SELECT id, name, created_at FROM tenant WHERE issuer = $1 AND id = $2`
	sqlMembers = `SELECT m.tenant, t.name, m."user", m.role, m.created_at
		FROM membership m JOIN tenant t ON t.issuer = m.issuer AND t.id = m.tenant
		WHERE m.issuer = $1 AND m.tenant = $2 ORDER BY m.created_at, m."user"`
)

// The outbox.
const (
	mailColumns = `id, template, recipient, address, language, "user", client_id, created_at, next_attempt_at, attempts, sent_at, last_error`

	sqlInsertMail = `INSERT INTO outbox (issuer, ` + mailColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, '') ON CONFLICT DO NOTHING`
	// A row of the address is there for an hour, so that there is one to write.
	sqlQueueForAddress = `INSERT INTO spent (issuer, id, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (issuer, id) DO UPDATE SET expires_at = excluded.expires_at`
	sqlCountMails = `SELECT count(*) FROM outbox WHERE issuer = $1 AND address = $2 AND template = $3 AND created_at > $4`
	sqlDueMails   = `SELECT ` + mailColumns + ` FROM outbox
		WHERE issuer = $1 AND next_attempt_at <> 0 AND next_attempt_at <= $2 ORDER BY next_attempt_at LIMIT $3`
	sqlMails       = `SELECT ` + mailColumns + ` FROM outbox WHERE issuer = $1 ORDER BY created_at DESC, id LIMIT $2`
	sqlAttemptMail = `UPDATE outbox SET attempts = attempts + 1, next_attempt_at = $4
		WHERE issuer = $1 AND id = $2 AND attempts = $3 AND next_attempt_at <> 0 RETURNING "user"`
	sqlMailSent   = `UPDATE outbox SET recipient = '', sent_at = $3, next_attempt_at = 0, last_error = '' WHERE issuer = $1 AND id = $2`
	sqlMailFailed = `UPDATE outbox SET last_error = $3, next_attempt_at = $4 WHERE issuer = $1 AND id = $2 AND sent_at = 0`
)
