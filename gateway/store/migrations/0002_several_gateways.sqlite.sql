ALTER TABLE triggers ADD COLUMN gateway_id TEXT;

-- Gateways that serve this database, as each says again every few seconds. `is_alone`: it bears no other beside it.
-- Times here and in `leases` are the database's own, in milliseconds since 1970.
CREATE TABLE gateways (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    is_alone INTEGER NOT NULL CHECK (is_alone IN (0, 1)),
    seen_at  INTEGER NOT NULL
) STRICT;

-- Work that one gateway does for all: whose it is and until when, and how it ended when it was done last.
CREATE TABLE leases (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    done_at    INTEGER,
    note       TEXT
) STRICT, WITHOUT ROWID;
