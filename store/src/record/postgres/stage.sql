-- Where COPY puts a batch before it is held against what is there. Per session, emptied with each transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS millstream_staged (
    id uuid, queue text, kind text, version bigint, lane text, state text, attempt bigint, run bigint,
    crash bigint, enqueued_at timestamptz, first_started_at timestamptz, started_at timestamptz, finished_at timestamptz,
    next_at timestamptz, worker text, error text, content_type text, payload text, payload_raw bytea, result text,
    result_raw bytea, tags text, trace_id text, log text, progress text, revived_from uuid,
    head boolean, fields text
) ON COMMIT DELETE ROWS
