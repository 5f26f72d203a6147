-- The job's row follows the highest run, whatever the order of arrival. An end decides over runs that are none, and is
-- never left.
INSERT INTO millstream_jobs AS old (
    id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, first_started_at, started_at, finished_at,
    next_at, worker, error, content_type, payload, payload_raw, result, result_raw, tags, trace_id, progress,
    revived_from
)
SELECT
    id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, first_started_at, started_at, finished_at,
    next_at, worker, error, content_type, payload::jsonb, payload_raw, result::jsonb, result_raw,
    tags::jsonb, trace_id, progress::jsonb, revived_from
FROM millstream_staged
WHERE head
ON CONFLICT (id, enqueued_at) DO UPDATE SET
    queue = excluded.queue,
    kind = excluded.kind,
    version = excluded.version,
    lane = excluded.lane,
    state = excluded.state,
    attempt = excluded.attempt,
    run = excluded.run,
    crash = excluded.crash,
    first_started_at = least(old.first_started_at, excluded.first_started_at),
    started_at = excluded.started_at,
    finished_at = excluded.finished_at,
    next_at = excluded.next_at,
    worker = excluded.worker,
    error = excluded.error,
    content_type = coalesce(excluded.content_type, old.content_type),
    payload = coalesce(excluded.payload, old.payload),
    payload_raw = coalesce(excluded.payload_raw, old.payload_raw),
    result = excluded.result,
    result_raw = excluded.result_raw,
    tags = coalesce(excluded.tags, old.tags),
    trace_id = coalesce(excluded.trace_id, old.trace_id),
    progress = excluded.progress,
    revived_from = excluded.revived_from
WHERE old.state NOT IN ('completed', 'dead', 'cancelled', 'expired')
    AND (excluded.state IN ('completed', 'dead', 'cancelled', 'expired') OR excluded.run > old.run)
