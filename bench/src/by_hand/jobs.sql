INSERT INTO millstream_jobs (
    id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, first_started_at, started_at, finished_at,
    worker, payload, tags
)
SELECT
    id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, started_at, started_at, finished_at,
    worker, payload::jsonb, jsonb_build_array(tag)
FROM bench_staged
ON CONFLICT (id, enqueued_at) DO NOTHING
