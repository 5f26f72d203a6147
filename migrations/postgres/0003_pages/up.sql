-- For histories of any size. Jobs and their runs lie in partitions of a week each, by the time at which the job was
-- enqueued, which is the same in all its outcomes; recorders create the partitions as they need them. What is there
-- already becomes the first partition. A page runs along an index in each partition, whatever it is narrowed by.
ALTER TABLE millstream_jobs RENAME TO millstream_jobs_early;
ALTER TABLE millstream_jobs_early DROP CONSTRAINT millstream_jobs_pkey;
ALTER INDEX millstream_jobs_by_time RENAME TO millstream_jobs_early_by_time;
ALTER INDEX millstream_jobs_by_state RENAME TO millstream_jobs_early_by_state;
ALTER INDEX millstream_jobs_by_kind RENAME TO millstream_jobs_early_by_kind;
ALTER INDEX millstream_jobs_by_queue RENAME TO millstream_jobs_early_by_queue;
DROP INDEX millstream_jobs_revived_from;

CREATE TABLE millstream_jobs (LIKE millstream_jobs_early, PRIMARY KEY (id, enqueued_at)) PARTITION BY RANGE (enqueued_at);
CREATE INDEX millstream_jobs_by_time ON millstream_jobs (finished_at, id);
CREATE INDEX millstream_jobs_by_state ON millstream_jobs (state, finished_at, id);
CREATE INDEX millstream_jobs_by_kind ON millstream_jobs (kind, finished_at, id);
CREATE INDEX millstream_jobs_by_queue ON millstream_jobs (queue, finished_at, id);
CREATE INDEX millstream_jobs_by_worker ON millstream_jobs (worker, finished_at, id);
CREATE INDEX millstream_jobs_revived_from ON millstream_jobs (revived_from, finished_at, id)
    WHERE revived_from IS NOT NULL;
-- Texts of errors that are in many rows are met along this one, those that are in few are found by their trigrams.
CREATE INDEX millstream_jobs_by_error ON millstream_jobs (finished_at, id) WHERE error IS NOT NULL;
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX millstream_jobs_error_text ON millstream_jobs USING gin (lower(error) gin_trgm_ops)
        WHERE error IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'searching the history for rare texts of errors will be slow without the extension pg_trgm: %', SQLERRM;
END $$;
-- For times so far off that a recorder makes no partition for them.
CREATE TABLE millstream_jobs_other PARTITION OF millstream_jobs DEFAULT;

ALTER TABLE millstream_attempts RENAME TO millstream_attempts_early;
ALTER TABLE millstream_attempts_early DROP CONSTRAINT millstream_attempts_pkey, ADD COLUMN enqueued_at timestamptz;
UPDATE millstream_attempts_early AS attempts
SET enqueued_at = coalesce((SELECT enqueued_at FROM millstream_jobs_early WHERE id = attempts.job_id), finished_at);
ALTER TABLE millstream_attempts_early ALTER COLUMN enqueued_at SET NOT NULL;

CREATE TABLE millstream_attempts (LIKE millstream_attempts_early, PRIMARY KEY (job_id, run, enqueued_at))
    PARTITION BY RANGE (enqueued_at);
CREATE TABLE millstream_attempts_other PARTITION OF millstream_attempts DEFAULT;

DO $$
DECLARE
    -- The next Monday: partitions begin on Mondays.
    bound constant timestamptz := date_trunc('week', now(), 'UTC') + interval '168 hours';
    part text;
    is_empty boolean;
BEGIN
    FOREACH part IN ARRAY ARRAY['millstream_jobs', 'millstream_attempts'] LOOP
        EXECUTE format(
            'WITH later AS (DELETE FROM %1$s_early WHERE enqueued_at >= %2$L RETURNING *) INSERT INTO %1$s SELECT * FROM later',
            part, bound
        );
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s_early)', part) INTO is_empty;
        IF is_empty THEN
            EXECUTE format('DROP TABLE %s_early', part);
        ELSE
            EXECUTE format('ALTER TABLE %1$s ATTACH PARTITION %1$s_early FOR VALUES FROM (MINVALUE) TO (%2$L)', part, bound);
        END IF;
    END LOOP;
END $$;

-- A page of a tag runs along its index too. The time of enqueueing tells in which partition the job is.
ALTER TABLE millstream_job_tags ADD COLUMN finished_at timestamptz, ADD COLUMN enqueued_at timestamptz;
UPDATE millstream_job_tags AS tags SET finished_at = jobs.finished_at, enqueued_at = jobs.enqueued_at
FROM millstream_jobs AS jobs WHERE jobs.id = tags.job_id;
DELETE FROM millstream_job_tags WHERE finished_at IS NULL;
ALTER TABLE millstream_job_tags ALTER COLUMN finished_at SET NOT NULL, ALTER COLUMN enqueued_at SET NOT NULL;
CREATE INDEX millstream_job_tags_by_time ON millstream_job_tags (tag, finished_at, job_id);

-- The payload's fields that the job type declares searchable.
CREATE TABLE millstream_job_fields (
    job_id uuid NOT NULL,
    field text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    -- A letter for the type, a colon, the value.
    value text COLLATE "C" NOT NULL,
    finished_at timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, field)
);
CREATE INDEX millstream_job_fields_by_value ON millstream_job_fields (kind, field, value, finished_at, job_id);
