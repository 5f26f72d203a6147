-- Jobs and events that wait for their relay to Redis.
CREATE TABLE millstream_outbox (
    -- Never given twice. SQLite has one writer, so numbers rise in the order in which transactions commit.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    -- queue:<name> or topic:<name>
    target TEXT NOT NULL,
    order_key TEXT,
    kind TEXT NOT NULL,
    id BLOB NOT NULL DEFAULT (randomblob(16)) CHECK (length(id) = 16),
    body TEXT NOT NULL,
    options TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;
CREATE INDEX millstream_outbox_target ON millstream_outbox (target, seq);

-- One row: the outbox's id in Redis, how many rows may wait, and the highest number that may be given until the relay raises it.
CREATE TABLE millstream_outbox_state (
    one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    id TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),
    most INTEGER NOT NULL DEFAULT 1000000,
    ceiling INTEGER NOT NULL DEFAULT 1000000
) STRICT;
INSERT INTO millstream_outbox_state DEFAULT VALUES;

-- The last batch of each target; its members are the numbers of its rows (a JSON array) while it is on its way.
CREATE TABLE millstream_outbox_batches (
    target TEXT PRIMARY KEY,
    batch INTEGER NOT NULL DEFAULT 0,
    members TEXT
) STRICT, WITHOUT ROWID;

-- Rows that can't be relayed, with the reason.
CREATE TABLE millstream_outbox_rejected (
    seq INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    order_key TEXT,
    kind TEXT NOT NULL,
    id BLOB NOT NULL,
    body TEXT NOT NULL,
    options TEXT,
    created_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    rejected_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;

CREATE TRIGGER millstream_outbox_full AFTER INSERT ON millstream_outbox
    WHEN NEW.seq > (SELECT ceiling FROM millstream_outbox_state)
BEGIN
    SELECT RAISE(ABORT, 'the outbox is full: is a relay running, and does it reach Redis?');
END;
