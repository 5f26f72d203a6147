CREATE TEMPORARY TABLE IF NOT EXISTS bench_staged (
    id uuid, queue text, kind text, version bigint, lane text, state text, attempt bigint, run bigint, crash bigint,
    enqueued_at timestamptz, started_at timestamptz, finished_at timestamptz, worker text, payload text, tag text,
    field text, value text
) ON COMMIT DELETE ROWS
