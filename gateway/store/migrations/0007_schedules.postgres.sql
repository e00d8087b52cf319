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

-- A gateway of an older version maps a connection anew and knows nothing of what schedules and recent syncs it had.
CREATE FUNCTION forget_syncs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM recent_syncs WHERE connection_number = OLD.number;
    NEW.last_ended_at := NULL;
    NEW.warning := NULL;
    IF NEW.schedule_since IS NOT DISTINCT FROM OLD.schedule_since THEN
        NEW.schedule := NULL;
        NEW.schedule_since := NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER forget_syncs
BEFORE UPDATE OF airbyte_id ON connections
FOR EACH ROW WHEN (OLD.airbyte_id IS DISTINCT FROM NEW.airbyte_id) EXECUTE FUNCTION forget_syncs();

-- Schedules come with statuses: all are read again when somebody next looks.
UPDATE connections SET status_checked_at = NULL WHERE status_checked_at IS NOT NULL;
