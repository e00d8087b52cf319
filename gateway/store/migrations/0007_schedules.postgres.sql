-- Additive: when Airbyte syncs a connection by itself, and the syncs that ended last.
ALTER TABLE connections
    ADD COLUMN schedule TEXT COLLATE "C",
    ADD COLUMN schedule_since TEXT COLLATE "C",
    ADD COLUMN last_ended_at TEXT COLLATE "C",
    ADD COLUMN warning TEXT COLLATE "C";

CREATE TABLE recent_syncs (
    connection_number BIGINT NOT NULL REFERENCES connections (number) ON DELETE CASCADE,
    job_id            BIGINT NOT NULL,
    at                TEXT COLLATE "C" NOT NULL,
    ended_at          TEXT COLLATE "C" NOT NULL,
    status            TEXT COLLATE "C" NOT NULL,
    rows              BIGINT,
    bytes             BIGINT,
    PRIMARY KEY (connection_number, job_id)
);

-- Schedules come with statuses: all are read again when somebody next looks.
UPDATE connections SET status_checked_at = NULL WHERE status_checked_at IS NOT NULL;
