-- One row per tag of a job, however often its outcomes are delivered.
WITH staged (id, tags) AS (VALUES {rows})
INSERT INTO millstream_job_tags (tag, job_id)
SELECT tags.value, staged.id
FROM staged, json_each(staged.tags) AS tags
WHERE true
ON CONFLICT (tag, job_id) DO NOTHING
