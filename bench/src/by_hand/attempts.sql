INSERT INTO millstream_attempts (job_id, run, attempt, crash, state, started_at, finished_at, worker, enqueued_at)
SELECT id, run, attempt, crash, state, started_at, finished_at, worker, enqueued_at FROM bench_staged
ON CONFLICT (job_id, run, enqueued_at) DO NOTHING
