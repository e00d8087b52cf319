-- What only PostgreSQL needs, beside the tables of schema.sql. Applied once, after them.

-- Tells a database of ours from any other, and its version. One row.
CREATE TABLE gateway_schema (
    only_row       BIGINT PRIMARY KEY CHECK (only_row = 1),
    application_id BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    copy_of        TEXT
);

-- How often what gateways cache has changed.
CREATE TABLE changes (
    subject TEXT PRIMARY KEY,
    number  BIGINT NOT NULL
);

INSERT INTO changes VALUES ('keys', 0), ('connections', 0);

CREATE FUNCTION announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_at BIGINT;
BEGIN
    UPDATE changes SET number = number + 1 WHERE subject = TG_ARGV[0] RETURNING number INTO now_at;
    PERFORM pg_notify('gateway_changes', TG_ARGV[0] || ' ' || now_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER announce_client
AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON clients
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('keys');

-- Not when a key was last used, which changes all the time.
CREATE TRIGGER announce_key
AFTER INSERT OR DELETE OR TRUNCATE
OR UPDATE OF id, client_id, digest, scope, rate_requests, rate_seconds, expires_at, revoked_at ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('keys');

CREATE TRIGGER announce_connection
AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON connections
FOR EACH STATEMENT EXECUTE FUNCTION announce_change('connections');
