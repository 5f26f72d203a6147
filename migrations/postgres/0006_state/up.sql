-- Numbers of changes, which are also the versions of values. A transaction takes one only while it holds its scope's lock,
-- so within a scope they become visible in their order.
CREATE SEQUENCE millstream_state_changes;

-- One row per key. A value is JSON as text: jsonb would change numbers and refuse NUL. A deleted one leaves its row without a
-- value for a day, so that whoever watches hears of it.
CREATE TABLE millstream_state (
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    value text COLLATE "C",
    expires_at timestamptz,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE INDEX millstream_state_by_change ON millstream_state (scope, version);
CREATE INDEX millstream_state_by_expiry ON millstream_state (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX millstream_state_deleted ON millstream_state (updated_at) WHERE value IS NULL;

-- What was written on request to keep it.
CREATE TABLE millstream_state_history (
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    value text COLLATE "C",
    written_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key, version)
);

-- The newest fencing token seen of each resource.
CREATE TABLE millstream_fences (
    resource text COLLATE "C" PRIMARY KEY,
    token bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Wakes those who watch; they read what changed by number.
CREATE FUNCTION millstream_state_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('millstream_state', NEW.scope);
    RETURN NULL;
END
$$;

CREATE TRIGGER millstream_state_notify AFTER INSERT OR UPDATE ON millstream_state
    FOR EACH ROW EXECUTE FUNCTION millstream_state_notify();

-- How far each queue's streams in Redis had come when a recorder last looked: numbers that only rise, unless Redis loses
-- something.
CREATE TABLE millstream_watermarks (
    queue text COLLATE "C" NOT NULL PRIMARY KEY,
    version bigint NOT NULL,
    server text COLLATE "C" NOT NULL,
    streams text COLLATE "C" NOT NULL,
    first_at timestamptz NOT NULL,
    taken_at timestamptz NOT NULL
);

-- What was found to be lost, until someone accepts it.
CREATE TABLE millstream_losses (
    id uuid NOT NULL PRIMARY KEY,
    queue text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    entries bigint NOT NULL,
    since timestamptz NOT NULL,
    found_at timestamptz NOT NULL,
    cause text COLLATE "C" NOT NULL
);
