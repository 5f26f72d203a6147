-- The number of the last change, which is also the version of its value. SQLite has one writer, so numbers become visible in
-- their order.
CREATE TABLE millstream_state_changes (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO millstream_state_changes (id, last) VALUES (1, 0);

-- One row per key. A value is JSON as text. A deleted one leaves its row without a value for a day, so that whoever watches
-- hears of it.
CREATE TABLE millstream_state (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT,
    expires_at TEXT,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX millstream_state_by_change ON millstream_state (scope, version);
CREATE INDEX millstream_state_by_expiry ON millstream_state (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX millstream_state_deleted ON millstream_state (updated_at) WHERE value IS NULL;

-- What was written on request to keep it.
CREATE TABLE millstream_state_history (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT,
    written_at TEXT NOT NULL,
    PRIMARY KEY (scope, key, version)
) STRICT, WITHOUT ROWID;

-- The newest fencing token seen of each resource.
CREATE TABLE millstream_fences (
    resource TEXT NOT NULL PRIMARY KEY,
    token INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each queue's streams in Redis had come when a recorder last looked: numbers that only rise, unless Redis loses
-- something.
CREATE TABLE millstream_watermarks (
    queue TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    server TEXT NOT NULL,
    streams TEXT NOT NULL,
    first_at TEXT NOT NULL,
    taken_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What was found to be lost, until someone accepts it.
CREATE TABLE millstream_losses (
    id BLOB NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    what TEXT NOT NULL,
    entries INTEGER NOT NULL,
    since TEXT NOT NULL,
    found_at TEXT NOT NULL,
    cause TEXT NOT NULL
) STRICT;
