CREATE TABLE database_id (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    id       TEXT COLLATE "C" NOT NULL
);
