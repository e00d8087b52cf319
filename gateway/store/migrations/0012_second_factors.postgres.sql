-- Additive: a second factor for people who sign in: its secret, recovery codes, and sign-ins that wait for a code.
ALTER TABLE users
    ADD COLUMN totp_secret TEXT COLLATE "C",
    ADD COLUMN totp_last_step BIGINT,
    ADD COLUMN totp_since TEXT COLLATE "C";

CREATE TABLE recovery_codes (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  BYTEA NOT NULL,
    PRIMARY KEY (user_id, digest)
);

CREATE TABLE pending_sign_ins (
    digest     BYTEA NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TEXT COLLATE "C" NOT NULL,
    tries      BIGINT NOT NULL
);

CREATE INDEX pending_sign_ins_of_user ON pending_sign_ins (user_id);
CREATE INDEX pending_sign_ins_by_age ON pending_sign_ins (expires_at);
