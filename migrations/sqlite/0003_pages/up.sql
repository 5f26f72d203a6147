-- For histories of any size: a page runs along an index, whatever it is narrowed by.
CREATE INDEX millstream_jobs_by_worker ON millstream_jobs (worker, finished_at, id);
DROP INDEX millstream_jobs_revived_from;
CREATE INDEX millstream_jobs_revived_from ON millstream_jobs (revived_from, finished_at, id)
    WHERE revived_from IS NOT NULL;

-- Texts of errors that are in many rows are met along this one, those that are in few are found by their trigrams. The index
-- of trigrams knows rows by numbers that no VACUUM changes.
CREATE INDEX millstream_jobs_by_error ON millstream_jobs (finished_at, id) WHERE error IS NOT NULL;
CREATE TABLE millstream_job_errors (number INTEGER PRIMARY KEY, job_id BLOB NOT NULL UNIQUE) STRICT;
CREATE VIRTUAL TABLE millstream_error_text USING fts5 (
    error, content = '', contentless_delete = 1, tokenize = 'trigram', detail = full
);
INSERT INTO millstream_job_errors (job_id) SELECT id FROM millstream_jobs WHERE error IS NOT NULL;
INSERT INTO millstream_error_text (rowid, error)
SELECT errors.number, jobs.error FROM millstream_job_errors AS errors JOIN millstream_jobs AS jobs ON jobs.id = errors.job_id;
CREATE TRIGGER millstream_error_inserted AFTER INSERT ON millstream_jobs WHEN new.error IS NOT NULL BEGIN
    INSERT INTO millstream_job_errors (job_id) VALUES (new.id);
    INSERT INTO millstream_error_text (rowid, error) SELECT number, new.error FROM millstream_job_errors WHERE job_id = new.id;
END;
CREATE TRIGGER millstream_error_updated AFTER UPDATE OF error ON millstream_jobs WHEN new.error IS NOT old.error BEGIN
    DELETE FROM millstream_error_text WHERE rowid IN (SELECT number FROM millstream_job_errors WHERE job_id = old.id);
    DELETE FROM millstream_job_errors WHERE job_id = old.id;
    INSERT INTO millstream_job_errors (job_id) SELECT new.id WHERE new.error IS NOT NULL;
    INSERT INTO millstream_error_text (rowid, error) SELECT number, new.error FROM millstream_job_errors WHERE job_id = new.id;
END;
CREATE TRIGGER millstream_error_deleted AFTER DELETE ON millstream_jobs WHEN old.error IS NOT NULL BEGIN
    DELETE FROM millstream_error_text WHERE rowid IN (SELECT number FROM millstream_job_errors WHERE job_id = old.id);
    DELETE FROM millstream_job_errors WHERE job_id = old.id;
END;

-- A page of a tag runs along its index too.
CREATE TABLE millstream_job_tags_timed (
    tag TEXT NOT NULL,
    job_id BLOB NOT NULL,
    finished_at TEXT NOT NULL,
    enqueued_at TEXT NOT NULL,
    PRIMARY KEY (tag, job_id)
) STRICT, WITHOUT ROWID;
INSERT INTO millstream_job_tags_timed
SELECT tags.tag, tags.job_id, jobs.finished_at, jobs.enqueued_at
FROM millstream_job_tags AS tags JOIN millstream_jobs AS jobs ON jobs.id = tags.job_id;
DROP TABLE millstream_job_tags;
ALTER TABLE millstream_job_tags_timed RENAME TO millstream_job_tags;
CREATE INDEX millstream_job_tags_by_time ON millstream_job_tags (tag, finished_at, job_id);

-- The payload's fields that the job type declares searchable.
CREATE TABLE millstream_job_fields (
    job_id BLOB NOT NULL,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- A letter for the type, a colon, the value.
    value TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    enqueued_at TEXT NOT NULL,
    PRIMARY KEY (job_id, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX millstream_job_fields_by_value ON millstream_job_fields (kind, field, value, finished_at, job_id);
