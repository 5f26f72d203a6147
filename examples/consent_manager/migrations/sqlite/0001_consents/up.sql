-- What people are asked to agree to. A change of words is a new version.
CREATE TABLE texts (
    id BLOB NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (purpose, version)
) STRICT;

-- Every grant and withdrawal, in one chain: `previous` is the hash of the record before.
CREATE TABLE records (
    seq INTEGER NOT NULL PRIMARY KEY CHECK (seq >= 1),
    id BLOB NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    purpose TEXT NOT NULL,
    version INTEGER NOT NULL,
    text_sha256 TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('granted', 'withdrawn')),
    method TEXT NOT NULL,
    actor TEXT NOT NULL,
    source TEXT NOT NULL,
    at TEXT NOT NULL,
    previous TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL UNIQUE,
    FOREIGN KEY (purpose, version) REFERENCES texts (purpose, version)
) STRICT;
CREATE INDEX records_by_subject ON records (subject, purpose, seq);
CREATE INDEX records_by_purpose ON records (purpose, seq);

-- How long the chain is and where it ends. Whoever appends writes this row first.
CREATE TABLE chain (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    length INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO chain VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- The present state is the last record of each subject and purpose: nothing to keep in step, nothing else to tamper with.
CREATE VIEW consents AS
SELECT seq, id, subject, purpose, version, action, at
FROM records
WHERE NOT EXISTS (
    SELECT 1 FROM records AS later
    WHERE later.subject = records.subject AND later.purpose = records.purpose AND later.seq > records.seq
);

-- What the marketing side must not contact.
CREATE TABLE suppressions (
    seq INTEGER NOT NULL PRIMARY KEY REFERENCES records,
    subject TEXT NOT NULL,
    purpose TEXT NOT NULL,
    suppressed_at TEXT NOT NULL,
    UNIQUE (subject, purpose)
) STRICT;

CREATE TABLE exports (
    id BLOB NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    created_at TEXT NOT NULL,
    document TEXT
) STRICT;
CREATE INDEX exports_by_age ON exports (created_at);

CREATE TRIGGER records_stay BEFORE UPDATE ON records
BEGIN
    SELECT RAISE(ABORT, 'records is append-only: UPDATE is refused');
END;
CREATE TRIGGER records_are_kept BEFORE DELETE ON records
BEGIN
    SELECT RAISE(ABORT, 'records is append-only: DELETE is refused');
END;
-- REPLACE removes the old row without asking the triggers on DELETE.
CREATE TRIGGER records_are_not_replaced BEFORE INSERT ON records
WHEN EXISTS (
    SELECT 1 FROM records
    WHERE seq = NEW.seq OR id = NEW.id OR previous = NEW.previous OR hash = NEW.hash
)
BEGIN
    SELECT RAISE(ABORT, 'records is append-only: REPLACE is refused');
END;
CREATE TRIGGER texts_stay BEFORE UPDATE ON texts
BEGIN
    SELECT RAISE(ABORT, 'texts is append-only: UPDATE is refused');
END;
CREATE TRIGGER texts_are_kept BEFORE DELETE ON texts
BEGIN
    SELECT RAISE(ABORT, 'texts is append-only: DELETE is refused');
END;
CREATE TRIGGER texts_are_not_replaced BEFORE INSERT ON texts
WHEN EXISTS (
    SELECT 1 FROM texts
    WHERE id = NEW.id OR (purpose = NEW.purpose AND version = NEW.version)
)
BEGIN
    SELECT RAISE(ABORT, 'texts is append-only: REPLACE is refused');
END;
