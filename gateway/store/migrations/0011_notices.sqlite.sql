-- What the operator is told of: matters that last, by the channel that tells of them.
CREATE TABLE notices (
    channel TEXT NOT NULL,
    matter  TEXT NOT NULL,
    text    TEXT NOT NULL,
    since   TEXT NOT NULL,
    told_at TEXT,
    PRIMARY KEY (channel, matter)
) STRICT, WITHOUT ROWID;
