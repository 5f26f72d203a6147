-- One row per searchable field of a job, at the time that the job's row shows now.
INSERT INTO millstream_job_fields AS old (job_id, field, kind, value, finished_at, enqueued_at)
SELECT jobs.id, found.field, jobs.kind, found.value, jobs.finished_at, jobs.enqueued_at
FROM millstream_staged AS staged
JOIN millstream_jobs AS jobs ON jobs.id = staged.id AND jobs.enqueued_at = staged.enqueued_at,
    jsonb_each_text(staged.fields::jsonb) AS found (field, value)
WHERE staged.head AND staged.fields IS NOT NULL
ON CONFLICT (job_id, field) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
