-- One row per searchable field of a job, at the time that the job's row shows now.
WITH staged (id, fields) AS (VALUES {rows})
INSERT INTO millstream_job_fields AS old (job_id, field, kind, value, finished_at, enqueued_at)
SELECT jobs.id, found.key, jobs.kind, found.value, jobs.finished_at, jobs.enqueued_at
FROM staged
CROSS JOIN millstream_jobs AS jobs ON jobs.id = staged.id
CROSS JOIN json_each(staged.fields) AS found
WHERE true
ON CONFLICT (job_id, field) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
