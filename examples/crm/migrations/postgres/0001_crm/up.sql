-- Deleted rows stay; names and emails are unique among those that are not.
CREATE TABLE companies (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    domain text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX companies_by_name ON companies (name) WHERE deleted_at IS NULL;
CREATE INDEX companies_by_time ON companies (created_at, id);

CREATE TABLE imports (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    file text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    -- Those up to here are written: as contacts or as bad rows.
    rows bigint NOT NULL,
    imported bigint NOT NULL,
    bad bigint NOT NULL,
    error text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK (rows = imported + bad)
);
CREATE INDEX imports_by_time ON imports (created_at, id);
CREATE INDEX imports_by_state ON imports (state, id);

CREATE TABLE bad_rows (
    id uuid PRIMARY KEY,
    import uuid NOT NULL REFERENCES imports (id),
    -- The first is 1, the header aside.
    number bigint NOT NULL,
    -- Where it begins in the file; the header is on line 1.
    line bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    UNIQUE (import, number)
);
CREATE INDEX bad_rows_by_line ON bad_rows (import, line, id);

CREATE TABLE contacts (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    email text COLLATE "C" NOT NULL,
    phone text COLLATE "C",
    company uuid REFERENCES companies (id),
    import uuid REFERENCES imports (id),
    import_row bigint,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    -- No row of a file becomes two contacts.
    UNIQUE (import, import_row),
    CHECK ((import IS NULL) = (import_row IS NULL))
);
CREATE UNIQUE INDEX contacts_by_email ON contacts (email) WHERE deleted_at IS NULL;
CREATE INDEX contacts_by_name ON contacts (name, id);
CREATE INDEX contacts_by_time ON contacts (created_at, id);
CREATE INDEX contacts_of_company ON contacts (company, id);

-- Amounts are whole minor units (cents).
CREATE TABLE deals (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    title text COLLATE "C" NOT NULL CHECK (title <> ''),
    company uuid NOT NULL REFERENCES companies (id),
    contact uuid REFERENCES contacts (id),
    stage text COLLATE "C" NOT NULL CHECK (stage IN ('lead', 'qualified', 'proposal', 'won', 'lost')),
    -- Small enough that no pipeline's total overflows.
    amount bigint NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX deals_by_stage ON deals (stage, currency);
CREATE INDEX deals_by_time ON deals (created_at, id);
CREATE INDEX deals_of_company ON deals (company, id);
CREATE INDEX deals_of_contact ON deals (contact, id);
