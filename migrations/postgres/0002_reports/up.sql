-- What a job carries beside its payload, and what its runs reported.
ALTER TABLE millstream_jobs
    ADD COLUMN tags jsonb,
    ADD COLUMN trace_id text COLLATE "C",
    ADD COLUMN progress jsonb,
    ADD COLUMN revived_from uuid;

CREATE INDEX millstream_jobs_revived_from ON millstream_jobs (revived_from) WHERE revived_from IS NOT NULL;

ALTER TABLE millstream_attempts
    ADD COLUMN log text COLLATE "C",
    ADD COLUMN progress jsonb;

-- The tags once more, one row each, so that an index finds the jobs of a tag.
CREATE TABLE millstream_job_tags (
    tag text COLLATE "C" NOT NULL,
    job_id uuid NOT NULL,
    PRIMARY KEY (tag, job_id)
);
