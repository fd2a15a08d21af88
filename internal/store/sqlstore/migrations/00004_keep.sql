-- +goose Up

-- Who does what only one node must do at a time, and when signing keys end. All of
-- it is added with defaults: the previous binary goes on beside it.

ALTER TABLE signing_key ADD COLUMN retired_at BIGINT NOT NULL DEFAULT 0;

CREATE TABLE lease (
    issuer     BLOB   NOT NULL,
    name       TEXT   NOT NULL,
    holder     BLOB   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, name)
);
