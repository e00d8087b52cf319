-- The rate of all of a client's keys together, how many of them may work at once, and whose tokens a key goes on with.
ALTER TABLE clients
    ADD COLUMN rate_total_requests BIGINT CHECK (rate_total_requests > 0),
    ADD COLUMN rate_total_seconds BIGINT CHECK (rate_total_seconds > 0),
    ADD COLUMN most_keys BIGINT CHECK (most_keys > 0),
    ADD CHECK ((rate_total_requests IS NULL) = (rate_total_seconds IS NULL));
ALTER TABLE api_keys ADD COLUMN bucket_id TEXT COLLATE "C";

CREATE INDEX api_keys_working ON api_keys (client_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_revoked ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_keys_expiring ON api_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX api_keys_replaced ON api_keys (successor_id) WHERE successor_id IS NOT NULL;

DROP TRIGGER announce_key ON api_keys;
CREATE TRIGGER announce_key
AFTER INSERT OR DELETE OR TRUNCATE
OR UPDATE OF id, client_id, digest, scope, rate_requests, rate_seconds, expires_at, revoked_at, bucket_id ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('keys');
