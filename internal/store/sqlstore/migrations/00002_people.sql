-- +goose Up

-- Sessions, mail links, the outbox, and what a user leaves with a face. All of
-- it is added with defaults: the previous binary goes on beside it.

ALTER TABLE "user" ADD COLUMN pending TEXT NOT NULL DEFAULT '';
ALTER TABLE "user" ADD COLUMN client_id TEXT NOT NULL DEFAULT '';
ALTER TABLE "user" ADD COLUMN referral_code TEXT NOT NULL DEFAULT '';
ALTER TABLE "user" ADD COLUMN attributes TEXT NOT NULL DEFAULT '';
ALTER TABLE "user" ADD COLUMN guess_failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE "user" ADD COLUMN blocked_until BIGINT NOT NULL DEFAULT 0;
-- NULL is none yet.
ALTER TABLE "user" ADD COLUMN known_address BLOB;
CREATE INDEX user_client ON "user" (issuer, client_id, id);

CREATE INDEX membership_tenant ON membership (issuer, tenant);

-- NULL where a grant does not end with a session, where a code has no state.
ALTER TABLE "grant" ADD COLUMN session BLOB;
ALTER TABLE "grant" ADD COLUMN state_hash BLOB;
CREATE INDEX grant_session ON "grant" (issuer, session) WHERE session IS NOT NULL;

CREATE TABLE session (
    issuer     BLOB   NOT NULL,
    id         BLOB   NOT NULL,
    browser    BLOB   NOT NULL,
    "user"     BLOB   NOT NULL,
    auth_time  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX session_owner ON session (issuer, "user");
CREATE INDEX session_browser ON session (issuer, browser);

CREATE TABLE link (
    issuer             BLOB   NOT NULL,
    id                 BLOB   NOT NULL,
    purpose            TEXT   NOT NULL,
    "user"             BLOB   NOT NULL,
    client_id          TEXT   NOT NULL,
    credential_version BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL,
    used_at            BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX link_user ON link (issuer, "user");

-- A row holds no link and no token. recipient is empty once the mail is sent;
-- next_attempt_at is 0 once there is nothing left to try.
CREATE TABLE outbox (
    issuer          BLOB   NOT NULL,
    id              BLOB   NOT NULL,
    template        TEXT   NOT NULL,
    recipient       TEXT   NOT NULL,
    address         BLOB   NOT NULL,
    language        TEXT   NOT NULL,
    "user"          BLOB   NOT NULL,
    client_id       TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    sent_at         BIGINT NOT NULL,
    last_error      TEXT   NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX outbox_address ON outbox (issuer, address, template, created_at);
CREATE INDEX outbox_user ON outbox (issuer, "user");
CREATE INDEX outbox_due ON outbox (issuer, next_attempt_at) WHERE next_attempt_at <> 0;
