-- The same where each head has decided over its job's row, which then shows what the head says.
INSERT INTO millstream_job_tags AS old (tag, job_id, finished_at, enqueued_at)
SELECT given.tag, staged.id, staged.finished_at, staged.enqueued_at
FROM millstream_staged AS staged
CROSS JOIN LATERAL (SELECT DISTINCT tag FROM jsonb_array_elements_text(staged.tags::jsonb) AS tags (tag)) AS given
WHERE staged.head AND staged.tags IS NOT NULL
ON CONFLICT (tag, job_id) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
