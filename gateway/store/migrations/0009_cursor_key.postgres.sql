-- Additive: what cursors of lists are sealed with that go through other clients' jobs.
CREATE TABLE cursor_key (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    key      TEXT COLLATE "C" NOT NULL
);
