-- Once per (job, run), however often the outcome is delivered.
INSERT INTO millstream_attempts (
    job_id, run, attempt, crash, state, started_at, finished_at, next_at, worker, error, log, progress
)
VALUES {rows}
ON CONFLICT (job_id, run) DO NOTHING
