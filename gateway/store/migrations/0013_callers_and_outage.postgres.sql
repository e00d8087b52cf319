-- Additive: who called each key in the last 30 days, and since when Airbyte has given no answer.
CREATE TABLE key_callers (
    key_id    TEXT COLLATE "C" NOT NULL,
    client_id BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    address   TEXT COLLATE "C" NOT NULL,
    agent     TEXT COLLATE "C" NOT NULL,
    first_at  TEXT COLLATE "C" NOT NULL,
    last_at   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (key_id, address, agent)
);

CREATE INDEX key_callers_of_client ON key_callers (client_id, key_id);
CREATE INDEX key_callers_by_age ON key_callers (last_at);

CREATE TABLE outage (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    since    TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    cause    TEXT COLLATE "C" NOT NULL
);
