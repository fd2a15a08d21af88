package storetest

// NextSchema is what a next version may do to the schema while nodes of this one
// serve, and start: columns with defaults, tables and indexes that they know nothing
// of.
var NextSchema = []string{
	`ALTER TABLE "grant" ADD COLUMN next_text TEXT NOT NULL DEFAULT 'x'`,
	`ALTER TABLE client ADD COLUMN next_number BIGINT NOT NULL DEFAULT 1`,
	`ALTER TABLE "user" ADD COLUMN next_bytes BYTEA`,
	`ALTER TABLE session ADD COLUMN next_number BIGINT NOT NULL DEFAULT 0`,
	`ALTER TABLE audit ADD COLUMN next_text TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE outbox ADD COLUMN next_text TEXT`,
	`ALTER TABLE signing_key ADD COLUMN next_text TEXT NOT NULL DEFAULT ''`,
	`CREATE TABLE next_table (issuer BYTEA NOT NULL, id BYTEA NOT NULL, PRIMARY KEY (issuer, id))`,
	`CREATE INDEX audit_next ON audit (issuer, reason)`,
	`INSERT INTO tallystick_schema (version_id, is_applied) SELECT max(version_id) + 1, true FROM tallystick_schema`,
}
