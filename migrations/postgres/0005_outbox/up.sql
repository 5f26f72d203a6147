-- Jobs and events that wait for their relay to Redis.
CREATE TABLE millstream_outbox (
    -- Given by the trigger, whatever is inserted.
    seq bigint NOT NULL,
    -- queue:<name> or topic:<name>
    target text COLLATE "C" NOT NULL,
    -- Rows of a target with one key are numbered in the order in which their transactions commit.
    order_key text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    body text COLLATE "C" NOT NULL,
    options text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (target, seq)
) WITH (
    -- Rows come and go: what decides is how many went, not how many there are.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE SEQUENCE millstream_outbox_seq OWNED BY millstream_outbox.seq;

-- One row: the outbox's id in Redis, how many rows may wait, and the highest number that may be given until the relay raises it.
CREATE TABLE millstream_outbox_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id text COLLATE "C" NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    most bigint NOT NULL DEFAULT 1000000,
    ceiling bigint NOT NULL DEFAULT 1000000
);
INSERT INTO millstream_outbox_state DEFAULT VALUES;

-- The last batch of each target; its members are the numbers of its rows (a JSON array) while it is on its way.
CREATE TABLE millstream_outbox_batches (
    target text COLLATE "C" PRIMARY KEY,
    batch bigint NOT NULL DEFAULT 0,
    members text COLLATE "C"
) WITH (fillfactor = 10);

-- Rows that can't be relayed, with the reason.
CREATE TABLE millstream_outbox_rejected (
    seq bigint PRIMARY KEY,
    target text COLLATE "C" NOT NULL,
    order_key text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    body text COLLATE "C" NOT NULL,
    options text COLLATE "C",
    created_at timestamptz NOT NULL,
    reason text COLLATE "C" NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION millstream_outbox_number() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state record;
BEGIN
    -- Held until the transaction has committed and drawn before the number, so that numbers of a key rise in commit order.
    IF NEW.order_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(NEW.target || ' ' || NEW.order_key, 0));
    END IF;
    NEW.seq := nextval('millstream_outbox_seq');
    SELECT s.ceiling, s.most INTO state FROM millstream_outbox_state s;
    IF NEW.seq > state.ceiling THEN
        RAISE EXCEPTION 'the outbox is full: up to % rows may wait', state.most
            USING ERRCODE = 'configuration_limit_exceeded', HINT = 'Is a relay running, and does it reach Redis?';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER millstream_outbox_number BEFORE INSERT ON millstream_outbox
    FOR EACH ROW EXECUTE FUNCTION millstream_outbox_number();

CREATE FUNCTION millstream_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY millstream_outbox;
    RETURN NULL;
END $$;
CREATE TRIGGER millstream_outbox_notify AFTER INSERT ON millstream_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION millstream_outbox_notify();
