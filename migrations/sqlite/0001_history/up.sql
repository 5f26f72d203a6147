-- One row per job: what its decisive run says. Times are UTC text of fixed width, so that they sort.
CREATE TABLE millstream_jobs (
    id BLOB NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    lane TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    run INTEGER NOT NULL,
    crash INTEGER NOT NULL,
    enqueued_at TEXT NOT NULL,
    first_started_at TEXT,
    started_at TEXT,
    finished_at TEXT NOT NULL,
    next_at TEXT,
    worker TEXT NOT NULL,
    error TEXT,
    content_type TEXT,
    -- A document is JSON text where it is JSON that both databases can hold, else its bytes are in the column beside it.
    payload TEXT,
    payload_raw BLOB,
    result TEXT,
    result_raw BLOB
) STRICT;

-- Pages run newest first along (finished_at, id), alone or within one value of the filter in front.
CREATE INDEX millstream_jobs_by_time ON millstream_jobs (finished_at, id);
CREATE INDEX millstream_jobs_by_state ON millstream_jobs (state, finished_at, id);
CREATE INDEX millstream_jobs_by_kind ON millstream_jobs (kind, finished_at, id);
CREATE INDEX millstream_jobs_by_queue ON millstream_jobs (queue, finished_at, id);

-- One row per run of a job.
CREATE TABLE millstream_attempts (
    job_id BLOB NOT NULL,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crash INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT NOT NULL,
    next_at TEXT,
    worker TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (job_id, run)
) STRICT, WITHOUT ROWID;

-- What the recorder could not read or write, with its reason, so that it neither stops the rest nor is lost.
CREATE TABLE millstream_rejected (
    id BLOB NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    entry TEXT NOT NULL,
    job_id BLOB,
    reason TEXT NOT NULL,
    body BLOB NOT NULL,
    rejected_at TEXT NOT NULL
) STRICT;
