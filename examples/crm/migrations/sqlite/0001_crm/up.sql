-- Deleted rows stay; names and emails are unique among those that are not.
CREATE TABLE companies (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL CHECK (name <> ''),
    domain TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT
) STRICT;
CREATE UNIQUE INDEX companies_by_name ON companies (name) WHERE deleted_at IS NULL;
CREATE INDEX companies_by_time ON companies (created_at, id);

CREATE TABLE imports (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    -- Those up to here are written: as contacts or as bad rows.
    rows INTEGER NOT NULL,
    imported INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    error TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    finished_at TEXT,
    CHECK (rows = imported + bad)
) STRICT;
CREATE INDEX imports_by_time ON imports (created_at, id);
CREATE INDEX imports_by_state ON imports (state, id);

CREATE TABLE bad_rows (
    id BLOB NOT NULL PRIMARY KEY,
    import BLOB NOT NULL REFERENCES imports (id),
    -- The first is 1, the header aside.
    number INTEGER NOT NULL,
    -- Where it begins in the file; the header is on line 1.
    line INTEGER NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (import, number)
) STRICT;
CREATE INDEX bad_rows_by_line ON bad_rows (import, line, id);

CREATE TABLE contacts (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL CHECK (name <> ''),
    email TEXT NOT NULL,
    phone TEXT,
    company BLOB REFERENCES companies (id),
    import BLOB REFERENCES imports (id),
    import_row INTEGER,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT,
    -- No row of a file becomes two contacts.
    UNIQUE (import, import_row),
    CHECK ((import IS NULL) = (import_row IS NULL))
) STRICT;
CREATE UNIQUE INDEX contacts_by_email ON contacts (email) WHERE deleted_at IS NULL;
CREATE INDEX contacts_by_name ON contacts (name, id);
CREATE INDEX contacts_by_time ON contacts (created_at, id);
CREATE INDEX contacts_of_company ON contacts (company, id);

-- Amounts are whole minor units (cents).
CREATE TABLE deals (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    title TEXT NOT NULL CHECK (title <> ''),
    company BLOB NOT NULL REFERENCES companies (id),
    contact BLOB REFERENCES contacts (id),
    stage TEXT NOT NULL CHECK (stage IN ('lead', 'qualified', 'proposal', 'won', 'lost')),
    -- Small enough that no pipeline's total overflows.
    amount INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
    currency TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT
) STRICT;
CREATE INDEX deals_by_stage ON deals (stage, currency);
CREATE INDEX deals_by_time ON deals (created_at, id);
CREATE INDEX deals_of_company ON deals (company, id);
CREATE INDEX deals_of_contact ON deals (contact, id);
