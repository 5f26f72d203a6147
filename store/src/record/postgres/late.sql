-- What a run adds that arrives after a later one: the first start, and the payload, tags and trace where the row has none.
UPDATE millstream_jobs AS old SET
    first_started_at = least(old.first_started_at, staged.first_started_at),
    content_type = coalesce(old.content_type, staged.content_type),
    payload = CASE WHEN old.payload_raw IS NULL THEN coalesce(old.payload, staged.payload::jsonb) END,
    payload_raw = CASE WHEN old.payload IS NULL THEN coalesce(old.payload_raw, staged.payload_raw) END,
    tags = coalesce(old.tags, staged.tags::jsonb),
    trace_id = coalesce(old.trace_id, staged.trace_id)
FROM millstream_staged AS staged
WHERE staged.head AND old.id = staged.id AND old.enqueued_at = staged.enqueued_at AND (
    staged.first_started_at < coalesce(old.first_started_at, 'infinity')
    OR (num_nonnulls(staged.payload, staged.payload_raw) > 0 AND num_nonnulls(old.payload, old.payload_raw) = 0)
    OR (staged.tags IS NOT NULL AND old.tags IS NULL)
    OR (staged.trace_id IS NOT NULL AND old.trace_id IS NULL)
)
