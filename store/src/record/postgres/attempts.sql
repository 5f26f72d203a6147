-- Once per (job, run), however often the outcome is delivered.
INSERT INTO millstream_attempts (
    job_id, run, attempt, crash, state, started_at, finished_at, next_at, worker, error, log, progress, enqueued_at
)
SELECT
    id, run, attempt, crash, state, started_at, finished_at, next_at, worker, error, log, progress::jsonb, enqueued_at
FROM millstream_staged
ON CONFLICT (job_id, run, enqueued_at) DO NOTHING
