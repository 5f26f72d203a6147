-- What a run adds that arrives after a later one: the first start, and the payload, tags and trace where the row has none.
-- ?1 id, ?2 first_started_at, ?3 content_type, ?4 payload, ?5 payload_raw, ?6 tags, ?7 trace_id
UPDATE millstream_jobs SET
    first_started_at = min(coalesce(first_started_at, ?2), coalesce(?2, first_started_at)),
    content_type = coalesce(content_type, ?3),
    payload = CASE WHEN payload_raw IS NULL THEN coalesce(payload, ?4) END,
    payload_raw = CASE WHEN payload IS NULL THEN coalesce(payload_raw, ?5) END,
    tags = coalesce(tags, ?6),
    trace_id = coalesce(trace_id, ?7)
WHERE id = ?1
