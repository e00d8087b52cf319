-- Clients are told of events by webhooks.

-- From when on a connection's syncs are events: what Airbyte tells before the first look at them is history.
ALTER TABLE connections ADD COLUMN watched_since TEXT;

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
