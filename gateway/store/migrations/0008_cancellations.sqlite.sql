-- Jobs that somebody wants cancelled: a job that is pending can be cancelled only once it runs.
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
