-- One row per job: what its decisive run says. Collation "C" makes names compare by byte, as on SQLite.
CREATE TABLE millstream_jobs (
    id uuid PRIMARY KEY,
    queue text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    lane text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    attempt bigint NOT NULL,
    run bigint NOT NULL,
    crash bigint NOT NULL,
    enqueued_at timestamptz NOT NULL,
    first_started_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    next_at timestamptz,
    worker text COLLATE "C" NOT NULL,
    error text COLLATE "C",
    content_type text COLLATE "C",
    -- A document is jsonb where jsonb can hold it, else its bytes are in the column beside it.
    payload jsonb,
    payload_raw bytea,
    result jsonb,
    result_raw bytea
);

-- Pages run newest first along (finished_at, id), alone or within one value of the filter in front.
CREATE INDEX millstream_jobs_by_time ON millstream_jobs (finished_at, id);
CREATE INDEX millstream_jobs_by_state ON millstream_jobs (state, finished_at, id);
CREATE INDEX millstream_jobs_by_kind ON millstream_jobs (kind, finished_at, id);
CREATE INDEX millstream_jobs_by_queue ON millstream_jobs (queue, finished_at, id);

-- One row per run of a job.
CREATE TABLE millstream_attempts (
    job_id uuid NOT NULL,
    run bigint NOT NULL,
    attempt bigint NOT NULL,
    crash bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    next_at timestamptz,
    worker text COLLATE "C" NOT NULL,
    error text COLLATE "C",
    PRIMARY KEY (job_id, run)
);

-- What the recorder could not read or write, with its reason, so that it neither stops the rest nor is lost.
CREATE TABLE millstream_rejected (
    id uuid PRIMARY KEY,
    queue text COLLATE "C" NOT NULL,
    entry text COLLATE "C" NOT NULL,
    job_id uuid,
    reason text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    rejected_at timestamptz NOT NULL
);
