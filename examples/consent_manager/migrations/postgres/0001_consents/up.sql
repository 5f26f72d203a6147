-- What people are asked to agree to. A change of words is a new version.
CREATE TABLE texts (
    id uuid PRIMARY KEY,
    purpose text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    title text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (purpose, version)
);

-- Every grant and withdrawal, in one chain: `previous` is the hash of the record before.
CREATE TABLE records (
    seq bigint PRIMARY KEY CHECK (seq >= 1),
    id uuid NOT NULL UNIQUE,
    subject text COLLATE "C" NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    text_sha256 text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL CHECK (action IN ('granted', 'withdrawn')),
    method text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    previous text COLLATE "C" NOT NULL UNIQUE,
    hash text COLLATE "C" NOT NULL UNIQUE,
    FOREIGN KEY (purpose, version) REFERENCES texts (purpose, version)
);
CREATE INDEX records_by_subject ON records (subject, purpose, seq);
CREATE INDEX records_by_purpose ON records (purpose, seq);

-- How long the chain is and where it ends. Whoever appends locks this row first.
CREATE TABLE chain (
    id bigint PRIMARY KEY CHECK (id = 1),
    length bigint NOT NULL,
    hash text COLLATE "C" NOT NULL
);
INSERT INTO chain VALUES (1, 0, repeat('0', 64));

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
    seq bigint PRIMARY KEY REFERENCES records,
    subject text COLLATE "C" NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    suppressed_at timestamptz NOT NULL,
    UNIQUE (subject, purpose)
);

CREATE TABLE exports (
    id uuid PRIMARY KEY,
    subject text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    document text COLLATE "C"
);
CREATE INDEX exports_by_age ON exports (created_at);

CREATE FUNCTION consents_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END $$;
CREATE TRIGGER records_stay BEFORE UPDATE OR DELETE ON records
    FOR EACH ROW EXECUTE FUNCTION consents_are_append_only();
CREATE TRIGGER records_are_kept BEFORE TRUNCATE ON records
    FOR EACH STATEMENT EXECUTE FUNCTION consents_are_append_only();
CREATE TRIGGER texts_stay BEFORE UPDATE OR DELETE ON texts
    FOR EACH ROW EXECUTE FUNCTION consents_are_append_only();
CREATE TRIGGER texts_are_kept BEFORE TRUNCATE ON texts
    FOR EACH STATEMENT EXECUTE FUNCTION consents_are_append_only();
