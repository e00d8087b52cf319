-- Who called each key in the last 30 days, and since when Airbyte has given no answer.
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

CREATE TABLE outage (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    cause    TEXT NOT NULL
) STRICT;
