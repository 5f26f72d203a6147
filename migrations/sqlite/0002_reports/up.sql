-- What a job carries beside its payload, and what its runs reported.
ALTER TABLE millstream_jobs ADD COLUMN tags TEXT;
ALTER TABLE millstream_jobs ADD COLUMN trace_id TEXT;
ALTER TABLE millstream_jobs ADD COLUMN progress TEXT;
ALTER TABLE millstream_jobs ADD COLUMN revived_from BLOB;

CREATE INDEX millstream_jobs_revived_from ON millstream_jobs (revived_from) WHERE revived_from IS NOT NULL;

ALTER TABLE millstream_attempts ADD COLUMN log TEXT;
ALTER TABLE millstream_attempts ADD COLUMN progress TEXT;

-- The tags once more, one row each, so that an index finds the jobs of a tag.
CREATE TABLE millstream_job_tags (
    tag TEXT NOT NULL,
    job_id BLOB NOT NULL,
    PRIMARY KEY (tag, job_id)
) STRICT, WITHOUT ROWID;
