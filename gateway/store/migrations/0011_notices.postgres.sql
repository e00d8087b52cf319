-- Additive: what the operator is told of: matters that last, by the channel that tells of them.
CREATE TABLE notices (
    channel TEXT COLLATE "C" NOT NULL,
    matter  TEXT COLLATE "C" NOT NULL,
    text    TEXT COLLATE "C" NOT NULL,
    since   TEXT COLLATE "C" NOT NULL,
    told_at TEXT COLLATE "C",
    PRIMARY KEY (channel, matter)
);
