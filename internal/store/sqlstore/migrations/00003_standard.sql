-- +goose Up

-- What clients authenticate with, what users agree to, requests that are pushed,
-- assertions that are used up, and logouts that clients are to be told of. All of
-- it is added with defaults: the previous binary goes on beside it.

-- browser is NULL where the grant was born in none.
ALTER TABLE "grant" ADD COLUMN resources TEXT NOT NULL DEFAULT '';
ALTER TABLE "grant" ADD COLUMN claims TEXT NOT NULL DEFAULT '';
ALTER TABLE "grant" ADD COLUMN browser BLOB;
CREATE INDEX grant_browser ON "grant" (issuer, browser) WHERE browser IS NOT NULL;
-- A client that is deleted ends its grants, and must not stop everybody to find them.
CREATE INDEX grant_client ON "grant" (issuer, client_id);

-- It stands in the metadata, too: this is for the end of a session to see.
ALTER TABLE client ADD COLUMN backchannel_logout_uri TEXT NOT NULL DEFAULT '';
CREATE INDEX client_source ON client (issuer, source);

CREATE TABLE client_secret (
    issuer     BLOB   NOT NULL,
    client_id  TEXT   NOT NULL,
    hash       BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, client_id, hash)
);

CREATE TABLE consent (
    issuer    BLOB   NOT NULL,
    "user"    BLOB   NOT NULL,
    client_id TEXT   NOT NULL,
    scope     TEXT   NOT NULL,
    resources TEXT   NOT NULL,
    claims    TEXT   NOT NULL,
    given_at  BIGINT NOT NULL,
    PRIMARY KEY (issuer, "user", client_id)
);
CREATE INDEX consent_client ON consent (issuer, client_id);

CREATE TABLE request (
    issuer     BLOB   NOT NULL,
    id         BLOB   NOT NULL,
    client_id  TEXT   NOT NULL,
    params     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX request_client ON request (issuer, client_id, expires_at);

-- id is a hash of what was spent.
CREATE TABLE spent (
    issuer     BLOB   NOT NULL,
    id         BLOB   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX spent_expired ON spent (issuer, expires_at);

-- next_attempt_at is 0 once there is nothing left to try.
CREATE TABLE notice (
    issuer          BLOB   NOT NULL,
    browser         BLOB   NOT NULL,
    client_id       TEXT   NOT NULL,
    subject         TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    sent_at         BIGINT NOT NULL,
    last_error      TEXT   NOT NULL,
    PRIMARY KEY (issuer, browser, client_id)
);
CREATE INDEX notice_due ON notice (issuer, next_attempt_at) WHERE next_attempt_at <> 0;
