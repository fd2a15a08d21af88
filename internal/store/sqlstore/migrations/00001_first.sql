-- +goose Up

-- The same text serves SQLite and PostgreSQL, with BLOB read as BYTEA there.
-- Times are Unix milliseconds, 0 = never. Every key begins with the issuer: the
-- rows of one can neither be met nor be read by another. Foreign keys are not
-- declared: every reference is made by an intent, which asks for its target by
-- a condition, and checking it again would lock the target's row.

CREATE TABLE issuer (
    id             BLOB   NOT NULL PRIMARY KEY,
    name           TEXT   NOT NULL UNIQUE,
    master_check   BLOB   NOT NULL,
    config_version BIGINT NOT NULL,
    created_at     BIGINT NOT NULL
);

CREATE TABLE signing_key (
    issuer     BLOB   NOT NULL,
    purpose    TEXT   NOT NULL,
    algorithm  TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    sealed     BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT NOT NULL,
    PRIMARY KEY (issuer, purpose, algorithm, number)
);

CREATE TABLE mac_key (
    issuer     BLOB   NOT NULL,
    number     BIGINT NOT NULL,
    sealed     BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT NOT NULL,
    PRIMARY KEY (issuer, number)
);

CREATE TABLE client (
    issuer      BLOB   NOT NULL,
    id          TEXT   NOT NULL,
    face        TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    metadata    TEXT   NOT NULL,
    disabled_at BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);

CREATE TABLE api_key (
    issuer     BLOB   NOT NULL,
    hash       BLOB   NOT NULL,
    client_id  TEXT   NOT NULL,
    access     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, hash)
);

CREATE TABLE "user" (
    issuer             BLOB   NOT NULL,
    id                 BLOB   NOT NULL,
    claims             TEXT   NOT NULL,
    email              TEXT   NOT NULL,
    email_verified     BIGINT NOT NULL,
    password_hash      TEXT   NOT NULL,
    credential_version BIGINT NOT NULL,
    disabled_at        BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    last_sign_in_at    BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);

CREATE TABLE user_identifier (
    issuer   BLOB   NOT NULL,
    value    TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    position BIGINT NOT NULL,
    "user"   BLOB   NOT NULL,
    PRIMARY KEY (issuer, value)
);
CREATE INDEX user_identifier_user ON user_identifier (issuer, "user");

CREATE TABLE tenant (
    issuer     BLOB   NOT NULL,
    id         BLOB   NOT NULL,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);

CREATE TABLE membership (
    issuer     BLOB   NOT NULL,
    "user"     BLOB   NOT NULL,
    tenant     BLOB   NOT NULL,
    role       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, "user", tenant)
);

-- "user" is NULL for an anonymous profile; code_challenge is empty for none.
CREATE TABLE "grant" (
    issuer              BLOB   NOT NULL,
    id                  BLOB   NOT NULL,
    client_id           TEXT   NOT NULL,
    subject             TEXT   NOT NULL,
    "user"              BLOB,
    scope               TEXT   NOT NULL,
    nonce               TEXT   NOT NULL,
    auth_time           BIGINT NOT NULL,
    redirect_uri        TEXT   NOT NULL,
    code_challenge      BLOB   NOT NULL,
    created_at          BIGINT NOT NULL,
    code_expires_at     BIGINT NOT NULL,
    absolute_expires_at BIGINT NOT NULL,
    redeemed_at         BIGINT NOT NULL,
    generation          BIGINT NOT NULL,
    mac_key             BIGINT NOT NULL,
    rotated_at          BIGINT NOT NULL,
    idle_expires_at     BIGINT NOT NULL,
    revoked_at          BIGINT NOT NULL,
    revoked_why         TEXT   NOT NULL,
    PRIMARY KEY (issuer, id)
);
-- Only what never changes is indexed, so that a rotation writes one page. Each
-- grant stands in one of the two.
CREATE INDEX grant_user ON "grant" (issuer, "user") WHERE "user" IS NOT NULL;
CREATE UNIQUE INDEX grant_profile ON "grant" (issuer, subject) WHERE "user" IS NULL;

-- "grant" is 16 zero bytes, "user" NULL where the event is about none. The key
-- begins so that a grant's events are found by it: one index, not two.
CREATE TABLE audit (
    issuer     BLOB   NOT NULL,
    "grant"    BLOB   NOT NULL,
    node       BIGINT NOT NULL,
    sequence   BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    "user"     BLOB,
    reason     TEXT   NOT NULL,
    request_id TEXT   NOT NULL,
    ip         TEXT   NOT NULL,
    PRIMARY KEY (issuer, "grant", node, sequence)
);
