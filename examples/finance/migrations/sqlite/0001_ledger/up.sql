-- Amounts are whole minor units (cents). What must hold is held by the database, whoever writes.
CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense')),
    currency TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
    may_overdraw INTEGER NOT NULL CHECK (may_overdraw IN (0, 1)),
    -- The sum of all lines, kept by the trigger below.
    balance INTEGER NOT NULL CHECK (may_overdraw OR balance >= 0),
    created_at TEXT NOT NULL,
    UNIQUE (id, currency)
) STRICT;
CREATE INDEX accounts_by_name ON accounts (name, id);
CREATE INDEX accounts_by_time ON accounts (created_at, id);

-- One row takes from one account what it gives to another of the same currency, so no transfer can be out of balance.
CREATE TABLE transfers (
    id BLOB NOT NULL PRIMARY KEY,
    key TEXT UNIQUE,
    from_account BLOB NOT NULL,
    to_account BLOB NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    memo TEXT NOT NULL,
    -- The transfer that this one takes back, once.
    reverses BLOB UNIQUE REFERENCES transfers (id),
    created_at TEXT NOT NULL,
    CHECK (from_account <> to_account),
    FOREIGN KEY (from_account, currency) REFERENCES accounts (id, currency),
    FOREIGN KEY (to_account, currency) REFERENCES accounts (id, currency)
) STRICT;
CREATE INDEX transfers_by_time ON transfers (created_at, id);
CREATE INDEX transfers_from ON transfers (from_account, created_at, id);
CREATE INDEX transfers_to ON transfers (to_account, created_at, id);

-- What each account sees of a transfer.
CREATE VIEW lines AS
SELECT id, from_account AS account, to_account AS other, -amount AS amount, memo, created_at FROM transfers
UNION ALL
SELECT id, to_account, from_account, amount, memo, created_at FROM transfers;

CREATE TRIGGER transfers_move AFTER INSERT ON transfers BEGIN
    UPDATE accounts SET balance = balance - NEW.amount WHERE id = NEW.from_account;
    UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.to_account;
END;
CREATE TRIGGER transfers_stay BEFORE UPDATE ON transfers BEGIN
    SELECT RAISE(ABORT, 'a transfer stays as it is: reverse it by another one');
END;
CREATE TRIGGER transfers_remain BEFORE DELETE ON transfers BEGIN
    SELECT RAISE(ABORT, 'a transfer stays as it is: reverse it by another one');
END;

CREATE TABLE statements (
    id BLOB NOT NULL PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts (id),
    month TEXT NOT NULL,
    opening INTEGER NOT NULL,
    received INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    transfers INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (account, month),
    CHECK (closing = opening + received - spent)
) STRICT;
