-- The same where each head has decided over its job's row, which then shows what the head says.
INSERT INTO millstream_job_fields AS old (job_id, field, kind, value, finished_at, enqueued_at)
SELECT staged.id, found.field, staged.kind, found.value, staged.finished_at, staged.enqueued_at
FROM millstream_staged AS staged
CROSS JOIN LATERAL jsonb_each_text(staged.fields::jsonb) AS found (field, value)
WHERE staged.head AND staged.fields IS NOT NULL
ON CONFLICT (job_id, field) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
