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

-- Gateways learn whose a change is, and forget nothing of the other clients.
ALTER TABLE changes ADD COLUMN clients BIGINT[] NOT NULL DEFAULT '{}';

CREATE OR REPLACE FUNCTION announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    setting TEXT := 'gateway.changed_' || TG_ARGV[0];
    -- Whose changes this transaction has told of before; NULL: it has told of none.
    told    BIGINT[] := nullif(current_setting(setting, true), '');
    whose   BIGINT[] := '{}';
    change  changes;
BEGIN
    IF TG_OP <> 'TRUNCATE' AND TG_TABLE_NAME = 'clients' THEN
        whose := ARRAY[OLD.id, NEW.id];
    ELSIF TG_OP <> 'TRUNCATE' THEN
        whose := ARRAY[OLD.client_id, NEW.client_id];
    END IF;
    whose := array_remove(whose, NULL);
    IF told = '{}' OR (whose <> '{}' AND told @> whose) THEN
        RETURN NULL;
    END IF;
    IF whose <> '{}' THEN
        whose := ARRAY(SELECT DISTINCT id FROM unnest(told || whose) AS id ORDER BY id);
    END IF;
    -- A notification has room for 8000 bytes, and each further client costs an update.
    IF cardinality(whose) > 50 THEN
        whose := '{}';
    END IF;
    PERFORM set_config(setting, whose::TEXT, true);
    UPDATE changes SET number = number + CASE WHEN told IS NULL THEN 1 ELSE 0 END, clients = whose
    WHERE subject = TG_ARGV[0] RETURNING * INTO change;
    PERFORM pg_notify('gateway_changes', to_json(change)::TEXT);
    RETURN NULL;
END
$$;

DROP TRIGGER announce_client ON clients;
DROP TRIGGER announce_key ON api_keys;
DROP TRIGGER announce_connection ON connections;

-- For each row: PostgreSQL shows a statement's trigger its rows only where no columns are named.
CREATE TRIGGER announce_client
AFTER INSERT OR DELETE OR UPDATE ON clients
FOR EACH ROW EXECUTE FUNCTION announce_change('keys');

-- Not when a key was last used, which changes all the time.
CREATE TRIGGER announce_key
AFTER INSERT OR DELETE
OR UPDATE OF id, client_id, digest, scope, rate_requests, rate_seconds, expires_at, revoked_at, bucket_id ON api_keys
FOR EACH ROW EXECUTE FUNCTION announce_change('keys');

CREATE TRIGGER announce_connection
AFTER INSERT OR DELETE OR UPDATE ON connections
FOR EACH ROW EXECUTE FUNCTION announce_change('connections');

CREATE TRIGGER announce_no_clients
AFTER TRUNCATE ON clients
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('keys');

CREATE TRIGGER announce_no_keys
AFTER TRUNCATE ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('keys');

CREATE TRIGGER announce_no_connections
AFTER TRUNCATE ON connections
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('connections');
