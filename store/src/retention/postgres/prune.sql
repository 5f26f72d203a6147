-- Jobs with all that hangs on them. Skips what others hold, so that it never waits for a recorder; a recorder waits for this
-- one statement at most. What was changed since it was seen stays.
-- $1 ids, $2 when each ended, $3 when each was enqueued, $4 the state of all
WITH due AS (
    SELECT jobs.id, jobs.enqueued_at, jobs.tags
    FROM unnest($1, $2, $3) AS seen (id, finished_at, enqueued_at)
    JOIN millstream_jobs AS jobs
        ON jobs.id = seen.id AND jobs.enqueued_at = seen.enqueued_at AND jobs.finished_at = seen.finished_at
    WHERE jobs.state = $4
    FOR UPDATE OF jobs SKIP LOCKED
), attempts AS (
    DELETE FROM millstream_attempts AS attempts USING due WHERE attempts.job_id = due.id
), tags AS (
    DELETE FROM millstream_job_tags AS tags
    USING due, jsonb_array_elements_text(due.tags) AS named (tag)
    WHERE tags.tag = named.tag AND tags.job_id = due.id
), fields AS (
    DELETE FROM millstream_job_fields AS fields USING due WHERE fields.job_id = due.id
)
DELETE FROM millstream_jobs AS jobs USING due WHERE jobs.id = due.id AND jobs.enqueued_at = due.enqueued_at
