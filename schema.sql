-- The gateway's database. Times are text, YYYY-MM-DDTHH:MM:SS.mmmZ, which sorts like the time it names.
-- "smrt" in ASCII: tells our files from any other SQLite file.
PRAGMA application_id = 0x736d7274;
PRAGMA user_version = 13;

-- AUTOINCREMENT: the number of a removed client is never given again, so a request of his that is still under way
-- cannot be answered with another client's rows. `rate_…` is each key's, `rate_total_…` that of all its keys together.
CREATE TABLE clients (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    slug                TEXT NOT NULL CONSTRAINT client_slug UNIQUE,
    name                TEXT NOT NULL,
    plan                TEXT NOT NULL,
    rate_requests       INTEGER CHECK (rate_requests > 0),
    rate_seconds        INTEGER CHECK (rate_seconds > 0),
    created_at          TEXT NOT NULL,
    disabled_at         TEXT,
    rate_total_requests INTEGER CHECK (rate_total_requests > 0),
    rate_total_seconds  INTEGER CHECK (rate_total_seconds > 0)
        CHECK ((rate_total_requests IS NULL) = (rate_total_seconds IS NULL)),
    most_keys           INTEGER CHECK (most_keys > 0),
    CHECK ((rate_requests IS NULL) = (rate_seconds IS NULL))
) STRICT;

-- `number` orders connections by age. One Airbyte connection belongs to at most one client: airbyte_id is unique.
-- `schedule` is JSON as the API shows it. `last_ended_at` and `warning` are what `recent_syncs` comes to. From
-- `watched_since` on its syncs are events: what Airbyte tells before the first look at them is history.
CREATE TABLE connections (
    number            INTEGER PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    client_id         INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    connector_type    TEXT NOT NULL,
    label             TEXT NOT NULL,
    status            TEXT NOT NULL,
    airbyte_id        TEXT UNIQUE,
    workspace_id      TEXT,
    status_checked_at TEXT,
    last_job_id       INTEGER,
    last_sync_at      TEXT,
    last_sync_status  TEXT,
    backfilled_at     TEXT,
    created_at        TEXT NOT NULL,
    schedule          TEXT,
    schedule_since    TEXT,
    last_ended_at     TEXT,
    warning           TEXT,
    watched_since     TEXT
) STRICT;

CREATE INDEX connections_of_client ON connections (client_id, number);

-- Only the digest and the first characters of a key are kept. `bucket_id`: the key whose tokens it goes on with, as its
-- successor or a successor's; NULL: it has tokens of its own.
CREATE TABLE api_keys (
    number            INTEGER PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    client_id         INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    digest            BLOB NOT NULL UNIQUE,
    start             TEXT NOT NULL,
    name              TEXT NOT NULL,
    scope             TEXT NOT NULL CHECK (scope IN ('full', 'read')),
    rate_requests     INTEGER CHECK (rate_requests > 0),
    rate_seconds      INTEGER CHECK (rate_seconds > 0),
    created_at        TEXT NOT NULL,
    expires_at        TEXT,
    revoked_at        TEXT,
    last_used_at      TEXT,
    last_used_address TEXT,
    last_used_agent   TEXT,
    successor_id      TEXT,
    bucket_id         TEXT,
    CHECK ((rate_requests IS NULL) = (rate_seconds IS NULL))
) STRICT;

CREATE INDEX api_keys_of_client ON api_keys (client_id, number);
CREATE INDEX api_keys_working ON api_keys (client_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_revoked ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_keys_expiring ON api_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX api_keys_replaced ON api_keys (successor_id) WHERE successor_id IS NOT NULL;

-- How far the shared last-sync refresh has read Airbyte's job list. One row.
CREATE TABLE last_sync_refresh (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    read_upto TEXT NOT NULL
) STRICT;

-- One row for each trigger that goes to Airbyte, committed before it is sent. `newest_before` is the id of the newest
-- sync just before: a higher id that Airbyte created within `span_seconds` of `since`, Airbyte's time, may be this
-- trigger's. It is NULL when Airbyte could not be asked; `span_seconds` is NULL while nothing was sent. `caller` is the
-- id of the key or the user who asked, `gateway_id` that of the gateway that sent it. No `outcome`: it is under way, or
-- what became of it was never written, and a start looks.
CREATE TABLE triggers (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id     INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL,
    airbyte_id    TEXT NOT NULL,
    caller        TEXT NOT NULL,
    request_id    TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    since         TEXT NOT NULL,
    outcome       TEXT,
    job_id        INTEGER,
    resolved_at   TEXT,
    gateway_id    TEXT,
    newest_before INTEGER,
    span_seconds  INTEGER,
    CHECK ((outcome IS NULL) = (resolved_at IS NULL)),
    CHECK (job_id IS NULL OR outcome IS NOT NULL)
) STRICT;

CREATE INDEX triggers_of_client ON triggers (client_id, number);
CREATE INDEX triggers_by_age ON triggers (created_at);
CREATE INDEX triggers_unresolved ON triggers (number) WHERE outcome IS NULL;

-- One row for each job that somebody wants cancelled, committed before anything is sent. Airbyte ignores the cancelling of
-- a job that is pending, so it is sent once the job runs. `sent_at`: when a gateway began to send it last; NULL: nobody
-- has. No `outcome`: it is still to be sent, or is being sent. `caller` is the id of the key that asked.
CREATE TABLE cancellations (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id     INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL,
    airbyte_id    TEXT NOT NULL,
    job_id        INTEGER NOT NULL,
    job_type      TEXT NOT NULL,
    caller        TEXT NOT NULL,
    request_id    TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    sent_at       TEXT,
    outcome       TEXT,
    resolved_at   TEXT,
    CHECK ((outcome IS NULL) = (resolved_at IS NULL))
) STRICT;

CREATE INDEX cancellations_of_client ON cancellations (client_id, number);
CREATE INDEX cancellations_by_age ON cancellations (created_at);
CREATE UNIQUE INDEX cancellations_open ON cancellations (airbyte_id, job_id) WHERE outcome IS NULL;
CREATE INDEX cancellations_open_of_client ON cancellations (client_id, number) WHERE outcome IS NULL;

-- Addresses of clients' that are told of events. `events` and `connections` are JSON lists of what is told, empty for
-- everything. `previous_secrets` is a JSON list of the secrets that sign too, each with its end; `previous_until` is
-- the last end. `failing_since`: the first failure after the last success. `overflowed_at`: when the oldest events were
-- given up last, because too many waited. What was disabled is told of nothing; `disabled_reason` says why. What happened
-- before `told_since` is not told.
CREATE TABLE webhooks (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    client_id        INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    url              TEXT NOT NULL,
    events           TEXT NOT NULL,
    connections      TEXT NOT NULL,
    secret           TEXT NOT NULL,
    previous_secrets TEXT,
    previous_until   TEXT,
    created_at       TEXT NOT NULL,
    told_since       TEXT NOT NULL,
    last_success_at  TEXT,
    overflowed_at    TEXT,
    failing_since    TEXT,
    disabled_at      TEXT,
    disabled_reason  TEXT CHECK (disabled_reason IN ('gone', 'failing')),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CHECK ((previous_secrets IS NULL) = (previous_until IS NULL))
) STRICT;

CREATE INDEX webhooks_of_client ON webhooks (client_id, number);

-- What happened, of clients with a webhook, written in the transaction in which it did. `subject` tells an event from any
-- other of its type and client: what is told twice is written once. `data` is JSON. `at` is when it happened.
CREATE TABLE events (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    client_id     INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    connection_id TEXT,
    type          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    at            TEXT NOT NULL,
    data          TEXT NOT NULL,
    created_at    TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_once ON events (client_id, type, subject);
CREATE INDEX events_by_age ON events (created_at);

-- An event on its way to a webhook; no `outcome`: it is still to be delivered. Those of one webhook and `stream`, which is
-- the connection's id, go one after the other: only the first open one has a `next_at`, when it is sent next. It is being
-- sent until `leased_until`, the database's own time in milliseconds since 1970, by the gateway `leased_by`.
CREATE TABLE deliveries (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_number INTEGER NOT NULL REFERENCES webhooks (number) ON DELETE CASCADE,
    event_number   INTEGER NOT NULL REFERENCES events (number) ON DELETE CASCADE,
    client_id      INTEGER NOT NULL,
    stream         TEXT NOT NULL,
    outcome        TEXT CHECK (outcome IN ('delivered', 'failed')),
    attempts       INTEGER NOT NULL,
    next_at        TEXT CHECK (next_at IS NULL OR outcome IS NULL),
    attempted_at   TEXT,
    status         INTEGER,
    excerpt        TEXT,
    error          TEXT,
    leased_by      TEXT,
    leased_until   INTEGER
) STRICT;

CREATE INDEX deliveries_of_webhook ON deliveries (webhook_number, number);
CREATE INDEX deliveries_of_event ON deliveries (event_number);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_open ON deliveries (webhook_number, stream, number) WHERE outcome IS NULL;

-- Calls of each key by the hour they came in. `limited` were answered 429; `errors` are all other answers from 400 on.
CREATE TABLE key_usage (
    key_id    TEXT NOT NULL,
    client_id INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    hour      TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    limited   INTEGER NOT NULL,
    errors    INTEGER NOT NULL,
    PRIMARY KEY (key_id, hour)
) STRICT, WITHOUT ROWID;

CREATE INDEX key_usage_of_client ON key_usage (client_id, hour);
CREATE INDEX key_usage_by_age ON key_usage (hour);

-- From where and by what each key was called in the last 30 days: an address with a program, empty where none was told.
-- Fifty of a key at most. `last_at` is an hour late at most.
CREATE TABLE key_callers (
    key_id    TEXT NOT NULL,
    client_id INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    address   TEXT NOT NULL,
    agent     TEXT NOT NULL,
    first_at  TEXT NOT NULL,
    last_at   TEXT NOT NULL,
    PRIMARY KEY (key_id, address, agent)
) STRICT, WITHOUT ROWID;

CREATE INDEX key_callers_of_client ON key_callers (client_id, key_id);
CREATE INDEX key_callers_by_age ON key_callers (last_at);

-- People who sign in to the dashboard. A user of no client is the operator's: an admin. `totp_secret` makes the codes of
-- a second factor (RFC 6238); no `totp_since`: it is being set up, and no code is asked for. `totp_last_step` is the time
-- step of the last code that was taken: neither that one nor an earlier one is taken again.
CREATE TABLE users (
    number          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    client_id       INTEGER REFERENCES clients (id) ON DELETE CASCADE,
    email           TEXT NOT NULL COLLATE NOCASE CONSTRAINT user_email UNIQUE,
    password_hash   TEXT,
    created_at      TEXT NOT NULL,
    last_sign_in_at TEXT,
    totp_secret     TEXT,
    totp_last_step  INTEGER,
    totp_since      TEXT
) STRICT;

CREATE INDEX users_of_client ON users (client_id, number);

-- Secret addresses that let somebody in without a password: to set one (`password`), to become the first admin, which
-- is nobody's yet (`first-admin`), to look around (`visit`). At most one for each user; the first two work once.
CREATE TABLE links (
    digest     BLOB NOT NULL PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('password', 'first-admin', 'visit')),
    user_id    TEXT UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL,
    CHECK ((user_id IS NULL) = (purpose = 'first-admin'))
) STRICT;

-- Codes that stand in for those of a second factor, each once: ten of a user, of which only digests are kept.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  BLOB NOT NULL,
    PRIMARY KEY (user_id, digest)
) STRICT, WITHOUT ROWID;

-- Sign-ins whose password was right and which wait for a code: they open no page. The browser has the secret whose
-- `digest` this is.
CREATE TABLE pending_sign_ins (
    digest     BLOB NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL,
    tries      INTEGER NOT NULL
) STRICT;

CREATE INDEX pending_sign_ins_of_user ON pending_sign_ins (user_id);
CREATE INDEX pending_sign_ins_by_age ON pending_sign_ins (expires_at);

CREATE TABLE sessions (
    number       INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    digest       BLOB NOT NULL UNIQUE,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    address      TEXT NOT NULL,
    agent        TEXT NOT NULL
) STRICT;

CREATE INDEX sessions_of_user ON sessions (user_id, number);

-- Who did what, when and from where. It outlives what it tells of: client_id is a number that is never given again.
-- by_operator: the actor is of no client, and no client is told who it was.
CREATE TABLE activity (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    at          TEXT NOT NULL,
    client_id   INTEGER,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    address     TEXT,
    request_id  TEXT,
    by_operator INTEGER NOT NULL CHECK (by_operator IN (0, 1))
) STRICT;

CREATE INDEX activity_of_client ON activity (client_id, number);
CREATE INDEX activity_by_age ON activity (at);

-- How a connection's syncs of one UTC day went, for the picture of the last weeks.
CREATE TABLE sync_days (
    airbyte_id TEXT NOT NULL,
    day        TEXT NOT NULL,
    succeeded  INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    other      INTEGER NOT NULL,
    rows       INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    PRIMARY KEY (airbyte_id, day)
) STRICT, WITHOUT ROWID;

-- The newest syncs of a connection that have ended: eleven at most.
CREATE TABLE recent_syncs (
    connection_number INTEGER NOT NULL REFERENCES connections (number) ON DELETE CASCADE,
    job_id            INTEGER NOT NULL,
    at                TEXT NOT NULL,
    ended_at          TEXT NOT NULL,
    status            TEXT NOT NULL,
    rows              INTEGER,
    bytes             INTEGER,
    PRIMARY KEY (connection_number, job_id)
) STRICT, WITHOUT ROWID;

-- Up to when, in Airbyte's time, `sync_days` tells all of a connection's syncs.
CREATE TABLE sync_days_read (
    airbyte_id TEXT NOT NULL PRIMARY KEY,
    read_upto  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the operator is told of: matters that last, by the channel that tells of them. No `told_at`: it is to be told.
CREATE TABLE notices (
    channel TEXT NOT NULL,
    matter  TEXT NOT NULL,
    text    TEXT NOT NULL,
    since   TEXT NOT NULL,
    told_at TEXT,
    PRIMARY KEY (channel, matter)
) STRICT, WITHOUT ROWID;

-- Since when Airbyte has given no answer, and why; no row while it answers. `cause` is for operators: it has addresses.
CREATE TABLE outage (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    cause    TEXT NOT NULL
) STRICT;

-- What tells this database from others: in the name of the dashboard's cookie. One row, written when it is first needed.
CREATE TABLE database_id (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id       TEXT NOT NULL
) STRICT;

-- What cursors of lists are sealed with that go through other clients' jobs. One row, written when it is first needed.
CREATE TABLE cursor_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    key      TEXT NOT NULL
) STRICT;

-- Gateways that serve this database, as each says again every few seconds. `is_alone`: it bears no other beside it.
-- Times here and in `leases` are the database's own, in milliseconds since 1970.
CREATE TABLE gateways (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    is_alone INTEGER NOT NULL CHECK (is_alone IN (0, 1)),
    seen_at  INTEGER NOT NULL
) STRICT;

-- Work that one gateway does for all: whose it is and until when, and how it ended when it was done last.
CREATE TABLE leases (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    done_at    INTEGER,
    note       TEXT
) STRICT, WITHOUT ROWID;
