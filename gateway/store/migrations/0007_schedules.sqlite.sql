-- When Airbyte syncs a connection by itself, and the syncs that ended last: whether one is late or moved nothing.
ALTER TABLE connections ADD COLUMN schedule TEXT;
ALTER TABLE connections ADD COLUMN schedule_since TEXT;
ALTER TABLE connections ADD COLUMN last_ended_at TEXT;
ALTER TABLE connections ADD COLUMN warning TEXT;

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

-- Schedules come with statuses: all are read again when somebody next looks.
UPDATE connections SET status_checked_at = NULL WHERE status_checked_at IS NOT NULL;
