-- One row per tag of a job, however often its outcomes are delivered.
INSERT INTO millstream_job_tags (tag, job_id)
SELECT tags.tag, staged.id
FROM millstream_staged AS staged, jsonb_array_elements_text(staged.tags::jsonb) AS tags (tag)
WHERE staged.head
ON CONFLICT (tag, job_id) DO NOTHING
