ALTER TABLE triggers ADD COLUMN newest_before BIGINT;
ALTER TABLE triggers ADD COLUMN span_seconds BIGINT;

-- What was sent before these were written: that nothing is known of it must not be taken for "it was never sent".
UPDATE triggers SET span_seconds = 0 WHERE outcome IS NULL;
