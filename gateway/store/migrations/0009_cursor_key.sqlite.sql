-- What cursors of lists are sealed with that go through other clients' jobs.
CREATE TABLE cursor_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    key      TEXT NOT NULL
) STRICT;
