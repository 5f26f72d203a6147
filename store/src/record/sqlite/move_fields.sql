-- The fields that an earlier run's payload gave, after a run that carries none.
WITH staged (id) AS (VALUES {rows})
UPDATE millstream_job_fields SET finished_at = jobs.finished_at
FROM staged CROSS JOIN millstream_jobs AS jobs ON jobs.id = staged.id
WHERE millstream_job_fields.job_id = jobs.id
