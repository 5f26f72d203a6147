-- Amounts are whole minor units (cents). What must hold is held by the database, whoever writes.
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense')),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    may_overdraw boolean NOT NULL,
    -- The sum of all lines, kept by the trigger below.
    balance bigint NOT NULL CHECK (may_overdraw OR balance >= 0),
    created_at timestamptz NOT NULL,
    UNIQUE (id, currency)
);
CREATE INDEX accounts_by_name ON accounts (name, id);
CREATE INDEX accounts_by_time ON accounts (created_at, id);

-- One row takes from one account what it gives to another of the same currency, so no transfer can be out of balance.
CREATE TABLE transfers (
    id uuid PRIMARY KEY,
    key text COLLATE "C" UNIQUE,
    from_account uuid NOT NULL,
    to_account uuid NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    memo text COLLATE "C" NOT NULL,
    -- The transfer that this one takes back, once.
    reverses uuid UNIQUE REFERENCES transfers (id),
    created_at timestamptz NOT NULL,
    CHECK (from_account <> to_account),
    FOREIGN KEY (from_account, currency) REFERENCES accounts (id, currency),
    FOREIGN KEY (to_account, currency) REFERENCES accounts (id, currency)
);
CREATE INDEX transfers_by_time ON transfers (created_at, id);
CREATE INDEX transfers_from ON transfers (from_account, created_at, id);
CREATE INDEX transfers_to ON transfers (to_account, created_at, id);

-- What each account sees of a transfer.
CREATE VIEW lines AS
SELECT id, from_account AS account, to_account AS other, -amount AS amount, memo, created_at FROM transfers
UNION ALL
SELECT id, to_account, from_account, amount, memo, created_at FROM transfers;

CREATE FUNCTION transfers_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked in one order: two transfers in opposite directions would else wait for each other.
    PERFORM FROM accounts WHERE id IN (NEW.from_account, NEW.to_account) ORDER BY id FOR NO KEY UPDATE;
    UPDATE accounts SET balance = balance - NEW.amount WHERE id = NEW.from_account;
    UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.to_account;
    RETURN NULL;
END $$;
CREATE TRIGGER transfers_move AFTER INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_move();

CREATE FUNCTION transfers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a transfer stays as it is: reverse it by another one';
END $$;
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers EXECUTE FUNCTION transfers_stay();

CREATE TABLE statements (
    id uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts (id),
    month text COLLATE "C" NOT NULL,
    opening bigint NOT NULL,
    received bigint NOT NULL,
    spent bigint NOT NULL,
    closing bigint NOT NULL,
    transfers bigint NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (account, month),
    CHECK (closing = opening + received - spent)
);
